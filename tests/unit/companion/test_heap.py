"""Threads share one heap once they are told to, and large blocks stay out of it."""

import subprocess
import sys

import pytest

PROGRAM = """
import re, sys, threading
from webhook.companion.heap import share_heap
if sys.argv[1] == "shared":
    share_heap()
kept = []
threads = [
    threading.Thread(target=lambda: kept.append([bytes(2000) for _ in range(2000)]))
    for _ in range(8)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
maps = open("/proc/self/maps").read()
reserved = re.findall(r"^(\\w+)-(\\w+) ---p 0+ 00:00 0 *$", maps, re.M)
print(sum(int(end, 16) - int(start, 16) > 1 << 25 for start, end in reserved))
"""
"""Prints how many heaps there are besides the first: each reserves 64 MiB."""


@pytest.mark.parametrize(("how", "is_one"), [("shared", True), ("apart", False)])
def test_threads_share_one_heap(how: str, is_one: bool) -> None:
    """And have one each where nobody says so, or there would be nothing to do."""
    command = [sys.executable, "-c", PROGRAM, how]
    heaps = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert (int(heaps) == 0) is is_one


LARGE = """
import resource, sys
from webhook.companion.heap import share_heap
if sys.argv[1] == "shared":
    share_heap()
def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize()
before = b"a" * (8 << 20)
del before
blocks, between = [], []
for _ in range(32):
    blocks.append(b"a" * (1 << 20))
    between.append(bytearray(4096))
held = resident()
blocks.clear()
print((held - resident()) >> 20)
"""
"""Prints how many of 32 MiB are given back, after a larger block and between small."""


@pytest.mark.parametrize(("how", "goes_back"), [("shared", True), ("apart", False)])
def test_large_blocks_go_back(how: str, goes_back: bool) -> None:
    """And stay in the heap where nobody says so."""
    command = [sys.executable, "-c", LARGE, how]
    freed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert (int(freed) > 24) is goes_back
