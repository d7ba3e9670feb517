"""Threads share one heap once they are told to."""

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
