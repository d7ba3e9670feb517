"""Task pods that were missed, on a cluster without a webhook."""

from typing import Any

from tests.cluster.companion.state import create_after
from tests.cluster.release import COMPANION, Release, Running, eventually


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
