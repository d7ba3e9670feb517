"""The policy and its binding; what its expressions do, an API server shows.

`tests/cluster/in_tree` compares the two decisions pod by pod.
"""

import json
import re

from webhook.injection.admission_policy.expressions import (
    MUTATION,
    VARIABLES,
    choices,
)
from webhook.injection.admission_policy.objects import (
    Reach,
    constant_part,
    policy_objects,
    policy_spec,
)
from webhook.injection.names import (
    CONTAINERS_ANNOTATION,
    INJECTED_LABEL,
    INJECTION_ANNOTATION,
    MIRROR_SECRET,
)
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence
from webhook.injection.workload import (
    MIRROR_POD_ANNOTATION,
    NAMES,
    SIDECARS,
    SIGNATURES,
    WORKLOADS,
)

POLICY = InjectionPolicy(
    precedence=Precedence.OVERRIDE,
    on_missing=OnMissing.START,
    tracking_ca=True,
    enforced_keys=("A", "B"),
    release_namespace="release",
)
CHOSEN = len(choices(POLICY))


def test_a_policy_and_its_binding_bear_one_name() -> None:
    """Whoever looks for either finds both; no parameter can be missing."""
    policy, binding = policy_objects("mine", POLICY, Reach())

    assert policy["metadata"] == binding["metadata"] == {"name": "mine"}
    assert binding["spec"] == {"policyName": "mine"}
    assert "paramKind" not in policy["spec"]


def test_nothing_of_it_can_fail_a_pod() -> None:
    """An error leaves the pod to the webhook."""
    assert policy_spec(POLICY, Reach())["failurePolicy"] == "Ignore"


def test_the_operators_choices_stand_in_variables() -> None:
    """First, and as CEL reads them."""
    variables = policy_spec(POLICY, Reach())["variables"]

    chosen = {one["name"]: json.loads(one["expression"]) for one in variables[:CHOSEN]}
    assert chosen == {
        "version": chosen["version"],
        "precedence": "override",
        "enforcedKeys": ["A", "B"],
        "optionalReference": True,
        "trackingCa": True,
    }


def test_its_tables_are_the_webhooks() -> None:
    """Written once, there."""

    def value(name: str) -> object:
        return json.loads(VARIABLES[name])

    assert value("mirror") == MIRROR_SECRET
    assert value("injectedLabel") == INJECTED_LABEL
    assert value("injectionAnnotation") == INJECTION_ANNOTATION
    assert value("sidecars") == {kind: sorted(one) for kind, one in SIDECARS.items()}
    assert value("names") == {kind: sorted(names) for kind, names in NAMES.items()}
    assert value("signatures") == {
        kind: [sorted(variables) for variables in signatures]
        for kind, signatures in SIGNATURES.items()
    }
    condition = json.dumps(policy_spec(POLICY, Reach())["matchConditions"])
    for label, role in WORKLOADS:
        assert label in condition
        assert role in condition
    assert MIRROR_POD_ANNOTATION in condition
    assert CONTAINERS_ANNOTATION in VARIABLES["named"]


def test_a_release_excludes_its_own_namespace() -> None:
    """Once, also where it is among the others."""
    constraints = policy_spec(POLICY, Reach(excluded=("release", "b")))
    _, named = constraints["matchConstraints"]["namespaceSelector"]["matchExpressions"]

    assert named["values"] == ["release", "b"]


def test_allowed_namespaces_are_a_condition() -> None:
    """A labeled namespace that is not listed has no mirror: its pods would wait."""
    reach = Reach(allowed=("ray-jobs", "team-*"))

    assert policy_spec(POLICY, reach)["matchConditions"][-1] == {
        "name": "allowed-namespaces",
        "expression": (
            "request.namespace == 'ray-jobs' || request.namespace.matches('^team-.*$')"
        ),
    }
    assert len(policy_spec(POLICY, Reach())["matchConditions"]) == 2


def test_a_variable_refers_to_earlier_ones_only() -> None:
    """The API server compiles them in this order."""
    known: set[str] = {one["name"] for one in policy_spec(POLICY, Reach())["variables"]}
    known -= set(VARIABLES)
    for name, expression in VARIABLES.items():
        assert set(re.findall(r"variables\.(\w+)", expression)) <= known
        known.add(name)
    assert set(re.findall(r"variables\.(\w+)", MUTATION)) <= known


def test_every_variable_is_used() -> None:
    """Each costs whoever reads the policy."""
    text = " ".join([MUTATION, *VARIABLES.values()])
    names = [one["name"] for one in policy_spec(POLICY, Reach())["variables"]]

    assert set(re.findall(r"variables\.(\w+)", text)) == set(names)


def test_what_the_chart_carries_is_the_rest_of_the_spec() -> None:
    """Whatever an operator chooses."""
    spec = policy_spec(POLICY, Reach(allowed=("a",)))
    constant = constant_part()

    assert spec["variables"][CHOSEN:] == constant["variables"]
    assert spec["matchConditions"][:-1] == constant["matchConditions"]
    assert spec["mutations"] == constant["mutations"]
