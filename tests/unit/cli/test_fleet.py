"""`status -A`: one line for each cluster, differences marked, none hides the others."""

import base64
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from tests.fakes.installation import NOW, FakeInstallation
from tests.unit.companion.observation.test_troubles import found
from webhook.cli.fleet import FleetDocument, Member, fingerprint, gather, odd_ones
from webhook.cli.main import cli
from webhook.cluster.config import ClusterConnection, NoAccessError
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import DEPLOYMENT, SECRET

CANARY = "canary-5e0c7a-value"


def site(
    key: str = CANARY, uri: str = "https://mlflow.example.org"
) -> FakeInstallation:
    """A cluster whose mirror holds these."""
    made = FakeInstallation()
    made.publish(found())
    values = {"TRACKING_API_KEY": key, "TRACKING_URI": uri}
    data = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
    meta = {"name": "michelangelo-tracking", "namespace": "ray"}
    made.put(SECRET, {"metadata": meta, "data": data})
    return made


def run(folder: Path, sites: dict[str, FakeInstallation | None], *words: str) -> Result:
    """The command on these clusters; one that is None has no access."""
    path = folder / "config"
    named = [{"name": name, "context": {"cluster": name}} for name in sites]
    path.write_text(yaml.safe_dump({"contexts": named}))

    def connect(*_: Any, context: str, **__: Any) -> ClusterConnection:
        one = sites[context]
        if one is None:
            raise NoAccessError(f"context {context} of {path}: no such plugin")
        port: Any = one.cluster.client()
        return ClusterConnection(port, "default", f"context {context}", "https://lab")

    with (
        patch("webhook.cli.kubeconfig.load_kubeconfig", connect),
        patch("webhook.cli.fleet.now", lambda: NOW),
    ):
        words = ("status", "-A", "--kubeconfig", str(path), *words)
        return CliRunner().invoke(cli, words)


def lines(result: Result) -> dict[str, str]:
    """The table's lines by context."""
    rows = [line for line in result.output.splitlines() if "  " in line]
    return {row.split()[0]: row for row in rows}


def test_clusters_that_agree_are_not_marked(tmp_path: Path) -> None:
    """Version, tracking host and the hash of the keys are the same."""
    result = run(tmp_path, {"east": site(), "west": site()})

    assert result.exit_code == 0
    assert "≠" not in result.output
    assert lines(result)["east"].split()[1:5] == [
        "in",
        "order",
        "0.1.0",
        "mlflow.example.org",
    ]


def test_what_differs_is_marked(tmp_path: Path) -> None:
    """The odd one of three; of two, both."""
    sites = {"a": site(), "b": site(), "c": site(key="another")}
    of_three = lines(run(tmp_path, {**sites}))
    of_two = lines(run(tmp_path, {"a": site(), "c": site(uri="https://other.example")}))

    assert ["≠" in of_three[name] for name in "abc"] == [False, False, True]
    assert [of_two[name].count("≠") for name in "ac"] == [2, 2]


def test_no_value_is_told(tmp_path: Path) -> None:
    """Only a short hash, slow to compute."""
    for words in ((), ("-o", "wide"), ("-o", "json"), ("-o", "yaml")):
        assert CANARY not in run(tmp_path, {"a": site()}, *words).output
    keys = {"A": "1"}
    assert fingerprint(keys) == fingerprint(dict(keys)) != fingerprint({"A": "2"})
    assert len(fingerprint(keys)) == 8


def test_a_cluster_without_access_hides_no_other(tmp_path: Path) -> None:
    """Its error is told; the exit code is 1, or 2 where there is no access at all."""
    result = run(tmp_path, {"gone": None, "here": site()})

    assert result.exit_code == 1
    assert "in order" in lines(result)["here"]
    assert "gone: No access to a cluster: context gone of" in result.output
    assert run(tmp_path, {"gone": None}).exit_code == 2


def test_what_is_wrong_somewhere_is_said(tmp_path: Path) -> None:
    """By its reasons; in detail with `-o wide`."""
    broken = site()
    broken.change(
        DEPLOYMENT,
        ObjectKey("ml-tracking", "keys-for-tasks"),
        lambda body: body.update(status={}),
    )
    sites: dict[str, FakeInstallation | None] = {"east": broken, "west": site()}
    result = run(tmp_path, sites)

    assert result.exit_code == 1
    assert "east: WebhookDown\n" in result.output
    wide = run(tmp_path, sites, "-o", "wide").output
    assert "east: WebhookDown, webhook: 0 of 2 ready" in wide


def test_the_document_is_what_its_schema_says(tmp_path: Path) -> None:
    """With what differs by name."""
    result = run(
        tmp_path, {"a": site(), "b": site(key="x"), "gone": None}, "-o", "json"
    )
    document = msgspec.json.decode(result.output, type=FleetDocument)

    assert [one.context for one in document.clusters] == ["a", "b", "gone"]
    assert document.differing == ["keys"]
    assert not document.in_order
    assert document.clusters[2].problem


def test_a_cluster_that_hangs_is_not_waited_for() -> None:
    """The others are told in time."""
    hang = threading.Event()

    def read(context: str) -> Member:
        if context == "hangs":
            hang.wait(20)
        return Member(context=context, errors=0)

    started = time.monotonic()
    members = gather(("hangs", "here"), read, patience=0.3)
    hang.set()

    assert time.monotonic() - started < 5
    assert [one.in_order for one in members] == [False, True]
    assert members[0].problem.startswith("no answer within")


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        (["1", "1"], ""),
        (["1", ""], ""),
        (["1", "2"], "ab"),
        (["1", "1", "2"], "c"),
        (["1", "2", "3"], "abc"),
    ],
)
def test_the_minority_is_odd(values: list[str], odd: str) -> None:
    """Where there is a majority; what is not known is not compared."""
    members = [
        Member(context=name, version=value)
        for name, value in zip("abc", values, strict=False)
    ]

    assert odd_ones(members, "version") == set(odd)
