"""A release that turns the policy on and off, while pods are created."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.injector import calls
from tests.cluster.rotation.installation import NAMESPACE, Installation, running
from tests.cluster.rotation.load import MANY, Load
from tests.lab.api import Object
from tests.lab.build import Toolbox
from tests.lab.processes import wait_for
from webhook.injection.names import INJECTION_ANNOTATION
from webhook.injection.patch import refers_to_mirror
from webhook.injection.stamp import InjectedBy

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@pytest.fixture(scope="module")
def installed(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Webhooks and a companion that API servers reach through the chart's Service."""
    with running(toolbox, tmp_path_factory) as installed:
        yield installed


def references(pod: Object) -> int:
    """How many references to the tracking Secret the task container has."""
    (container,) = pod["spec"]["containers"]
    return sum(map(refers_to_mirror, container.get("envFrom", ())))


def switch(installed: Installation, value: str) -> None:
    """Turn the policy on or off, and return once API servers act on it."""
    wanted = InjectedBy.POLICY if value == "true" else InjectedBy.WEBHOOK

    def acts() -> bool:
        stamp: Object = json.loads(installed.pod()[INJECTION_ANNOTATION])
        return bool(stamp["by"] == wanted)

    installed.upgrade(f"injection.inTree={value}")
    wait_for(f"injection by the {wanted}", acts, seconds=30)


def test_the_policy_comes_and_goes_and_every_pod_has_the_keys_once(
    installed: Installation,
) -> None:
    """By `helm upgrade`, twice each way; both gave keys meanwhile."""
    with Load(installed.plane, NAMESPACE) as load:
        for value in ("true", "false", "true", "false"):
            switch(installed, value)

    pods = installed.plane.admin.get(PODS)["items"]
    given = Counter(
        json.loads(pod["metadata"]["annotations"][INJECTION_ANNOTATION])["by"]
        for pod in pods
    )
    assert (load.missed, load.refused) == ([], [])
    assert {references(pod) for pod in pods} == {1}
    assert set(given) == set(InjectedBy)
    assert load.created == len(pods)


def test_a_release_goes_on_without_its_webhook(installed: Installation) -> None:
    """In two upgrades, as the page says: with both, then with the policy alone."""
    plane = installed.plane
    switch(installed, "true")

    def many() -> None:
        before = load.created
        wait_for("many pods", lambda: load.created >= before + MANY)

    def nobody_is_asked() -> bool:
        before = calls(plane)
        many()
        return calls(plane) == before

    with Load(plane, NAMESPACE) as load:
        installed.upgrade("injection.inTree=true", "webhook.replicas=0")
        # Pods that end drain for as long as API servers may still call them.
        wait_for("an end of calls", nobody_is_asked, seconds=30)
        installed.stop_webhooks()
        many()

    assert (load.missed, load.refused, load.failed_open()) == ([], [], 0.0)
