"""Task pods created at a steady rate, while something happens to the webhook.

Most of them are held back from running by a scheduling gate: what is looked at is
their creation. A few really run, to show that the node goes on starting pods.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import urllib3

from tests.e2e.installation import PATIENCE, Installation, is_ready
from tests.e2e.taskpods import worker
from tests.lab.api import ApiError
from tests.lab.processes import wait_for
from webhook.injection.names import INJECTED_LABEL

RATE: Final = 20
"""Pods a second."""
FAIL_OPEN: Final = "apiserver_admission_webhook_fail_open_count_total"
"""The API server's own count of calls that failed and were ignored.

The parser of its metrics gives every counter this ending.
"""

_ONE_RUNS_OF: Final = 40
_AT_ONCE: Final = 16
"""Requests under way; a webhook that hangs holds each of them for three seconds."""
_HELD: Final = [{"name": "lab.local/held-back"}]


@dataclass(slots=True)
class Stream:
    """Creates pods in a namespace from `with` to its end.

    Attributes:
        installation: Of which release.
        namespace: A labeled one.
        injected: Names of the pods that came back with the keys.
        missed: Names of those that came back as they were sent.
        refused: What the API server said about any it did not take.
    """

    installation: Installation
    namespace: str
    injected: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin, and return once the first have been created."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for("the first pods", lambda: bool(self.injected or self.refused))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and return once the last is created."""
        self._ended.set()
        assert self._thread is not None
        self._thread.join()

    def await_running(self) -> None:
        """Return once every pod that is not held back, nor was evicted, runs."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        admin = self.installation.node.plane.admin

        def run() -> bool:
            found: list[dict[str, Any]]
            found = admin.get(path, fieldSelector="status.phase!=Failed")["items"]
            free = [pod for pod in found if "schedulingGates" not in pod["spec"]]
            return bool(free) and all(map(is_ready, free))

        wait_for("the pods that are free to run", run, seconds=PATIENCE)

    def _run(self) -> None:
        started = time.monotonic()
        number = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while not self._ended.wait(started + number / RATE - time.monotonic()):
                pool.submit(self._create, number)
                number += 1

    def _create(self, number: int) -> None:
        pod = worker(f"pod-{number}")
        if number % _ONE_RUNS_OF:
            pod["spec"]["schedulingGates"] = _HELD
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        try:
            answer = self.installation.node.plane.admin.create(path, pod)
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            self.refused.append(str(error))
            return
        kept = (
            self.injected
            if INJECTED_LABEL in answer["metadata"]["labels"]
            else self.missed
        )
        kept.append(f"pod-{number}")


def fail_open(installation: Installation) -> float:
    """How many calls the API server has gone on without an answer to."""
    return installation.node.plane.admin.metric(FAIL_OPEN)
