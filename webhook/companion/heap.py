"""How the C library hands out memory to threads."""

import ctypes
from contextlib import suppress
from typing import Final

_ARENA_MAX: Final = -8
"""`M_ARENA_MAX` in glibc's malloc.h."""


def share_heap() -> None:
    """Let all threads allocate from one heap; to be called before they start.

    By default glibc gives each of some dozen threads a heap of its own, and each keeps
    what it once needed. The interpreter lets one thread run at a time, so they hardly
    ever wait for one another.
    """
    with suppress(AttributeError):  # another C library, which has no such heaps
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
