"""How every pod is hardened, probed and kept available."""

from pathlib import Path

from tests.chart.rendering import Chart, Rendered


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


def test_a_large_user_id_is_written_in_full(chart: Chart, tmp_path: Path) -> None:
    """Helm reads a file's numbers as floats; OpenShift's ids begin at 1000000000."""
    values = tmp_path / "values.yaml"
    values.write_text("pods: {userId: 1000680000}\n", "utf-8")
    contexts = [
        pod["spec"]["securityContext"] for pod in chart.render(files=[values]).pods()
    ]

    assert {1000680000} == {
        context[field]
        for context in contexts
        for field in ("runAsUser", "runAsGroup", "fsGroup")
    }
    assert all(isinstance(context["runAsUser"], int) for context in contexts)


def test_pods_of_hooks_and_tests_run_where_the_companion_runs(chart: Chart) -> None:
    """Else an uninstall waits for a node; but nothing keeps them from its replicas."""
    taint = {"key": "dedicated", "operator": "Exists"}
    arch = {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
    terms = [{"matchExpressions": [arch]}]
    by_node = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
    }
    by_host = [{"topologyKey": "kubernetes.io/hostname"}]
    apart = {
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": by_host}
    }
    rendered = chart.render(
        {
            "companion": {
                "nodeSelector": {"pool": "infra"},
                "tolerations": [taint],
                "affinity": {"nodeAffinity": by_node, **apart},
            },
            "tests": {"namespace": "ray-jobs"},
        }
    )
    pods = [one["spec"] for one in rendered.all("Pod")]
    pods += [one["spec"]["template"]["spec"] for one in rendered.all("Job")]

    assert 3 == len(pods)
    for pod in pods:
        assert {"pool": "infra"} == pod["nodeSelector"]
        assert [taint] == pod["tolerations"]
        assert {"nodeAffinity": by_node} == pod["affinity"]


def test_what_is_given_as_null_is_not_there(chart: Chart) -> None:
    """Helm takes such a value out, so that templates find nothing in its place."""
    optional = ("affinity", "nodeSelector", "podLabels", "tolerations", "extraEnv")
    nothing = dict.fromkeys(optional)
    rendered = chart.render({"companion": nothing, "webhook": nothing})

    assert rendered.manifests == chart.render().manifests


def test_the_clean_up_has_what_the_companion_was_given(chart: Chart) -> None:
    """Such as the address of an API server that no Service leads to."""
    own = {
        "extraEnv": [{"name": "KUBERNETES_SERVICE_HOST", "value": "203.0.113.5"}],
        "extraVolumes": [{"name": "extra", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    }
    rendered = chart.render({"companion": own})
    (job,) = rendered.all("Job")
    hook, companion = (
        one["spec"]["template"]["spec"]
        for one in (job, rendered.deployment("companion"))
    )

    assert companion["volumes"] == hook["volumes"]
    for field in ("env", "volumeMounts"):
        assert companion["containers"][0][field] == hook["containers"][0][field]
