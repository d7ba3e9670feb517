"""Which pods are task pods, and which containers run user code."""

import pytest

from tests.pods import (
    OPTED_IN,
    RAY_ENV,
    RAY_HEAD,
    RAY_WORKER,
    SPARK_DRIVER,
    SPARK_DRIVER_ENV,
    SPARK_EXECUTOR,
    SPARK_EXECUTOR_ENV,
    Container,
    container,
    pod,
)
from webhook.injection.names import CONTAINERS_ANNOTATION, INJECT_LABEL
from webhook.injection.workload import Workload, recognize, task_containers

KUBERAY_1_0_ENV = [
    {"name": "RAY_ADDRESS", "value": "127.0.0.1:6379"},
    {"name": "RAY_PORT", "value": "6379"},
]


@pytest.mark.parametrize(
    ("labels", "workload"),
    [
        pytest.param(RAY_HEAD, Workload.RAY_HEAD, id="ray head"),
        pytest.param(RAY_WORKER, Workload.RAY_WORKER, id="ray worker"),
        pytest.param(
            {**RAY_WORKER, "ray.io/serve": "true"}, Workload.RAY_WORKER, id="ray serve"
        ),
        pytest.param(SPARK_DRIVER, Workload.SPARK_DRIVER, id="spark driver"),
        pytest.param(SPARK_EXECUTOR, Workload.SPARK_EXECUTOR, id="spark executor"),
        pytest.param(
            {**SPARK_EXECUTOR, "sparkoperator.k8s.io/connect-name": "c"},
            Workload.SPARK_EXECUTOR,
            id="spark connect executor",
        ),
        pytest.param(
            {**SPARK_DRIVER, "spark.operator/name": "app"},
            Workload.SPARK_DRIVER,
            id="apache operator driver",
        ),
        pytest.param(OPTED_IN, Workload.OPTED_IN, id="opted in"),
        pytest.param({**OPTED_IN, **RAY_HEAD}, Workload.RAY_HEAD, id="ray, opted in"),
        pytest.param({INJECT_LABEL: "true"}, None, id="another value"),
        pytest.param({"ray.io/node-type": "redis-cleanup"}, None, id="redis clean-up"),
        pytest.param(
            {"ray.io/originated-from-crd": "RayJob"}, None, id="submitter, 1.7"
        ),
        pytest.param({"batch.kubernetes.io/job-name": "j"}, None, id="submitter, 1.6"),
        pytest.param({"spark-role": "connect-server"}, None, id="connect server"),
        pytest.param({"spark-role": "master"}, None, id="standalone master"),
        pytest.param({"spark-role": "worker"}, None, id="standalone worker"),
        pytest.param({"ray.io/is-ray-node": "yes"}, None, id="no node type"),
        pytest.param({}, None, id="no labels"),
        pytest.param(None, None, id="null labels"),
    ],
)
def test_labels_tell_the_workload(
    labels: dict[str, str] | None, workload: Workload | None
) -> None:
    """Only five values of three labels make a task pod."""
    assert workload == recognize(pod(labels, container("c")))


@pytest.mark.parametrize(
    ("workload", "containers", "found"),
    [
        pytest.param(
            Workload.RAY_HEAD,
            [container("anything", env=RAY_ENV), container("autoscaler")],
            (0,),
            id="kuberay's signature, whatever the name",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("istio-proxy"), container("mine", env=RAY_ENV)],
            (1,),
            id="a mesh in front",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("head"), container("mine", env=RAY_ENV)],
            (1,),
            id="the signature beats a name",
        ),
        pytest.param(
            Workload.RAY_WORKER,
            [container("mine", env=KUBERAY_1_0_ENV), container("log")],
            (0,),
            id="kuberay 1.0",
        ),
        pytest.param(
            Workload.RAY_WORKER,
            [container("log", env=KUBERAY_1_0_ENV), container("mine", env=RAY_ENV)],
            (1,),
            id="the newer signature beats the older",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("log"), container("worker")],
            (1,),
            id="a name, even of the other node type",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("mine"), container("log")],
            (0,),
            id="the first, as kuberay has it",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("istio-proxy"), container("mine")],
            (1,),
            id="the first behind a mesh",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("ray-job-submitter", env=RAY_ENV), container("autoscaler")],
            (),
            id="never a sidecar of kuberay's",
        ),
        pytest.param(
            Workload.RAY_WORKER,
            [container("collector"), container("mine")],
            (1,),
            id="never michelangelo's collector",
        ),
        pytest.param(
            Workload.RAY_HEAD,
            [container("a", env=RAY_ENV), container("b", env=RAY_ENV)],
            (0, 1),
            id="every container with the signature",
        ),
        pytest.param(Workload.RAY_HEAD, [], (), id="no containers"),
        pytest.param(
            Workload.SPARK_DRIVER,
            [container("sidecar"), container("main", env=SPARK_DRIVER_ENV)],
            (1,),
            id="a template renamed the driver",
        ),
        pytest.param(
            Workload.SPARK_DRIVER,
            [container("sidecar", env=None), container("spark-kubernetes-driver")],
            (1,),
            id="the driver's name",
        ),
        pytest.param(
            Workload.SPARK_EXECUTOR,
            [container("second"), container("first", env=SPARK_EXECUTOR_ENV)],
            (1,),
            id="a template moved the executor",
        ),
        pytest.param(
            Workload.SPARK_EXECUTOR, [container("executor")], (0,), id="spark 2"
        ),
        pytest.param(
            Workload.SPARK_EXECUTOR,
            [container("main"), container("log")],
            (),
            id="never by position for spark",
        ),
        pytest.param(
            Workload.SPARK_DRIVER,
            [container("main", env=SPARK_EXECUTOR_ENV)],
            (),
            id="an executor's signature is no driver's",
        ),
    ],
)
def test_task_containers_are_found(
    workload: Workload, containers: list[Container], found: tuple[int, ...]
) -> None:
    """By environment, then by name, then by position, but for Spark."""
    assert found == task_containers(pod({}, *containers), workload)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param(None, (1,), id="the first behind a mesh"),
        pytest.param({CONTAINERS_ANNOTATION: "train"}, (2,), id="one by name"),
        pytest.param({CONTAINERS_ANNOTATION: "notebook, train"}, (1, 2), id="two"),
        pytest.param(
            {CONTAINERS_ANNOTATION: "train,gone"}, (2,), id="one is not there"
        ),
        pytest.param({CONTAINERS_ANNOTATION: "gone"}, (), id="none is there"),
        pytest.param({CONTAINERS_ANNOTATION: ""}, (), id="empty"),
        pytest.param({CONTAINERS_ANNOTATION: "istio-proxy"}, (0,), id="whatever it is"),
    ],
)
def test_a_pod_that_opts_in_says_which_containers(
    annotations: dict[str, str] | None, expected: tuple[int, ...]
) -> None:
    """By name; its first one where it does not say."""
    containers = map(container, ("istio-proxy", "notebook", "train"))
    made = pod(OPTED_IN, *containers, annotations=annotations)

    assert task_containers(made, Workload.OPTED_IN) == expected


def test_the_annotation_is_of_no_use_to_rays_and_sparks_pods() -> None:
    """Their operators say which container runs the task."""
    annotations = {CONTAINERS_ANNOTATION: "other"}
    task = container("task", env=RAY_ENV)
    made = pod(RAY_HEAD, container("other"), task, annotations=annotations)

    assert task_containers(made, Workload.RAY_HEAD) == (1,)
