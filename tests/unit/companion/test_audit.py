"""Task pods without keys, with older keys or with shadowed ones are found and told."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.pods import OPTED_IN, SPARK_EXECUTOR
from tests.unit.companion.companion_world import CANARY, World
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Unauthorized, Unavailable
from webhook.cluster.interface import ListOptions
from webhook.cluster.resources import CONFIG_MAP, EVENT, POD, RAY_CLUSTER
from webhook.companion.audit import AuditController, AuditReason, AuditResult
from webhook.companion.pod_owners import MADE
from webhook.injection.names import (
    CONTAINERS_ANNOTATION,
    INJECT_LABEL,
    INJECTED_LABEL,
    INJECTION_ANNOTATION,
    MIRROR_SECRET,
)
from webhook.injection.stamp import InjectedBy
from webhook.mirror.presets import TOKEN_AUTH
from webhook.mirror.reasons import MirrorReason

HEAD = {"ray.io/node-type": "head"}
INJECTED = HEAD | {INJECTED_LABEL: "true"}
REFERRING = {"envFrom": [{"secretRef": {"name": MIRROR_SECRET}}]}
OWNER = {
    "apiVersion": "ray.io/v1",
    "kind": "RayCluster",
    "name": "cluster",
    "uid": "uid-of-cluster",
    "controller": True,
}


class Audited(World):
    """A world whose pods are audited."""

    def __init__(self) -> None:
        """One labeled namespace with its mirror, and the auditor."""
        super().__init__(config_maps=("michelangelo-config",))
        self.start_audit()
        self.label("ray")
        self.step()
        self.now += timedelta(seconds=10)

    def start_audit(self) -> None:
        """Let pods be audited from now on."""
        queue = self.queue("audit")
        self.audits = self.add(
            AuditController(
                self.context,
                self.caches,
                queue,
                namespaces=self.filter,
            ),
            queue,
        )

    def run(
        self, name: str, labels: dict[str, str], namespace: str = "ray", **parts: Any
    ) -> None:
        """Somebody runs a pod with these labels."""
        container = {"name": "head", "image": "i", **parts.pop("container", {})}
        owner = parts.pop("owner", OWNER)
        self.pod(
            namespace,
            name,
            metadata={
                "labels": labels,
                "annotations": parts.pop("annotations", {}),
                "ownerReferences": [owner],
            },
            spec={"containers": [container]},
            status={"phase": "Running", **parts.pop("status", {})},
        )

    def audit(self, namespace: str = "ray") -> AuditResult:
        """What is found now."""
        self.step(1)
        self.step(1)
        found = self.audits.results.get(namespace)
        assert found is not None
        return found

    def counts(self, namespace: str = "ray") -> dict[AuditReason, int]:
        """What is counted now."""
        return dict(self.audit(namespace).counts)


@pytest.fixture(name="world")
def _world() -> Audited:
    return Audited()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (HEAD, AuditReason.MISSED),
        (HEAD | {INJECT_LABEL: "disabled"}, AuditReason.OPTED_OUT),
        ({"ray.io/node-type": "haed"}, AuditReason.WRONG_LABELS),
        ({"spark-role": "driver"}, AuditReason.NO_TASK_CONTAINER),
        ({INJECT_LABEL: "enabled"}, AuditReason.MISSED),
        ({INJECT_LABEL: "true"}, AuditReason.WRONG_LABELS),
        ({"spark-role": "worker", INJECT_LABEL: "enabled"}, AuditReason.MISSED),
        (HEAD | {INJECT_LABEL: "enabled"}, AuditReason.MISSED),
    ],
)
def test_each_task_pod_has_a_reason(
    world: Audited, labels: dict[str, str], expected: AuditReason
) -> None:
    """What the webhook would say, and what became of it: once, by whichever label."""
    world.run("p", labels)

    assert world.counts() == {expected: 1}


def test_a_pod_that_opts_in_by_names_it_lacks_has_no_task_container(
    world: Audited,
) -> None:
    """Its owner meant it to have the keys, and it has not."""
    annotations = {CONTAINERS_ANNOTATION: "trainer"}
    world.run("p", {INJECT_LABEL: "enabled"}, annotations=annotations)

    assert world.counts() == {AuditReason.NO_TASK_CONTAINER: 1}
    assert "Pod/p" in told(world)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"secretRef": {"name": MIRROR_SECRET}}, AuditReason.INJECTED),
        (
            {"secretRef": {"name": MIRROR_SECRET, "optional": True}},
            AuditReason.INJECTED,
        ),
        ({"secretRef": {"name": "another"}}, AuditReason.REFERENCE_MISSING),
        (
            {"secretRef": {"name": MIRROR_SECRET}, "prefix": "X_"},
            AuditReason.REFERENCE_MISSING,
        ),
        ({"configMapRef": {"name": MIRROR_SECRET}}, AuditReason.REFERENCE_MISSING),
    ],
)
def test_the_webhooks_label_alone_is_not_believed(
    world: Audited, reference: dict[str, Any], expected: AuditReason
) -> None:
    """Anybody may write it; the reference is what gives the keys."""
    world.run("p", INJECTED, container={"envFrom": [reference]})

    assert world.counts() == {expected: 1}
    assert told(world) == (
        ["Pod/p", "RayCluster/cluster"] if expected.is_missed else []
    )


def test_who_gave_the_keys_is_counted(world: Audited) -> None:
    """As the stamp says; releases without a policy wrote none, and it was the webhook.

    A pod that refers to the Secret by itself was given nothing.
    """
    stamps = {
        "p1": '{"by":"policy","containers":["head"]}',
        "p2": '{"by":"policy","containers":["head"]}',
        "w1": '{"by":"webhook","containers":["head"]}',
        "w2": '{"containers":["head"]}',
    }
    for name, stamp in stamps.items():
        annotations = {INJECTION_ANNOTATION: stamp}
        world.run(name, INJECTED, container=REFERRING, annotations=annotations)
    world.run("own", HEAD, container=REFERRING)

    assert world.audit().injected_by == {InjectedBy.POLICY: 2, InjectedBy.WEBHOOK: 2}


@pytest.mark.parametrize("labels", [HEAD, HEAD | {INJECTED_LABEL: "true"}])
def test_a_pod_that_reads_a_squatters_secret_is_missed(
    world: Audited, labels: dict[str, str]
) -> None:
    """It runs with what somebody else wrote, whoever wrote the reference."""
    world.label("other", on=False)
    world.secret(MIRROR_SECRET, "other", TRACKING_URI="http://evil")
    world.label("other")
    world.run("p", labels, "other", container=REFERRING)
    world.step()

    assert world.counts("other") == {AuditReason.FOREIGN_MIRROR: 1}
    assert "Pod/p" in told(world)


@pytest.mark.parametrize(
    "labels",
    [
        {"ray.io/node-type": "redis-cleanup"},
        {"spark-role": "connect-server"},
        {INJECT_LABEL: "disabled"},
    ],
)
def test_pods_that_run_no_task_are_no_miss(
    world: Audited, labels: dict[str, str]
) -> None:
    """The API server does not even send them."""
    world.run("p", labels)

    assert world.counts() == {}


def test_a_pod_from_before_the_label_is_no_miss(world: Audited) -> None:
    """It is counted, and no Event blames anybody."""
    world.label("late", on=False)
    world.pod(
        "late",
        "old",
        metadata={"labels": HEAD},
        spec={"containers": [{"name": "head", "image": "i"}]},
        status={"phase": "Running"},
    )
    world.now += timedelta(seconds=10)
    world.label("late")
    world.step()
    assert world.counts("late") == {AuditReason.CREATED_BEFORE_LABEL: 1}
    assert world.events() == []


def test_a_missed_pod_is_told_once_and_its_owner_once(world: Audited) -> None:
    """However often it is audited, and however many pods an owner has."""
    world.run("a", HEAD)
    world.run("b", HEAD)
    for _ in range(3):
        world.audit()

    assert world.events() == ["Missed", "Missed", "Missed"]


def rayjob(world: Audited) -> None:
    """A RayJob made the RayCluster."""
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "name": "job",
        "uid": "uid-of-job",
        "controller": True,
    }
    meta = {"name": "cluster", "namespace": "ray", "ownerReferences": [job]}
    world.user.apply(RAY_CLUSTER, {"metadata": meta})


def told(world: Audited) -> list[str]:
    """`Kind/name` of everything that an Event is about."""
    world.context.recorder.flush()
    listing = world.user.list(
        ListOptions(EVENT),
        lambda body: "{kind}/{name}".format(**body["involvedObject"]),
    )
    return sorted(about for _, about in listing.items.values())


def test_the_rayjob_behind_a_raycluster_is_told_and_asked_for_once(
    world: Audited,
) -> None:
    """That is what the user made; one request for each RayCluster."""
    rayjob(world)
    world.run("a", HEAD)
    world.run("b", {"ray.io/node-type": "worker"})
    for _ in range(3):
        world.audit()

    assert told(world) == ["Pod/a", "Pod/b", "RayCluster/cluster", "RayJob/job"]
    asked = [call for call in world.cluster.calls if call.kind == RAY_CLUSTER]
    assert [call.verb for call in asked] == ["apply", "get"]


def test_without_the_right_to_see_rayclusters_the_walk_ends_there(
    world: Audited,
) -> None:
    """The right is optional, and its absence costs one request."""
    rayjob(world)
    world.cluster.forbid(lambda call: call.kind == RAY_CLUSTER)
    world.run("a", HEAD)
    world.cluster.calls.clear()
    for _ in range(3):
        world.audit()

    assert told(world) == ["Pod/a", "RayCluster/cluster"]
    assert [call.kind for call in world.cluster.calls].count(RAY_CLUSTER) == 1


@pytest.mark.parametrize(
    "error", [Unavailable("timed out"), Unauthorized("the token is being replaced")]
)
def test_an_owner_that_cannot_be_asked_for_now_is_told_later(
    world: Audited, error: ClusterError
) -> None:
    """It is asked again; what was counted and the pod's own Event are there at once."""
    rayjob(world)
    world.run("a", HEAD)
    world.cluster.fail(lambda call: call.kind == RAY_CLUSTER, error)
    found = world.audit()
    assert found.counts == {AuditReason.MISSED: 1}
    assert found.error is error
    assert told(world) == ["Pod/a", "RayCluster/cluster"]

    world.cluster.allow_all()
    world.step(16)
    assert told(world) == ["Pod/a", "RayCluster/cluster", "RayJob/job"]


