"""Policies that come and go with each job, and a companion that is killed meanwhile.

Every event of policies and pods is judged by `evaluate`: a pod may be isolated by ours
alone only while a shadow outlives what it leaned on, for two deletions cannot be one.
How long that takes is printed; `docs/explanation/egress.md` says what it means.
"""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest

from tests.cluster.test_rest import client
from tests.lab.control_plane import ControlPlane
from webhook.cluster.interface import Json, KubeClient, ListOptions, WatchEventType
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE, NETWORK_POLICY, POD
from webhook.egress.evaluate import Target, egress
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol
from webhook.egress.own_policy import is_own
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL, INJECTED_LABEL

CYCLES = 200
RANDOM = random.Random(11)  # noqa: S311 - repeatable on purpose
ANYWHERE = Target(ip_address("198.51.100.1"))


@dataclass(slots=True)
class Witness:
    """Sees every event of policies and pods in a namespace, in the API's order.

    Attributes:
        is_followed: Whether a companion was following all the time since a moment.
        outlived: Seconds from a shadow's last owner going to its own going.
        outlived_alone: The same, where the companion was killed or starting.
        lonely: Seconds for which a pod was isolated by a shadow alone, by pod.
        wrong: Pods that were, by a shadow whose policy was still there.
    """

    is_followed: Callable[[float], bool]
    policies: dict[str, NetworkPolicy] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    outlived: list[float] = field(default_factory=list)
    outlived_alone: list[float] = field(default_factory=list)
    lonely: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    events: int = 0
    _orphaned: dict[str, float] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, change: Any) -> None:
        """Takes over one event, and judges every pod anew."""
        body, gone = change.body, change.type is WatchEventType.DELETED
        if change.type is WatchEventType.BOOKMARK:
            return
        with self._lock:
            self.events += 1
            name = body["metadata"]["name"]
            if "containers" in (body.get("spec") or {}):
                self._take(self.pods, name, None if gone else pod_of(body))
            else:
                self._take(
                    self.policies, name, None if gone else NetworkPolicy.parse(body)
                )
            self._judge(time.monotonic())

    def _take(self, known: dict[str, Any], name: str, value: Any) -> None:
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value

    def _judge(self, now: float) -> None:
        uids = {p.uid for p in self.policies.values()}
        ours = {n: p for n, p in self.policies.items() if is_own(p.labels, n)}
        orphans = {n for n, shadow in ours.items() if uids.isdisjoint(shadow.owners)}
        for name in orphans:
            self._orphaned.setdefault(name, now)
        for name in set(self._orphaned) - set(ours):
            began = self._orphaned.pop(name)
            windows = self.outlived if self.is_followed(began) else self.outlived_alone
            windows.append(now - began)
        lonely = {
            name: isolating
            for name, pod in self.pods.items()
            if (isolating := self._isolating(pod)) and isolating <= set(ours)
        }
        self.wrong += [name for name, by in lonely.items() if not by <= orphans]
        for name in lonely:
            self._since.setdefault(name, now)
        for name in set(self._since) - set(lonely):
            lasted = now - self._since.pop(name)
            self.lonely[name] = max(lasted, self.lonely.get(name, 0.0))

    def _isolating(self, pod: Pod) -> set[str]:
        """The policies that close a pod, as far as a packet to the outside goes."""
        policies = self.policies.values()
        return set(egress(policies, pod, ANYWHERE, 443, Protocol.TCP).isolated_by)

    @property
    def is_quiet(self) -> bool:
        """Nothing of ours is left, and no pod is alone with it."""
        with self._lock:
            ours = [p for n, p in self.policies.items() if is_own(p.labels, n)]
            return not ours and not self._since


def pod_of(body: Json) -> Pod:
    """A pod as policies see it."""
    meta = body["metadata"]
    return Pod(
        namespace=meta["namespace"],
        name=meta["name"],
        labels=meta.get("labels") or {},
    )


@dataclass(slots=True)
class Companion:
    """The process, killed and started again at random while it is wanted.

    Attributes:
        command: What to run.
        kills: How often it was killed.
    """

    command: list[str]
    kills: int = 0
    _following: float = float("inf")
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """A node that fails again and again, as one of the test's threads."""
        while not self._stop.is_set():
            with subprocess.Popen(self.command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                self._following = time.monotonic()
                self._stop.wait(RANDOM.uniform(0.2, 4.0))
                self._following = float("inf")
                process.kill()
            self.kills += not self._stop.is_set()
            self._stop.wait(RANDOM.uniform(0.0, 1.0))

    def end(self) -> None:
        """Kills it for the last time."""
        self._stop.set()

    def followed(self, since: float) -> bool:
        """Whether it has been following without a break since then."""
        return self._following < since


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[KubeClient]:
    """The API server as a user's operator calls it."""
    yield from client(plane, "kuberay-like")


def ray_cluster(api: KubeClient, namespace: str, name: str) -> None:
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
    api: KubeClient,
    selection: ListOptions,
    see: Callable[[Any], None],
    stop: threading.Event,
) -> None:
    """Passes every event on, until told to stop."""
    version = api.list(selection, dict).version
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


def run_clusters(api: KubeClient, namespace: str, witness: Witness) -> None:
    """Creates and deletes clusters, half of them as soon as they are there."""
    chance = random.Random(7)  # noqa: S311 - repeatable on purpose
    for cycle in range(CYCLES):
        name = f"ray-{cycle}"
        ray_cluster(api, namespace, name)
        if chance.random() < 0.5:
            until(lambda: _shadows(witness) >= 2, 10.0)
        api.delete(CONFIG_MAP, name, namespace)


def _shadows(witness: Witness) -> int:
    return sum(is_own(p.labels, n) for n, p in list(witness.policies.items()))


def test_shadows_follow_policies_that_come_and_go(
    plane: ControlPlane, api: KubeClient, capsys: pytest.CaptureFixture[str]
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
    companion, stop = Companion(command), threading.Event()
    witness = Witness(companion.followed)
    threads = [
        threading.Thread(
            target=follow,
            args=(api, ListOptions(kind, namespace=namespace), witness.see, stop),
        )
        for kind in (NETWORK_POLICY, POD)
    ]
    threads.append(threading.Thread(target=companion.run))
    for thread in threads:
        thread.start()
    try:
        api.create(POD, {"metadata": meta, "spec": {"containers": containers}})
        run_clusters(api, namespace, witness)
        quiet = until(lambda: witness.is_quiet, 60.0)
    finally:
        companion.end()
        stop.set()
        for thread in threads:
            thread.join()
    _tell(witness, companion, capsys)

    assert quiet
    assert witness.wrong == []
    assert "bystander" not in witness.lonely
    assert companion.kills > 0
    assert witness.outlived


def _tell(
    witness: Witness, companion: Companion, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = sorted(witness.lonely.values(), reverse=True)
    lines = [
        f"{CYCLES} clusters, {witness.events} events, {companion.kills} kills",
        _line("with the companion following", witness.outlived),
        _line("with it killed or starting", witness.outlived_alone),
        f"{len(alone)} of {2 * CYCLES} pods on their way out were isolated by a shadow"
        f" alone, {next(iter(alone), 0.0):.3f} s at most",
    ]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _line(when: str, windows: list[float]) -> str:
    found = sorted(windows)
    told = f"{when}, {len(found)} shadows outlived their policies"
    if not found:
        return told
    p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
    return f"{told}: p50 {p50:.3f} s, p99 {p99:.3f} s, {found[-1]:.3f} s at most"
