"""What the registration promises: who is asked about, and what a failure costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.comparison import (
    REFERENCE,
    comparable,
    containers_with_reference,
    stamp,
    without_ours,
)
from tests.cluster.injector import (
    COMPUTE,
    DURATIONS,
    ENTRIES,
    REQUESTS,
    Injector,
    bare_pod,
    calls,
    task_pod,
)
from tests.lab.control_plane import ControlPlane
from webhook.injection.names import (
    CONTAINERS_ANNOTATION,
    INJECT_DISABLED,
    INJECT_ENABLED,
    INJECT_LABEL,
    INJECTED_LABEL,
)

OPTED_IN: Final = {INJECT_LABEL: INJECT_ENABLED}
ELSEWHERE: Final = {
    "no-label": ({}, {}),
    "opted-in-without-label": ({}, {"ray.io/node-type": "none", **OPTED_IN}),
    "label-says-no": ({INJECT_LABEL: "disabled"}, {}),
    "pod-opts-out": (COMPUTE, {INJECT_LABEL: INJECT_DISABLED}),
    "redis-cleanup": (COMPUTE, {"ray.io/node-type": "redis-cleanup"}),
    "connect-server": (
        COMPUTE,
        {"ray.io/node-type": "none", "spark-role": "connect-server"},
    ),
    "tracking-injector-system": (COMPUTE, {}),
}
"""Namespaces by name, with their labels and the pod's: nothing here concerns us."""

OPTING: Final = {
    "notebook": (OPTED_IN, "opted-in"),
    "standalone-worker": ({"spark-role": "worker", **OPTED_IN}, "opted-in"),
    "ray-too": ({"ray.io/node-type": "worker", **OPTED_IN}, "ray"),
    "spark-too": ({"spark-role": "driver", **OPTED_IN}, "spark"),
}
"""Namespaces by name, with the labels of the pod, and the entry that is called."""

OTHERS: Final[Mapping[str, Mapping[str, str]]] = {
    "no-labels": {},
    "another-value": {INJECT_LABEL: "true"},
    "another-domain": {"inject": INJECT_ENABLED, "tracking/inject": INJECT_ENABLED},
    "stamped-by-itself": {INJECTED_LABEL: "true"},
    "submitter": {"ray.io/originated-from-crd": "RayJob", "ray.io/cluster": "c"},
    "redis-cleanup": {"ray.io/node-type": "redis-cleanup", "ray.io/is-ray-node": "yes"},
    "connect-server": {"spark-role": "connect-server"},
    "standalone": {"spark-role": "master", "spark.operator/spark-cluster-name": "c"},
    "database": {"app.kubernetes.io/name": "mysql", "app": "head"},
}
"""Labels of pods that run beside tasks in a compute namespace."""


@pytest.fixture(scope="module")
def plane(own_plane: ControlPlane, injector: Injector) -> ControlPlane:
    """A control plane of its own, because calls are counted and a webhook dies."""
    injector.register(own_plane)
    return own_plane


def pods(namespace: str) -> str:
    """The path of a namespace's pods."""
    return f"/api/v1/namespaces/{namespace}/pods"


def test_a_task_pod_is_asked_about_once(plane: ControlPlane) -> None:
    """The probe that the other tests vary does reach us."""
    namespace, before = plane.namespace("asked", COMPUTE), calls(plane)

    pod = plane.admin.create(pods(namespace), task_pod())

    assert containers_with_reference(pod) == ["ray-head"]
    assert calls(plane) - before == 1


@pytest.mark.parametrize("name", OPTING)
def test_a_pod_that_opts_in_is_asked_about_once(plane: ControlPlane, name: str) -> None:
    """By one entry of the configuration, whatever other labels it has."""
    labels, entry = OPTING[name]
    namespace = plane.namespace(name, COMPUTE)
    before = {one: calls(plane, one) for one in ENTRIES}
    names = "executor", "spark-kubernetes-driver"
    wanted = {CONTAINERS_ANNOTATION: ", ".join(names)}

    pod = plane.admin.create(
        pods(namespace), bare_pod(labels, *names, "log", annotations=wanted)
    )

    asked = {one: calls(plane, one) - count for one, count in before.items()}
    assert asked == dict.fromkeys(ENTRIES, 0) | {entry: 1}
    expected = {
        "opted-in": list(names),
        "ray": ["executor"],
        "spark": ["spark-kubernetes-driver"],
    }
    assert containers_with_reference(pod) == expected[entry]