def test_an_executors_sparkapplication_is_found_through_its_driver(
    world: Audited,
) -> None:
    """The driver itself was injected and is not blamed."""
    application = {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "name": "app",
        "uid": "uid-of-app",
        "controller": True,
    }
    driver = {"spark-role": "driver", INJECTED_LABEL: "true"}
    container = {"name": "spark-kubernetes-driver", **REFERRING}
    world.run("driver", driver, owner=application, container=container)
    uid = metadata.uid(world.user.get(POD, "driver", "ray"))
    by_driver = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "driver",
        "uid": uid,
        "controller": True,
    }
    executor = {"name": "spark-kubernetes-executor"}
    labels = {"spark-role": "executor"}
    world.run("exec-1", labels, owner=by_driver, container=executor)
    world.audit()

    assert told(world) == ["Pod/exec-1", "SparkApplication/app"]


CHAINS: dict[str, tuple[dict[str, str], list[str]]] = {
    "a scheduled RayJob": (HEAD, ["RayCluster", "RayJob", "RayCronJob"]),
    "a SparkConnect": (SPARK_EXECUTOR, ["Pod", "SparkConnect"]),
    "apache's application": (SPARK_EXECUTOR, ["Pod", "SparkApplication"]),
    "apache's cluster": (OPTED_IN, ["StatefulSet", "SparkCluster"]),
    "a scheduled Job": (OPTED_IN, ["Job", "CronJob"]),
    "a Deployment": (OPTED_IN, ["ReplicaSet", "Deployment"]),
    "a StatefulSet": (OPTED_IN, ["StatefulSet"]),
    "a circle": (OPTED_IN, ["Job", "Job"]),
}
"""By what a user made: the pod's labels, and its owners upward."""
GROUPS = {
    "Pod": "v1",
    "RayCluster": "ray.io/v1",
    "RayJob": "ray.io/v1",
    "RayCronJob": "ray.io/v1",
    "SparkConnect": "sparkoperator.k8s.io/v1alpha1",
    "SparkApplication": "spark.apache.org/v1",
    "SparkCluster": "spark.apache.org/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "ReplicaSet": "apps/v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
}


