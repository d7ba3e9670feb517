"""`explain` of what exists: as it is, in the auditor's words, and without values."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.pods import OPTED_IN
from tests.unit.companion.companion_world import CANARY
from tests.unit.companion.test_audit import HEAD, INJECTED, REFERRING, Audited
from webhook.cli.main import cli
from webhook.cluster.config import ClusterConnection
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import (
    APACHE_APPLICATION,
    APACHE_CLUSTER,
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    RAY_CLUSTER,
    RAY_CRON_JOB,
    RAY_JOB,
    RAY_SERVICE,
    SECRET,
    SPARK_APPLICATION,
    SPARK_CONNECT,
    STATEFUL_SET,
    ResourceType,
)
from webhook.injection.names import INJECT_LABEL, MIRROR_SECRET


@pytest.fixture(name="world")
def _world() -> Audited:
    return Audited()


@contextmanager
def reached(world: Audited) -> Iterator[None]:
    """Commands reach this cluster."""
    port: Any = world.cluster.client()
    access = ClusterConnection(port, "ray", "context lab of FILE", "https://lab")
    with patch("webhook.cli.release.connect", lambda *_, **__: access):
        yield


def explain(world: Audited, *words: str) -> Result:
    """The command on this cluster."""
    with reached(world):
        return CliRunner().invoke(cli, ("explain", *words), env={"COLUMNS": "120"})


def explained(world: Audited, *words: str) -> list[dict[str, Any]]:
    """What it says for programs."""
    result = explain(world, *words, "-o", "json")
    assert result.exit_code == 0, result.output
    members: list[dict[str, Any]] = json.loads(result.stdout)
    return members


SPARK = {"spark-role": "driver"}
NO_REFERENCE: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("labels", "container"),
    [
        (HEAD, NO_REFERENCE),
        (HEAD | {INJECT_LABEL: "disabled"}, NO_REFERENCE),
        ({"ray.io/node-type": "haed"}, NO_REFERENCE),
        (SPARK, NO_REFERENCE),
        (INJECTED, REFERRING),
        (HEAD, REFERRING),
        (INJECTED, NO_REFERENCE),
    ],
)
@pytest.mark.parametrize("circumstance", ["usual", "foreign", "late"])
def test_a_pods_reason_is_the_auditors_word_for_word(
    world: Audited,
    labels: dict[str, str],
    container: dict[str, Any],
    circumstance: str,
) -> None:
    """Whatever became of the pod, and whatever became of its namespace."""
    where = "ray"
    if circumstance != "usual":
        where = "other"
        world.label(where, on=False)
    if circumstance == "foreign":
        world.secret(MIRROR_SECRET, where, TRACKING_URI="http://evil")
        world.label(where)
        world.step()
        world.now += timedelta(seconds=10)
    world.run("p", labels, where, container=container)
    if circumstance == "late":
        world.now += timedelta(seconds=10)
        world.label(where)
        world.step()
    (reason,) = world.counts(where)
    (found,) = explained(world, "pod/p", "-n", where)

    assert (found["reason"], found["sentence"]) == (reason.value, reason.sentence)
    assert found["exists"]


def test_a_running_pod_that_was_missed_is_not_said_to_be_injected(
    world: Audited,
) -> None:
    """It is explained as it is; nobody asks what admission would do now."""
    world.run("p", HEAD)
    result = explain(world, "pod/p")

    assert "Missed: The pod runs without the tracking keys" in result.output
    assert "Secret michelangelo-tracking" not in result.output


def test_who_provides_each_variable_now_is_read_from_the_cluster(
    world: Audited,
) -> None:
    """The mirror and ConfigMaps; no other Secret is even asked for."""
    world.user.apply(
        CONFIG_MAP,
        {
            "metadata": {"name": "michelangelo-config", "namespace": "ray"},
            "data": {"TRACKING_URI": "http://old", "S3": "s3://x"},
        },
    )
    references = [
        *REFERRING["envFrom"],
        {"configMapRef": {"name": "michelangelo-config"}},
        {"secretRef": {"name": "private"}},
    ]
    world.run("p", INJECTED, container={"envFrom": references})
    world.cluster.calls.clear()
    (found,) = explained(world, "pod/p")
    variables = {one["name"]: one for one in found["containers"][0]["variables"]}

    assert (
        variables["TRACKING_URI"]["source"]
        == "envFrom[1] ConfigMap michelangelo-config"
    )
    assert variables["TRACKING_URI"]["shadowed"] == [
        "envFrom[0] Secret michelangelo-tracking"
    ]
    assert variables["S3"]["shadowed"] == []
    asked = {call.key.name for call in world.cluster.calls if call.kind == SECRET}
    assert asked == {MIRROR_SECRET}


def test_one_key_is_answered_in_a_line(world: Audited) -> None:
    """Where it comes from, or why it is not there."""
    world.run("with", INJECTED, container=REFERRING)
    world.run("without", HEAD)
    given = explain(world, "pod/with", "--key", "TRACKING_API_KEY").output
    missing = explain(world, "pod/without", "--key", "TRACKING_API_KEY").output

    assert given == (
        "Pod with, container head: TRACKING_API_KEY comes from envFrom[0] Secret "
        "michelangelo-tracking\n"
    )
    assert missing.startswith(
        "Pod without, container head: TRACKING_API_KEY is not set. Missed: The pod"
    )


def test_values_are_printed_only_when_asked_for(world: Audited) -> None:
    """In no form of output otherwise."""
    world.run("p", INJECTED, container=REFERRING)
    for words in ((), ("-o", "json"), ("-o", "yaml"), ("--key", "TRACKING_API_KEY")):
        assert CANARY not in explain(world, "pod/p", *words).output
        assert CANARY in explain(world, "pod/p", *words, "--show-values").output


@pytest.mark.parametrize("kind", [SECRET, NAMESPACE, CONFIG_MAP])
def test_with_fewer_rights_less_is_known_and_the_right_is_named(
    world: Audited, kind: ResourceType
) -> None:
    """The rest is explained."""
    references = [
        *REFERRING["envFrom"],
        {"configMapRef": {"name": "michelangelo-config"}},
    ]
    world.run("p", INJECTED, container={"envFrom": references})
    world.cluster.forbid(lambda call: call.kind == kind)
    (found,) = explained(world, "pod/p")

    assert found["reason"] == "Injected"
    assert len(found["unread"]) == 1
    assert f"a right is missing: get {kind.plural}" in found["unread"][0]


def test_a_namespace_without_the_label_is_the_reason(world: Audited) -> None:
    """The auditor does not look there."""
    world.label("bare", on=False)
    world.run("p", HEAD, "bare")
    (found,) = explained(world, "pod/p", "-n", "bare")

    assert found["reason"] == "NamespaceNotLabeled"


def cluster(name: str, **more: Any) -> Json:
    """A RayCluster whose operator made nothing yet."""
    template = {"spec": {"containers": [{"name": "ray-head", "image": "i"}]}}
    group = {"groupName": "small", "template": template}
    spec = {"headGroupSpec": {"template": template}, "workerGroupSpecs": [group]}
    return {"metadata": {"name": name, "namespace": "ray"}, "spec": spec} | more


@pytest.mark.parametrize(
    ("target", "kind", "body"),
    [
        ("raycluster/train", RAY_CLUSTER, cluster("train")),
        ("rayclusters.ray.io/train", RAY_CLUSTER, cluster("train")),
        (
            "rayjob/job",
            RAY_JOB,
            {"metadata": {"name": "job"}, "status": {"rayClusterName": "train"}},
        ),
        (
            "rayservice/serve",
            RAY_SERVICE,
            {
                "metadata": {"name": "serve"},
                "status": {"activeServiceStatus": {"rayClusterName": "train"}},
            },
        ),
    ],
)
def test_what_leads_to_pods_is_explained_by_its_pods(
    world: Audited, target: str, kind: ResourceType, body: Json
) -> None:
    """Those that there are, whatever a new one would get."""
    world.run("train-head", HEAD | {"ray.io/cluster": "train"})
    world.run("other-head", HEAD | {"ray.io/cluster": "other"})
    body["metadata"]["namespace"] = "ray"
    world.cluster.put(kind, body)
    (found,) = explained(world, target)

    assert (found["pod"], found["reason"]) == ("Pod train-head", "Missed")


def test_workers_that_are_alike_are_explained_once(world: Audited) -> None:
    """However many there are; each by itself for programs."""
    labels = {"ray.io/node-type": "worker", "ray.io/cluster": "train"}
    for number in range(30):
        world.run(f"worker-{number:02}", labels)
    world.run("train-head", INJECTED | {"ray.io/cluster": "train"}, container=REFERRING)
    world.cluster.put(RAY_CLUSTER, cluster("train"))
    lines = explain(world, "raycluster/train").output.splitlines()

    assert "Pod worker-00 (in the cluster), and 29 more like it" in lines
    assert "Pod train-head (in the cluster)" in lines
    assert len(explained(world, "raycluster/train")) == 31


@pytest.mark.parametrize(
    ("word", "kind", "label"),
    [
        ("sparkapplication", SPARK_APPLICATION, "sparkoperator.k8s.io/app-name"),
        ("sparkconnects", SPARK_CONNECT, "sparkoperator.k8s.io/connect-name"),
        (
            "sparkapplications.spark.apache.org",
            APACHE_APPLICATION,
            "spark.operator/spark-app-name",
        ),
        ("sparkcluster", APACHE_CLUSTER, "spark.operator/spark-cluster-name"),
    ],
)
def test_the_pods_of_sparks_operators_are_found(
    world: Audited, word: str, kind: ResourceType, label: str
) -> None:
    """By the operator's label; a namesake of another group is another kind."""
    container = {"name": "spark-kubernetes-driver"}
    world.run("etl-driver", SPARK | {label: "etl"}, container=container)
    meta = {"name": "etl", "namespace": "ray"}
    world.cluster.put(kind, {"metadata": meta})
    (found,) = explained(world, f"{word}/etl")

    assert (found["pod"], found["reason"]) == ("Pod etl-driver", "Missed")


