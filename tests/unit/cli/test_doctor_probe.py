"""Where the probe runs, what it needs there, and what is said where it cannot run."""

import json
from typing import Any, Final
from unittest.mock import patch

import pytest

from tests.fakes.installation import HOME, NOW, FakeInstallation
from tests.unit.companion.observation.test_troubles import found
from webhook.cli.doctor_cluster import InstallationReader
from webhook.cli.doctor_examine import Examiner
from webhook.cli.doctor_probe import SCRIPT, Prober
from webhook.cluster.errors import Forbidden, Unavailable
from webhook.cluster.interface import Json, ListOptions
from webhook.cluster.resources import JOB, POD, SERVICE, ResourceType
from webhook.companion.observation.unknown import Unknown
from webhook.doctor.facts import NamespaceFacts
from webhook.doctor.probe import PROBE_LABELS, ProbeFacts, probe_container
from webhook.injection.names import INJECTED_LABEL, INJECTED_TRUE

IN_ORDER: Final = {"environment": "", "uri": "", "dns": "", "tcp": "", "http": ""}
SAID: Final = json.dumps(IN_ORDER | {"auth": "CredentialRefused"})
CANARY: Final = "canary-value-of-a-key"


class Pods:
    """Reaches into pods as a node would, as far as it is told how."""

    def __init__(self) -> None:
        """Run nothing until told."""
        self.printed: str | Exception = "python3: not found"
        self.asked: list[str] = []

    def run(
        self,
        pod: tuple[str, str],
        container: str,
        command: tuple[str, ...],
        *,
        given: str,
        seconds: float,
    ) -> str:
        """Print, or fail."""
        assert (command[0], given, seconds) == ("python3", SCRIPT, 60.0)
        assert SCRIPT not in command, "it would be a part of a URL"
        self.asked.append(f"{'/'.join(pod)}:{container}")
        if isinstance(self.printed, Exception):
            raise self.printed
        return self.printed


@pytest.fixture(name="site")
def _site() -> FakeInstallation:
    return FakeInstallation()


@pytest.fixture(name="pods")
def _pods() -> Pods:
    return Pods()


def worker(site: FakeInstallation, name: str, *, ready: bool = True) -> None:
    """An injected pod that runs, whose variables hold a canary."""
    task = {
        "name": "ray-worker",
        "env": [{"name": "RAY_IP", "value": CANARY}],
        "envFrom": [{"secretRef": {"name": "michelangelo-tracking"}}],
    }
    labels = {"ray.io/node-type": "worker", INJECTED_LABEL: INJECTED_TRUE}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    site.put(
        POD,
        {
            "metadata": {"name": name, "namespace": "ray", "labels": labels},
            "spec": {"containers": [{"name": "proxy"}, task]},
            "status": {"phase": "Running", "conditions": [condition]},
        },
    )


def ending_what_is_added(site: FakeInstallation, said: str) -> Any:
    """Meanwhile each container that was added to a pod ends, and says this."""

    def node(_: float) -> None:
        for pod in site.cluster.among(POD, "ray"):
            ended = [
                {"name": one["name"], "state": {"terminated": {"message": said}}}
                for one in pod["spec"].get("ephemeralContainers", ())
            ]
            status = pod["status"] | {"ephemeralContainerStatuses": ended}
            site.put(POD, pod | {"status": status})

    return patch("webhook.cli.doctor_probe.time.sleep", node)


def refuse(site: FakeInstallation, verb: str) -> None:
    """Take the right to this away."""
    site.cluster.forbid(lambda call: call.verb == verb)


def probed(site: FakeInstallation, pods: Pods) -> ProbeFacts:
    """What is found in a namespace."""
    client = site.cluster.client()
    reader = InstallationReader(client, lambda *_: ())
    facts = NamespaceFacts(
        name="ray",
        asked=True,
        labels={},
        terminating=False,
        cluster=reader.read(site.observe()),
        attempts=(),
        closed=(),
        ignored=(),
        lost=(),
    )
    return Prober(client, pods, "registry.example.org/injector:1").probe(facts)


def listed(site: FakeInstallation, kind: ResourceType) -> dict[Any, tuple[int, Json]]:
    """Everything of a kind in the namespace."""
    options = ListOptions(kind, namespace="ray")
    return dict(site.cluster.client().list(options, dict).items)


def why(told: ProbeFacts) -> str:
    """Why nothing was found."""
    assert isinstance(told.stages, Unknown)
    return told.stages.sentence


def test_a_task_pods_own_python_is_asked_first(
    site: FakeInstallation, pods: Pods
) -> None:
    """One that is ready, in its task container."""
    worker(site, "a", ready=False)
    worker(site, "b")
    pods.printed = f"a warning of the image's\n{SAID}\n"
    told = probed(site, pods)

    assert pods.asked == ["ray/b:ray-worker"]
    assert told.where == "pod/b"
    assert told.stages == IN_ORDER | {"auth": "CredentialRefused"}
    assert told.words == {
        "namespace": "ray",
        "home": HOME,
        "release": "keys-for-tasks",
        "companion": "keys-for-tasks-companion",
    }


