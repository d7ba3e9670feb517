"""Whatever fails, afterwards the mirrors equal their sources and nothing else changed.

Every test runs the real companion under the chart's rights against a control plane of
this module's own; after each, every labelled namespace is compared, a foreign Secret is
compared to the byte, and the canary is looked for everywhere.
"""

import base64
import json
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.release import (
    CANARY,
    COMPANION,
    MIRROR,
    Release,
    Running,
    companion,
    eventually,
    tell,
)
from tests.cluster.shed import Front, front
from tests.cluster.stall import proxy
from tests.lab.api import Api, ApiError, Identity
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane

FOREIGN = "foreign"


@pytest.fixture(name="plane", scope="module")
def _plane(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp("faults"))
    yield plane
    plane.stop()


@pytest.fixture(name="foreign", scope="module")
def _foreign(release: Release) -> dict[str, Any]:
    release.plane.namespace(FOREIGN)
    body = {"metadata": {"name": MIRROR}, "data": {"THEIRS": "eA=="}}
    made = release.admin.create(f"/api/v1/namespaces/{FOREIGN}/secrets", body)
    release.label(FOREIGN)
    return made


@pytest.fixture(name="release", scope="module")
def _release(plane: ControlPlane) -> Release:
    return Release(plane)


@pytest.fixture(name="names")
def _names(release: Release, foreign: dict[str, Any]) -> Iterator[list[str]]:
    """Three labelled namespaces; what must hold after every fault is stated here."""
    names = [release.compute(f"n-{uuid.uuid4().hex[:8]}") for _ in range(3)]
    yield names
    path = f"/api/v1/namespaces/{FOREIGN}/secrets/{MIRROR}"
    assert release.admin.get(path) == foreign
    assert release.leaks() == []
    assert all_hold(release, names, now_key(release))
    for name in names:
        release.label(name, None)


def all_hold(release: Release, names: list[str], key: str) -> bool:
    """Whether every mirror equals its sources, with this key."""
    return all(release.holds(name, key) for name in names)


def now_key(release: Release) -> str:
    """The key that the source has now."""
    path = f"/api/v1/namespaces/{release.namespace}/secrets/keys"
    encoded = release.admin.get(path)["data"]["TRACKING_API_KEY"]
    return base64.b64decode(encoded).decode()


def rotate(release: Release) -> str:
    """An operator changes the key; the canary stays part of it."""
    value = f"{CANARY}-{uuid.uuid4().hex[:6]}"
    release.key(value)
    return value


def live(release: Release, one: Front | None = None) -> Running:
    """One companion that brings everything in order, a process of its own."""
    server = None if one is None else f"http://127.0.0.1:{one.server_port}"
    kubeconfig = release.kubeconfig(server)
    return Running(release, "once", kubeconfig, arguments=("--once",))


@pytest.mark.parametrize("arrives", [False, True])
def test_killed_at_every_write(
    release: Release, names: list[str], *, arrives: bool
) -> None:
    """SIGKILL before the write and after it, at each there is; then one that lives."""
    died, key = 0, ""
    with front(release.admin.server, release.admin.authority) as one:
        for write in range(100):
            key = rotate(release)
            release.admin.delete(f"/api/v1/namespaces/{names[0]}/secrets/{MIRROR}")
            running = live(release, one)
            one.kill_at(write, running.kill, arrives=arrives)
            if running.process.wait(60) != -signal.SIGKILL:
                break
            died += 1
            live(release).process.wait(60)
            assert all_hold(release, names, key)
    tell(f"killed at each of {died} writes, {'after' if arrives else 'before'} it")

    assert all_hold(release, names, key)
    assert died >= 4  # three mirrors and the report


def test_sigkill_and_a_successor(release: Release, names: list[str]) -> None:
    """The Lease runs out and another goes on, with what changed meanwhile."""
    with companion(release, "one") as one:
        eventually("it leads", lambda: release.leader() == "one", seconds=20)
        key = rotate(release)
        one.kill()
    with companion(release, "two"):
        waited = eventually(
            "all hold", lambda: all_hold(release, names, key), seconds=25
        )
    tell(f"after SIGKILL all mirrors hold again within {waited:.1f} s")


