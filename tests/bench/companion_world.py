"""Where the companion is measured: namespaces and task pods by the thousand.

On a control plane of its own, whose API server records what the companion asks.
"""

import base64
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from tests.cluster.release import COMPANION, MIRROR, Release, eventually
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options

T = TypeVar("T")

HOME: Final = "ml-tracking"
REVIEWS: Final = Path(__file__).parents[2] / "webhook" / "samples"
_WRITERS: Final = 6
"""Clients that make the world; the API server's own work is what takes the time."""

_AUDIT: Final = f"""\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ["system:serviceaccount:{HOME}:{COMPANION}"]
    verbs: [get, list, create, update, patch, delete]
  - level: None
"""


class Asked(NamedTuple):
    """A request as the API server records it; discovery has no resource."""

    verb: str
    resource: str


class World:
    """A control plane with a release, which records what the companion asks."""

    def __init__(self, release: Release, record: Path) -> None:
        """No compute namespace yet."""
        self.release = release
        self.names: list[str] = []
        self._record = record
        self._read = 0

    def requests(self) -> Counter[Asked]:
        """What was asked since the last call."""
        with self._record.open("rb") as lines:
            lines.seek(self._read)
            found = [json.loads(line) for line in lines]
            self._read = lines.tell()
        return Counter(
            Asked(one["verb"], (one.get("objectRef") or {}).get("resource", ""))
            for one in found
        )

    def grow(self, count: int) -> None:
        """Makes and labels more namespaces; takes the mirrors of all away."""
        more = [f"n-{number:04}" for number in range(len(self.names), count)]
        path = "/api/v1/namespaces/{}/secrets/" + MIRROR
        in_parallel(self.release.compute, more)
        in_parallel(lambda one: self.release.admin.delete(path.format(one)), self.names)
        self.names += more

    def until(self, key: str) -> float:
        """Seconds until every mirror has this key."""
        return eventually("all", partial(self._mirrored, key), seconds=300, every=0.2)

    def _mirrored(self, key: str) -> bool:
        wanted = base64.b64encode(key.encode()).decode()
        by_name = f"metadata.name={MIRROR}"
        found = self.release.admin.get("/api/v1/secrets", fieldSelector=by_name)
        keys = [one["data"]["TRACKING_API_KEY"] for one in found["items"]]
        return keys == [wanted] * len(self.names)


def in_parallel(act: Callable[[T], object], items: Sequence[T]) -> None:
    """Does it for each, by a few clients at a time."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(act, items))


@contextmanager
def world() -> Iterator[World]:
    """A control plane of its own, for the block."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        policy, record = folder / "audit.yaml", folder / "audit.log"
        policy.write_text(_AUDIT, "utf-8")
        record.touch()
        flags = (f"--audit-policy-file={policy}", f"--audit-log-path={record}")
        options = Options(api_server_flags=flags)
        plane = ControlPlane.start(toolbox, folder, options)
        try:
            yield World(Release(plane, HOME), record)
        finally:
            plane.stop()


def task_pod() -> dict[str, Any]:
    """A worker as KubeRay made it, fit to be created anew in any namespace."""
    review = json.loads((REVIEWS / "ray-worker-michelangelo.json").read_text("utf-8"))
    pod: dict[str, Any] = review["request"]["object"]
    labels = pod["metadata"]["labels"]
    injected = {"tracking.michelangelo-ai.org/injected": "true"}
    pod["metadata"] = {"labels": labels | injected}
    spec = pod["spec"]
    # The API server adds the token's volume and its mounts itself.
    tokens = {one["name"] for one in spec["volumes"] if "projected" in one}
    spec["volumes"] = [one for one in spec["volumes"] if one["name"] not in tokens]
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        mounts = container.get("volumeMounts", ())
        container["volumeMounts"] = [m for m in mounts if m["name"] not in tokens]
    return pod
