"""What the accounts may do, and no more."""

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

import pytest

from tests.chart.rendering import (
    BUNDLE,
    CHART,
    NAMESPACE,
    RELEASE,
    Chart,
    Manifest,
    Rendered,
)
from tests.fakes.installation import FakeInstallation
from webhook.cli.doctor_preflight import install_rights
from webhook.doctor.rights import Right, RightsScope, companion_rights
from webhook.egress.engines.detect import CONTROLS
from webhook.egress.mode import EgressMode

COMPANION = f"{RELEASE}-companion"


def test_no_right_is_a_wildcard(rendered: Rendered) -> None:
    """Every group, resource and verb is named."""
    assert "*" not in json.dumps(rendered.rules())


def test_secrets_are_bound_to_names(rendered: Rendered) -> None:
    """All but `create`, which cannot be; the admission policy binds that."""
    unbound = [
        verb
        for rule in rendered.rules()
        if "secrets" in rule["resources"] and not rule.get("resourceNames")
        for verb in rule["verbs"]
    ]

    assert ["create"] == unbound


def test_the_sources_can_be_read_and_nothing_else_at_home(chart: Chart) -> None:
    """Each Secret by its name; the ones that are not sources not at all."""
    rendered = chart.render(files=[CHART / "ci" / "network-policy-values.yaml"])
    rules = rendered.one("Role", COMPANION)["rules"]
    readable = {
        name
        for rule in rules
        if "secrets" in rule["resources"]
        for name in rule["resourceNames"]
    }

    assert readable == {
        "tracking-credentials",
        f"{RELEASE}-tls",
        f"{RELEASE}-tls-state",
    }


def test_listed_namespaces_confine_what_is_written(chart: Chart) -> None:
    """The rights to write are given there and nowhere else."""
    rendered = chart.render(
        {
            "rbac": {"mode": "listedNamespaces"},
            "namespaces": {"allowed": ["team-a", "team-b"]},
        }
    )
    bindings = {
        one["metadata"]["namespace"]
        for one in rendered.all("RoleBinding")
        if one["roleRef"]["name"] == f"{COMPANION}-write"
    }

    assert {"team-a", "team-b"} == bindings
    assert f"{COMPANION}-write" not in rendered.names("ClusterRoleBinding")


def test_the_right_to_delete_the_webhook_exists_during_uninstall_only(
    default: Rendered,
) -> None:
    """It comes with a hook."""
    holders = [
        role
        for role in default.all("ClusterRole")
        for rule in role["rules"]
        if "mutatingwebhookconfigurations" in rule["resources"]
        and "delete" in rule["verbs"]
    ]

    assert [f"{RELEASE}-uninstall"] == [one["metadata"]["name"] for one in holders]
    assert "pre-delete" == holders[0]["metadata"]["annotations"]["helm.sh/hook"]


def test_modes_that_write_nothing_have_no_right_to(chart: Chart) -> None:
    """Egress `observe` and `off` may only take away what `additive` wrote."""
    for mode in ("observe", "off"):
        rules = chart.render({"egress": {"mode": mode}}).rules()
        verbs = {
            verb
            for rule in rules
            if "networkpolicies" in rule["resources"]
            for verb in rule["verbs"]
        }

        assert verbs & {"create", "patch", "delete"} == {"delete"}


def test_nodes_are_followed_where_egress_is_and_nowhere_else(chart: Chart) -> None:
    """A server on a node's network is found by the node's address."""

    def verbs(mode: str) -> list[str]:
        return [
            verb
            for rule in chart.render({"egress": {"mode": mode}}).rules()
            if "nodes" in rule["resources"]
            for verb in rule["verbs"]
        ]

    assert verbs("additive") == verbs("observe") == ["list", "watch"]
    assert verbs("off") == []