def test_two_leaders_for_ten_seconds(release: Release, names: list[str]) -> None:
    """They do the same, so they do no harm; and they do not fight."""
    lease = {"metadata": {"name": "second"}}
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{release.namespace}/leases"
    release.admin.create(leases, lease)
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{release.namespace}/roles"
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "patch"],
    }
    release.admin.create(role, {"metadata": {"name": "second"}, "rules": [rule]})
    release.admin.create(
        f"{role[:-1]}bindings",
        {
            "metadata": {"name": "second"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "second",
            },
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": COMPANION,
                    "namespace": release.namespace,
                }
            ],
        },
    )
    key = ""
    with companion(release, "one"), companion(release, "two", lease="second"):
        eventually("one leads", lambda: release.leader() == "one", seconds=20)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            key = rotate(release)
            time.sleep(0.3)
        eventually("all hold", lambda: all_hold(release, names, key))
        path = f"/api/v1/namespaces/{names[0]}/secrets/{MIRROR}"
        version = release.admin.get(path)["metadata"]["resourceVersion"]
        time.sleep(2)

        assert release.admin.get(path)["metadata"]["resourceVersion"] == version


def test_the_api_server_restarts(release: Release, names: list[str]) -> None:
    """Killed and started again: the same process goes on."""
    with companion(release) as running:
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        release.plane.stop_api_server()
        time.sleep(3)
        release.plane.start_api_server()
        key = rotate(release)
        waited = eventually(
            "all hold", lambda: all_hold(release, names, key), seconds=30
        )
        assert running.process.poll() is None
    tell(f"after an API server restart all mirrors hold within {waited:.1f} s")


def test_a_watch_is_cut_silently(release: Release, names: list[str]) -> None:
    """Connections that only look alive are given up at the deadline."""
    with proxy(release.plane.server) as cut:
        kubeconfig = release.kubeconfig(cut.server)
        with companion(release, kubeconfig=kubeconfig, watch_seconds="2") as running:
            eventually("it leads", lambda: release.leader() == "one", seconds=20)
            eventually("all hold", lambda: all_hold(release, names, now_key(release)))
            before = cut.accepted
            cut.stall()
            key = rotate(release)
            # The watch was to end after 2 s, and 5 s later it counts as dead.
            noticed = eventually(
                "new connections", lambda: cut.accepted > before + 4, seconds=8
            )
            # The Lease's own connection hangs for 10 s before it is given up.
            waited = eventually(
                "all hold", lambda: all_hold(release, names, key), seconds=20
            )
            assert running.process.poll() is None
    tell(f"a silent cut was noticed in {noticed:.1f} s, all hold {waited:.1f} s later")


def test_a_storm_of_429(release: Release, names: list[str]) -> None:
    """Every request is shed for a while: nothing is lost, and nothing hammers."""
    admin = release.admin
    with front(admin.server, admin.authority) as one:
        kubeconfig = release.kubeconfig(f"http://127.0.0.1:{one.server_port}")
        with companion(release, kubeconfig=kubeconfig, watch_seconds="2") as running:
            eventually("it leads", lambda: release.leader() == "one", seconds=20)
            eventually("all hold", lambda: all_hold(release, names, now_key(release)))
            one.storm.set()
            time.sleep(3)  # the watches end and are shed as well
            key = rotate(release)
            time.sleep(10)
            assert not all_hold(release, names, key)
            one.storm.clear()
            waited = eventually(
                "all hold", lambda: all_hold(release, names, key), seconds=30
            )
            assert running.process.poll() is None
            assert one.shed < 13 * 10
    tell(f"{one.shed} requests were shed in 13 s; then all hold in {waited:.1f} s")


