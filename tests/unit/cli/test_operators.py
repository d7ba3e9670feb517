"""The pods that we say an operator would create are those that it did create."""

from pathlib import Path
from typing import Any

import pytest

from webhook.cli.manifests import read
from webhook.cli.operators import OPERATORS
from webhook.cli.pods import PodInManifest, subjects
from webhook.injection.decision import decide
from webhook.injection.policy import InjectionPolicy
from webhook.injection.review import parse
from webhook.samples import reviews

DATA = Path(__file__).parents[2] / "data" / "cli"
RAY = DATA / "explain-ray-cluster" / "ray-cluster.yaml"
SPARK = DATA / "explain-spark-application" / "spark.yaml"


def expected(file: Path) -> list[PodInManifest]:
    """The pods that the file's first document leads to."""
    with file.open("rb") as manifest:
        return list(subjects(read(manifest)[0], "default"))


def environment(pod: dict[str, Any]) -> list[tuple[str, list[str], Any]]:
    """Of each container: its name, the names of its variables, and its sources."""
    return [
        (
            container["name"],
            [entry["name"] for entry in container.get("env") or ()],
            container.get("envFrom"),
        )
        for container in pod["spec"]["containers"]
    ]


@pytest.mark.parametrize(
    ("file", "index", "name"),
    [
        (RAY, 0, "ray-head-michelangelo"),
        (SPARK, 0, "spark-driver-operator-after-its-webhook"),
    ],
)
def test_an_expected_pod_has_the_real_ones_environment(
    file: Path, index: int, name: str
) -> None:
    """Containers, variables and sources, in the order in which they stand."""
    real = parse(reviews()[name]).pod

    assert environment(real) == environment(expected(file)[index].pod)


def test_an_expected_worker_has_the_real_ones_variables() -> None:
    """KubeRay appends two more to a worker's."""
    real = parse(reviews()["ray-worker-michelangelo"]).pod

    assert environment(real) == environment(expected(RAY)[1].pod)


@pytest.mark.parametrize(
    ("file", "index", "name"),
    [
        (RAY, 0, "ray-head-michelangelo"),
        (RAY, 1, "ray-worker-michelangelo"),
        (SPARK, 0, "spark-driver-operator-after-its-webhook"),
    ],
)
def test_an_expected_pods_labels_are_among_the_real_ones(
    file: Path, index: int, name: str
) -> None:
    """Those that decide, and no invented one."""
    real = parse(reviews()[name]).pod["metadata"]["labels"]

    assert expected(file)[index].pod["metadata"]["labels"].items() <= real.items()


TEMPLATE = {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
CLUSTER = {
    "headGroupSpec": {"template": TEMPLATE},
    "workerGroupSpecs": [
        {"groupName": "small", "template": TEMPLATE},
        {"groupName": "large", "template": TEMPLATE},
    ],
}
SPECS = {
    "RayCluster": CLUSTER,
    "RayJob": {"rayClusterSpec": CLUSTER},
    "RayCronJob": {"jobTemplate": {"rayClusterSpec": CLUSTER}},
    "RayService": {"rayClusterConfig": CLUSTER},
    "SparkApplication": {},
    "ScheduledSparkApplication": {"template": {}},
    "SparkConnect": {"server": {"cores": 1}, "executor": {"instances": 1}},
}


@pytest.mark.parametrize(("group", "kind"), OPERATORS)
def test_each_operators_kind_leads_to_its_pods(
    tmp_path: Path, group: str, kind: str
) -> None:
    """Every task pod of theirs would be injected, and no submitter."""
    file = tmp_path / "resource.json"
    resource = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": SPECS[kind],
    }
    file.write_text(str(resource).replace("'", '"'))

    found = {
        subject.title.partition(", ")[2]: decide(
            subject.review, InjectionPolicy()
        ).containers
        for subject in expected(file)
    }

    ray = {
        "head": ("a",),
        "worker of group small": ("a",),
        "worker of group large": ("a",),
    }
    spark: dict[str, tuple[str, ...]] = {
        "driver": ("spark-kubernetes-driver",),
        "executor": ("spark-kubernetes-executor",),
    }
    submitter: dict[str, tuple[str, ...]] = (
        {"submitter": ()} if kind in ("RayJob", "RayCronJob") else {}
    )
    if kind == "SparkConnect":
        spark["server"] = ()
        del spark["driver"]
    assert (ray if group == "ray.io" else spark) | submitter == found


@pytest.mark.parametrize("mode", ["HTTPMode", "InteractiveMode", "SidecarMode"])
def test_only_one_mode_has_a_submitter_of_its_own(tmp_path: Path, mode: str) -> None:
    """In the others, the cluster's pods are all there is."""
    file = tmp_path / "job.yaml"
    file.write_text(
        "{apiVersion: ray.io/v1, kind: RayJob, metadata: {name: x}, spec: "
        f"{{submissionMode: {mode}, clusterSelector: {{a: b}}}}}}"
    )

    assert [] == expected(file)


def test_a_pod_template_of_spark_may_rename_its_container(tmp_path: Path) -> None:
    """Without the known name, Spark takes the first and puts it last."""
    file = tmp_path / "application.yaml"
    file.write_text(
        "{apiVersion: sparkoperator.k8s.io/v1beta2, kind: SparkApplication, "
        "metadata: {name: x}, spec: {driver: {template: {spec: {containers: "
        "[{name: main, env: [{name: A}]}, {name: side}]}}, envVars: {B: b}, "
        "envSecretKeyRefs: {C: {name: s, key: k}}}, sparkConf: "
        "{spark.kubernetes.driverEnv.D: d, "
        "spark.kubernetes.driver.secretKeyRef.E: 's:k'}}}"
    )

    driver = expected(file)[0]

    names = [name for name, _, _ in environment(driver.pod)]
    variables = environment(driver.pod)[1][1]
    assert (["side", "main"], ("main",)) == (
        names,
        decide(driver.review, InjectionPolicy()).containers,
    )
    assert {"A", "B", "C", "D", "E"} <= set(variables)
