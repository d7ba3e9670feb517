"""The companion on a real API server, under exactly the rights that the chart gives."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.release import (
    CANARY,
    COMPANION,
    LABEL,
    MIRROR,
    Release,
    Running,
    companion,
    eventually,
    tell,
)
from tests.lab.api import ApiError
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane


@pytest.fixture(name="plane", scope="module")
def _plane(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """One of its own: a release sees every namespace."""
    plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp("companion"))
    yield plane
    plane.stop()


@pytest.fixture(name="release", scope="module")
def _release(plane: ControlPlane) -> Release:
    return Release(plane)


@pytest.fixture(name="running")
def _running(release: Release) -> Iterator[Running]:
    with companion(release) as running:
        yield running


@pytest.fixture(name="name")
def _name() -> str:
    return f"ray-{uuid.uuid4().hex[:8]}"


def test_a_labelled_namespace_gets_its_mirror(
    release: Release, running: Running, name: str
) -> None:
    """From the label to the keys, on a companion that leads."""
    eventually("it leads", lambda: release.leader() == "one")
    release.compute(name)

    waited = eventually("the mirror", lambda: release.holds(name))
    tell(f"from the label to the mirror: {waited * 1000:.0f} ms")


def test_a_namespace_labelled_while_nobody_ran_is_found(
    release: Release, name: str
) -> None:
    """What happened meanwhile is made up for at the start."""
    release.compute(name)
    with companion(release):
        eventually("the mirror", lambda: release.holds(name))


def test_a_deleted_or_edited_mirror_is_repaired(
    release: Release, running: Running, name: str
) -> None:
    """By the watch, not at some interval."""
    release.compute(name)
    eventually("the mirror", lambda: release.holds(name))
    path = f"/api/v1/namespaces/{name}/secrets/{MIRROR}"
    release.admin.delete(path)
    eventually("it is back", lambda: release.holds(name))
    release.admin.patch(path, {"data": {"TRACKING_URI": "eA==", "MORE": "eA=="}})
    eventually("it equals its sources", lambda: release.holds(name))
    release.admin.patch(path, {"metadata": {"labels": None, "annotations": None}})
    labels = "app.kubernetes.io/managed-by"
    eventually(
        "its label is back",
        lambda: labels in (release.admin.get(path)["metadata"].get("labels") or {}),
    )


def test_a_foreign_secret_is_never_touched(
    release: Release, running: Running, name: str
) -> None:
    """To the byte, through label, un-label and a change of the source."""
    secrets = f"/api/v1/namespaces/{name}/secrets"
    release.plane.namespace(name)
    foreign = {"metadata": {"name": MIRROR}, "data": {"THEIRS": "eA=="}}
    before = release.admin.create(secrets, foreign)
    release.label(name)
    eventually("it is told", lambda: release.reason(name) == "foreign-secret")
    release.key("another")
    release.key(CANARY)
    release.label(name, None)
    eventually("it is gone from the report", lambda: release.reason(name) is None)

    assert release.admin.get(f"{secrets}/{MIRROR}") == before
    events = release.admin.get(f"/api/v1/namespaces/{name}/events")["items"]
    assert [one["reason"] for one in events] == ["foreign-secret"]


def test_a_switched_off_namespace_keeps_its_mirror_for_its_pods(
    release: Release, running: Running, name: str
) -> None:
    """Until the last pod that refers to it is gone."""
    release.plane.namespace(name)
    release.label(name)
    eventually("the mirror", lambda: release.holds(name))
    pods = f"/api/v1/namespaces/{name}/pods"
    reference = {"secretRef": {"name": MIRROR}}
    container = {"name": "c", "image": "none", "envFrom": [reference]}
    release.admin.create(
        pods, {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
    )
    release.label(name, None)
    eventually(
        "it is kept", lambda: release.reason(name) == "kept-for-pods", seconds=20
    )
    assert release.holds(name)

    release.admin.delete(f"{pods}/p", gracePeriodSeconds="0")
    eventually("it is gone", lambda: release.mirror(name) is None, seconds=20)


def test_two_replicas_have_one_leader_and_hand_over(
    release: Release, name: str
) -> None:
    """Both are ready; one stops within seconds and the other goes on at once."""
    with companion(release, "one") as one:
        eventually("one leads", lambda: release.leader() == "one", seconds=20)
        with companion(release, "two") as two:
            for running in (one, two):
                eventually("ready", lambda r=running: r.ask("/readyz")[0] == 200)  # type: ignore[misc] # the loop's own
                assert running.ask("/healthz")[0] == 200
            code, seconds = one.stop()
            assert code == 0
            assert seconds < 5
            # Sooner than the Lease would run out.
            eventually("two leads", lambda: release.leader() == "two", seconds=12)
            release.compute(name)
            eventually("the mirror", lambda: release.holds(name))


def test_metrics_and_status_tell_the_same(
    release: Release, running: Running, name: str
) -> None:
    """In numbers and in the report, without a value in either."""
    release.compute(name)
    eventually("the report", lambda: release.reason(name) == "mirrored")
    _, metrics = running.ask("/metrics")

    assert "tracking_injector_companion_leader 1.0" in metrics
    assert 'tracking_injector_companion_namespaces{reason="mirrored"}' in metrics
    assert CANARY not in metrics + json.dumps(release.status())


def test_a_missed_pod_is_found_and_told(
    release: Release, running: Running, name: str
) -> None:
    """No webhook runs here, so every task pod is missed: Event and report say so."""
    release.plane.namespace(name)
    release.label(name)
    eventually("the mirror", lambda: release.holds(name))
    owner = release.admin.create(
        f"/api/v1/namespaces/{name}/configmaps", {"metadata": {"name": "owner"}}
    )["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["uid"],
        "controller": True,
    }
    release.admin.create(
        f"/api/v1/namespaces/{name}/configmaps",
        {"metadata": {"name": "michelangelo-config"}, "data": {"TRACKING_URI": "old"}},
    )

    def create(pod: str) -> None:
        body: dict[str, Any] = {
            "metadata": {
                "name": pod,
                "labels": {"ray.io/node-type": "head"},
                "ownerReferences": [reference],
            },
            "spec": {
                "containers": [
                    {
                        "name": "head",
                        "image": "none",
                        "envFrom": [{"configMapRef": {"name": "michelangelo-config"}}],
                    }
                ]
            },
        }
        release.admin.create(f"/api/v1/namespaces/{name}/pods", body)

    def told() -> list[tuple[str, str]]:
        events = release.admin.get(f"/api/v1/namespaces/{name}/events")["items"]
        return sorted(
            (one["involvedObject"]["kind"], one["reason"])
            for one in events
            if one["source"].get("component") == COMPANION
        )

    def pods() -> dict[str, Any]:
        found: dict[str, Any] = release.status()["namespaces"].get(name, {})
        return found

    # Within the label's own second a pod counts as older than it.
    eventually("a second", lambda: create_after(release, name), seconds=3)
    create("first")
    create("second")
    eventually("both are counted", lambda: pods().get("missed") == 2, seconds=10)

    assert told() == [
        ("ConfigMap", "missed"),
        ("Pod", "missed"),
        ("Pod", "missed"),
    ]
    assert pods()["pods"] == {"missed": 2}
    assert pods()["shadowed"] == {"TRACKING_URI": "ConfigMap/michelangelo-config"}


def create_after(release: Release, namespace: str) -> bool:
    """Whether a whole second has passed since the namespace was labelled."""
    made = release.admin.create(
        f"/api/v1/namespaces/{namespace}/configmaps",
        {"metadata": {"generateName": "clock-"}},
    )
    body = release.admin.get(f"/api/v1/namespaces/{namespace}")
    labelled = [
        entry["time"]
        for entry in body["metadata"]["managedFields"]
        if LABEL in json.dumps(entry["fieldsV1"])
    ]
    return bool(made["metadata"]["creationTimestamp"] > max(labelled))


def test_once_brings_everything_in_order_and_says_so(
    release: Release, name: str
) -> None:
    """Exit code 0; and 1, with a sentence, where something is not."""
    release.compute(name)
    code, said = run(release, "--once")
    assert (code, "not" in said) == (0, False), said
    assert release.holds(name)

    foreign = {"metadata": {"name": MIRROR}, "data": {"THEIRS": "eA=="}}
    release.compute(f"{name}-f")
    release.admin.create(f"/api/v1/namespaces/{name}-f/secrets", foreign)
    code, said = run(release, "--once")
    release.label(f"{name}-f", None)
    assert code == 1
    assert f"{name}-f: A Secret of the mirror's name exists" in said


def run(release: Release, *arguments: str) -> tuple[int, str]:
    """Runs the command to its end under the companion's account."""
    running = Running(release, "hand", release.kubeconfig(), arguments=arguments)
    return running.process.wait(60), running.log.read_text("utf-8")


