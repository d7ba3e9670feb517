"""Each platform preset, by what it renders."""

from typing import Any

import yaml

from tests.chart.rendering import CHART, PRESETS, RELEASE, Chart, Rendered


def preset(chart: Chart, name: str) -> Rendered:
    """The chart with one preset."""
    return chart.render(files=[CHART / "presets" / f"{name}.yaml"])


def test_gke_private_listens_where_the_firewall_is_open(chart: Chart) -> None:
    """Port 10250, behind the same Service."""
    rendered = preset(chart, "gke-private")
    (container,) = rendered.deployment("webhook")["spec"]["template"]["spec"][
        "containers"
    ]

    assert {"name": "https", "containerPort": 10250} in container["ports"]
    assert {"name": "MTI_BIND", "value": "0.0.0.0:10250"} in container["env"]
    assert "https" == rendered.one("Service", RELEASE)["spec"]["ports"][0]["targetPort"]


def test_eks_overlay_cni_runs_in_the_nodes_network(chart: Chart) -> None:
    """And makes room for the new pod, which cannot share the old one's ports."""
    spec = preset(chart, "eks-overlay-cni").deployment("webhook")["spec"]
    pod = spec["template"]["spec"]

    assert pod["hostNetwork"] is True
    assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert {"maxSurge": 0, "maxUnavailable": 1} == spec["strategy"]["rollingUpdate"]
    assert {10260, 10261} == {
        port["containerPort"] for port in pod["containers"][0]["ports"]
    }


def test_aks_finds_its_own_selectors(chart: Chart) -> None:
    """Both requirements of its enforcer, in its order, on both entries."""
    (configuration,) = preset(chart, "aks").all("MutatingWebhookConfiguration")

    for entry in configuration["webhooks"]:
        assert [
            {
                "key": "kubernetes.azure.com/managedby",
                "operator": "NotIn",
                "values": ["aks"],
            },
            {"key": "control-plane", "operator": "NotIn", "values": ["true"]},
        ] == entry["namespaceSelector"]["matchExpressions"][2:]


def test_openshift_chooses_the_user(chart: Chart) -> None:
    """No user, group or file group of ours."""
    for pod in preset(chart, "openshift").pods():
        assert not pod["spec"]["securityContext"].keys() & {
            "runAsUser",
            "runAsGroup",
            "fsGroup",
        }


def test_no_preset_sets_more_than_its_platform_needs() -> None:
    """Presets are small enough to be combined."""
    for path in PRESETS:
        assert len(flat(yaml.safe_load(path.read_text("utf-8")))) <= 3


def flat(values: Any) -> list[Any]:
    """The leaves of nested maps."""
    if isinstance(values, dict):
        return [leaf for inner in values.values() for leaf in flat(inner)]
    return [values]
