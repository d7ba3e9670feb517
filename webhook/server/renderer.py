"""Renders metrics beside the event loop, for one scraper at a time."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from webhook.server.limits import RENDER_SHARE, RENDERS
from webhook.server.peer import Peer


class Renderer:
    """A thread that answers the requests which would hold up the loop."""

    def __init__(self, wake: Callable[[], object]) -> None:
        """Start the thread; `wake` tells the loop that something is finished."""
        self._wake = wake
        self._waiting: SimpleQueue[Peer] = SimpleQueue()
        self._finished: deque[tuple[Peer, bytes]] = deque()
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def takes(self, peer: Peer) -> bool:
        """Take a request, unless too many wait already."""
        if self._waiting.qsize() >= RENDERS:
            return False
        self._waiting.put(peer)
        return True

    def finished(self) -> Iterator[tuple[Peer, bytes]]:
        """What was rendered since the last call."""
        while self._finished:
            yield self._finished.popleft()

    def _run(self) -> None:
        while True:
            peer = self._waiting.get()
            begun = time.perf_counter()
            if peer.is_open:
                self._finished.append((peer, peer.respond()))
                self._wake()
            time.sleep((time.perf_counter() - begun) * RENDER_SHARE)
