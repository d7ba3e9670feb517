"""What the registration promises: who is asked about, and what a failure costs."""

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
from tests.cluster.injector import COMPUTE, Injector, calls, task_pod
from tests.lab.control_plane import ControlPlane
from webhook.injection.names import INJECT_DISABLED, INJECT_LABEL

ELSEWHERE: Final = {
    "no-label": ({}, {}),
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
