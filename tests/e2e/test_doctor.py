"""Doctor on a real node: from inside of pods, and faults that only a node can have."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from tests.e2e.installation import (
    API_KEY,
    NAMESPACE,
    PATIENCE,
    RELEASE,
    RESTRICTED,
    TRACKING_URI,
    Installation,
    await_pod,
    delete_namespaces,
)
from tests.e2e.scripted_tracker import (
    ANOTHER_NAME,
    DEAF,
    HOST,
    IMAGE,
    REFUSES,
    WELL,
    ScriptedTracker,
)
from tests.e2e.scripted_tracker import NAMESPACE as TRACKER
from tests.e2e.taskpods import policies
from tests.lab.images import BUSYBOX
from tests.lab.processes import wait_for
from tests.pods import RAY_ENV, RAY_WORKER
from webhook.cli.main import cli
from webhook.injection.names import MIRROR_SECRET

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "faults-on-a-node.md"
SPACE: Final = "team"
"""The compute namespace; it enforces Pod Security's strictest level."""
IN_ORDER: Final = f"http://{HOST}:{WELL}"
CLOSED: Final = {
    "metadata": {"name": "nobody"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
_LOOKS: Final = 20
"""At most, until a fault shows in what is told."""


@dataclass(frozen=True, slots=True)
class Site:
    """A release, a compute namespace and a server that can do each thing wrong."""

    installation: Installation
    tracker: ScriptedTracker

    @property
    def admin(self) -> Any:
        """The API server, as an administrator."""
        return self.installation.node.plane.admin

    def aim(self, uri: str) -> None:
        """Let the source name a server; return once the mirror does."""
        source = f"/api/v1/namespaces/{NAMESPACE}/secrets/tracking"
        self.admin.patch(source, {"stringData": {"TRACKING_URI": uri}})
        data = self.admin.get(source)["data"]
        mirror = f"/api/v1/namespaces/{SPACE}/secrets/{MIRROR_SECRET}"
        wait_for(
            "the mirror",
            lambda: self.admin.get(mirror)["data"] == data,
            seconds=PATIENCE,
        )

    @contextmanager
    def task(self, *command: str, image: str = IMAGE, **env: str) -> Iterator[str]:
        """A task pod that runs, and is gone afterwards."""
        pods = f"/api/v1/namespaces/{SPACE}/pods"
        name = self.admin.create(pods, task_pod(command, image, env))["metadata"][
            "name"
        ]
        await_pod(self.installation.node, SPACE, name)
        yield name
        self.admin.delete(f"{pods}/{name}", gracePeriodSeconds="0")
        wait_for(
            "its end",
            lambda: not self.admin.exists(f"{pods}/{name}"),
            seconds=PATIENCE,
        )

    def doctor(self) -> dict[str, Any]:
        """What doctor says of the cluster."""
        result = self._run("doctor", "--probe", "-o", "json")
        (cluster,) = json.loads(result.output)["clusters"]
        assert cluster["error"] == ""
        found: dict[str, Any] = cluster
        return found

    def status(self) -> int:
        """The exit code of `status`."""
        code: int = self._run("status", "--probe").exit_code
        return code

    def _run(self, *words: str) -> Any:
        kubeconfig = self.installation.node.plane.kubeconfig
        result = CliRunner().invoke(
            cli, [*words, "--kubeconfig", str(kubeconfig), "-n", SPACE]
        )
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert API_KEY not in result.output + result.stderr
        return result


def task_pod(
    command: tuple[str, ...], image: str, env: dict[str, str]
) -> dict[str, Any]:
    """A Ray worker that does nothing; the CA of the tracker is at hand."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    container = {
        "name": "ray-worker",
        "image": image,
        "command": list(command) or ["python", "-c", "import time; time.sleep(3600)"],
        "env": [*RAY_ENV, *variables],
        "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "metadata": {"generateName": "worker-", "labels": dict(RAY_WORKER)},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 0,
        },
    }


@pytest.fixture(name="site", scope="module")
def _site(installation: Installation) -> Iterator[Site]:
    node = installation.node
    site = Site(installation, ScriptedTracker.start(node))
    name = installation.compute_namespace(SPACE)
    path = f"/api/v1/namespaces/{name}"
    node.plane.admin.patch(path, {"metadata": {"labels": RESTRICTED}})
    authority = {"ca.crt": site.tracker.authority}
    body = {"metadata": {"name": "ca"}, "data": authority}
    node.plane.admin.create(f"{path}/configmaps", body)
    wait_for(
        "the mirror",
        lambda: node.plane.admin.exists(f"{path}/secrets/{MIRROR_SECRET}"),
        seconds=PATIENCE,
    )
    yield site
    site.aim(TRACKING_URI)  # what the tests after these expect of the source
    delete_namespaces(node, TRACKER)  # its pod knows the key


def alarms(cluster: dict[str, Any]) -> list[str]:
    """Whatever is not in order."""
    return [
        f"{one['code']}: {one['symptoms']} {one['why']}"
        for one in cluster["checks"]
        if one["outcome"] in ("failure", "warning")
    ]


def probed(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The checks from inside, by code."""
    return {one["code"]: one for one in cluster["checks"] if one["place"]}


@pytest.mark.parametrize(
    ("task", "place"),
    [
        (lambda site: site.task(), "pod/worker-"),
        (
            lambda site: site.task("sleep", "3600", image=BUSYBOX),
            "a container beside the task of pod/worker-",
        ),
        (lambda _: nullcontext(), "a Job without the labels of Ray and Spark"),
    ],
    ids=["by the image's Python", "by an ephemeral container", "by a Job"],
)
def test_the_whole_way_is_gone_from_inside(
    site: Site, task: "Bring", place: str
) -> None:
    """Under Pod Security `restricted`; the server took the key."""
    site.aim(IN_ORDER)
    with task(site):
        found = site.doctor()
        assert site.status() == 0

    assert alarms(found) == []
    inside = probed(found)
    assert {one["outcome"] for one in inside.values()} == {"ok"}
    assert all(one["place"].startswith(place) for one in inside.values())
    assert "CredentialRefused" in inside
    assert site.admin.get(f"/apis/batch/v1/namespaces/{SPACE}/jobs")["items"] == []


# --- faults ---


Bring = Callable[[Site], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: what somebody did.
        code: what doctor has to name as the first cause.
        bring: breaks it and mends it.
    """

    name: str
    code: str
    bring: Bring


@contextmanager
def aimed(site: Site, uri: str, **env: str) -> Iterator[None]:
    """A task whose keys name this server."""
    site.aim(uri)
    with site.task(**env):
        yield
    site.aim(IN_ORDER)


def aiming(uri: str, **env: str) -> Bring:
    """What breaks the way by naming this server."""
    return lambda site: aimed(site, uri, **env)


@contextmanager
def closed(site: Site) -> Iterator[None]:
    """The server's namespace lets nobody in."""
    path = policies(TRACKER)
    site.admin.create(path, CLOSED)
    with aimed(site, IN_ORDER):
        yield
    site.admin.delete(f"{path}/nobody")


@contextmanager
def unpulled(site: Site) -> Iterator[None]:
    """The webhook's image has a typo."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}"

    def use(image: str) -> None:
        container = {"name": "webhook", "image": image}
        spec = {"template": {"spec": {"containers": [container]}}}
        site.admin.patch(
            path,
            {"spec": spec},
            kind="application/strategic-merge-patch+json",
        )

    site.installation.scale("webhook", 0)
    use(f"{IMAGE}-typo")
    site.admin.patch(path, {"spec": {"replicas": 2}})
    yield
    use(IMAGE)
    site.installation.await_pods()


FAULTS: Final = (
    *(
        Fault(
            name=f"The tracking server answers {status}",
            code=code,
            bring=aiming(f"http://{HOST}:{REFUSES[status]}"),
        )
        for status, code in (
            (401, "CredentialRefused"),
            (403, "CredentialForbidden"),
            (500, "ServerError"),
        )
    ),
    Fault(
        name="The server's certificate is signed by an authority of its own",
        code="AuthorityUnknown",
        bring=aiming(f"https://{HOST}:{ANOTHER_NAME}"),
    ),
    Fault(
        name="The server's certificate is for another name",
        code="ServerNameMismatch",
        bring=aiming(f"https://{HOST}:{ANOTHER_NAME}", SSL_CERT_FILE="/ca/ca.crt"),
    ),
    Fault(
        name="The server does not speak TLS",
        code="TlsFails",
        bring=aiming(f"https://{HOST}:{WELL}"),
    ),
    Fault(
        name="Nothing listens at the server's port",
        code="ConnectRefused",
        bring=aiming(f"http://{HOST}:{DEAF}"),
    ),
    Fault(
        name="A proxy in a task's environment does not answer",
        code="ProxyInTheWay",
        bring=aiming(IN_ORDER, http_proxy=f"http://{HOST}:{DEAF}"),
    ),
    Fault(
        name="DNS does not know the server's name",
        code="Unresolved",
        bring=aiming("http://nobody.invalid:5000"),
    ),
    Fault(
        name="A policy lets no task pod in at the server",
        code="DestinationIngressBlocked",
        bring=closed,
    ),
    Fault(
        name="The webhook's image cannot be pulled",
        code="WebhookImagePull",
        bring=unpulled,
    ),
)


@pytest.fixture(name="found", scope="module")
def _found(site: Site) -> list[tuple[Fault, str, int]]:
    """Each fault in turn: what doctor named, and the exit code of `status`."""
    found = []
    for fault in FAULTS:
        with fault.bring(site):
            code = named(site, fault.code)
            found.append((fault, code, site.status()))
        sys.stdout.write(f"{found[-1][1]:26} {found[-1][2]}  {fault.name}\n")
    return found


def named(site: Site, code: str) -> str:
    """Look until it is the first cause."""
    cause = None
    for _ in range(_LOOKS):
        cause = site.doctor()["firstCause"]
        if cause and cause["code"] == code:
            break
    return str(cause["code"]) if cause else ""


def test_doctor_names_each_fault(found: list[tuple[Fault, str, int]]) -> None:
    """Exactly it, as what is to be mended first."""
    wrong = [(one.name, said) for one, said, _ in found if said != one.code]

    assert wrong == []


def test_status_is_content_with_none(found: list[tuple[Fault, str, int]]) -> None:
    """With `--probe`: what is in the way of requests is seen from inside alone."""
    assert [one.name for one, _, code in found if code != 1] == []


def test_the_page_has_each_fault(
    found: list[tuple[Fault, str, int]], request: pytest.FixtureRequest
) -> None:
    """As it is kept in the documentation; `--update-golden` writes it."""
    rows = [
        f"| {one.name} | [`{said}`](checks.md#{said.lower()}) | "
        f"{'not in order' if code else 'in order'} |"
        for one, said, code in found
    ]
    head = (
        "# Faults on a node\n\nWhat was broken on purpose, one thing at a time, where "
        "pods run and packets pass policies; what\n`kubectl tracking doctor --probe` "
        "named as the first cause; and what `status --probe` made of it.\n"
        "`.ci/run e2e` does it again. Faults that need no node are "
        "[apart](faults.md).\n\n"
    )
    text = "\n".join(
        [head + "| fault | first cause | `status` |", "|---|---|---|", *rows, ""]
    )
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, "utf-8")

    assert PAGE.read_text("utf-8") == text
