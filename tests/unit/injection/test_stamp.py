"""What a pod says of its own injection, and how it is read back."""

import json

import pytest

from tests.pods import MIRROR, decide_on, injected, ray_head
from webhook.injection.names import INJECTION_ANNOTATION
from webhook.injection.reasons import InjectionReason
from webhook.injection.stamp import InjectedBy, injected_by, names_container


@pytest.mark.parametrize("by", InjectedBy)
def test_who_gave_the_keys_first_is_kept(by: InjectedBy) -> None:
    """Whoever looks later only mends: its pass is not the one that gave the keys."""
    pod = injected(ray_head())
    note = json.loads(pod["metadata"]["annotations"][INJECTION_ANNOTATION])
    note["by"] = by
    # As a webhook does that adds a source behind ours and takes ours away.
    pod["metadata"]["annotations"][INJECTION_ANNOTATION] = json.dumps(
        note, separators=(",", ":")
    )
    pod["spec"]["containers"][0]["envFrom"] = []

    again = decide_on(pod)

    assert (InjectionReason.INJECTED, by) == (again.reason, again.by)
    assert all(one["path"].endswith("envFrom/0") for one in again.patch)


def test_a_pod_that_the_policy_injected_is_left_as_it_is() -> None:
    """The webhook comes second, finds nothing to do, and says whose work it was."""
    pod = injected(ray_head())
    annotations = pod["metadata"]["annotations"]
    annotations[INJECTION_ANNOTATION] = annotations[INJECTION_ANNOTATION].replace(
        InjectedBy.WEBHOOK.mark, InjectedBy.POLICY.mark
    )

    decision = decide_on(pod)

    assert InjectionReason.ALREADY_INJECTED == decision.reason
    assert InjectedBy.POLICY == decision.by
    assert decision.patch == ()


def test_a_pod_with_a_reference_of_its_own_was_given_nothing() -> None:
    """So nobody is named."""
    assert decide_on(ray_head(envFrom=[MIRROR])).by is None


def test_a_stamp_of_a_release_without_a_policy_is_the_webhooks() -> None:
    """It had no field for it."""
    stamp = '{"version":"0.0.9","precedence":"fallback","containers":["head"]}'

    assert InjectedBy.WEBHOOK == injected_by(stamp)
    assert names_container(stamp, "head")


@pytest.mark.parametrize("name", ["version", "by", "policy", "fallback", "0.1.0"])
def test_only_the_list_names_containers(name: str) -> None:
    """A container may be called as a field or a value is."""
    stamp = (
        '{"version":"0.1.0","by":"policy","precedence":"fallback",'
        '"containers":["head"]}'
    )

    assert not names_container(stamp, name)
    assert names_container(stamp.replace("head", name), name)
