"""One mirror in every namespace that should have one."""

import time
from datetime import datetime

import pytest

from tests.cluster.release import (
    CANARY,
    COMPANION,
    MIRROR,
    Release,
    Running,
    companion,
    eventually,
    tell,
)
from tests.lab.api import ApiError


def test_a_labeled_namespace_gets_its_mirror(
    release: Release, running: Running, name: str
) -> None:
    """From the label to the keys, on a companion that leads."""
    eventually("it leads", lambda: release.leader() == "one")
    release.compute(name)

    waited = eventually("the mirror", lambda: release.holds(name))
    tell(f"from the label to the mirror: {waited * 1000:.0f} ms")


def test_a_namespace_labeled_while_nobody_ran_is_found(
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
    eventually("it is told", lambda: release.reason(name) == "ForeignSecret")
    eventually("its Event", lambda: events(release, name))
    release.key("another")
    release.key(CANARY)
    release.label(name, None)
    eventually("it is gone from the report", lambda: release.reason(name) is None)

    assert release.admin.get(f"{secrets}/{MIRROR}") == before
    assert events(release, name) == ["ForeignSecret"]


def events(release: Release, namespace: str) -> list[str]:
    """The reasons of the Events there; each is written by itself, not by a report."""
    found = release.admin.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return [one["reason"] for one in found]


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
    eventually("it is kept", lambda: release.reason(name) == "KeptForPods", seconds=20)
    assert release.holds(name)

    release.admin.delete(f"{pods}/p", gracePeriodSeconds="0")
    eventually("it is gone", lambda: release.mirror(name) is None, seconds=20)


def test_a_source_that_is_gone_leaves_the_last_good_and_says_since_when(
    release: Release, running: Running, name: str
) -> None:
    """Nobody's keys are taken away; a namespace labeled meanwhile gets them too."""
    release.compute(name)
    eventually("the mirror", lambda: release.holds(name))
    before = int(time.time())
    path = f"/api/v1/namespaces/{release.namespace}/secrets/keys"
    release.admin.delete(path)
    try:
        eventually("it is told", lambda: release.reason(name) == "Stale")
        release.compute(f"{name}-late")
        eventually("the mirror", lambda: release.holds(f"{name}-late"))
        problem = release.status()["profiles"]["default"]["problem"]
    finally:
        release.key(CANARY)
    assert release.holds(name)
    assert (problem["reason"], problem["detail"]) == ("SourceMissing", "Secret/keys")
    assert datetime.fromisoformat(problem["since"]).timestamp() >= before
    eventually("it is over", lambda: release.reason(name) == "Mirrored")


def test_label_and_list_must_agree(release: Release, name: str) -> None:
    """A labeled namespace that the release does not list gets an Event, no Secret."""
    release.plane.namespace(name)
    release.label(name)
    with companion(release, allowed_namespaces="listed-*"):
        listed = release.compute(f"listed-{name}")
        eventually("the mirror", lambda: release.holds(listed))
        eventually("it is told", lambda: release.reason(name) == "NotAllowed")
        eventually("its Event", lambda: events(release, name))

        assert release.mirror(name) is None
        assert events(release, name) == ["NotAllowed"]


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
