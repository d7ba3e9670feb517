"""Policy, webhook and both make the same of every pod, and nothing of it twice."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.cluster.in_tree.varied_pods import varied_pods
from tests.cluster.in_tree.ways import (
    CHOICES,
    Way,
    Ways,
    stored,
    without_name_of_decider,
)
from tests.lab.api import Object
from tests.pods import apply, decide_on
from webhook.injection.names import INJECTION_ANNOTATION
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason
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


def by(pod: Object) -> str | None:
    """Who gave the keys, as the stamp says."""
    note = pod["metadata"].get("annotations", {}).get(INJECTION_ANNOTATION)
    return None if note is None else json.loads(note)["by"]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("name", reviews())
def test_captured_pods(ways: Ways, choice: InjectionPolicy, name: str) -> None:
    """What is stored is what is stored without us, and our patch: nothing else."""
    before = ways.errors()
    pod = captured(name)
    alone = ways.create(Way.NOBODY, choice, pod)
    expected = without_name_of_decider(apply(alone, decide_on(alone, choice)))

    for way in DECIDING:
        found = ways.create(way, choice, pod)
        assert without_name_of_decider(found) == expected
        assert ways.create(way, choice, found) == found
        if not name.startswith(NOT_A_TASK):
            assert by(found) == ("webhook" if way is Way.WEBHOOK else "policy")

    assert ways.errors() == before


@given(varied_pods(), st.sampled_from(CHOICES))
@settings(
    max_examples=EXAMPLES,
    # The API server keeps nothing of a dry run, so examples may share it.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_generated_pods(
    ways: Ways, pod: dict[str, Any], choice: InjectionPolicy
) -> None:
    """The same, whatever stands in labels, annotations, names and environments."""
    found = {way: ways.create(way, choice, pod) for way in DECIDING}
    expected = without_name_of_decider(found[Way.WEBHOOK])
    reason = decide_on(ways.create(Way.NOBODY, choice, pod), choice).reason
    event(reason)

    for way in (Way.POLICY, Way.BOTH):
        assert without_name_of_decider(found[way]) == expected
        assert ways.create(way, choice, found[way]) == found[way]
    if reason is InjectionReason.INJECTED:
        assert found[Way.POLICY] == found[Way.BOTH]


def test_no_expression_failed(ways: Ways) -> None:
    """Of all pods that other tests sent, and of those of this one."""
    for choice in CHOICES:
        for name in reviews():
            ways.create(Way.POLICY, choice, captured(name))

    assert ways.evaluations() > 0
    assert ways.errors() == 0