def test_remove_all_takes_every_mirror_although_a_companion_runs(
    release: Release, running: Running, name: str
) -> None:
    """And none comes back behind its back; nothing foreign goes."""
    release.compute(name)
    eventually("the mirror", lambda: release.holds(name))
    release.begin_uninstall()
    code, said = run(release, "--remove-all")
    assert (code, CANARY in said) == (0, False)

    secrets = release.admin.get(
        "/api/v1/secrets", fieldSelector=f"metadata.name={MIRROR}"
    )
    assert [s for s in secrets["items"] if s["type"] != "Opaque"] == []
    release.admin.patch(
        f"/apis/coordination.k8s.io/v1/namespaces/{release.namespace}/leases/{COMPANION}",
        {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}},
    )


def test_no_value_is_anywhere_but_in_secrets(
    release: Release, running: Running, name: str
) -> None:
    """Neither in any object of the cluster nor in what the companion printed."""
    release.compute(name)
    eventually("the mirror", lambda: release.holds(name))
    release.key(CANARY + "-rotated")
    eventually("it rotates", lambda: release.holds(name, CANARY + "-rotated"))
    release.key(CANARY)
    eventually("and back", lambda: release.holds(name))

    _, metrics = running.ask("/metrics")

    assert release.leaks() == []
    assert CANARY not in metrics


def test_a_missing_right_is_a_sentence(release: Release) -> None:
    """Somebody without any right is told which one is missing."""
    release.plane.admin.create(
        f"/api/v1/namespaces/{release.namespace}/serviceaccounts",
        {"metadata": {"name": "nobody"}},
    )
    path = release.plane.kubeconfig_for(release.namespace, "nobody")
    running = Running(release, "nobody", path, arguments=("--remove-all",))

    assert running.process.wait(60) == 1
    assert "cannot delete resource" in running.log.read_text("utf-8")


def test_the_account_reads_no_other_secret(release: Release) -> None:
    """Neither by name nor by list, nor in the release namespace."""
    account = release.plane.service_account(release.namespace, COMPANION)
    release.admin.create(
        f"/api/v1/namespaces/{release.namespace}/secrets", {"metadata": {"name": "x"}}
    )
    for path in (
        f"/api/v1/namespaces/{release.namespace}/secrets/x",
        f"/api/v1/namespaces/{release.namespace}/secrets",
        "/api/v1/secrets",
        "/api/v1/namespaces/kube-system/secrets",
    ):
        with pytest.raises(ApiError) as caught:
            account.get(path)
        assert caught.value.code == 403
