"""The start-up check accepts this build and notices a broken one."""

import pytest

import webhook.injection.selfcheck as module
from webhook.injection.decision import Decision
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence
from webhook.injection.reasons import InjectionReason
from webhook.injection.review import Review
from webhook.injection.selfcheck import selfcheck_errors
from webhook.samples import NOT_A_TASK, reviews


@pytest.mark.parametrize("precedence", Precedence)
@pytest.mark.parametrize("on_missing", OnMissing)
@pytest.mark.parametrize("keys", [(), ("TRACKING_URI", "RAY_PORT")])
def test_every_policy_passes(
    precedence: Precedence, on_missing: OnMissing, keys: tuple[str, ...]
) -> None:
    """Each captured pod comes out right under each choice an operator has."""
    policy = InjectionPolicy(
        precedence=precedence, on_missing=on_missing, enforced_keys=keys
    )

    assert [] == selfcheck_errors(reviews(), policy, NOT_A_TASK)


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        (
            Decision(reason=InjectionReason.NOT_A_TASK_POD),
            "NotATaskPod, with the keys in []",
        ),
        (
            Decision(
                reason=InjectionReason.INJECTED,
                containers=("ray-head",),
                patch=(
                    {
                        "op": "add",
                        "path": "/spec/containers/0/envFrom",
                        "value": [{"secretRef": {"name": "michelangelo-tracking"}}],
                    },
                ),
            ),
            "a second pass is not empty",
        ),
    ],
)
def test_a_broken_decision_is_noticed(
    monkeypatch: pytest.MonkeyPatch, decision: Decision, sentence: str
) -> None:
    """A decision that forgets a pod, or never comes to rest, is a problem."""

    def broken(review: Review, policy: InjectionPolicy) -> Decision:
        del review, policy
        return decision

    monkeypatch.setattr(module, "decide", broken)
    one = {"pod": reviews()["ray-head-kuberay-sample"]}

    assert [f"pod: {sentence}"] == selfcheck_errors(one, InjectionPolicy(), NOT_A_TASK)


def test_a_patched_bystander_is_noticed() -> None:
    """A pod that is no task pod must stay as it is."""
    one = {"not-a-task-after-all": reviews()["ray-head-kuberay-sample"]}

    assert [
        "not-a-task-after-all: got a patch, and is no task pod"
    ] == selfcheck_errors(one, InjectionPolicy(), NOT_A_TASK)
