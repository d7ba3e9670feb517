"""`report` packs what helps, and no value in any corner of it."""

import io
import tarfile
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from tests.fakes.installation import HOME, NAME, NOW, FakeInstallation
from tests.unit.cli.test_status import missing, reached
from webhook.cli.main import cli
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    POD,
    SECRET,
    WEBHOOK_CONFIGURATION,
)

CANARY = "canary-5e0c7a-value"


@pytest.fixture(name="site")
def _site() -> FakeInstallation:
    """A value stands in every corner of the cluster."""
    site = FakeInstallation()
    missing(site, 1)
    hidden = {"name": "PROXY", "value": CANARY}
    setting = {"name": "MTI_BIND", "value": "0.0.0.0:8443"}
    for kind, key in (
        (DEPLOYMENT, ObjectKey(HOME, NAME)),
        (POD, ObjectKey(HOME, f"{NAME}-0")),
        (WEBHOOK_CONFIGURATION, ObjectKey("", NAME)),
    ):
        body = site.cluster.stored(kind, key)
        assert body is not None
        body["metadata"].setdefault("annotations", {})["last-applied"] = CANARY
        body["metadata"]["managedFields"] = [{"manager": CANARY}]
        spec = body.get("spec", {})
        pod = spec.get("template", {}).get("spec", spec)
        for container in pod.get("containers", ()):
            container["env"] = [hidden, setting]
            container["command"] = ["sh", "-c", CANARY]
        site.put(kind, body)
    for name in ("uri", "michelangelo-config"):
        meta = {"name": name, "namespace": HOME}
        site.put(CONFIG_MAP, {"metadata": meta, "data": {"TRACKING_API_KEY": CANARY}})
        site.put(SECRET, {"metadata": meta, "data": {"TRACKING_API_KEY": CANARY}})
    task = {
        "metadata": {
            "name": "worker-0",
            "namespace": "ray",
            "labels": {"ray.io/node-type": "worker", "secret": CANARY},
            "annotations": {"note": CANARY},
        },
        "spec": {"containers": [{"name": "ray", "env": [hidden], "args": [CANARY]}]},
    }
    site.put(POD, task)
    event = {
        "metadata": {"name": "e", "namespace": HOME, "annotations": {"a": CANARY}},
        "message": f"Proxy http://user:{CANARY}@proxy:3128 refused",
        "reason": "Failed",
    }
    site.put(EVENT, event)
    log = f"started\nproxy http://user:{CANARY}@proxy:3128 refused\n"
    site.cluster.logs[ObjectKey(HOME, f"{NAME}-0")] = log
    return site


def run(site: FakeInstallation, path: Path) -> tuple[Result, dict[str, str]]:
    """The command, and the files that it packed."""
    with reached(site), patch("webhook.cli.archive.now", lambda: NOW):
        result = CliRunner().invoke(cli, ("report", "-o", str(path)))
    if not path.exists():
        return result, {}
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        files = {}
        for name in tar.getnames():
            member = tar.extractfile(name)
            assert member is not None
            files[name.partition("/")[2]] = member.read().decode()
    return result, files


def test_no_value_is_in_it(site: FakeInstallation, tmp_path: Path) -> None:
    """Nor on the terminal; and the archive is its owner's alone."""
    path = tmp_path / "report.tar.gz"
    result, files = run(site, path)

    assert result.exit_code == 0, result.output
    assert [name for name, text in files.items() if CANARY in text] == []
    assert CANARY not in result.output
    assert path.stat().st_mode & 0o777 == 0o600
    assert {call.kind for call in site.cluster.calls} & {SECRET} == set()


def test_an_older_file_is_closed_to_others(
    site: FakeInstallation, tmp_path: Path
) -> None:
    """Whoever may read what was there may not read this."""
    path = tmp_path / "report.tar.gz"
    path.touch(mode=0o644)
    run(site, path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_what_helps_is_in_it(site: FakeInstallation, tmp_path: Path) -> None:
    """How it stands, what it runs with, what it logged, whom it missed."""
    _, files = run(site, tmp_path / "report.tar.gz")

    assert set(files) >= {
        "README.txt",
        "status.json",
        "status.txt",
        "unread.txt",
        "objects/deployments.json",
        "objects/pods.json",
        "objects/webhook.json",
        "objects/events.json",
        f"logs/{NAME}-0.log",
        "pods/ray/worker-0.json",
    }
    assert "Missed" in files["status.txt"]
    assert "MTI_BIND" in files["objects/deployments.json"]
    assert "0.0.0.0:8443" in files["objects/pods.json"]
    assert "started" in files[f"logs/{NAME}-0.log"]
    assert '"PROXY"' in files["pods/ray/worker-0.json"]
    assert files["unread.txt"] == ""


def test_what_may_not_be_read_is_listed(site: FakeInstallation, tmp_path: Path) -> None:
    """And the rest is in it."""
    site.cluster.forbid(lambda call: call.kind in (EVENT, POD))
    result, files = run(site, tmp_path / "report.tar.gz")

    assert result.exit_code == 0
    assert "objects/events.json: list events" in files["unread.txt"]
    assert "objects/events.json" not in files
    assert "objects/deployments.json" in files
    assert "Not in it: objects/pods.json" in result.stderr


def test_a_file_that_cannot_be_written_is_an_error(
    site: FakeInstallation, tmp_path: Path
) -> None:
    """One sentence, which names it."""
    result, _ = run(site, tmp_path / "no" / "report.tar.gz")

    assert result.exit_code == 2
    assert "cannot be written: No such file or directory." in result.stderr
