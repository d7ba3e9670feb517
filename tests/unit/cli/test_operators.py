"""The pods that we say an operator would create are those that it did create."""

import json
from pathlib import Path
from typing import Any

import pytest

from webhook.cli.manifests import read
from webhook.cli.operators import OPERATORS
from webhook.cli.pods import PodInManifest, subjects
from webhook.injection.decision import decide
from webhook.injection.names import CONTAINERS_ANNOTATION, INJECT_ENABLED, INJECT_LABEL
from webhook.injection.policy import InjectionPolicy
from webhook.injection.review import parse
from webhook.samples import reviews

NONE: tuple[str, ...] = ()
DATA = Path(__file__).parents[2] / "data" / "cli"
RAY_FILE = DATA / "explain-ray-cluster" / "ray-cluster.yaml"
SPARK_FILE = DATA / "explain-spark-application" / "spark.yaml"


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
        (RAY_FILE, 0, "ray-head-michelangelo"),
        (SPARK_FILE, 0, "spark-driver-operator-after-its-webhook"),
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

    assert environment(real) == environment(expected(RAY_FILE)[1].pod)


@pytest.mark.parametrize(
    ("file", "index", "name"),
    [
        (RAY_FILE, 0, "ray-head-michelangelo"),
        (RAY_FILE, 1, "ray-worker-michelangelo"),
        (SPARK_FILE, 0, "spark-driver-operator-after-its-webhook"),
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
    "SparkCluster": {},
}
RAY = {
    "head": ("a",),
    "worker of group small": ("a",),
    "worker of group large": ("a",),
}
SUBMITTED = {**RAY, "submitter": NONE}
SPARK = {
    "driver": ("spark-kubernetes-driver",),
    "executor": ("spark-kubernetes-executor",),
}
INJECTED = {
    "RayCluster": RAY,
    "RayJob": SUBMITTED,
    "RayCronJob": SUBMITTED,
    "RayService": RAY,
    "SparkApplication": SPARK,
    "ScheduledSparkApplication": SPARK,
    "SparkConnect": {"server": NONE, "executor": SPARK["executor"]},
    "SparkCluster": {"master": NONE, "worker": NONE},
}
"""By kind: its pods, and the containers of each that get the keys."""


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

    assert found == INJECTED[kind]


def test_apaches_pods_have_their_templates(tmp_path: Path) -> None:
    """And the variables of the configuration, as Spark writes them."""
    file = tmp_path / "application.yaml"
    file.write_text(
        "{apiVersion: spark.apache.org/v1, kind: SparkApplication, "
        "metadata: {name: x}, spec: {driverSpec: {podTemplateSpec: {metadata: "
        "{labels: {team: a}}, spec: {containers: [{name: spark-kubernetes-driver, "
        "envFrom: [{configMapRef: {name: c}}]}, {name: side}]}}}, sparkConf: "
        "{spark.kubernetes.driverEnv.A: a, spark.executorEnv.B: b}}}"
    )

    driver, executor = expected(file)

    (_, _, side), (name, variables, sources) = environment(driver.pod)
    assert (side, name) == (None, "spark-kubernetes-driver")
    assert "A" in variables
    assert sources == [{"configMapRef": {"name": "c"}}]
    assert "B" in environment(executor.pod)[0][1]
    assert driver.pod["metadata"]["labels"] == {
        "team": "a",
        "spark-app-name": "x",
        "spark.operator/spark-app-name": "x",
        "spark-role": "driver",
    }


def test_a_worker_of_apaches_cluster_may_opt_in(tmp_path: Path) -> None:
    """Its template says so, and which container; the master stays as it is."""
    template = {
        "metadata": {
            "labels": {INJECT_LABEL: INJECT_ENABLED},
            "annotations": {CONTAINERS_ANNOTATION: "worker"},
        },
        "spec": {
            "containers": [{"name": "side"}, {"name": "worker", "env": [{"name": "A"}]}]
        },
    }
    resource = {
        "apiVersion": "spark.apache.org/v1",
        "kind": "SparkCluster",
        "metadata": {"name": "x"},
        "spec": {"workerSpec": {"statefulSetSpec": {"template": template}}},
    }
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(resource))

    found = {
        subject.title: decide(subject.review, InjectionPolicy()).containers
        for subject in expected(file)
    }

    assert found == {
        "SparkCluster x, master": (),
        "SparkCluster x, worker": ("worker",),
    }
    assert environment(expected(file)[1].pod)[1][1] == ["A", "SPARK_WORKER_OPTS"]


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
