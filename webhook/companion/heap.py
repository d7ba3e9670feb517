"""How the C library hands out memory to threads, and takes it back."""

import ctypes
from contextlib import suppress
from typing import Final

_ARENA_MAX: Final = -8
"""`M_ARENA_MAX` in glibc's malloc.h."""
_MMAP_THRESHOLD: Final = -3
"""`M_MMAP_THRESHOLD` there."""
_LARGE: Final = 128 * 1024
"""Bytes; the threshold that glibc begins with."""


def share_heap() -> None:
    """Let all threads allocate from one heap; to be called before they start.

    By default glibc gives each of some dozen threads a heap of its own, and each keeps
    what it once needed. The interpreter lets one thread run at a time, so they hardly
    ever wait for one another.

    Large blocks, such as a page of a list and the report, stay outside of it and go
    back when they are freed. glibc by itself raises the threshold to the largest block
    that ever was, and the heap then keeps the room between small ones.
    """
    with suppress(AttributeError):  # another C library, which has no such heaps
        set_option = ctypes.CDLL(None).mallopt
        set_option(_ARENA_MAX, 1)
        set_option(_MMAP_THRESHOLD, _LARGE)