def test_without_python_a_container_is_added_beside_the_task(
    site: FakeInstallation, pods: Pods
) -> None:
    """After three pods: a namespace's are mostly of one image."""
    for number in range(9):
        worker(site, f"w{number}")
    with ending_what_is_added(site, SAID):
        told = probed(site, pods)

    assert len(pods.asked) == 3
    assert told.where == "a container beside the task of pod/w0"
    assert told.stages == IN_ORDER | {"auth": "CredentialRefused"}
    (container,) = listed(site, POD)["ray", "w0"][1]["spec"]["ephemeralContainers"]
    assert container["envFrom"] == [{"secretRef": {"name": "michelangelo-tracking"}}]
    assert container["image"] == "registry.example.org/injector:1"


@pytest.mark.parametrize("running", [True, False], ids=["refused", "no task pod"])
def test_else_a_job_runs_and_is_deleted(
    site: FakeInstallation, pods: Pods, running: bool
) -> None:
    """It has the label that policies select, and none that a Service does."""
    refuse(site, "add_container")
    if running:
        worker(site, "w")

    def node(_: float) -> None:
        """Run what there is a Job for."""
        for key, (_, job) in listed(site, JOB).items():
            template = job["spec"]["template"]
            ended = {"terminated": {"message": json.dumps(IN_ORDER)}}
            labels = template["metadata"]["labels"] | {"job-name": key.name}
            pod = {
                "metadata": {"name": "p", "namespace": "ray", "labels": labels},
                "spec": template["spec"],
                "status": {"containerStatuses": [{"name": "probe", "state": ended}]},
            }
            site.put(POD, pod)

    with patch("webhook.cli.doctor_probe.time.sleep", node):
        told = probed(site, pods)

    assert told.where == "a Job without the labels of Ray and Spark"
    assert told.stages == IN_ORDER
    assert listed(site, JOB) == {}
    _, pod = listed(site, POD)["ray", "p"]
    assert PROBE_LABELS.items() <= pod["metadata"]["labels"].items()


def test_a_service_that_selects_everything_keeps_the_job_away(
    site: FakeInstallation, pods: Pods
) -> None:
    """Else traffic meant for tasks would go to the probe."""
    meta = {"name": "all", "namespace": "ray"}
    selector = {INJECTED_LABEL: INJECTED_TRUE}
    site.put(SERVICE, {"metadata": meta, "spec": {"selector": selector}})

    assert "Service all would take the probe for its own" in why(probed(site, pods))


def test_each_missing_right_is_named(site: FakeInstallation, pods: Pods) -> None:
    """Of every way, in their order."""
    worker(site, "w")
    pods.printed = Forbidden("no right")
    refuse(site, "add_container")
    site.cluster.forbid(lambda call: call.kind == JOB)

    assert why(probed(site, pods)) == (
        "the probe: pods/exec in ray: the right to get and create pods/exec in ray is "
        "missing. "
        "pods/ephemeralcontainers in ray: the right to patch pods/ephemeralcontainers "
        "in ray is missing. "
        "jobs.batch in ray: the right to create jobs.batch in ray is missing."
    )


def test_a_job_takes_the_right_to_see_whose_traffic_it_would_get(
    site: FakeInstallation, pods: Pods
) -> None:
    """Where that is missing, it is not the right to create Jobs."""
    site.cluster.forbid(lambda call: (call.verb, call.kind) == ("list", SERVICE))

    assert "the right to list services in ray is missing" in why(probed(site, pods))


def test_a_probe_that_says_nothing_is_no_verdict(
    site: FakeInstallation, pods: Pods
) -> None:
    """Nor is a node that does not answer."""
    worker(site, "w")
    pods.printed = Unavailable("exec w: silent")
    site.cluster.forbid(lambda call: call.kind == JOB)

    with ending_what_is_added(site, ""):
        said = why(probed(site, pods))
    assert "pods/exec in ray: exec w: silent" in said
    assert "the probe printed no result" in said


def test_only_a_namespace_that_is_labeled_is_probed(
    site: FakeInstallation, pods: Pods
) -> None:
    """Nobody wants a Job in another, where no pod has keys."""
    worker(site, "w")
    site.publish(found())
    pods.printed = SAID
    tunnel: Any = pods
    client = site.cluster.client()
    examiner = Examiner(client=client, tunnel=tunnel, probes=True)
    said = examiner.examine(site.release, ("ray", HOME, "nowhere"), NOW)

    assert {one.namespace for one in said if one.place} == {"ray"}
    assert {one.check.code for one in said if one.place and one.symptoms} == {
        "CredentialRefused"
    }


def test_what_cannot_be_had_beside_a_task_is_left_out() -> None:
    """Parts of volumes, resources of the container; and its token is not needed."""
    task = {
        "name": "ray-worker",
        "env": [
            {"name": "A", "value": "b"},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "x"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "volumeMounts": [
            {"name": "ca", "mountPath": "/etc/michelangelo-tracking"},
            {"name": "part", "mountPath": "/x", "subPath": "y"},
            {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
        ],
    }
    made = probe_container("probe-1", "i", "pass", task)

    assert [one["name"] for one in made["env"]] == ["A", "IP"]
    assert made["volumeMounts"] == [
        {"name": "ca", "mountPath": "/etc/michelangelo-tracking", "readOnly": True}
    ]
    assert made["securityContext"]["runAsNonRoot"]
