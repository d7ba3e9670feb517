"""KubeRay and spark-operator, unmodified, as processes beside a control plane.

Each runs as the ServiceAccount and with the rights that its own manifests give it, so
a pod's creator, its labels and its admission are those of a real installation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import yaml

from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import Process, free_port, listens
from tests.lab.spark import Spark

_CONFIGURATIONS: Final = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
)
_NOT_AS_PODS: Final = frozenset({"Deployment", "Service"})


class KubeRay:
    """A running KubeRay operator."""

    NAMESPACE: Final = "ray-system"

    def __init__(self, process: Process) -> None:
        """Keep the process; `start` is what callers want."""
        self.process = process

    @classmethod
    def start(cls, plane: ControlPlane, version: str) -> Self:
        """Install its CRDs and rights and run it.

        Args:
            plane: A control plane without another KubeRay.
            version: such as `1.6`: the row `kuberay-<version>` of the tools.
        """
        name = f"kuberay-{version}"
        share = plane.toolbox.share(name, "config")
        plane.namespace(cls.NAMESPACE)
        install_crds(plane, share / "crd" / "bases")
        plane.kubectl("apply", "-f", share / "rbac" / "role.yaml")
        account = "kuberay-operator"
        plane.kubectl("create", "serviceaccount", account, "-n", cls.NAMESPACE)
        plane.kubectl(
            *("create", "clusterrolebinding", account, f"--clusterrole={account}"),
            f"--serviceaccount={cls.NAMESPACE}:{account}",
        )
        process = Process.start(
            name,
            [
                plane.toolbox.program(name),
                "--enable-leader-election=false",
                "--metrics-addr=0",
                "--health-probe-bind-address=0",
                "--reconcile-concurrency=4",
                # It has no cluster DNS, by which it would find a head's dashboard.
                "--use-kubernetes-proxy",
            ],
            log=plane.folder / f"{name}.log",
            env=plane.environ(plane.kubeconfig_for(cls.NAMESPACE, account)),
        )
        return cls(process)

    def stop(self) -> None:
        """Stop it; its CRDs stay."""
        self.process.stop(seconds=3)


class SparkOperator:
    """A running spark-operator: controller and webhook."""

    NAMESPACE: Final = "spark-operator"
    CONFIGURATION: Final = "spark-operator-webhook"

    def __init__(self, processes: list[Process]) -> None:
        """Keep the processes; `start` is what callers want."""
        self.processes = processes

    @classmethod
    def start(cls, plane: ControlPlane, spark: Spark, jobs: Sequence[str]) -> Self:
        """Install its chart, all but what would run as pods, and run that here.

        Args:
            plane: A control plane that dials Services by their cluster IP.
            spark: The Spark that the controller submits with.
            jobs: Existing namespaces for SparkApplications.
        """
        plane.namespace(cls.NAMESPACE)
        install_crds(plane, plane.toolbox.share("spark-operator", "config/crd/bases"))
        port = free_port()
        objects = cls._chart(plane, jobs, port)
        _put_service_on_loopback(plane, cls.NAMESPACE, port)
        rest = [o for o in objects if o["kind"] not in _NOT_AS_PODS]
        plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(rest))
        operator = cls([])
        try:
            for part, env in (("webhook", {}), ("controller", spark.environ)):
                operator.processes.append(cls._run(plane, objects, part, env))
            operator.processes[0].wait_until(
                lambda: listens(port) and _has_bundle(plane)
            )
        except BaseException:
            operator.stop()
            raise
        return operator

    def stop(self) -> None:
        """Stop both processes; what was installed stays."""
        for process in self.processes:
            process.stop(seconds=3)

    @classmethod
    def _chart(
        cls, plane: ControlPlane, jobs: Sequence[str], port: int
    ) -> list[Object]:
        chart = plane.toolbox.share("spark-operator", "charts/spark-operator-chart")
        rendered = plane.helm(
            *("template", "spark-operator", chart, "--namespace", cls.NAMESPACE),
            *("--set", f"spark.jobNamespaces={{{','.join(jobs)}}}"),
            *("--set", f"webhook.port={port}"),
        )
        return [o for o in yaml.safe_load_all(rendered) if o]

    @classmethod
    def _run(
        cls,
        plane: ControlPlane,
        objects: Sequence[Object],
        part: str,
        env: Mapping[str, str],
    ) -> Process:
        """Run what the chart's Deployment of that name would run."""
        name = f"spark-operator-{part}"
        pod = next(
            o["spec"]["template"]["spec"]
            for o in objects
            if o["kind"] == "Deployment" and o["metadata"]["name"] == name
        )
        certificates = plane.folder / f"{name}-certificates"
        certificates.mkdir(exist_ok=True)
        own = {
            "controller": [],
            "webhook": [f"--webhook-cert-dir={certificates}"],
        }[part]
        host, _, port = plane.server.removeprefix("https://").partition(":")
        return Process.start(
            name,
            [
                plane.toolbox.program("spark-operator"),
                *pod["containers"][0]["args"],
                *own,
                # Later flags win: no elections, and no fixed ports for its numbers.
                "--leader-election=false",
                "--metrics-bind-address=0",
                "--health-probe-bind-address=0",
            ],
            log=plane.folder / f"{name}.log",
            env={
                **plane.environ(
                    plane.kubeconfig_for(cls.NAMESPACE, pod["serviceAccountName"])
                ),
                "KUBERNETES_SERVICE_HOST": host,
                "KUBERNETES_SERVICE_PORT": port,
                **env,
            },
        )


def install_crds(plane: ControlPlane, crds: Path) -> None:
    """Install CRDs, and return once the API server serves them.

    Server-side, because KubeRay's are too large for a client-side apply.
    """
    plane.kubectl("apply", "--server-side", "-f", crds)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", crds)


def _put_service_on_loopback(plane: ControlPlane, namespace: str, port: int) -> None:
    """Make the webhook's Service one that the API server dials at `localhost`."""
    service: Object = {
        "metadata": {"name": "spark-operator-webhook-svc"},
        "spec": {
            "type": "ExternalName",
            "externalName": "localhost",
            "ports": [{"name": "webhook", "port": port}],
        },
    }
    plane.admin.create(f"/api/v1/namespaces/{namespace}/services", service)
    secret: Object = {"metadata": {"name": "spark-operator-webhook-certs"}}
    plane.admin.create(f"/api/v1/namespaces/{namespace}/secrets", secret)


def _has_bundle(plane: ControlPlane) -> bool:
    path = f"{_CONFIGURATIONS}/{SparkOperator.CONFIGURATION}"
    webhooks: list[Any] = plane.admin.get(path)["webhooks"]
    return all(webhook["clientConfig"].get("caBundle") for webhook in webhooks)
