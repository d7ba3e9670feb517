"""No value of a key is in any output of any command, whatever is right or wrong."""

import base64
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from tests.fakes.installation import HOME, NAME, NOW, FakeInstallation
from tests.unit.cli.test_status import missing
from tests.unit.companion.page.test_view import shown
from webhook.cli.main import cli
from webhook.cluster.config import ClusterConnection
from webhook.cluster.errors import Invalid
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP, DEPLOYMENT, POD, SECRET
from webhook.injection.names import INJECTED_LABEL, INJECTED_TRUE

CANARY = "canary-5e0c7a-value"
ENCODED = base64.b64encode(CANARY.encode()).decode()
URI = f"https://user:{CANARY}@mlflow.example.org"


@pytest.fixture(name="site", params=["healthy", "missed", "down", "refused"])
def _site(request: pytest.FixtureRequest) -> FakeInstallation:
    """An installation whose keys, pods and annotations hold the canary."""
    site = FakeInstallation()
    missing(site, 1 if request.param == "missed" else 0)
    plain = {"TRACKING_API_KEY": CANARY, "TRACKING_URI": URI}
    data = {key: base64.b64encode(v.encode()).decode() for key, v in plain.items()}
    for name, where in (("michelangelo-tracking", "ray"), ("keys", HOME)):
        meta = {"name": name, "namespace": where, "annotations": {"note": CANARY}}
        site.put(SECRET, {"metadata": meta, "data": data, "type": "Opaque"})
    for name in ("uri", "michelangelo-config"):
        meta = {"name": name, "namespace": "ray"}
        site.put(CONFIG_MAP, {"metadata": meta, "data": plain})
    container = {
        "name": "ray-worker",
        "env": [{"name": "SECRET", "value": CANARY}],
        "envFrom": [
            {"secretRef": {"name": "michelangelo-tracking"}},
            {"configMapRef": {"name": "michelangelo-config"}},
        ],
        "command": ["sh", "-c", CANARY],
    }
    labels = {"ray.io/node-type": "worker", INJECTED_LABEL: INJECTED_TRUE}
    pod = {
        "metadata": {"name": "worker-0", "namespace": "ray", "uid": "u"}
        | {"labels": labels},
        "spec": {"containers": [container]},
        "status": {"phase": "Running"},
    }
    site.put(POD, pod)
    if request.param == "down":
        site.change(
            DEPLOYMENT, ObjectKey(HOME, NAME), lambda body: body.update(status={})
        )
    if request.param == "refused":
        error = Invalid("patch secrets ray/x: Invalid", fields=("data[KEY]",))
        site.cluster.fail(lambda call: call.kind == SECRET, error)
    return site


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "status -o wide",
        "status -o json",
        "status -o yaml",
        "status -n ray -o wide",
        "status -A --kubeconfig KUBECONFIG",
        "status -A --kubeconfig KUBECONFIG -o wide",
        "status -A --kubeconfig KUBECONFIG -o json",
        "doctor --all",
        "doctor -n ray -o json",
        "doctor -n ray -o junit",
        "doctor -n ray --probe",
        "doctor --probe -o json",
        "doctor --pre --all",
        "explain pod/worker-0 -n ray",
        "explain pod/worker-0 -n ray -o json",
        "explain pod/worker-0 -n ray --key TRACKING_API_KEY",
        "explain pod/worker-0 -n ray --key SECRET",
        "egress plan",
        "egress plan -n ray -o yaml",
        "certs show",
        "certs show -o json",
        "version",
        "version -o json",
        "report -o REPORT",
    ],
)
def test_no_value_is_in_any_output(
    site: FakeInstallation, tmp_path: Path, words: str
) -> None:
    """Plain or encoded, on either stream."""
    port: Any = site.cluster.client()
    access = ClusterConnection(port, "default", "context lab of FILE", "https://lab")
    path = tmp_path / "config"
    path.write_text("contexts: [{name: lab, context: {cluster: lab}}]\n")
    port.api = None  # reached by `Talkative` alone
    words = words.replace("KUBECONFIG", str(path))
    words = words.replace("REPORT", str(tmp_path / "report.tar.gz"))
    with (
        patch("webhook.cli.release.connect", lambda *_, **__: access),
        patch("webhook.cli.egress.connect", lambda *_, **__: access),
        patch("webhook.cli.status.now", lambda: NOW),
        patch("webhook.cli.status.deeper", lambda *_, **__: ()),  # it reaches into pods
        patch("webhook.cli.archive.now", lambda: NOW),
        patch("webhook.cli.doctor.now", lambda: NOW),
        patch("webhook.cli.doctor.Tunnel", lambda _: Talkative()),
        patch("webhook.cli.doctor_probe.time.sleep", lambda _: None),
        patch("webhook.cli.doctor_probe._SECONDS", 0.1),
    ):
        result = CliRunner().invoke(cli, words)

    assert result.exit_code in (0, 1, 2), result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for text in (result.output, result.stderr, *packed(tmp_path / "report.tar.gz")):
        assert CANARY not in text
        assert ENCODED not in text


def test_no_value_is_on_the_page(site: FakeInstallation) -> None:
    """Which everybody sees who reaches the companion's port."""
    page = shown(site.observe())

    assert "<html" in page
    assert CANARY not in page
    assert ENCODED not in page


class Talkative:
    """Reaches pods in which whatever runs repeats a value."""

    def run(self, *_: object, **__: object) -> str:
        """Print it, as a broken Python would in a traceback."""
        return f"ValueError: {CANARY}\n"


def packed(archive: Path) -> Iterator[str]:
    """Every file of a report, if there is one."""
    if archive.exists():
        with tarfile.open(archive) as files:
            for one in files:
                inner = files.extractfile(one)
                yield inner.read().decode() if inner else ""
