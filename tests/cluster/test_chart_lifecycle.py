"""Install, upgrade, re-apply, roll back and uninstall on an unmodified API server.

Nothing runs pods here, so hooks are left out: what they do is tested where they run.
"""

import base64
from collections.abc import Iterator

import pytest
import yaml

from tests.chart.rendering import CHART, RELEASE, Chart
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.listing import listing

NAMESPACE = "chart-lifecycle"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
APPLY = "application/apply-patch+yaml"


@pytest.fixture
def home(plane: ControlPlane) -> Iterator[str]:
    """A namespace for one release, which is taken away afterwards."""
    if not plane.admin.exists(f"/api/v1/namespaces/{NAMESPACE}"):
        plane.namespace(NAMESPACE)
    yield NAMESPACE
    if RELEASE in plane.helm("list", "--short", "--namespace", NAMESPACE):
        uninstall(plane)


def install(plane: ControlPlane, *arguments: str) -> str:
    """Install or upgrade the release; what helm prints."""
    return plane.helm(
        *("upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE),
        *arguments,
    )


def uninstall(plane: ControlPlane) -> None:
    """Uninstall the release."""
    plane.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks", "--wait")


def as_the_companion(plane: ControlPlane) -> None:
    """Write what the companion writes: bundle, pair and status."""
    bundle = base64.b64encode(plane.authority.certificate.read_bytes()).decode()
    names = [one["name"] for one in entries(plane)]
    owner = "?fieldManager=tracking-injector&force=true"
    plane.admin.patch(
        f"{CONFIGURATIONS}/{RELEASE}{owner}",
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": RELEASE},
            "webhooks": [
                {"name": name, "clientConfig": {"caBundle": bundle}} for name in names
            ],
        },
        kind=APPLY,
    )
    for plural, name, content in (
        ("secrets", f"{RELEASE}-tls", {"tls.crt": "QQ==", "tls.key": "QQ=="}),
        ("secrets", f"{RELEASE}-tls-state", {"state.json": "e30="}),
        ("configmaps", f"{RELEASE}-status", {"status.json": "{}"}),
    ):
        plane.admin.patch(
            f"/api/v1/namespaces/{NAMESPACE}/{plural}/{name}{owner}",
            {
                "apiVersion": "v1",
                "kind": "Secret" if plural == "secrets" else "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "data": content,
            },
            kind=APPLY,
        )


def entries(plane: ControlPlane) -> list[Object]:
    """The entries of the webhook configuration."""
    found = plane.admin.get(f"{CONFIGURATIONS}/{RELEASE}")["webhooks"]
    assert isinstance(found, list)
    return found


def kept(plane: ControlPlane) -> list[object]:
    """What the companion wrote, as it is now."""
    core = f"/api/v1/namespaces/{NAMESPACE}"
    return [
        [one["clientConfig"].get("caBundle") for one in entries(plane)],
        plane.admin.get(f"{core}/secrets/{RELEASE}-tls").get("data"),
        plane.admin.get(f"{core}/secrets/{RELEASE}-tls-state").get("data"),
        plane.admin.get(f"{core}/configmaps/{RELEASE}-status").get("data"),
    ]


def test_notes_are_short_and_say_what_to_do_next(
    plane: ControlPlane, home: str
) -> None:
    """At most twenty lines, with the command that switches a namespace on."""
    said = install(plane)
    notes = said.split("NOTES:\n")[1].rstrip().splitlines()

    assert len(notes) <= 20
    assert any("tracking.michelangelo-ai.org/inject=enabled" in line for line in notes)


def test_an_upgrade_and_a_rollback_keep_what_the_companion_wrote(
    plane: ControlPlane, home: str
) -> None:
    """Bundle, certificates and status have an owner, and it is not Helm."""
    install(plane)
    as_the_companion(plane)
    before = kept(plane)

    install(plane, "--set", "webhook.timeoutSeconds=5", "--set", "webhook.replicas=3")
    upgraded = kept(plane)
    timeouts = {one["timeoutSeconds"] for one in entries(plane)}
    plane.helm("rollback", RELEASE, "1", "--namespace", home)

    assert before == upgraded
    assert {5} == timeouts
    assert before == kept(plane)
    assert {3} == {one["timeoutSeconds"] for one in entries(plane)}


@pytest.mark.parametrize(
    "way",
    [
        ("apply",),
        ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd"),
    ],
    ids=["client-side", "server-side"],
)
def test_a_gitops_controller_takes_nothing_from_the_companion(
    plane: ControlPlane, home: str, way: tuple[str, ...]
) -> None:
    """Re-applied again and again, the manifests change nothing of its own."""
    chart = Chart(plane.toolbox.program("helm"))
    rendered = chart.render(namespace=NAMESPACE)
    manifests = yaml.safe_dump_all(
        one
        for one in rendered.manifests
        if "helm.sh/hook" not in one["metadata"].get("annotations", {})
    )
    plane.kubectl(*way, "-f", "-", stdin=manifests)
    as_the_companion(plane)
    before = kept(plane)

    for _ in range(3):
        plane.kubectl(*way, "-f", "-", stdin=manifests)

    after = kept(plane)
    plane.kubectl("delete", "-f", "-", stdin=manifests)
    assert before == after


def test_an_uninstall_leaves_nothing_behind(plane: ControlPlane, home: str) -> None:
    """A full listing of the cluster is the same before and after."""
    before = listing(plane)
    install(plane)
    as_the_companion(plane)
    during = listing(plane)

    uninstall(plane)

    assert before < during
    assert before == listing(plane)
