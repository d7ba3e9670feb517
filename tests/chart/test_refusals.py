"""Combinations that cannot work are refused in a sentence that names the values."""

from typing import Any

import pytest

from tests.chart.rendering import Chart, RefusedError

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "two-defaults": (
        {
            "tracking": {
                "uri": "https://a.example",
                "profiles": {"default": [{"secret": "a"}]},
            }
        },
        "tracking.profiles.default and tracking.uri",
    ),
    "credential-in-the-uri": (
        {"tracking": {"uri": "https://user:word@tracker.example"}},
        "tracking.uri holds a credential",
    ),
    "source-without-object": (
        {"tracking": {"profiles": {"research": [{"prefix": "A_"}]}}},
        "tracking.profiles.research: a source names either",
    ),
    "source-with-two-objects": (
        {"tracking": {"profiles": {"research": [{"secret": "a", "configMap": "b"}]}}},
        "tracking.profiles.research: a source names either",
    ),
    "source-with-two-objects-beside-a-preset": (
        {
            "tracking": {
                "profiles": {
                    "research": {
                        "sources": [{"secret": "a", "configMap": "b"}],
                        "preset": "comet",
                    }
                }
            }
        },
        "tracking.profiles.research: a source names either",
    ),
    "two-cas": (
        {"tracking": {"caBundle": {"existingConfigMap": "a", "existingSecret": "b"}}},
        "tracking.caBundle.pem, .* each say where the CA lies",
    ),
    "ca-that-is-none": (
        {"tracking": {"caBundle": {"pem": "MIIB"}}},
        "tracking.caBundle.pem holds no certificate",
    ),
    "ca-with-a-key": (
        {
            "tracking": {
                "caBundle": {
                    "pem": "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"
                }
            }
        },
        "tracking.caBundle.pem holds a private key",
    ),
    "preset-of-nothing": (
        {"tracking": {"preset": "mlflow"}},
        "tracking.preset and tracking.aliases complete what",
    ),
    "listed-without-list": (
        {"rbac": {"mode": "listedNamespaces"}},
        "rbac.mode is listedNamespaces",
    ),
    "listed-with-pattern": (
        {
            "rbac": {"mode": "listedNamespaces"},
            "namespaces": {"allowed": ["team-a", "team-*"]},
        },
        'namespaces.allowed has the pattern "team-\\*"',
    ),
    "allowed-and-excluded": (
        {"namespaces": {"allowed": ["kube-system"]}},
        'namespaces.allowed has "kube-system"',
    ),
    "allowed-own-namespace": (
        {"namespaces": {"allowed": ["ml-tracking"]}},
        'namespaces.allowed has "ml-tracking"',
    ),
    "nobody-injects": (
        {"webhook": {"replicas": 0}, "injection": {"inTree": False}},
        "webhook.replicas is 0, and injection.inTree installs no policy here",
    ),
    "margin-longer-than-life": (
        {"certificates": {"companion": {"days": 30, "renewDays": 45}}},
        "certificates.companion.renewDays is 45 and certificates.companion.days is 30",
    ),
    "rotation-longer-than-margin": (
        {"certificates": {"companion": {"renewDays": 1, "bundleSeconds": 86400}}},
        "a rotation takes 87900 seconds by .*renewDays is 1:",
    ),
    "cert-manager-without-issuer": (
        {"certificates": {"mode": "certManager"}},
        "certificates.certManager.issuerName",
    ),
    "provided-without-bundle": (
        {"certificates": {"mode": "provided", "provided": {"secretName": "a"}}},
        "certificates.provided.caBundle",
    ),
    "bundle-of-bundles": (
        {"certificates": {"provided": {"caBundle": "TFMwdExTMUNSVWRKVGc9PQ=="}}},
        "certificates.provided.caBundle is not base64 of a PEM file",
    ),
    "test-where-nothing-is-injected": (
        {"tests": {"namespace": "ml-tracking"}},
        'tests.namespace is "ml-tracking", which is never injected',
    ),
    "isolate-without-baseline": (
        {"egress": {"mode": "isolate"}},
        "egress.baseline does not say peers",
    ),
    "isolate-with-half-a-baseline": (
        {
            "egress": {
                "mode": "isolate",
                "baseline": {"peers": "none", "apiServer": [], "michelangelo": []},
            }
        },
        "egress.baseline does not say storage",
    ),
    "one-port-twice": (
        {"webhook": {"port": 8080}},
        "webhook.port and webhook.healthPort are both 8080",
    ),
    "the-kubelets-port": (
        {"webhook": {"hostNetwork": True, "port": 10250}},
        "that port is the kubelet's",
    ),
    "the-kubelets-port-for-health": (
        {"webhook": {"hostNetwork": True, "healthPort": 10250}},
        "webhook.healthPort is 10250 and",
    ),
    "policy-for-the-node": (
        {"webhook": {"hostNetwork": True}, "networkPolicy": {"enabled": True}},
        "networkPolicy.enabled has no effect",
    ),
    "label-of-the-chart": (
        {"commonLabels": {"app.kubernetes.io/name": "other"}},
        "commonLabels has app.kubernetes.io/name, by which",
    ),
    "label-that-selects": (
        {"webhook": {"podLabels": {"app.kubernetes.io/component": "other"}}},
        "webhook.podLabels has app.kubernetes.io/component, by which",
    ),
    "label-of-the-chart-for-prometheus": (
        {"metrics": {"prometheusRule": {"labels": {"helm.sh/chart": "other"}}}},
        "metrics.prometheusRule.labels has helm.sh/chart, by which",
    ),
    "setting-as-a-variable": (
        {"companion": {"extraEnv": [{"name": "MTI_AUDIT", "value": "off"}]}},
        "companion.extraEnv has MTI_AUDIT, which the chart sets",
    ),
    "label-of-the-companions": (
        {"commonLabels": {"tracking.michelangelo-ai.org/content": "mine"}},
        "commonLabels has tracking.michelangelo-ai.org/content, by which",
    ),
    "variable-twice": (
        {"webhook": {"extraEnv": [{"name": "TZ", "value": "a"}, {"name": "TZ"}]}},
        "webhook.extraEnv has TZ twice",
    ),
    "variable-from-two-places": (
        {
            "companion": {
                "extraEnv": [
                    {
                        "name": "TZ",
                        "value": "a",
                        "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                    }
                ]
            }
        },
        "companion.extraEnv gives TZ both a value and a valueFrom",
    ),
    "volume-of-the-chart": (
        {"webhook": {"extraVolumes": [{"name": "tls", "emptyDir": {}}]}},
        "webhook.extraVolumes has tls twice, or the chart has",
    ),
    "volume-twice": (
        {"companion": {"extraVolumes": [{"name": "a"}, {"name": "a"}]}},
        "companion.extraVolumes has a twice",
    ),
    "mount-of-no-volume": (
        {"companion": {"extraVolumeMounts": [{"name": "tls", "mountPath": "/tls"}]}},
        "companion.extraVolumeMounts mounts tls, which companion.extraVolumes",
    ),
    "mount-over-the-charts": (
        {
            "webhook": {
                "extraVolumeMounts": [
                    {"name": "scratch", "mountPath": "/etc/tracking-injector/tls/"}
                ]
            }
        },
        "webhook.extraVolumeMounts has /etc/tracking-injector/tls/ twice, or",
    ),
    "strategy-of-two-types": (
        {
            "webhook": {
                "strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}
            }
        },
        "webhook.strategy is Recreate and has rollingUpdate",
    ),
    "expression-without-values": (
        {"webhook": {"extraNamespaceExpressions": [{"key": "a", "operator": "In"}]}},
        "webhook.extraNamespaceExpressions has In for a, where In and NotIn need",
    ),
    "expression-with-values": (
        {
            "webhook": {
                "extraNamespaceExpressions": [
                    {"key": "a", "operator": "Exists", "values": ["b"]}
                ]
            }
        },
        "webhook.extraNamespaceExpressions has Exists for a",
    ),
    "latest": ({"image": {"tag": "latest"}}, "image.tag is latest"),
    "long-name": (
        {"fullnameOverride": "a" * 41},
        "more than 40 characters",
    ),
    "name-of-no-service": (
        {"fullnameOverride": "1st"},
        'no Service can be named "1st"',
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_impossible_combination_is_refused_in_words(chart: Chart, case: str) -> None:
    """Helm's error carries the sentence."""
    values, sentence = REFUSALS[case]

    with pytest.raises(RefusedError, match=sentence):
        chart.render(values)


def test_a_release_whose_name_no_service_can_have_is_refused(chart: Chart) -> None:
    """Before anything is made; Helm takes dots and the API server does not."""
    with pytest.raises(RefusedError, match=r'named "my\.release", .* fullnameOverride'):
        chart.render(release="my.release")

    assert chart.render({"fullnameOverride": "mine"}, release="my.release").manifests


def test_a_cluster_too_old_is_refused(chart: Chart) -> None:
    """ValidatingAdmissionPolicy v1 does not exist there."""
    with pytest.raises(RefusedError, match="kubeVersion"):
        chart.render(kubernetes="1.29.0")


def test_a_digest_decides_whatever_the_tag_says(chart: Chart) -> None:
    """So `latest` beside it names nothing."""
    digest = f"sha256:{'0' * 64}"
    rendered = chart.render({"image": {"tag": "latest", "digest": digest}})
    (container,) = rendered.pods()[0]["spec"]["containers"]

    assert container["image"].endswith(f"@{digest}")
