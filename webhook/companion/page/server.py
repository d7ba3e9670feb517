"""Keeps the status page, and observes only while somebody looks.

The listener's one thread must never wait for an API server: probes are answered by it.
So a thread observes, and the listener hands out what was seen last.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final

from webhook.cluster.interface import KubeClient
from webhook.companion.controller import Log
from webhook.companion.health_server import HealthAnswer
from webhook.companion.observation.observe import observe
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.troubles import troubles
from webhook.companion.page.view import page, waiting_page
from webhook.jsonlog import failure

PATH: Final = "/"
_HTML: Final = "text/html; charset=utf-8"
_PACE: Final = 2.0
"""Seconds between two observations, however many look: each is a dozen requests."""


class StatusPage:
    """Answers the page from memory, and has it made anew for the next look."""

    def __init__(
        self,
        client: KubeClient,
        release: ReleaseName,
        log: Log,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare; nothing is asked before somebody looks.

        Args:
            client: reads the cluster.
            release: which one.
            log: gets a line when an observation fails.
            clock: UTC now.
        """
        self._client = client
        self._release = release
        self._log = log
        self._clock = clock
        self._wanted = threading.Event()
        self._html = waiting_page("The first look is under way.").encode()

    def answer(self) -> HealthAnswer:
        """Return what was seen last, and ask for the next."""
        self._wanted.set()
        return HealthAnswer(status=HTTPStatus.OK, body=self._html, content_type=_HTML)

    def start(self) -> None:
        """Begin to wait for somebody who looks."""
        threading.Thread(target=self._run, name="status-page", daemon=True).start()

    def look(self) -> None:
        """Observe once."""
        seen = observe(self._client, self._release, self._clock())
        self._html = page(seen, troubles(seen)).encode()

    def _run(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - a page must not end its thread
                self._log.line("warning", "status-page-failed", failure(error))
            time.sleep(_PACE)
