"""What the API server is told to ask us about."""

import pytest

from tests.chart.rendering import BUNDLE, NAMESPACE, RELEASE, Chart, Rendered
from webhook.injection.names import (
    DOMAIN,
    INJECT_DISABLED,
    INJECT_ENABLED,
    INJECT_LABEL,
)
from webhook.injection.workload import RAY_LABEL, SPARK_LABEL, WORKLOADS

NOT_OPTED_OUT = {"key": INJECT_LABEL, "operator": "NotIn", "values": [INJECT_DISABLED]}
BESIDES = {
    "ray": [NOT_OPTED_OUT],
    "spark": [NOT_OPTED_OUT],
    "opted-in": [
        {"key": RAY_LABEL, "operator": "NotIn", "values": ["head", "worker"]},
        {"key": SPARK_LABEL, "operator": "NotIn", "values": ["driver", "executor"]},
    ],
}
"""What an entry's pods must not have, in the configuration's order."""


def test_the_api_server_asks_about_task_pods_only(default: Rendered) -> None:
    """The selectors are the code's own table of workloads."""
    (configuration,) = default.all("MutatingWebhookConfiguration")
    asked = {
        (expression["key"], value)
        for entry in configuration["webhooks"]
        for expression in entry["objectSelector"]["matchExpressions"][:1]
        for value in expression["values"]
    }

    assert asked == WORKLOADS.keys()


def test_every_entry_is_known(default: Rendered) -> None:
    """The next test looks at each."""
    (configuration,) = default.all("MutatingWebhookConfiguration")

    names = [entry["name"] for entry in configuration["webhooks"]]
    assert names == [f"{name}.{DOMAIN}" for name in BESIDES]


@pytest.mark.parametrize("name", BESIDES)
def test_an_entry_is_what_the_design_says(default: Rendered, name: str) -> None:
    """Fail open, three seconds, creation of pods in labeled namespaces."""
    (configuration,) = default.all("MutatingWebhookConfiguration")
    found = dict(configuration["webhooks"][list(BESIDES).index(name)])
    selector = found.pop("objectSelector")["matchExpressions"]

    assert selector[1:] == BESIDES[name]
    assert {
        "name": f"{name}.{DOMAIN}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "service": {
                "name": RELEASE,
                "namespace": NAMESPACE,
                "path": "/mutate",
                "port": 443,
            }
        },
        "failurePolicy": "Ignore",
        "timeoutSeconds": 3,
        "sideEffects": "None",
        "reinvocationPolicy": "IfNeeded",
        "matchPolicy": "Equivalent",
        "rules": [
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
                    "values": [NAMESPACE, "kube-system"],
                },
            ]
        },
    } == found


def test_a_list_of_namespaces_binds_the_api_server_too(chart: Chart) -> None:
    """A namespace without a mirror must not have pods that wait for one."""
    rendered = chart.render({"namespaces": {"allowed": ["ray-jobs", "team-*"]}})
    (configuration,) = rendered.all("MutatingWebhookConfiguration")

    for entry in configuration["webhooks"]:
        (condition,) = entry["matchConditions"]
        assert condition["expression"] == (
            "request.namespace == 'ray-jobs' || request.namespace.matches('^team-.*$')"
        )


@pytest.mark.parametrize("mode", ["companion", "certManager", "provided"])
def test_only_a_provided_bundle_is_rendered(chart: Chart, mode: str) -> None:
    """Otherwise whoever issues the certificate owns the field alone."""
    rendered = chart.render(
        {
            "certificates": {
                "mode": mode,
                "certManager": {"issuerName": "ca"},
                "provided": {"secretName": "mine", "caBundle": BUNDLE},
            }
        }
    )
    (configuration,) = rendered.all("MutatingWebhookConfiguration")
    bundles = {one["clientConfig"].get("caBundle") for one in configuration["webhooks"]}
    injected = "cert-manager.io/inject-ca-from" in configuration["metadata"].get(
        "annotations", {}
    )

    assert {BUNDLE if mode == "provided" else None} == bundles
    assert injected is (mode == "certManager")
    assert bool(rendered.all("Certificate")) is (mode == "certManager")
    assert bool(rendered.all("Secret")) is (mode == "companion")


@pytest.mark.parametrize(
    ("chosen", "issuer"),
    [
        ({}, ("cert-manager.io", "Issuer")),
        ({"issuerKind": "ClusterIssuer"}, ("cert-manager.io", "ClusterIssuer")),
        (
            {
                "issuerKind": "AWSPCAClusterIssuer",
                "issuerGroup": "awspca.cert-manager.io",
            },
            ("awspca.cert-manager.io", "AWSPCAClusterIssuer"),
        ),
    ],
    ids=["namespaced", "clusters", "external"],
)
def test_a_certificate_may_be_any_issuers(
    chart: Chart, chosen: dict[str, str], issuer: tuple[str, str]
) -> None:
    """Companies have issuers of their own, by API groups of their own."""
    certificates = {
        "mode": "certManager",
        "certManager": {"issuerName": "corporate", **chosen},
    }
    (certificate,) = chart.render({"certificates": certificates}).all("Certificate")
    group, kind = issuer

    assert certificate["spec"]["issuerRef"] == {
        "group": group,
        "kind": kind,
        "name": "corporate",
    }