@pytest.mark.parametrize("name", CHAINS)
def test_whatever_its_users_made_is_told(world: Audited, name: str) -> None:
    """Each owner of a missed pod, up to what nothing else made, and no other pod."""
    labels, kinds = CHAINS[name]
    owners: list[dict[str, Any]] = [
        {
            "apiVersion": GROUPS[kind],
            "kind": kind,
            "name": kind.lower(),
            "uid": f"uid-of-{kind}",
            "controller": True,
        }
        for kind in kinds
    ]
    asked = {(one.api_version, one.name): one for one in MADE.values()}
    for owner, above in pairwise(owners):
        meta = {"name": owner["name"], "namespace": "ray", "ownerReferences": [above]}
        kind = asked[owner["apiVersion"], owner["kind"]]
        world.cluster.put(kind, {"metadata": meta})
    world.run(
        "missed",
        labels,
        owner=owners[0],
        container={"name": "spark-kubernetes-executor"},
    )
    world.audit()

    expected = {f"{kind}/{kind.lower()}" for kind in kinds if kind != "Pod"}
    assert told(world) == sorted(expected | {"Pod/missed"})


ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.mark.parametrize(
    ("auth", "mounts", "expected"),
    [
        ("kubernetes-namespaced", [], AuditReason.TOKEN_MISSING),
        ("kubernetes", ["/data"], AuditReason.TOKEN_MISSING),
        ("kubernetes", [ACCOUNT], AuditReason.INJECTED),
        ("kubernetes", ["/data", f"{ACCOUNT}/"], AuditReason.INJECTED),
        ("kubernetes", [f"{ACCOUNT}/token"], AuditReason.INJECTED),
        ("aws-sigv4", [], AuditReason.INJECTED),
        ("", [], AuditReason.INJECTED),
    ],
)
def test_a_task_that_has_to_show_a_token_has_one(
    world: Audited, auth: str, mounts: list[str], expected: AuditReason
) -> None:
    """Where the keys are none, but a client that shows its pod's own."""
    world.secret("keys", TRACKING_URI="https://t", **{TOKEN_AUTH: auth} if auth else {})
    world.step()
    given = [{"name": "any", "mountPath": path} for path in mounts]
    world.run("p", INJECTED, container={**REFERRING, "volumeMounts": given})

    assert world.counts() == {expected: 1}
    assert ("Pod/p" in told(world)) is expected.is_missed


