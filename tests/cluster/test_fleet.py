"""`status -A` over two real control planes: what differs, and one that is stopped."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.release import CANARY, Release, companion, eventually, tell
from tests.cluster.rotation.installation import own_address
from tests.cluster.test_status import trusted
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane

COMMAND = str(Path(sys.executable).with_name("kubectl-tracking"))
TOLERATED = 5.0
"""Seconds within which the one that answers is told, on a machine that is at rest."""


@pytest.fixture(name="planes", scope="module")
def _planes(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ControlPlane]]:
    """Two clusters with a release each, whose sources differ in the server alone."""
    with ExitStack() as stack:
        planes = {}
        for name in ("east", "west"):
            plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp(name))
            stack.callback(plane.stop)
            planes[name] = plane
            _install(plane, f"https://mlflow.{name}.example.org", stack)
        yield planes


def _install(plane: ControlPlane, uri: str, stack: ExitStack) -> None:
    release = Release(plane, workloads=True)
    release.source("uri", {"TRACKING_URI": uri})
    for name in (release.fullname, release.companion):
        release.ready(name)
    release.endpoint(own_address())
    running = companion(
        release,
        certificates="companion",
        tls_secret=f"{release.fullname}-tls",
        egress_mode="off",  # nobody answers for the names of the servers
    )
    stack.enter_context(running)
    eventually("API servers trust the webhook", lambda: trusted(release))
    name = release.compute("ray")
    eventually("it is reported", lambda: release.reason(name) == "Mirrored")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What was told of the clusters, and after how long."""

    code: int
    document: dict[str, Any]
    seconds: float

    @property
    def clusters(self) -> dict[str, dict[str, Any]]:
        """By context."""
        return {one["context"]: one for one in self.document["clusters"]}


def fleet(folder: Path, **servers: ControlPlane | str) -> Fleet:
    """The command over these clusters; a text is the URL of one that is not ours."""
    config: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    for name, plane in servers.items():
        cluster: dict[str, Any] = {"server": plane}
        if isinstance(plane, ControlPlane):
            given = yaml.safe_load(plane.kubeconfig.read_text("utf-8"))
            cluster, user = given["clusters"][0]["cluster"], given["users"][0]["user"]
            config["users"].append({"name": name, "user": user})
        config["clusters"].append({"name": name, "cluster": cluster})
        context = {"cluster": name, "user": name}
        config["contexts"].append({"name": name, "context": context})
    path = folder / "config"
    path.write_text(yaml.safe_dump(config), "utf-8")
    started = time.monotonic()
    done = subprocess.run(
        [COMMAND, "status", "-A", "-o", "json", "--kubeconfig", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    seconds = time.monotonic() - started
    assert CANARY not in done.stdout + done.stderr
    return Fleet(
        code=done.returncode, document=json.loads(done.stdout), seconds=seconds
    )


def test_differences_are_marked(
    planes: dict[str, ControlPlane], tmp_path: Path
) -> None:
    """The server differs, and with it the hash of the keys; the version does not."""
    found = fleet(tmp_path, **planes)

    assert found.code == 0, found.document
    assert found.document["differing"] == ["hosts", "keys"]
    assert [one["hosts"] for one in found.clusters.values()] == [
        "mlflow.east.example.org",
        "mlflow.west.example.org",
    ]


@pytest.fixture(name="silent")
def _silent() -> Iterator[str]:
    """A server that takes connections and says nothing, as one that is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_cluster_hides_no_other(
    planes: dict[str, ControlPlane], silent: str, tmp_path: Path
) -> None:
    """It costs the bound of its own, whatever the machine needs for the other."""
    alone = fleet(tmp_path, east=planes["east"])
    found = fleet(tmp_path, east=planes["east"], silent=silent)

    tell(
        f"one cluster: {alone.seconds:.1f} s; with a silent one: {found.seconds:.1f} s"
    )
    assert found.code == 1
    assert found.clusters["east"] == alone.clusters["east"]
    assert found.clusters["silent"]["problem"] == "no answer within 3 s"
    # Python's start and imports are the machine's; what is ours is the wait.
    assert found.seconds - alone.seconds < TOLERATED - 1


def test_a_stopped_control_plane_hides_no_other(
    planes: dict[str, ControlPlane], tmp_path: Path
) -> None:
    """Nobody listens there, and the other is told as before."""
    planes["west"].stop_api_server()
    try:
        found = fleet(tmp_path, **planes)
    finally:
        planes["west"].start_api_server()
    # Whoever comes next finds it as it was, however long its start took.
    eventually("all is well", lambda: fleet(tmp_path, **planes).code == 0, every=1)

    tell(f"two control planes, one of them stopped: {found.seconds:.1f} s")
    assert found.code == 1
    east, west = found.clusters["east"], found.clusters["west"]
    assert (east["errors"], east["problem"]) == (0, "")
    assert "was refused" in west["problem"]
