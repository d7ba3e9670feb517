"""The policy and its binding, as they are applied to a cluster."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhook import __version__
from webhook.injection.admission_policy.expressions import (
    MATCH_CONDITIONS,
    MUTATION,
    VARIABLES,
    choices,
)
from webhook.injection.decision import NEVER_INJECTED
from webhook.injection.names import (
    INJECT_DISABLED,
    INJECT_ENABLED,
    INJECT_LABEL,
)
from webhook.injection.policy import InjectionPolicy

API_VERSION = "admissionregistration.k8s.io/v1"
POLICY = "MutatingAdmissionPolicy"
BINDING = "MutatingAdmissionPolicyBinding"
FAILURE_POLICY = "Ignore"
"""A task never fails because of us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The namespaces that a policy acts in, of those that are labeled.

    Attributes:
        excluded: Never, besides the release's own.
        allowed: Names or patterns with `*`; empty means any.
    """

    excluded: Sequence[str] = (NEVER_INJECTED,)
    allowed: Sequence[str] = ()


def policy_objects(
    name: str, policy: InjectionPolicy, reach: Reach
) -> list[dict[str, Any]]:
    """Make a MutatingAdmissionPolicy and its binding.

    There is one binding and no parameter: a namespace's profile decides what its mirror
    holds, and every pod refers to its mirror by the same name.

    Args:
        name: Of both.
        policy: The operator's choices.
        reach: The namespaces.
    """
    return [
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        for kind, spec in (
            (POLICY, policy_spec(policy, reach)),
            (BINDING, {"policyName": name}),
        )
    ]


def policy_spec(policy: InjectionPolicy, reach: Reach) -> dict[str, Any]:
    """Make the spec of a MutatingAdmissionPolicy.

    Args:
        policy: The operator's choices.
        reach: The namespaces.
    """
    conditions = dict(MATCH_CONDITIONS)
    if reach.allowed:
        conditions["allowed-namespaces"] = allowed_expression(reach.allowed)
    return {
        "failurePolicy": FAILURE_POLICY,
        # A second look after a webhook changed the pod; nothing is done twice.
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": _match_constraints(policy, reach),
        "matchConditions": _named(conditions),
        "variables": _named({**choices(policy), **VARIABLES}),
        "mutations": mutations(),
    }


def constant_part() -> dict[str, Any]:
    """Return what is the same in every release's policy: the file in the chart."""
    return {
        "matchConditions": _named(MATCH_CONDITIONS),
        "variables": _named(VARIABLES),
        "mutations": mutations(),
    }


def chosen(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operator's choices in a policy, by the names of their variables.

    Args:
        spec: Of a policy that a cluster has.

    Raises:
        KeyError: It has no such variables.
        ValueError: One of them is no literal.
    """
    found = _by_name(spec, "variables")
    return {name: json.loads(found[name]) for name in choices(InjectionPolicy())}


def altered(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of a policy is not as this version writes it.

    Args:
        spec: Of a policy that a cluster has.

    Returns:
        Parts such as `variables.task`; none for a policy of another version.

    Raises:
        KeyError: As `chosen`.
        ValueError: As `chosen`.
    """
    if chosen(spec)["version"] != __version__:
        return ()
    wanted = constant_part()
    parts = [
        f"{field}.{name}"
        for field in ("matchConditions", "variables")
        for name, text in _by_name(wanted, field).items()
        if _by_name(spec, field).get(name) != text
    ]
    if spec.get("mutations") != wanted["mutations"]:
        parts.append("mutations")
    if spec.get("failurePolicy") != FAILURE_POLICY:
        parts.append("failurePolicy")
    return tuple(parts)


def _by_name(spec: Mapping[str, Any], field: str) -> dict[str, str]:
    return {one["name"]: one["expression"] for one in spec.get(field) or ()}


def mutations() -> list[dict[str, Any]]:
    """Return the one mutation."""
    return [{"patchType": "JSONPatch", "jsonPatch": {"expression": MUTATION}}]


def allowed_expression(patterns: Sequence[str]) -> str:
    """Write the condition that a namespace is one of those allowed.

    Args:
        patterns: Letters, digits, `-`, and `*` for any number of them.
    """
    return " || ".join(
        f"request.namespace.matches('^{pattern.replace('*', '.*')}$')"
        if "*" in pattern
        else f"request.namespace == '{pattern}'"
        for pattern in patterns
    )


def _named(expressions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "expression": text} for name, text in expressions.items()]


def _match_constraints(policy: InjectionPolicy, reach: Reach) -> dict[str, Any]:
    excluded = list(dict.fromkeys([policy.release_namespace, *reach.excluded]))
    return {
        "matchPolicy": "Equivalent",
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {
            "matchExpressions": [
                {"key": INJECT_LABEL, "operator": "In", "values": [INJECT_ENABLED]},
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": [each for each in excluded if each],
                },
            ]
        },
        "objectSelector": {
            "matchExpressions": [
                {
                    "key": INJECT_LABEL,
                    "operator": "NotIn",
                    "values": [INJECT_DISABLED],
                }
            ]
        },
    }