def test_pods_that_ended_do_not_count(world: Audited) -> None:
    """Nobody can help them."""
    world.run("p", HEAD, status={"phase": "Failed"})

    assert world.counts() == {}


def test_pods_older_than_their_keys_are_counted(world: Audited) -> None:
    """From when their container started to when the mirror changed."""
    started = "2026-01-02T03:04:10Z"
    running = {"name": "head", "state": {"running": {"startedAt": started}}}
    labels = HEAD | {INJECTED_LABEL: "true"}
    world.run("p", labels, status={"containerStatuses": [running]})
    assert world.audit().outdated == 0

    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()
    report = world.audit()
    assert report.outdated == 1
    assert report.oldest is not None
    assert f"{report.oldest:%H:%M:%S}" == "03:04:10"


OURS = {"secretRef": {"name": MIRROR_SECRET}}
OLD = {"configMapRef": {"name": "michelangelo-config"}}
SHADOWED = {"TRACKING_URI": "ConfigMap/michelangelo-config"}


def entry(name: str, **value_from: dict[str, Any]) -> dict[str, Any]:
    """An `env` entry that comes from somewhere."""
    return {"name": name, "valueFrom": value_from}


def old_key(key: str, **more: bool) -> dict[str, Any]:
    """An `env` entry that takes a key of the older ConfigMap by name."""
    selector = {"name": "michelangelo-config", "key": key, **more}
    return entry("TRACKING_URI", configMapKeyRef=selector)