def test_other_engines_are_listed_only_where_an_operator_says_so(chart: Chart) -> None:
    """And every kind that is looked at, then."""
    asked = {(c.group, c.plural) for c in CONTROLS}

    def listed(values: dict[str, object]) -> set[tuple[str, str]]:
        return {
            (group, resource)
            for rule in chart.render(values).rules()
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            if "list" in rule["verbs"]
        }

    assert not listed({}) & asked
    assert asked <= listed({"egress": {"readOtherEngines": True}})


def test_metrics_are_closed_unless_somebody_is_named(chart: Chart) -> None:
    """An empty list of peers would be everybody, in a NetworkPolicy's own words."""

    def peers(**values: object) -> list[object]:
        rendered = chart.render({"networkPolicy": {"enabled": True, **values}})
        return [
            rule.get("from")
            for policy in rendered.all("NetworkPolicy")
            for rule in policy["spec"]["ingress"]
            if {"port": "metrics"} in rule["ports"]
        ]

    prometheus = [{"namespaceSelector": {"matchLabels": {"a": "monitoring"}}}]
    assert peers() == []
    assert peers(metricsFrom=prometheus) == [prometheus, prometheus]


CERTIFICATES: Final[tuple[Manifest, ...]] = (
    {"mode": "companion"},
    {"mode": "certManager", "certManager": {"issuerName": "internal-ca"}},
    {"mode": "provided", "provided": {"secretName": "theirs", "caBundle": BUNDLE}},
)
"""Whoever issues them."""


@pytest.mark.parametrize("certificates", CERTIFICATES, ids=itemgetter("mode"))
def test_doctor_asks_for_rights_that_the_chart_gives(
    chart: Chart, certificates: Manifest
) -> None:
    """Each of them, and as they are named: others would be false alarms."""
    for mode in EgressMode:
        baseline = {"peers": "injected", "apiServer": [], "storage": []}
        egress: dict[str, object] = {"mode": mode.value}
        if mode is EgressMode.ISOLATE:
            egress["baseline"] = baseline | {"michelangelo": []}
        rendered = chart.render({"egress": egress, "certificates": certificates})
        scope = RightsScope(
            home=NAMESPACE,
            release=RELEASE,
            issues=certificates["mode"] == "companion",
            tls_secret=f"{RELEASE}-tls",
            audits=True,
            egress=mode,
            namespace="ray",
        )
        rules = rendered.rules()
        refused = [
            str(right)
            for right in companion_rights(scope)
            if not any(gives(rule, right) for rule in rules)
        ]

        assert refused == []


@pytest.mark.parametrize("certificates", CERTIFICATES, ids=itemgetter("mode"))
def test_the_status_page_may_read_what_status_reads(
    chart: Chart, certificates: Manifest
) -> None:
    """Else it would call an installation in order what it cannot vouch for."""
    page = {"statusPage": {"enabled": True}}
    rules = chart.render({"companion": page, "certificates": certificates}).rules()
    site = FakeInstallation(release=RELEASE)
    site.observe()
    asked = [
        Right(
            verb=call.verb,
            resource=call.kind.plural,
            group=call.kind.group,
            name=call.key.name,
        )
        for call in site.cluster.calls
        if call.verb in ("get", "list")  # of objects; anybody may ask for the version
    ]

    assert {"mutatingadmissionpolicies"} < {right.resource for right in asked}
    assert [r for r in asked if not any(gives(rule, r) for rule in rules)] == []


def gives(rule: Mapping[str, Any], right: Right) -> bool:
    """Whether a rule of a role gives a right."""
    return (
        right.verb in rule["verbs"]
        and right.group in rule["apiGroups"]
        and right.resource in rule["resources"]
        and (not rule.get("resourceNames") or right.name in rule["resourceNames"])
    )


def test_an_install_takes_the_rights_that_preflight_asks_for(default: Rendered) -> None:
    """Of every kind that the chart makes."""
    asked = {right.resource for right in install_rights(NAMESPACE)}
    made = {
        f"{one['kind'].lower().removesuffix('y')}ies"
        if one["kind"].endswith("cy")
        else f"{one['kind'].lower()}s"
        for one in default.manifests
    }

    assert made - {"pods"} <= asked
