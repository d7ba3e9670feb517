"""Whoever dies or starts anew, afterwards all mirrors equal their sources.

The fixture `names` says what must hold after each: every labeled namespace is compared,
a foreign Secret is compared to the byte, and the canary is looked for everywhere.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.companion.state import all_hold, now_key, rotate
from tests.cluster.release import (
    COMPANION,
    MIRROR,
    Release,
    Running,
    companion,
    eventually,
    tell,
)
from tests.cluster.shed import Front, front
from tests.lab.api import Api, ApiError, Identity


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
    with companion(release, "one"), companion(release, "two", lease_name="second"):
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
