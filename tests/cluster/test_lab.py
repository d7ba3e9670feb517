"""The lab keeps its own promises: versions, identities, faults, no survivors."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.api import ApiError
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.processes import Process, wait_for
from tests.lab.tools import TOOLS, LabError, Tool

_START_AND_HANG = """
import sys, time
from pathlib import Path
from tests.lab.processes import Process
log = Path(sys.argv[1])
two = Process.start("two", ["sh", "-c", "sleep 600 & echo $! $$; wait"], log=log)
time.sleep(600)
"""


def test_the_api_server_says_the_pinned_version(plane: ControlPlane) -> None:
    """A chart's `kubeVersion` sees what `go.mod` pins."""
    assert TOOLS["kube-apiserver"].version == plane.admin.get("/version")["gitVersion"]


def test_a_service_account_has_its_own_rights(plane: ControlPlane) -> None:
    """A token of `default` may not list Secrets."""
    account = plane.service_account("default", "default")

    with pytest.raises(ApiError, match="system:serviceaccount:default:default"):
        account.get("/api/v1/secrets")


def test_a_kubeconfig_of_a_service_account_works(plane: ControlPlane) -> None:
    """Kubectl is who the kubeconfig says."""
    kubeconfig = plane.kubeconfig_for("default", "default")

    field = "jsonpath={.status.userInfo.username}"
    user = plane.kubectl("--kubeconfig", kubeconfig, "auth", "whoami", "-o", field)

    assert user == "system:serviceaccount:default:default"


def test_two_planes_stand_side_by_side_and_one_survives_a_crash(
    plane: ControlPlane, toolbox: Toolbox, tmp_path: Path
) -> None:
    """A second plane keeps its objects over its API server's crash."""
    other = ControlPlane.start(toolbox, tmp_path, Options(aggregator_routing=True))
    try:
        other.namespace("kept")
        other.stop_api_server()
        assert not other.admin.answers("/readyz")
        other.start_api_server()

        assert other.admin.exists("/api/v1/namespaces/kept")
        assert not plane.admin.exists("/api/v1/namespaces/kept")
    finally:
        other.stop()


def test_no_process_survives_the_one_that_started_it(tmp_path: Path) -> None:
    """`kill -9` of the starter, which no teardown code sees, ends its programs.

    Those that they started themselves, too.
    """
    log = tmp_path / "log"
    command = [sys.executable, "-c", _START_AND_HANG, str(log)]
    with subprocess.Popen(command) as starter:
        wait_for("both programs", lambda: log.exists() and "\n" in log.read_text())
        os.kill(starter.pid, signal.SIGKILL)
    programs = [Path(f"/proc/{number}/exe") for number in log.read_text().split()]

    wait_for("their end", lambda: not any(one.exists() for one in programs))

    assert len(programs) == 2


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    """Nothing is skipped: the message says what is missing and what to run."""
    empty = Toolbox(cache=tmp_path, assets=None, environ={})

    with pytest.raises(LabError, match=r"missing: helm .*make lab-build"):
        empty.program("helm")


def test_assets_of_envtest_are_used(tmp_path: Path) -> None:
    """`KUBEBUILDER_ASSETS` names the API server, etcd and kubectl to run."""
    (tmp_path / "kube-apiserver").touch()
    environ = {"KUBEBUILDER_ASSETS": str(tmp_path)}

    found = Toolbox.from_environment(environ).program("kube-apiserver")

    assert tmp_path / "kube-apiserver" == found


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_every_tool_is_pinned(tool: Tool) -> None:
    """Each row finds its version in its own `go.mod`, and the tool line is there."""
    go_mod = (tool.folder / "go.mod").read_text("utf-8")

    assert tool.version.startswith("v")
    assert tool.package in go_mod


def test_a_program_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """The error carries the program's own message."""
    command = ["sh", "-c", "echo no such flag; exit 3"]
    process = Process.start("server", command, log=tmp_path / "log")

    with pytest.raises(LabError, match="server ended by itself:\nno such flag"):
        process.wait_until(lambda: False)
    process.stop()
