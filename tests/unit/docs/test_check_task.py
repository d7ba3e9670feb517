"""The guide's check as ready manifests: its pods get the keys, and it checks."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from webhook.cli.main import cli

SAMPLES = Path(__file__).parents[3] / "docs" / "samples"
CANARY = "https://canary-5e0c7a.example.org"


def program(engine: str) -> str:
    """What the sample of an engine runs."""
    text = (SAMPLES / f"check-tracking-config-{engine}.yaml").read_text("utf-8")
    config, *_ = yaml.safe_load_all(text)
    source: str = config["data"]["check.py"]
    return source


@pytest.mark.parametrize(
    ("engine", "tasks"),
    [
        ("ray", ["ray-head", "ray-worker"]),
        ("spark", ["spark-driver", "spark-executor"]),
    ],
)
def test_each_of_its_pods_would_get_the_keys(engine: str, tasks: list[str]) -> None:
    """Head and worker, driver and executor."""
    path = str(SAMPLES / f"check-tracking-config-{engine}.yaml")
    result = CliRunner().invoke(cli, ["explain", "-f", path, "-o", "json"])
    found = [one for one in json.loads(result.output) if one["workload"]]

    assert [one["workload"] for one in found] == tasks
    assert {one["reason"] for one in found} == {"Injected"}


class Remote:
    """What Ray makes of a function, run at once."""

    def __init__(self, function: Any) -> None:
        """Keep it."""
        self._function = function

    def options(self, **_: Any) -> "Remote":
        """Where it runs does not matter here."""
        return self

    def remote(self) -> Any:
        """Its result."""
        return self._function()


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray and Spark, as far as the checks use them."""
    ray: Any = ModuleType("ray")
    ray.init = lambda: None
    ray.nodes = lambda: [{"NodeID": "a", "Alive": True}, {"NodeID": "b", "Alive": True}]
    ray.get = list
    ray.remote = lambda **_: Remote
    strategies: Any = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda *_, **__: None
    mapped = SimpleNamespace(
        map=lambda function: SimpleNamespace(
            collect=lambda: [function(number) for number in range(2)]
        )
    )
    session = SimpleNamespace(
        sparkContext=SimpleNamespace(parallelize=lambda *_: mapped),
        stop=lambda: None,
    )
    sql: Any = ModuleType("pyspark.sql")
    sql.SparkSession = SimpleNamespace(
        builder=SimpleNamespace(getOrCreate=lambda: session)
    )
    for name, module in (
        ("ray", ray),
        ("ray.util", ModuleType("ray.util")),
        ("ray.util.scheduling_strategies", strategies),
        ("pyspark", ModuleType("pyspark")),
        ("pyspark.sql", sql),
    ):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("engine", ["ray", "spark"])
def test_the_check_fails_without_the_key_and_prints_no_value(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the guide has it: an assertion, in the guide's own words."""
    stand_in(monkeypatch)
    code = compile(program(engine), f"check-{engine}.py", "exec")
    monkeypatch.delenv("TRACKING_URI", raising=False)
    with pytest.raises(
        AssertionError, match="TRACKING_URI environment variable is not"
    ):
        exec(code, {})  # noqa: S102 - it is what the sample runs
    monkeypatch.setenv("TRACKING_URI", CANARY)
    exec(code, {})  # noqa: S102 - the same

    printed = capsys.readouterr().out
    assert "TRACKING_URI is set" in printed
    assert CANARY not in printed
