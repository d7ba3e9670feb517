"""`status` and the companion's options, on a release with a name of its own."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.cluster.release import Release, Running, companion, eventually
from tests.cluster.rotation.installation import own_address
from tests.lab.control_plane import ControlPlane

COMMAND = str(Path(sys.executable).with_name("kubectl-tracking"))


@pytest.fixture(name="release", scope="module")
def _release(own_plane: ControlPlane) -> Release:
    """Installed with the chart's `fullnameOverride`, its pods ready."""
    release = Release(own_plane, fullname="keys-for-tasks", workloads=True)
    release.source("uri", {"TRACKING_URI": "https://192.0.2.7"})
    for name in (release.fullname, release.companion):
        release.ready(name)
    release.endpoint(own_address())
    return release


@pytest.fixture(name="companions", scope="module")
def _companions(release: Release) -> Iterator[Callable[[], Running]]:
    """Returns the companion, and starts another where it has died."""
    tls = f"{release.fullname}-tls"
    started: list[Running] = []
    with ExitStack() as stack:

        def living() -> Running:
            if not started or started[-1].process.poll() is not None:
                another = companion(release, certificates="companion", tls_secret=tls)
                started.append(stack.enter_context(another))
                eventually("API servers trust the webhook", lambda: trusted(release))
            return started[-1]

        yield living


@pytest.fixture(name="running")
def _running(companions: Callable[[], Running]) -> Running:
    """A companion that lives, whatever the test before did to it."""
    return companions()


def trusted(release: Release) -> bool:
    """Whether every entry of the webhook configuration has a bundle."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    found = release.admin.get(f"{path}/{release.fullname}")["webhooks"]
    return all(one["clientConfig"].get("caBundle") for one in found)


@pytest.fixture(name="name")
def _name(release: Release, running: Running) -> str:
    """A labeled namespace that is in order."""
    name = release.compute(f"ray-{uuid.uuid4().hex[:8]}")
    eventually("it is reported", lambda: release.reason(name) == "Mirrored")
    return name


@pytest.fixture(name="reader", scope="module")
def _reader(release: Release) -> Path:
    """The kubeconfig of somebody who may read five objects of the release.

    Its context called `lab` leads here.
    """
    home = release.namespace
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{home}"
    report, lease = f"{release.fullname}-status", release.companion
    clusterwide = "/apis/rbac.authorization.k8s.io/v1"
    release.admin.create(
        f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": "reader"}}
    )
    rules = [
        right("", "configmaps", report),
        right("coordination.k8s.io", "leases", lease),
        right("apps", "deployments", release.fullname),
        right("apps", "deployments", release.companion),
    ]
    meta = {"metadata": {"name": "reader"}}
    release.admin.create(f"{roles}/roles", meta | {"rules": rules})
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": home}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    release.admin.create(
        f"{roles}/rolebindings", meta | {"roleRef": role, "subjects": [subject]}
    )
    group, kind = "admissionregistration.k8s.io", "mutatingwebhookconfigurations"
    rules = [right(group, kind, release.fullname)]
    release.admin.create(f"{clusterwide}/clusterroles", meta | {"rules": rules})
    role |= {"kind": "ClusterRole"}
    release.admin.create(
        f"{clusterwide}/clusterrolebindings",
        meta | {"roleRef": role, "subjects": [subject]},
    )
    path = release.plane.kubeconfig_for(home, "reader")
    return astray(path)


def astray(path: Path) -> Path:
    """Adds a context to a kubeconfig that leads nowhere, and makes it the current."""
    config = yaml.safe_load(path.read_text("utf-8"))
    nowhere = {"server": "https://127.0.0.1:9"}
    config["clusters"].append({"name": "nowhere", "cluster": nowhere})
    context = {"cluster": "nowhere", "user": "lab"}
    config["contexts"].append({"name": "nowhere", "context": context})
    config["current-context"] = "nowhere"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def right(group: str, resource: str, name: str) -> dict[str, list[str]]:
    """To read one object."""
    return {
        "apiGroups": [group],
        "resources": [resource],
        "resourceNames": [name],
        "verbs": ["get"],
    }


def status(kubeconfig: Path, *arguments: str) -> tuple[int, str]:
    """`kubectl tracking status`: its exit code, and all that it says."""
    done = subprocess.run(
        [COMMAND, "status", "--kubeconfig", str(kubeconfig), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_release_is_found_whatever_it_is_called(release: Release, name: str) -> None:
    """By the chart's labels; one line for each namespace, and who leads."""
    code, said = status(release.plane.kubeconfig)

    # No webhook serves here, and a dry run shows it; nothing else is amiss.
    assert (code, said.count("×")) == (1, 2), said
    assert "× NotInjected" in said
    line = next(one for one in said.splitlines() if one.startswith(name))
    assert line.split()[1:5] == ["Mirrored", "NotIsolated", "0", "injected"]
    assert "one, renewed" in said
    assert said.count("2/2 ready") == 2