@pytest.mark.parametrize(
    ("word", "kind"),
    [("job", JOB), ("deployments", DEPLOYMENT), ("statefulset", STATEFUL_SET)],
)
def test_the_pods_that_a_workload_selects_are_found(
    world: Audited, word: str, kind: ResourceType
) -> None:
    """Those that opted in have the auditor's reason, as others have."""
    labels = {"app": "notebook", "tier": "a"}
    world.run("notebook-0", labels | OPTED_IN)
    world.run("other", {"app": "other"} | OPTED_IN)
    meta = {"name": "notebook", "namespace": "ray"}
    body = {"metadata": meta, "spec": {"selector": {"matchLabels": labels}}}
    world.cluster.put(kind, body)
    (found,) = explained(world, f"{word}/notebook")

    assert (found["pod"], found["reason"]) == ("Pod notebook-0", "Missed")


def test_a_scheduled_rayjobs_pods_are_found(world: Audited) -> None:
    """Through every RayJob that it made."""
    world.cluster.put(
        RAY_CRON_JOB, {"metadata": {"name": "nightly", "namespace": "ray"}}
    )
    for run in ("one", "two"):
        meta = {
            "name": f"nightly-{run}",
            "namespace": "ray",
            "labels": {"ray.io/cronjob-name": "nightly"},
        }
        body = {"metadata": meta, "status": {"rayClusterName": run}}
        world.cluster.put(RAY_JOB, body)
        world.run(f"{run}-head", HEAD | {"ray.io/cluster": run})
    found = explained(world, "raycronjob/nightly")

    assert [one["pod"] for one in found] == ["Pod one-head", "Pod two-head"]


