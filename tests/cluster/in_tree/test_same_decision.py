"""Policy, webhook and both make the same of every pod, and nothing of it twice."""

import json
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.cluster.in_tree.varied_pods import varied_pods
from tests.cluster.in_tree.ways import (
    BINDINGS,
    CHOICES,
    POLICIES,
    Way,
    Ways,
    errors,
    remove,
    stored,
    without_name_of_decider,
)
from tests.cluster.injector import COMPUTE, task_pod
from tests.lab.api import Object
from tests.lab.processes import wait_for
from tests.pods import apply, decide_on
from webhook.injection.admission_policy.expressions import choices
from webhook.injection.admission_policy.objects import Reach, policy_objects
from webhook.injection.names import INJECTED_LABEL, INJECTION_ANNOTATION
from webhook.injection.policy import InjectionPolicy
from webhook.samples import NOT_A_TASK, reviews

EXAMPLES = 2000
DECIDING = (Way.POLICY, Way.WEBHOOK, Way.BOTH)


def captured(name: str) -> Object:
    """The pod of a captured review, as its creator sent it."""
    pod = stored(json.loads(reviews()[name])["request"]["object"])
    pod["metadata"].setdefault("name", "captured")
    spec = pod["spec"]
    spec["automountServiceAccountToken"] = False
    for field in ("serviceAccountName", "serviceAccount"):
        spec.pop(field, None)
    # What the ServiceAccount plugin had added by then.
    spec["volumes"] = [v for v in spec.get("volumes", ()) if "projected" not in v]
    for one in [*spec["containers"], *spec.get("initContainers", ())]:
        one["volumeMounts"] = [
            mount
            for mount in one.get("volumeMounts", ())
            if "serviceaccount" not in mount["mountPath"]
        ]
    return pod


def defaulted(pod: Object) -> Object:
    """The pod with what an API server adds to the volume that we add."""
    for volume in pod["spec"].get("volumes", ()):
        if "configMap" in volume:
            volume["configMap"].setdefault("defaultMode", 0o644)
    return pod


def by(pod: Object) -> str | None:
    """Who gave the keys, as the stamp says."""
    note = pod["metadata"].get("annotations", {}).get(INJECTION_ANNOTATION)
    return None if note is None else json.loads(note)["by"]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_captured_pods(ways: Ways, choice: InjectionPolicy) -> None:
    """What is stored is what is stored without us, and our patch: nothing else."""
    for name in reviews():
        pod = captured(name)
        alone = ways.create(Way.NOBODY, choice, pod)
        patched = defaulted(apply(alone, decide_on(alone, choice)))
        found = {way: ways.create(way, choice, pod) for way in DECIDING}
        for way, one in found.items():
            assert without_name_of_decider(one) == without_name_of_decider(patched)
            if not name.startswith(NOT_A_TASK):
                assert by(one) == ("webhook" if way is Way.WEBHOOK else "policy")
        again = ways.create(Way.BOTH, choice, found[Way.POLICY])
        assert again == found[Way.POLICY]

    assert ways.errors(choice) == 0


def test_generated_pods(ways: Ways) -> None:
    """The same, whatever stands in labels, annotations, names and environments."""

    @given(varied_pods(), st.sampled_from(CHOICES))
    @settings(max_examples=EXAMPLES)
    def is_one_decision(pod: dict[str, Any], choice: InjectionPolicy) -> None:
        event(decide_on(pod, choice).reason)
        found = {way: ways.create(way, choice, pod) for way in DECIDING}
        expected = without_name_of_decider(found[Way.WEBHOOK])
        assert without_name_of_decider(found[Way.POLICY]) == expected
        assert without_name_of_decider(found[Way.BOTH]) == expected
        assert ways.create(Way.BOTH, choice, found[Way.POLICY]) == found[Way.POLICY]

    is_one_decision()
    assert {choice: ways.errors(choice) for choice in CHOICES} == dict.fromkeys(
        CHOICES, 0
    )


def test_an_expression_that_fails_is_seen(ways: Ways) -> None:
    """By the count that the other tests hold to zero; and the pod is created."""
    plane = ways.plane
    policy, binding = policy_objects("broken", CHOICES[0], Reach())
    policy["spec"]["variables"][len(choices(CHOICES[0]))]["expression"] = (
        "[''][1]"  # the mirror's name
    )
    namespace = plane.namespace("broken", {**COMPUTE, "broken": ""})
    binding["spec"]["matchResources"] = {
        "namespaceSelector": {"matchLabels": {"broken": ""}}
    }
    plane.admin.create(POLICIES, policy)
    plane.admin.create(BINDINGS, binding)

    def fails() -> bool:
        path = f"/api/v1/namespaces/{namespace}/pods"
        pod = plane.admin.create(path, task_pod(), dryRun="All")
        assert INJECTED_LABEL not in pod["metadata"]["labels"]
        return errors(plane, "broken") > 0

    try:
        wait_for("the broken policy's error", fails)
    finally:
        remove(plane, "broken")