@pytest.mark.parametrize(
    ("sources", "entries", "expected"),
    [
        pytest.param([OURS, OLD], [], SHADOWED, id="fallback"),
        pytest.param([OLD, OURS], [], {}, id="override, or a user's own reference"),
        pytest.param([OURS, OLD, OURS], [], {}, id="a second reference"),
        pytest.param([OLD], [], SHADOWED, id="missed"),
        pytest.param([OURS], [], {}, id="never refers to it"),
        pytest.param(
            [OLD, OURS | {"prefix": "X_"}], [], SHADOWED, id="the mirror under a prefix"
        ),
        pytest.param(
            [OURS, OLD | {"prefix": "X_"}], [], {}, id="the older one under a prefix"
        ),
        pytest.param(
            [OURS, {"configMapRef": {"name": "prefixed"}, "prefix": "TRACKING_"}],
            [],
            {},
            id="a ConfigMap that nobody asked about",
        ),
        pytest.param(
            [OURS, OLD],
            [
                entry(
                    "TRACKING_URI",
                    secretKeyRef={
                        "name": MIRROR_SECRET,
                        "key": "TRACKING_URI",
                        "optional": True,
                    },
                )
            ],
            {},
            id="enforced",
        ),
        pytest.param(
            [OURS, OLD],
            [{"name": "TRACKING_URI", "value": CANARY}],
            {},
            id="a literal wins over both",
        ),
        pytest.param([OURS], [old_key("TRACKING_URI")], SHADOWED, id="by its key"),
        pytest.param([OURS], [old_key("BINARY")], {}, id="by a key it has not"),
        pytest.param(
            [OURS],
            [old_key("BINARY", optional=True)],
            {},
            id="by an optional key it has not",
        ),
        pytest.param(
            [OURS, OLD],
            [entry("TRACKING_URI", fieldRef={"fieldPath": "metadata.name"})],
            {},
            id="a field of the pod",
        ),
        pytest.param(
            [OURS],
            [{"name": "OTHER", "value": CANARY}, old_key("OTHER")],
            SHADOWED,
            id="another key of it under our name",
        ),
    ],
)
def test_shadowed_keys_are_named(
    world: Audited,
    sources: list[dict[str, Any]],
    entries: list[dict[str, Any]],
    expected: dict[str, str],
) -> None:
    """Where the kubelet takes an older ConfigMap's value; no value is even kept."""
    meta = {"name": "michelangelo-config", "namespace": "ray"}
    body = {
        "metadata": meta,
        "data": {"TRACKING_URI": CANARY, "OTHER": CANARY},
        "binaryData": {"BINARY": "/w==", "TRACKING_API_KEY": "/w=="},
    }
    world.user.apply(CONFIG_MAP, body)
    world.run("p", INJECTED, container={"envFrom": sources, "env": entries})

    assert world.audit().shadowed == expected
    assert CANARY not in repr([one.items() for one in world.caches.config_maps])
    assert CANARY not in repr([one.items() for one in world.caches.pods])


