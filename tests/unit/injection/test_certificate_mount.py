"""The tracker's CA in task containers, case by case."""

from typing import Any

import pytest

from tests.pods import apply, decide_on, injected, ray_head
from webhook.injection.certificate_mount import MOUNT, VOLUME
from webhook.injection.names import CA_CONFIG_MAP, CA_DIRECTORY
from webhook.injection.policy import InjectionPolicy

POLICY = InjectionPolicy(tracking_ca=True)
THEIRS = {"name": "theirs", "emptyDir": {}}


def given(pod: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """The volumes of a pod and the mounts of its only container, after one pass."""
    after = injected(pod, POLICY)
    container = after["spec"]["containers"][0]
    return after["spec"].get("volumes") or [], container.get("volumeMounts") or []


@pytest.mark.parametrize("absent", [{}, {"volumes": None}, {"volumes": []}])
def test_a_pod_without_volumes_gets_one(absent: dict[str, Any]) -> None:
    """Null is absent, as the API server has it."""
    pod = ray_head(volumeMounts=None)
    pod["spec"] |= absent

    assert given(pod) == ([VOLUME], [MOUNT])


def test_others_stay_in_front() -> None:
    """In their order."""
    mount = {"name": "theirs", "mountPath": "/data"}
    pod = ray_head(volumeMounts=[mount])
    pod["spec"]["volumes"] = [THEIRS]

    assert given(pod) == ([THEIRS, VOLUME], [mount, MOUNT])


@pytest.mark.parametrize(
    "path",
    [CA_DIRECTORY, f"{CA_DIRECTORY}/", f"{CA_DIRECTORY}/ca.crt", "/etc", "/etc/"],
)
def test_a_container_that_has_a_mount_there_keeps_it(path: str) -> None:
    """And no volume is added that nobody mounts."""
    mount = {"name": "theirs", "mountPath": path}
    pod = ray_head(volumeMounts=[mount])
    pod["spec"]["volumes"] = [THEIRS]

    assert given(pod) == ([THEIRS], [mount])


def test_a_volume_of_the_name_that_is_anothers_is_left_alone() -> None:
    """Its owner mounts it somewhere else."""
    volume = {"name": CA_CONFIG_MAP, "emptyDir": {}}
    pod = ray_head()
    pod["spec"]["volumes"] = [volume]

    assert given(pod) == ([volume], [])


def test_a_volume_that_is_ours_already_is_mounted() -> None:
    """Whoever put it there."""
    volume = {"name": CA_CONFIG_MAP, "configMap": {"name": CA_CONFIG_MAP}}
    pod = ray_head()
    pod["spec"]["volumes"] = [volume]

    assert given(pod) == ([volume], [MOUNT])


def test_without_a_ca_nothing_is_mounted() -> None:
    """The chart's default."""
    decision = decide_on(ray_head())

    assert "volumes" not in apply(ray_head(), decision)["spec"]


def test_a_second_pass_is_empty() -> None:
    """Mounts included."""
    assert decide_on(injected(ray_head(), POLICY), POLICY).patch == ()