def test_the_api_server_asks_about_no_pod_without_one_of_three_labels(
    plane: ControlPlane,
) -> None:
    """Its own counts of calls say so, of one and of the other kind."""
    namespace = plane.namespace("others", COMPUTE)
    counts = (REQUESTS, DURATIONS)
    before = [calls(plane, metric=metric) for metric in counts]

    made = [
        plane.admin.create(pods(namespace), bare_pod(labels, "head"))
        for labels in OTHERS.values()
    ]

    assert [calls(plane, metric=metric) for metric in counts] == before
    assert list(map(containers_with_reference, made)) == [[]] * len(OTHERS)
    plane.admin.create(pods(namespace), bare_pod(OPTED_IN, "head"))
    after = [calls(plane, metric=metric) for metric in counts]
    assert after == [count + 1 for count in before]


@pytest.mark.parametrize("namespace", ELSEWHERE)
def test_the_api_server_never_asks_about_others(
    plane: ControlPlane, namespace: str
) -> None:
    """Its selectors settle it: no call, no change, so no way to be in the way."""
    labels, pod_labels = ELSEWHERE[namespace]
    plane.namespace(namespace, labels)
    before = calls(plane)

    pod = plane.admin.create(pods(namespace), task_pod(**pod_labels))

    assert calls(plane) - before == 0
    assert containers_with_reference(pod) == []
    assert stamp(pod) is None


def test_an_update_is_never_asked_about(plane: ControlPlane) -> None:
    """KubeRay relabels its pods while they run."""
    namespace = plane.namespace("updated", COMPUTE)
    name = plane.admin.create(pods(namespace), task_pod())["metadata"]["name"]
    before = calls(plane)

    labels = {"metadata": {"labels": {"ray.io/serve": "true"}}}
    plane.admin.patch(f"{pods(namespace)}/{name}", labels)

    assert calls(plane) - before == 0


def test_a_dry_run_answers_the_same_and_leaves_nothing(plane: ControlPlane) -> None:
    """The answer has the reference; the namespace has no pod and no other object."""
    namespace = plane.namespace("tried", COMPUTE)
    objects = ("pods", "secrets", "configmaps", "events")
    there = [_names(plane, namespace, kind) for kind in objects]

    tried = plane.admin.create(pods(namespace), task_pod(), dryRun="All")

    assert tried["spec"]["containers"][0]["envFrom"] == [REFERENCE]
    assert [_names(plane, namespace, kind) for kind in objects] == there
    assert _names(plane, namespace, "pods") == []


def test_a_dead_webhook_leaves_pods_as_their_creator_sent_them(
    plane: ControlPlane, injector: Injector, tmp_path: Path
) -> None:
    """Nothing listens any more: the pod is there at once, without us."""
    there, then = (plane.namespace(name, COMPUTE) for name in ("alive", "dead"))
    injector.unregister(plane)
    mortal = Injector(tmp_path)
    try:
        mortal.register(plane)
        alive = plane.admin.create(pods(there), task_pod())
        mortal.stop()
        dead = plane.admin.create(pods(then), task_pod())
    finally:
        mortal.stop()
        mortal.unregister(plane)
        injector.register(plane)

    assert containers_with_reference(alive) == ["ray-head"]
    assert stamp(dead) is None
    assert comparable(dead) == comparable(without_ours(alive))


def _names(plane: ControlPlane, namespace: str, kind: str) -> list[str]:
    path = f"/api/v1/namespaces/{namespace}/{kind}"
    return sorted(one["metadata"]["name"] for one in plane.admin.get(path)["items"])
