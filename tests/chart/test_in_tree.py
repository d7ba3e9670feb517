"""The same decision as a policy of the API server's, in the chart."""

from typing import Any

import pytest

from tests.chart.rendering import NAMESPACE, RELEASE, Chart, Rendered
from webhook.injection.admission_policy.objects import (
    API_VERSION,
    BINDING,
    POLICY,
    Reach,
    policy_objects,
)
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

SERVED = f"{API_VERSION}/{POLICY}"
ALONE: dict[str, Any] = {
    "webhook": {"replicas": 0},
    "injection": {"inTree": True},
    "networkPolicy": {"enabled": True},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
    },
}
"""An installation without a webhook, and with all that the chart can add."""

CHOICES = [
    InjectionPolicy(
        precedence=precedence,
        on_missing=on_missing,
        enforced_keys=keys,
        tracking_ca=bool(keys),
        release_namespace=NAMESPACE,
    )
    for precedence in Precedence
    for on_missing in OnMissing
    for keys in ((), ("TRACKING_URI", "OTHER_KEY"))
]
REACHES = [
    Reach(),
    Reach(excluded=("kube-system", "argo"), allowed=("ray-jobs", "team-*", "*-ml-*")),
]


def kinds(rendered: Rendered) -> set[str]:
    """Kinds of what is installed, hooks and tests apart."""
    return {
        one["kind"]
        for one in rendered.manifests
        if "helm.sh/hook" not in one["metadata"].get("annotations", {})
    }


@pytest.mark.parametrize("reach", REACHES, ids=["any", "allowed"])
@pytest.mark.parametrize("policy", CHOICES, ids=str)
def test_the_chart_installs_what_our_own_code_prints(
    chart: Chart, policy: InjectionPolicy, reach: Reach
) -> None:
    """Whatever an operator chooses; only labels are added."""
    rendered = chart.render(
        {
            "injection": {
                "inTree": True,
                "precedence": policy.precedence,
                "onMissing": policy.on_missing,
                "enforcedKeys": list(policy.enforced_keys),
            },
            "tracking": {
                "caBundle": {"existingConfigMap": "ca" if policy.tracking_ca else ""}
            },
            "namespaces": {
                "allowed": list(reach.allowed),
                "excluded": list(reach.excluded),
            },
        }
    )

    for wanted in policy_objects(RELEASE, policy, reach):
        found = rendered.one(wanted["kind"], RELEASE)
        assert found["apiVersion"] == wanted["apiVersion"]
        assert found["spec"] == wanted["spec"]


@pytest.mark.parametrize(
    ("value", "served", "there"),
    [
        ("auto", True, True),
        ("auto", False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_auto_asks_the_cluster(
    chart: Chart, value: object, *, served: bool, there: bool
) -> None:
    """And the other two do not."""
    rendered = chart.render(
        {"injection": {"inTree": value}}, served=[SERVED] if served else []
    )

    assert (POLICY in kinds(rendered)) is there
    assert (BINDING in kinds(rendered)) is there
    assert "MutatingWebhookConfiguration" in kinds(rendered)


def test_auto_asks_for_the_version_too(chart: Chart) -> None:
    """`helm template` takes for granted whatever its own client library knows."""
    rendered = chart.render(kubernetes="1.35.4", served=[SERVED])

    assert not {POLICY, BINDING} & kinds(rendered)


def test_webhook_and_policy_look_at_the_same_namespaces(chart: Chart) -> None:
    """What a platform insists on included."""
    own = {"key": "control-plane", "operator": "DoesNotExist"}
    rendered = chart.render(
        {
            "webhook": {"extraNamespaceExpressions": [own]},
            "injection": {"inTree": True},
        }
    )
    (policy,) = rendered.all(POLICY)
    (configuration,) = rendered.all("MutatingWebhookConfiguration")
    selector = policy["spec"]["matchConstraints"]["namespaceSelector"]

    assert own in selector["matchExpressions"]
    for entry in configuration["webhooks"]:
        assert entry["namespaceSelector"] == selector


def test_without_a_webhook_nothing_of_it_is_there(chart: Chart) -> None:
    """No configuration, no certificate, no process, no Service, no right to any."""
    rendered = chart.render(ALONE)
    companion = rendered.deployment("companion")["spec"]["template"]["spec"]
    (container,) = companion["containers"]
    settings = {one["name"]: one["value"] for one in container["env"]}

    assert not kinds(rendered) & {
        "MutatingWebhookConfiguration",
        "Secret",
        "Certificate",
    }
    assert rendered.names("Deployment") == {f"{RELEASE}-companion"}
    assert rendered.names("ServiceAccount") == {f"{RELEASE}-companion"}
    assert rendered.names("PodDisruptionBudget") == {f"{RELEASE}-companion"}
    assert rendered.names("NetworkPolicy") == {f"{RELEASE}-companion"}
    assert rendered.names("Service") == {f"{RELEASE}-metrics"}
    assert rendered.names("Pod") == set()
    assert settings["MTI_CERTIFICATES"] == "none"
    standing = [
        resource
        for role in rendered.all("ClusterRole") + rendered.all("Role")
        if "helm.sh/hook" not in role["metadata"].get("annotations", {})
        for rule in role["rules"]
        for resource in rule["resources"]
    ]
    assert not {"mutatingwebhookconfigurations"} & set(standing)
    assert "component: webhook" not in rendered.text


def test_alerts_speak_of_what_is_there(chart: Chart) -> None:
    """Of certificates only with a webhook, of the policy's errors only with one."""
    on = {"metrics": {"prometheusRule": {"enabled": True}}}
    errors, certificates = (
        "TrackingInjectorPolicyErrors",
        "TrackingInjectorCertificateExpires",
    )

    def alerts(values: dict[str, Any]) -> set[str]:
        (rule,) = chart.render(values).all("PrometheusRule")
        return {one["alert"] for one in rule["spec"]["groups"][0]["rules"]}

    assert certificates not in alerts(ALONE)
    assert errors in alerts(ALONE)
    both = alerts({**on, "injection": {"inTree": True}})
    assert {errors, certificates} <= both
    assert errors not in alerts({**on, "injection": {"inTree": False}})
