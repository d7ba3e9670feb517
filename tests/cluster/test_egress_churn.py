"""Policies that come and go with each job, and a companion that is killed meanwhile.

What is counted is printed: how long shadows outlive what they lean on, and how often a
pod was isolated by nothing but a shadow. `docs/explanation/egress.md` says what it
means.
"""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster.test_resources import client
from tests.lab.control_plane import ControlPlane
from webhook.cluster.kinds import CONFIG_MAP, NAMESPACE, NETWORK_POLICY, POD
from webhook.cluster.ports import Happening, Json, Resources, Selection
from webhook.egress.evaluate import selects
from webhook.egress.model import Direction, Pod, Policy
from webhook.egress.policy import is_own
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL, INJECTED_LABEL

CYCLES = 200
_UP = 3.0
RANDOM = random.Random(11)  # noqa: S311 - repeatable on purpose


@dataclass(slots=True)
class Witness:
    """Sees every event of policies and pods in a namespace, in the API's order.

    Attributes:
        is_followed: Whether a companion was up and following at a time.
        outlived: Seconds from a shadow's last owner going to its own going.
        outlived_alone: The same, where the companion had been killed.
        lonely: Seconds for which a pod was isolated by a shadow alone, by pod.
    """

    is_followed: Callable[[float], bool]
    policies: dict[str, Policy] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    outlived: list[float] = field(default_factory=list)
    outlived_alone: list[float] = field(default_factory=list)
    lonely: dict[str, float] = field(default_factory=dict)
    _orphaned: dict[str, float] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, change: Any) -> None:
        """Takes over one event, and judges every pod anew."""
        body, gone = change.body, change.happening is Happening.DELETED
        if change.happening is Happening.BOOKMARK:
            return
        with self._lock:
            name = body["metadata"]["name"]
            if "containers" in (body.get("spec") or {}):
                self._take(self.pods, name, None if gone else pod_of(body))
            else:
                self._take(self.policies, name, None if gone else Policy.parse(body))
            self._judge(time.monotonic())

    def _take(self, known: dict[str, Any], name: str, value: Any) -> None:
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value

    def _judge(self, now: float) -> None:
        uids = {p.uid for p in self.policies.values()}
        ours = {n: p for n, p in self.policies.items() if is_own(p.labels, n)}
        for name, shadow in ours.items():
            if not uids & set(shadow.owners):
                self._orphaned.setdefault(name, now)
        for name in set(self._orphaned) - set(ours):
            began = self._orphaned.pop(name)
            followed = self.is_followed(began) and self.is_followed(now)
            (self.outlived if followed else self.outlived_alone).append(now - began)
        lonely = {
            name
            for name, pod in self.pods.items()
            if (by := [p for p in self.policies.values() if _isolates(p, pod)])
            and all(is_own(p.labels, p.name) for p in by)
        }
        for name in lonely:
            self._since.setdefault(name, now)
        for name in set(self._since) - lonely:
            lasted = now - self._since.pop(name)
            self.lonely[name] = max(lasted, self.lonely.get(name, 0.0))

    @property
    def is_quiet(self) -> bool:
        """Nothing of ours is left, and no pod is alone with it."""
        with self._lock:
            ours = [p for n, p in self.policies.items() if is_own(p.labels, n)]
            return not ours and not self._since


def _isolates(policy: Policy, pod: Pod) -> bool:
    return selects(policy, pod, Direction.EGRESS)


def pod_of(body: Json) -> Pod:
    """A pod as policies see it."""
    meta = body["metadata"]
    return Pod(meta["namespace"], meta["name"], meta.get("labels") or {})


@dataclass(slots=True)
class Companion:
    """The process."""

    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    since: float = float("inf")

    def start(self) -> None:
        """Starts it."""
        self.process = subprocess.Popen(self.command)
        self.since = time.monotonic()

    def kill(self) -> None:
        """As a node that fails would."""
        assert self.process is not None
        self.since = float("inf")
        self.process.kill()
        self.process.wait()

    def follows(self, moment: float) -> bool:
        """Whether it was up by then, and long enough to have listed everything."""
        return moment > self.since + _UP


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Resources]:
    """The API server as a user's operator calls it."""
    yield from client(plane, "kuberay-like")