def test_what_has_no_pod_yet_is_told_in_the_conditional(world: Audited) -> None:
    """As its manifest would be."""
    world.cluster.put(RAY_CLUSTER, cluster("train"))
    result = explain(world, "raycluster/train")

    assert "raycluster/train has no pod yet: this is what would be." in result.stderr
    assert "The task containers would be given the tracking keys, if" in result.stdout
    assert f"namespace ray has the label {INJECT_LABEL}=enabled" in " ".join(
        result.stdout.split()
    )


def manifest(folder: Path, body: Json) -> str:
    """A file that holds an object."""
    path = folder / "pod.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod"} | body))
    return str(path)


def test_a_manifest_with_a_uid_and_a_status_is_explained_as_it_is(
    world: Audited, tmp_path: Path
) -> None:
    """Without its cluster: what it shows, and who knows more."""
    world.run("p", HEAD)
    body = world.cluster.stored(POD, ObjectKey("ray", "p"))
    assert body is not None
    missed = CliRunner().invoke(cli, ["explain", "-f", manifest(tmp_path, body)])
    body["metadata"]["labels"] = INJECTED
    body["spec"]["containers"][0] |= REFERRING
    injected = CliRunner().invoke(cli, ["explain", "-f", manifest(tmp_path, body)])

    assert "NotInjected: The pod runs without the tracking keys" in missed.output
    assert "were given the tracking keys" in injected.output
    assert "would" not in injected.output


def test_a_manifest_without_a_uid_is_told_in_the_conditional(tmp_path: Path) -> None:
    """With the label that its namespace would need."""
    body = {
        "metadata": {"name": "p", "namespace": "team", "labels": HEAD},
        "spec": {"containers": [{"name": "ray-head"}]},
    }
    result = CliRunner().invoke(cli, ["explain", "-f", manifest(tmp_path, body)])
    said = " ".join(result.output.split())

    assert "would be given the tracking keys, if namespace team has the label" in said
    assert f"{INJECT_LABEL}=enabled" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Say what: KIND/NAME, or -f FILE."),
        (("my-pod",), "'my-pod' is not KIND/NAME"),
        (("configmap/x",), "'configmap' leads to no pods that are known"),
        (("pod/none",), "Not found: "),
    ],
)
def test_bad_targets_are_one_sentence(
    world: Audited, words: tuple[str, ...], said: str
) -> None:
    """Exit code 2."""
    result = explain(world, *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