@pytest.mark.parametrize("last", range(8))
def test_whatever_is_listed_last_the_pods_are_audited(
    world: Audited, last: int
) -> None:
    """Namespaces, mirrors, a source, pods of each label, or an older ConfigMap."""
    world.run("p", HEAD)
    world.restart()
    world.start_audit()
    informers = list(world.caches.all())
    assert 8 == len(informers)
    for informer in informers[:last] + informers[last + 1 :]:
        informer.refresh()
    world.work()
    informers[last].refresh()
    for _ in range(2):
        world.now += timedelta(seconds=1)
        world.work()

    found = world.audits.results.get("ray")
    assert found is not None
    assert {AuditReason.MISSED: 1} == found.counts


def test_without_the_right_to_see_pods_nothing_is_said(world: Audited) -> None:
    """The right is optional; what nobody sees is not reported as in order."""
    world.run("p", HEAD)
    world.cluster.forbid(lambda call: call.kind == POD)
    world.restart()
    world.start_audit()
    world.step(1)
    world.step(1)
    assert world.audits.results.items() == {}

    world.cluster.allow_all()
    assert world.counts() == {AuditReason.MISSED: 1}


def test_a_namespace_is_audited_four_times_a_second_at_most(world: Audited) -> None:
    """However fast pods come and go; another one's pods cost nothing here."""
    results = [world.audit()]
    for number in range(20):
        world.run(f"p{number}", HEAD)
        world.step(0.1)
        found = world.audits.results.get("ray")
        assert found is not None
        # Kept, so that no other result can take the place of an old one.
        if found is not results[-1]:
            results.append(found)
    assert 2 <= len(results) - 1 <= 8

    world.label("other")
    world.audit("other")
    before = world.audits.results.get("ray")
    world.run("p", HEAD, "other")
    assert world.counts("other") == {AuditReason.MISSED: 1}
    assert world.audits.results.get("ray") is before


def test_a_thousand_missed_pods_starve_no_other_namespace(world: Audited) -> None:
    """All are counted, the newest are told, and no other Event waits for them."""
    for number in range(1_000):
        world.run(f"p{number:03}", HEAD)
    world.label("late")
    world.step(2)
    world.run("p", HEAD, "late")
    found = world.audit()

    assert found.counts == {AuditReason.MISSED: 1_000}
    assert len(found.notices) <= 102
    assert world.audit("late").counts == {AuditReason.MISSED: 1}
    assert "Missed" in world.events("late")


def test_the_newest_missed_pods_are_told(world: Audited) -> None:
    """It is them that somebody looks at."""
    for number in range(120):
        world.run(f"p{number:03}", HEAD)
        world.now += timedelta(seconds=1)
    names = {one.about.name for one in world.audit().notices}

    assert {f"p{number:03}" for number in range(20, 120)} == names - {"cluster"}


def test_a_mistake_in_one_namespace_stays_there(world: Audited) -> None:
    """It is told as ours, and the others are audited."""
    world.label("other")
    world.step(2)
    world.run("p", HEAD)
    world.run("p", HEAD, "other", owner=OWNER | {"uid": "uid-of-another"})
    world.cluster.fail(
        lambda call: call.kind == RAY_CLUSTER and call.key.namespace == "ray",
        RuntimeError("a mistake of ours"),
    )
    found = world.audit()
    assert (found.reason, found.counts) == (MirrorReason.INTERNAL_ERROR, {})
    assert world.counts("other") == {AuditReason.MISSED: 1}


@pytest.mark.parametrize("reason", list(AuditReason))
def test_every_reason_has_a_sentence(reason: AuditReason) -> None:
    """For Events and tables."""
    assert reason.sentence.endswith(".")
