"""How every pod is hardened, probed and kept available."""

from tests.chart.rendering import Rendered


def test_every_pod_is_restricted(rendered: Rendered) -> None:
    """Pod Security Standard *restricted*, and more; the node's network by name only."""
    for pod in rendered.pods():
        spec = pod["spec"]
        context = spec["securityContext"]
        (container,) = spec["containers"]
        own = container["securityContext"]

        assert context["runAsNonRoot"] is True
        assert {"type": "RuntimeDefault"} == context["seccompProfile"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert {"drop": ["ALL"]} == own["capabilities"]
        assert spec["enableServiceLinks"] is False
        assert not {"hostPID", "hostIPC"} & spec.keys()
        assert all(
            volume.keys() & {"secret", "emptyDir"} for volume in spec.get("volumes", [])
        )


def test_the_serving_pod_has_no_credential(serving: Rendered) -> None:
    """No token, and no right that its account could use elsewhere."""
    deployment = serving.deployment("webhook")
    spec = deployment["spec"]["template"]["spec"]
    name = spec["serviceAccountName"]
    subjects = {
        subject["name"]
        for one in serving.all("ClusterRoleBinding") + serving.all("RoleBinding")
        for subject in one["subjects"]
    }

    assert spec["automountServiceAccountToken"] is False
    assert name not in subjects
    assert all(
        one["automountServiceAccountToken"] is False
        for one in serving.all("ServiceAccount")
    )


def test_both_processes_are_kept_available(default: Rendered) -> None:
    """Two replicas, spread, probed, budgeted, and replaced one by one."""
    for one in default.all("Deployment"):
        spec, pod = one["spec"], one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        spread = {each["topologyKey"] for each in pod["topologySpreadConstraints"]}

        assert spec["replicas"] == 2
        assert {"maxSurge": 1, "maxUnavailable": 0} == spec["strategy"]["rollingUpdate"]
        assert {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} == spread
        assert {"readinessProbe", "livenessProbe", "resources"} <= container.keys()
    assert default.names("Deployment") == default.names("PodDisruptionBudget")


def test_readiness_is_asked_over_the_very_port_that_serves(default: Rendered) -> None:
    """A replica without a valid certificate gets no calls."""
    (container,) = default.deployment("webhook")["spec"]["template"]["spec"][
        "containers"
    ]

    probe = container["readinessProbe"]["httpGet"]
    assert ("HTTPS", "https") == (probe["scheme"], probe["port"])
    assert container["livenessProbe"]["httpGet"]["port"] == "metrics"


def test_only_the_pair_is_mounted(serving: Rendered) -> None:
    """Not the state of the rotation, and not optional."""
    volumes = serving.deployment("webhook")["spec"]["template"]["spec"]["volumes"]
    (secret,) = [one["secret"] for one in volumes if "secret" in one]

    assert ["tls.crt", "tls.key"] == [item["key"] for item in secret["items"]]
    assert "optional" not in secret
    assert not secret["secretName"].endswith("state")


def test_the_nodes_network_is_only_entered_by_name(default: Rendered) -> None:
    """PSS *restricted* forbids it, so it takes a value."""
    assert not any("hostNetwork" in pod["spec"] for pod in default.pods())