def test_rights_are_taken_and_given_back(release: Release, names: list[str]) -> None:
    """Without them nothing is lost; with them it goes on by itself."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    bindings = [
        release.admin.get(f"{path}/{n}") for n in (COMPANION, f"{COMPANION}-write")
    ]
    with companion(release, watch_seconds="2") as running:
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        before = now_key(release)
        for body in bindings:
            release.admin.delete(f"{path}/{body['metadata']['name']}")
        time.sleep(1)
        key = rotate(release)
        time.sleep(6)
        assert all_hold(release, names, before)
        for body in bindings:
            body["metadata"] = {"name": body["metadata"]["name"]}
            release.admin.create(path, body)
        waited = eventually(
            "all hold", lambda: all_hold(release, names, key), seconds=30
        )
        assert running.process.poll() is None
    tell(f"rights given back: all mirrors hold within {waited:.1f} s")


def test_the_quota_for_secrets_is_used_up(release: Release, names: list[str]) -> None:
    """It is reported, and made up for once there is room."""
    full = release.plane.namespace(f"full-{uuid.uuid4().hex[:6]}")
    quotas = f"/api/v1/namespaces/{full}/resourcequotas"
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}}
    release.admin.create(quotas, quota)
    eventually(
        "the quota is counted",
        lambda: release.admin.get(f"{quotas}/none").get("status", {}).get("used"),
    )
    with companion(release):
        release.label(full)
        eventually(
            "it is told", lambda: release.reason(full) == "quota-exceeded", seconds=20
        )
        eventually("others hold", lambda: all_hold(release, names, now_key(release)))
        release.admin.delete(f"{quotas}/none")
        eventually(
            "it holds too",
            lambda: release.holds(full, now_key(release)),
            seconds=30,
        )
    release.label(full, None)


def test_a_label_flaps_a_hundred_times(release: Release, names: list[str]) -> None:
    """The mirror is there at the end as it was at the start."""
    with companion(release):
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        path = f"/api/v1/namespaces/{names[0]}/secrets/{MIRROR}"
        before = release.admin.get(path)
        for _ in range(100):
            release.label(names[0], None)
            release.label(names[0])
        time.sleep(12)

        assert release.admin.get(path) == before


def test_namespaces_are_deleted_mid_write(release: Release, names: list[str]) -> None:
    """Made, labelled and deleted while their mirrors are under way."""
    with companion(release) as running:
        eventually("it leads", lambda: release.leader() == "one", seconds=20)
        gone = [release.compute(f"gone-{uuid.uuid4().hex[:8]}") for _ in range(20)]
        for name in gone:
            release.admin.delete(f"/api/v1/namespaces/{name}")
        key = rotate(release)
        eventually("others hold", lambda: all_hold(release, names, key))
        eventually(
            "they are gone",
            lambda: (
                not any(
                    release.admin.exists(f"/api/v1/namespaces/{name}") for name in gone
                )
            ),
            seconds=60,
            every=0.5,
        )
        events = [one["event"] for one in running.lines()]

        assert "step-failed" not in events
        assert running.process.poll() is None


def test_etcd_is_compacted(release: Release, names: list[str]) -> None:
    """The API server forgets what the watches have seen: they list again."""
    with companion(release) as running:
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        port = release.plane._ports["etcd"]
        for _ in range(20):
            key = rotate(release)
        compact(int(str(port)), int(version(release)))
        release.plane.stop_api_server()
        release.plane.start_api_server()
        key = rotate(release)
        eventually("all hold", lambda: all_hold(release, names, key), seconds=30)

        assert running.process.poll() is None


def version(release: Release) -> str:
    """The newest revision of the storage."""
    listing = release.admin.get("/api/v1/namespaces", limit="1")
    return str(listing["metadata"]["resourceVersion"])


def compact(port: int, revision: int) -> None:
    """Makes etcd forget every revision before this one."""
    body = json.dumps({"revision": str(revision), "physical": True}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v3/kv/compaction", data=body, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        assert answer.status == 200


def test_the_token_rotates_and_the_old_one_is_revoked(
    release: Release, names: list[str], tmp_path: Path
) -> None:
    """As the kubelet does it, with the same process going on."""
    mount(release, tmp_path, "first")
    host, _, port = release.plane.server.removeprefix("https://").rpartition(":")
    place = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    environ = release.environ("pod") | place | {"MTI_WATCH_SECONDS": "2"}
    log = release.plane.folder / "companion.pod.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.in_pod", str(tmp_path), "companion"],
            env=environ,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        old = Api(
            release.plane.server,
            authority=release.plane.authority.certificate,
            identity=Identity(token=(tmp_path / "token").read_text()),
        )
        mount(release, tmp_path, "second")
        secrets = f"/api/v1/namespaces/{release.namespace}/secrets"
        release.admin.delete(f"{secrets}/first")
        eventually("it is revoked", lambda: not known(old), seconds=60, every=0.5)
        key = rotate(release)
        waited = eventually(
            "all hold", lambda: all_hold(release, names, key), seconds=20
        )
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(10) == 0
    tell(f"with the old token revoked, all mirrors hold within {waited:.1f} s")


def mount(release: Release, folder: Path, bound: str) -> None:
    """Puts a new token in place, which is worth something while a Secret is there."""
    home = f"/api/v1/namespaces/{release.namespace}"
    made = release.admin.create(f"{home}/secrets", {"metadata": {"name": bound}})
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": bound,
        "uid": made["metadata"]["uid"],
    }
    body = {"spec": {"expirationSeconds": 3600, "boundObjectRef": reference}}
    account = f"{home}/serviceaccounts/{COMPANION}/token"
    token = release.admin.create(account, body)["status"]["token"]
    certificate = release.plane.authority.certificate.read_bytes()
    (folder / "ca.crt").write_bytes(certificate)
    (folder / "namespace").write_text(release.namespace)
    fresh = folder / f"token.{bound}"
    fresh.write_text(token)
    fresh.rename(folder / "token")


def known(user: Api) -> bool:
    """Whether the API server knows who asks."""
    try:
        user.get("/api/v1/namespaces")
    except ApiError as error:
        return error.code != 401
    return True
