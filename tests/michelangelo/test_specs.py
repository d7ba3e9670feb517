"""What the client makes today is what is on file, and its pods are recognized."""

import json

import pytest
from click.testing import CliRunner

from tests.michelangelo.client import (
    DATA,
    Json,
    on_file,
    ray_cluster,
    ray_job,
    spark_application,
)
from webhook.cli.main import cli
from webhook.injection.names import MIRROR_SECRET

RAY = ("check", "train")
SPARK = ("spark", "scala")


@pytest.mark.parametrize("flow", [*RAY, *SPARK])
def test_a_flow_makes_what_it_made(
    flows: Json, flow: str, pytestconfig: pytest.Config
) -> None:
    """A new client that renames a container, a namespace or a source shows here.

    `pytest tests/michelangelo --update-golden` takes over what it makes.
    """
    actual = json.dumps(flows[flow], indent=2) + "\n"
    file = DATA / f"{flow}.json"
    if pytestconfig.getoption("update_golden"):
        file.write_text(actual, "utf-8")

    assert file.read_text("utf-8") == actual


def explained(manifest: Json) -> list[Json]:
    """What `explain` says of an object's pods."""
    text = json.dumps(manifest)
    result = CliRunner().invoke(cli, ["explain", "-f", "-", "-o", "json"], text)
    assert result.exit_code == 0, result.stderr
    pods: list[Json] = json.loads(result.stdout)
    return pods


@pytest.mark.parametrize(
    ("flow", "containers"), [("check", ["head"]), ("train", ["head", "worker"])]
)
def test_ray_pods_of_a_flow_get_the_keys(flow: str, containers: list[str]) -> None:
    """Before everything else that they take variables from."""
    cluster, _ = on_file(flow)
    pods = explained(ray_cluster(cluster, "uf-ray-1"))

    injected = [pod for pod in pods if pod["reason"] == "Injected"]
    assert (
        containers
        == [pod["containers"][0]["name"] for pod in injected][: len(containers)]
    )
    for pod in injected:
        unresolved = pod["containers"][0]["unresolved"]
        assert unresolved == [
            f"envFrom[0] Secret {MIRROR_SECRET}",
            "envFrom[1] ConfigMap michelangelo-config",
        ]


@pytest.mark.parametrize("flow", RAY)
def test_what_submits_a_flow_is_no_task(flow: str) -> None:
    """Michelangelo makes it of the head's pod, whose container would be one."""
    cluster, command = on_file(flow)

    (submitter,) = explained(ray_job(cluster, "uf-ray-1", command))

    assert submitter["reason"] == "NotATaskPod"


@pytest.mark.parametrize("flow", SPARK)
def test_spark_pods_of_a_flow_get_the_keys(flow: str) -> None:
    """A Scala task has no other way to them than its environment."""
    (job,) = on_file(flow)
    pods = explained(spark_application(job, "uniflow"))

    assert [pod["reason"] for pod in pods] == ["Injected", "Injected"]


def test_the_guides_check_runs_as_the_client_starts_it() -> None:
    """The command of the Ray job, which the node's test runs too."""
    _, command = on_file("check")

    assert command.startswith(
        "python3 -m michelangelo.uniflow.core.run_task "
        "--task 'flows.check_tracking_config' --args '[]' --kwargs '{}' --result-url"
    )
