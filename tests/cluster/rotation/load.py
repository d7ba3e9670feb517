"""Pods created without a pause, and what became of each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from tests.cluster.injector import task_pod
from webhook.injection.names import INJECTED_LABEL

if TYPE_CHECKING:
    from tests.lab.api import Api
    from tests.lab.control_plane import ControlPlane

RATE: Final = 60.0
"""Pods a second that are asked for; how many come is the machine's affair."""
MANY: Final = 10
"""Pods that have to see each step of a test, else nothing is shown by it."""
THREADS: Final = 4
FAIL_OPEN: Final = "apiserver_admission_webhook_fail_open_count_total"
"""The parser adds `_total` to the name of every counter that lacks it; under another
name there is no sample, and none reads as 0."""


@dataclass(slots=True)
class Load:
    """A context in which pods are created; then its numbers can be read.

    Attributes:
        created: How many.
        missed: When pods were created that nobody injected, in Unix time.
        refused: What the API server said to those that it did not create.
        seconds: How long it ran.
    """

    plane: ControlPlane
    namespace: str
    created: int = 0
    missed: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _failed_open: float = 0.0
    _client: Api = field(init=False)

    def __enter__(self) -> Self:
        """Start creating."""
        self._failed_open = self.plane.admin.metric(FAIL_OPEN)
        # One client for all threads: its certificate is a file that is written here.
        self._client = self.plane.user("load", groups=("system:masters",))
        self.seconds = -time.monotonic()
        self._threads = [
            threading.Thread(target=self._create, daemon=True) for _ in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for those under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self.seconds += time.monotonic()
        # A count that stays 0 while pods are missed is not being read at all.
        assert not self.missed or self.failed_open() > 0

    @property
    def rate(self) -> float:
        """Pods created a second."""
        return self.created / self.seconds

    def failed_open(self) -> float:
        """How many calls the API server itself says it gave up on, since the start."""
        return self.plane.admin.metric(FAIL_OPEN) - self._failed_open

    def _create(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        due = time.monotonic()
        while not self._stop.is_set():
            due += THREADS / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            started = time.time()
            try:
                pod = self._client.create(path, task_pod())
            except Exception as error:  # noqa: BLE001 - each is a finding, told below
                with self._lock:
                    self.refused.append(str(error))
                continue
            with self._lock:
                self.created += 1
                if INJECTED_LABEL not in pod["metadata"]["labels"]:
                    self.missed.append(started)
