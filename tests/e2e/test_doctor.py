"""Doctor on a real node: through kubelets, from inside of pods, by a Job."""

import json
from typing import Any

from click.testing import CliRunner

from tests.e2e.installation import API_KEY, Installation, await_pod
from tests.e2e.taskpods import create, worker
from tests.e2e.tracking import TrackingServer
from tests.lab import task_image
from webhook.cli.main import cli
from webhook.doctor.registry import PROBE

CODES = {check.code for group in PROBE.values() for check in group}


def examined(installation: Installation, namespace: str) -> list[dict[str, Any]]:
    """What doctor says of a namespace, probe included; it never says a value."""
    kubeconfig = str(installation.node.plane.kubeconfig)
    result = CliRunner().invoke(
        cli,
        [
            "doctor",
            "--kubeconfig",
            kubeconfig,
            "-n",
            namespace,
            "--probe",
            "-o",
            "json",
        ],
    )
    assert API_KEY not in result.output
    (cluster,) = json.loads(result.stdout)["clusters"]
    checks: list[dict[str, Any]] = cluster["checks"]
    return checks


def probed(checks: list[dict[str, Any]]) -> dict[str, str]:
    """What each check of the probe came to."""
    return {one["code"]: one["outcome"] for one in checks if one["code"] in CODES}


def failures(checks: list[dict[str, Any]]) -> list[str]:
    """The codes of what failed."""
    return [one["code"] for one in checks if one["outcome"] == "failure"]


def test_the_way_is_gone_in_a_task_pod(
    installation: Installation, tracking: TrackingServer
) -> None:
    """By its own Python, with the keys that it has."""
    namespace = installation.compute_namespace("probed")
    pod = worker("worker")
    pod["spec"]["containers"][0]["image"] = task_image.NAME
    create(installation.node, namespace, pod)
    await_pod(installation.node, namespace, "worker")
    checks = examined(installation, namespace)

    assert failures(checks) == []
    assert probed(checks)["EnvironmentMissing"] == "ok"
    assert probed(checks)["CredentialRefused"] == "ok"


def test_a_job_goes_the_way_where_no_task_runs(
    installation: Installation, tracking: TrackingServer
) -> None:
    """In a namespace that enforces `restricted`; nothing of it stays."""
    namespace = installation.compute_namespace("empty")
    admin = installation.node.plane.admin
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    admin.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": label}})
    checks = examined(installation, namespace)

    assert failures(checks) == []
    assert probed(checks)["CredentialRefused"] == "ok"
    assert admin.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"] == []


def test_what_replicas_serve_is_seen_by_a_forwarded_port(
    installation: Installation,
) -> None:
    """From outside of the cluster, where pods have no address."""
    namespace = installation.compute_namespace("seen")
    checks = {one["code"]: one for one in examined(installation, namespace)}

    assert checks["CaBundleMismatch"]["outcome"] == "ok"
    assert checks["LeafExpired"]["outcome"] == "ok"