def test_pending_webhook_pods_are_not_in_order(release: Release, name: str) -> None:
    """Both; and with them ready again all is well."""
    release.ready(release.fullname, is_ready=False)
    code, said = status(release.plane.kubeconfig)
    release.ready(release.fullname)

    assert code == 1
    assert "WebhookDown" in said
    assert "0 of 2 ready" in said
    assert "WebhookDown" not in status(release.plane.kubeconfig)[1]


def test_destinations_without_an_address_are_not_in_order(
    release: Release, name: str
) -> None:
    """Though no policy isolates anybody there."""
    release.source("uri", {"TRACKING_URI": "https://no-such-server.invalid"})
    eventually("it was looked up", lambda: "Unresolved" in str(release.status()))
    code, said = status(release.plane.kubeconfig)
    release.source("uri", {"TRACKING_URI": "https://192.0.2.7"})
    eventually("it is over", lambda: "Unresolved" not in str(release.status()))

    assert code == 1
    assert f"{name}, egress: no-such-server.invalid" in said


def test_five_objects_are_all_that_a_reader_needs(
    release: Release, reader: Path, name: str
) -> None:
    """In the context that was asked for, with the release named."""
    where = ("--context=lab", f"--release={release.namespace}/{release.fullname}")
    code, said = status(reader, *where, "-n", name, "-o", "json")
    document = json.loads(said)

    assert code == 0, said
    assert name in document["report"]["namespaces"]
    assert document["lease"]["holder"] == "one"
    assert document["unknown"]["webhookReplicas"]["reason"] == "RightMissing"


def test_a_reader_is_told_what_to_say(reader: Path, name: str) -> None:
    """Where nothing may be listed, in one sentence."""
    code, said = status(reader, "--context=lab")

    assert code == 2
    assert "say --release NAMESPACE/NAME" in said


def test_a_wrong_context_is_a_sentence(reader: Path, name: str) -> None:
    """No traceback where nobody answers, and none where there is no such context."""
    for context, told in (("nowhere", "was refused"), ("none-such", "none-such")):
        code, said = status(reader, f"--context={context}", "--release=a/b")

        assert code == 2
        assert told in said
        assert "Usage" not in said
        assert "Traceback" not in said


def test_a_namespace_that_is_not_labeled_is_said_to_be(
    release: Release, name: str
) -> None:
    """And the exit code tells a script."""
    code, said = status(release.plane.kubeconfig, "-n", "default")

    assert code == 1
    assert "NamespaceUnknown: The namespace is not labeled" in said


@pytest.fixture
def watching(release: Release) -> Iterator["Screen"]:
    """`status --watch` on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "status", "--watch", f"--kubeconfig={release.plane.kubeconfig}"],
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    yield Screen(ours, process)
    process.kill()
    process.wait()
    os.close(ours)


def test_it_stays_and_shows_what_changes(
    release: Release, name: str, watching: "Screen"
) -> None:
    """On a terminal, until it is interrupted."""
    eventually("the first", lambda: name in watching.read(), seconds=20)
    later = release.compute(f"later-{uuid.uuid4().hex[:8]}")
    eventually("the change", lambda: later in watching.read(), seconds=20)
    watching.process.send_signal(signal.SIGINT)

    assert watching.process.wait(10) == 130
    assert "Traceback" not in watching.read()


class Screen:
    """What a terminal showed so far."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        """Reads from our end of it what the process writes."""
        os.set_blocking(descriptor, False)
        self.process = process
        self._descriptor = descriptor
        self._text = ""

    def read(self) -> str:
        """Everything."""
        try:
            self._text += os.read(self._descriptor, 1 << 16).decode(errors="replace")
        except OSError:
            time.sleep(0.05)
        return self._text


def test_the_companion_takes_its_namespace_and_context_from_options(
    release: Release, name: str
) -> None:
    """As a person runs it once from their own machine."""
    path = astray(release.kubeconfig())
    release.admin.delete(f"/api/v1/namespaces/{name}/secrets/michelangelo-tracking")
    where = ("--context=lab", "--release-namespace", release.namespace)
    running = Running(
        release, "hand", path, arguments=("--once", *where), release_namespace="wrong"
    )

    assert running.process.wait(60) == 0, running.log.read_text("utf-8")
    assert release.mirror(name) is not None


def test_a_companion_that_died_is_not_in_order(
    release: Release, name: str, running: Running
) -> None:
    """Though its last report said that all was well."""
    running.kill()
    eventually(
        "its Lease is old",
        lambda: "CompanionAsleep" in status(release.plane.kubeconfig)[1],
        seconds=60,
        every=2,
    )
    code, said = status(release.plane.kubeconfig)

    assert code == 1
    assert "CompanionAsleep" in said
    assert "last renewed by one" in said