def ray_cluster(api: Resources, namespace: str, name: str) -> None:
    """An owner with two isolating policies and two injected pods, as KubeRay has it."""
    owner = api.create(CONFIG_MAP, {"metadata": {"name": name, "namespace": namespace}})
    uid = owner["metadata"]["uid"]
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}]
    for node in ("head", "worker"):
        same = {"ray.io/cluster": name}
        labels = {**same, "ray.io/node-type": node}
        meta: Json = {"namespace": namespace, "ownerReferences": references}
        spec = {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": same}}]}],
        }
        full = f"{name}-{node}"
        api.create(NETWORK_POLICY, {"metadata": {**meta, "name": full}, "spec": spec})
        pod_meta = {**meta, "name": full, "labels": {**labels, INJECTED_LABEL: "true"}}
        containers = [{"name": "ray", "image": "ray"}]
        api.create(POD, {"metadata": pod_meta, "spec": {"containers": containers}})


def follow(
    api: Resources,
    selection: Selection,
    see: Callable[[Any], None],
    stop: threading.Event,
) -> None:
    """Passes every event on, until told to stop."""
    version = api.listing(selection, dict).version
    while not stop.is_set():
        for change in api.watch(selection, version, seconds=5.0):
            version = change.body["metadata"]["resourceVersion"]
            see(change)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def run_clusters(
    api: Resources, namespace: str, witness: Witness, companion: Companion
) -> None:
    """Creates and deletes clusters; kills and restarts the companion now and then."""
    for cycle in range(CYCLES):
        name = f"ray-{cycle}"
        ray_cluster(api, namespace, name)
        if cycle % 25 == 12:
            companion.kill()
        elif RANDOM.random() < 0.5:
            # Long enough for shadows to be there; the rest are deleted at once.
            until(lambda: _shadows(witness) >= 2, 10.0)
        api.delete(CONFIG_MAP, name, namespace)
        if cycle % 25 == 12:
            time.sleep(RANDOM.uniform(0.0, 2.0))
            companion.start()


def _shadows(witness: Witness) -> int:
    return sum(is_own(p.labels, n) for n, p in list(witness.policies.items()))


def test_shadows_follow_policies_that_come_and_go(
    plane: ControlPlane, api: Resources, capsys: pytest.CaptureFixture[str]
) -> None:
    """No shadow is left, and a pod that lives on was never isolated by us."""
    namespace = plane.namespace("egress-churn")
    labels = {INJECT_LABEL: INJECT_ENABLED}
    api.apply(NAMESPACE, {"metadata": {"name": namespace, "labels": labels}})
    meta = {
        "name": "bystander",
        "namespace": namespace,
        "labels": {INJECTED_LABEL: "true"},
    }
    containers = [{"name": "ray", "image": "ray"}]
    module = "tests.cluster.egress_companion"
    command = [sys.executable, "-m", module, str(plane.kubeconfig), namespace]
    companion = Companion(command)
    witness, stop = Witness(companion.follows), threading.Event()
    threads = [
        threading.Thread(
            target=follow, args=(api, Selection(kind, namespace), witness.see, stop)
        )
        for kind in (NETWORK_POLICY, POD)
    ]
    for thread in threads:
        thread.start()
    companion.start()
    try:
        api.create(POD, {"metadata": meta, "spec": {"containers": containers}})
        run_clusters(api, namespace, witness, companion)
        quiet = until(lambda: witness.is_quiet, 60.0)
    finally:
        companion.kill()
        stop.set()
        for thread in threads:
            thread.join()
    _tell(witness, capsys)

    assert quiet
    assert len(witness.outlived) > CYCLES / 4
    assert "bystander" not in witness.lonely


def _tell(witness: Witness, capsys: pytest.CaptureFixture[str]) -> None:
    alone = sorted(witness.lonely.values())
    lines = [
        _line("with the companion alive", witness.outlived),
        _line("with it killed or starting", witness.outlived_alone),
        f"{len(alone)} of {2 * CYCLES} pods on their way out were isolated by a shadow"
        f" alone, {alone[-1] if alone else 0:.3f} s at most",
    ]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _line(when: str, windows: list[float]) -> str:
    found = sorted(windows)
    p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
    return (
        f"{when}, {len(found)} shadows outlived their policies:"
        f" p50 {p50:.3f} s, p99 {p99:.3f} s, {found[-1]:.3f} s at most"
    )
