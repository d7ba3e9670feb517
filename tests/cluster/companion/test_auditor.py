"""What the auditor says of task pods, on a cluster without a webhook."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.companion.state import create_after
from tests.cluster.release import COMPANION, MIRROR, Release, Running, eventually
from webhook.injection.names import INJECT_LABEL, INJECTED_LABEL

HEAD = {"ray.io/node-type": "head"}
CONFIG = "michelangelo-config"


@pytest.fixture(name="place")
def _place(release: Release, running: Running, name: str) -> str:
    """A namespace with its mirror, more than a second after the label."""
    release.plane.namespace(name)
    run(release, name, "older", HEAD)
    release.label(name)
    eventually("the mirror", lambda: release.holds(name))
    eventually("a second", lambda: create_after(release, name), every=0.2)
    return name


def run(
    release: Release, namespace: str, name: str, labels: dict[str, str], **more: Any
) -> None:
    """Somebody runs a pod with these labels; nobody schedules it."""
    container = {"name": "head", "image": "none", **more}
    body = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container]},
    }
    release.admin.create(f"/api/v1/namespaces/{namespace}/pods", body)


def told(release: Release, namespace: str) -> dict[str, Any]:
    """What the report says about a namespace."""
    found: dict[str, Any] = release.status()["namespaces"].get(namespace, {})
    return found


def test_each_task_pod_is_counted_by_what_became_of_it(
    release: Release, place: str
) -> None:
    """And whoever was missed is told so, once; nobody else is."""
    run(release, place, "missed", HEAD)
    stamped = HEAD | {INJECTED_LABEL: "true"}
    reference = {"secretRef": {"name": MIRROR}}
    run(release, place, "injected", stamped, envFrom=[reference])
    run(release, place, "stamped-alone", stamped)
    run(release, place, "opted-out", HEAD | {INJECT_LABEL: "disabled"})
    run(release, place, "misspelled", {"ray.io/node-type": "haed"})
    expected = {
        "CreatedBeforeLabel": 1,
        "Injected": 1,
        "Missed": 1,
        "OptedOut": 1,
        "ReferenceMissing": 1,
        "WrongLabels": 1,
    }
    eventually("all", lambda: told(release, place).get("pods") == expected, seconds=20)
    blamed = [
        ("missed", "Missed"),
        ("misspelled", "WrongLabels"),
        ("stamped-alone", "ReferenceMissing"),
    ]
    eventually("they are told", lambda: events(release, place) == blamed, seconds=20)

    assert told(release, place)["missed"] == 3


def events(release: Release, namespace: str) -> list[tuple[str, str]]:
    """The pod and the reason of each Warning of ours about one."""
    found = release.admin.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return sorted(
        (one["involvedObject"]["name"], one["reason"])
        for one in found
        if (one["type"], one["source"].get("component")) == ("Warning", COMPANION)
        and one["involvedObject"]["kind"] == "Pod"
    )


def test_keys_that_a_config_map_shadows_are_named(release: Release, place: str) -> None:
    """By name, and by the ConfigMap's; its value is nobody's business."""
    release.admin.create(
        f"/api/v1/namespaces/{place}/configmaps",
        {"metadata": {"name": CONFIG}, "data": {"TRACKING_URI": "an-old-value"}},
    )
    source = {"configMapRef": {"name": CONFIG}}
    run(release, place, "p", HEAD | {INJECTED_LABEL: "true"}, envFrom=[source])
    expected = {"TRACKING_URI": f"ConfigMap/{CONFIG}"}
    eventually(
        "it is named",
        lambda: told(release, place).get("shadowed") == expected,
        seconds=20,
    )

    assert "an-old-value" not in str(release.status())


def test_pods_that_run_with_older_keys_are_counted(
    release: Release, place: str
) -> None:
    """From when the first of them started; none is restarted."""
    run(release, place, "p", HEAD | {INJECTED_LABEL: "true"})
    path = f"/api/v1/namespaces/{place}/pods/p"
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a test's
    status = {"name": "head", "state": {"running": {"startedAt": started}}}
    more = {"ready": True, "restartCount": 0, "image": "none", "imageID": "none"}
    release.admin.patch(
        f"{path}/status",
        {"status": {"phase": "Running", "containerStatuses": [status | more]}},
    )
    eventually("a second", lambda: create_after(release, place), every=0.2)
    eventually("it is another second", lambda: later_than(started))
    release.source("uri", {"TRACKING_URI": "https://another.example.org"})
    try:
        expected = {"pods": 1, "oldest": started}
        eventually(
            "it is counted",
            lambda: told(release, place).get("outdated") == expected,
            seconds=20,
        )
        assert release.admin.get(path)["metadata"].get("deletionTimestamp") is None
    finally:
        release.source("uri", {"TRACKING_URI": "https://mlflow.example.org"})


def later_than(stamp: str) -> bool:
    """Whether the API server's clock is in a later second."""
    now = datetime.now(UTC)  # noqa: TID251 - a test's own
    return (now - datetime.fromisoformat(stamp)).total_seconds() >= 1
