"""The dashboard is red where something is dead, and every query of it runs."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.rendering import CHART, NAMESPACE
from tests.lab.build import Toolbox

DASHBOARD: Final = json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))
PANELS: Final[list[dict[str, Any]]] = DASHBOARD["panels"]
STATS: Final = [panel for panel in PANELS if panel["type"] == "stat"]
RED: Final = ("red", "dark-red")
OWN: Final = f'namespace="{NAMESPACE}",job="tracking-injector-metrics"'
YEAR: Final = 365 * 86400

HEALTHY: Final = {
    f'tracking_injector_companion_leader{{{OWN},pod="a"}}': 1,
    f'tracking_injector_companion_leader{{{OWN},pod="b"}}': 0,
    f"tracking_injector_certificate_not_after_timestamp_seconds{{{OWN}}}": YEAR,
    f'tracking_injector_certificate_not_after_timestamp_seconds{{{OWN},pod="w"}}': YEAR,
    f'tracking_injector_companion_namespaces{{{OWN},reason="Mirrored"}}': 3,
    f"tracking_injector_companion_egress_namespaces{{{OWN},"
    'mode="additive",reason="EgressReady"}': 3,
    f'tracking_injector_companion_task_pods{{{OWN},reason="Injected"}}': 7,
}
"""Series of an installation that is in order; a cluster's label is not on them."""
NO_COMPANION: Final = {
    name: value for name, value in HEALTHY.items() if "companion" not in name
}
NO_WEBHOOK: Final = {
    name: value for name, value in HEALTHY.items() if "companion" in name
}
MISSED: Final = HEALTHY | {
    f'tracking_injector_companion_task_pods{{{OWN},reason="Missed"}}': 1
}


def expressions() -> Iterator[tuple[str, str]]:
    """Each query, with its panel, as Grafana sends it where everything is chosen."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], substituted(target["expr"])


def substituted(expression: str) -> str:
    """What Grafana makes of the variables."""
    for name in ("cluster", "namespace", "job"):
        expression = expression.replace(f"${name}", ".*")
    return expression.replace("$__rate_interval", "5m")


def evaluated(
    toolbox: Toolbox,
    folder: Path,
    series: Mapping[str, float],
    wanted: Mapping[str, Any],
) -> str:
    """What promtool says of expressions on series; empty where it is as wanted."""
    tests = {
        "rule_files": [],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": f"{value}x60"}
                    for name, value in series.items()
                ],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": "1h", "exp_samples": samples}
                    for expression, samples in wanted.items()
                ],
            }
        ],
    }
    path = folder / "dashboard.yaml"
    path.write_text(yaml.safe_dump(tests), "utf-8")
    done = subprocess.run(
        [toolbox.program("promtool"), "test", "rules", path],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr + done.stdout


def color(panel: Mapping[str, Any], value: float) -> str:
    """Which color a panel shows a value in: a mapping's, else the threshold's."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults["mappings"]:
        if f"{value:g}" in mapping["options"]:
            return str(mapping["options"][f"{value:g}"]["color"])
    steps = defaults["thresholds"]["steps"]
    reached = [s for s in steps if s["value"] is None or value >= s["value"]]
    return str(reached[-1]["color"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """A description, thresholds, a unit, and queries that heed the variables."""
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["description"].endswith(".")
    assert defaults["thresholds"]["steps"]
    assert defaults["unit"]
    for target in panel["targets"]:
        assert 'cluster=~"$cluster"' in target["expr"]


def test_panels_have_an_identity_and_a_place_of_their_own() -> None:
    """None hides another."""
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_a_cluster_a_namespace_and_a_job_can_be_chosen() -> None:
    """And where metrics have no label `cluster`, all of them are shown."""
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}

    assert {"datasource", "cluster", "namespace", "job"} == set(variables)
    assert ".*" == variables["cluster"]["allValue"]


@pytest.mark.parametrize(
    ("series", "red"),
    [
        (HEALTHY, set()),
        ({}, {panel["title"] for panel in STATS}),
        (
            NO_COMPANION,
            {
                "Companion",
                "Task pods without their keys",
                "Namespaces not in order",
                "Egress not in order",
                "Pods with older keys",
                "Pods that wait",
                "Watches that fail",
            },
        ),
        (NO_WEBHOOK, {"Webhook replicas", "Certificate left"}),
        (MISSED, {"Task pods without their keys"}),
    ],
    ids=["healthy", "nothing", "no companion", "no webhook", "a missed pod"],
)
def test_what_is_dead_is_red(
    toolbox: Toolbox,
    tmp_path: Path,
    series: dict[str, float],
    red: set[str],
) -> None:
    """A dead part is never a calm 0: nobody can say that no pod was missed."""
    values = {}
    for panel in STATS:
        expression = substituted(panel["targets"][0]["expr"])
        said = evaluated(toolbox, tmp_path, series, {expression: []})
        values[panel["title"]] = _sample(said)
    shown = {panel["title"]: color(panel, values[panel["title"]]) for panel in STATS}

    assert {title for title, one in shown.items() if one in RED} == red, values


def _sample(said: str) -> float:
    """The one sample that promtool got where none was asked for."""
    found = re.search(r"got: *\{.*\} (\S+)", said)
    assert found is not None, said
    return float(found[1])


def test_every_query_runs(toolbox: Toolbox, tmp_path: Path) -> None:
    """Prometheus' own engine takes each, on recorded series."""
    wanted: dict[str, list[Any]] = {one: [] for _, one in expressions()}
    said = evaluated(toolbox, tmp_path, HEALTHY, wanted)

    assert "parse error" not in said
    assert "unexpected" not in said
    assert "got:" in said, "it was evaluated"
