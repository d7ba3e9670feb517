"""Task pods created at a steady rate, while something happens to the webhook.

Most of them are held back from running by a scheduling gate: what is looked at is
their creation. A few really run, to show that the node goes on starting pods.
"""

import itertools
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import urllib3

from tests.e2e.installation import PATIENCE, is_ready
from tests.e2e.taskpods import worker
from tests.lab.api import ApiError
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.pods import first
from webhook.injection.patch import refers_to_mirror

FAIL_OPEN: Final = "apiserver_admission_webhook_fail_open_count_total"
"""The API server's own count of calls that failed and were ignored.

The parser of its metrics gives every counter this ending.
"""

_AT_ONCE: Final = 256
"""Requests under way: a webhook that hangs holds each of them for three seconds."""
_HELD: Final = [{"name": "lab.local/held-back"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """One pod's creation.

    Attributes:
        name: Of the pod.
        sent: When, by a monotonic clock.
        answered: When, by the same.
        references: How many of its sources give the keys; one is right.
    """

    name: str
    sent: float
    answered: float
    references: int


@dataclass(slots=True)
class Stream:
    """Creates pods in a namespace from `with` to its end.

    Attributes:
        node: Where.
        namespace: A labeled one.
        rate: Pods a second.
        one_runs_of: How many of them are held back for one that may run.
        created: When each pod was sent and answered, and how often it came back with a
            reference to the keys, in the order of the answers.
        refused: What the API server said about any it did not take.
        late: Seconds that a pod was sent after its time, at most; a machine that was
            busy makes up for it, so that the rate holds.
    """

    node: Node
    namespace: str
    rate: int = 20
    one_runs_of: int = 40
    created: list[Created] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    late: float = 0
    _end: float = math.inf
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin, and return once the first have been created."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for("the first pods", lambda: bool(self.created or self.refused))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and return once all that were due until now are created."""
        self._end = time.monotonic()
        assert self._thread is not None
        self._thread.join()

    @property
    def injected(self) -> list[str]:
        """Names of the pods that came back with the keys, once."""
        return [one.name for one in self.created if one.references == 1]

    @property
    def missed(self) -> list[str]:
        """Names of those that came back without."""
        return [one.name for one in self.created if not one.references]

    @property
    def doubled(self) -> list[str]:
        """Names of those that came back with more than one reference."""
        return [one.name for one in self.created if one.references > 1]

    def await_running(self) -> None:
        """Return once every pod that is not held back, nor was evicted, runs."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        admin = self.node.plane.admin

        def run() -> bool:
            found: list[dict[str, Any]]
            found = admin.get(path, fieldSelector="status.phase!=Failed")["items"]
            free = [pod for pod in found if "schedulingGates" not in pod["spec"]]
            return bool(free) and all(map(is_ready, free))

        wait_for("the pods that are free to run", run, seconds=PATIENCE)

    def _run(self) -> None:
        free = threading.Semaphore(_AT_ONCE)
        begin = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number in itertools.count():
                due = begin + number / self.rate
                time.sleep(max(0, due - time.monotonic()))
                if due > self._end:
                    break
                free.acquire()
                self.late = max(self.late, time.monotonic() - due)
                pool.submit(self._create, number).add_done_callback(
                    lambda _: free.release()
                )

    def _create(self, number: int) -> None:
        pod = worker(f"pod-{number}")
        if number % self.one_runs_of:
            pod["spec"]["schedulingGates"] = _HELD
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        sent = time.monotonic()
        try:
            answer = self.node.plane.admin.create(path, pod)
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            self.refused.append(str(error))
            return
        sources = first(answer).get("envFrom") or ()
        self.created.append(
            Created(
                name=pod["metadata"]["name"],
                sent=sent,
                answered=time.monotonic(),
                references=sum(map(refers_to_mirror, sources)),
            )
        )


def fail_open(node: Node) -> float:
    """How many calls the API server has gone on without an answer to."""
    return node.plane.admin.metric(FAIL_OPEN)
