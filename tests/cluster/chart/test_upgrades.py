"""Helm and the companion never write what the other one wrote."""

import base64
from collections.abc import Iterator

import pytest

from tests.chart.rendering import CHART, RELEASE, Chart
from tests.cluster.chart.conftest import Helm, put_away
from tests.cluster.chart.product import (
    CONFIGURATION,
    companion,
    entries,
    kept,
)
from tests.lab.control_plane import ControlPlane
from tests.lab.tools import LabError

NAMESPACE = "chart-upgrades"


@pytest.fixture(scope="module")
def home(plane: ControlPlane) -> Iterator[str]:
    """A release namespace."""
    yield plane.namespace(NAMESPACE)
    put_away(plane, NAMESPACE)


def test_an_upgrade_beside_a_running_companion_empties_nothing(
    plane: ControlPlane, helm: Helm, chart: Chart, home: str
) -> None:
    """By Helm 3's three-way merge and Helm 4's server-side apply; and a rollback."""
    upgrade = ("upgrade", "--install", RELEASE, CHART, "--namespace", home)
    helm(*upgrade)
    with companion(plane, chart.render(namespace=home), home):
        before = kept(plane.admin, home)
        version = plane.admin.get(CONFIGURATION)["metadata"]["resourceVersion"]
        helm(*upgrade)
        unchanged = plane.admin.get(CONFIGURATION)["metadata"]["resourceVersion"]
        helm(*upgrade, "--set", "webhook.timeoutSeconds=5")
        upgraded = kept(plane.admin, home), entries(plane.admin)[0]["timeoutSeconds"]
        helm("rollback", RELEASE, "1", "--namespace", home)
        back = kept(plane.admin, home), entries(plane.admin)[0]["timeoutSeconds"]
    helm("uninstall", RELEASE, "--namespace", home, "--no-hooks", "--wait")

    assert version == unchanged
    assert (before, 5) == upgraded
    assert (before, 3) == back


def test_a_release_of_helm_3_goes_on_with_helm_4(
    plane: ControlPlane, chart: Chart, home: str
) -> None:
    """Also where the operator asks it for server-side apply from then on."""
    upgrade = ("upgrade", "--install", RELEASE, CHART, "--namespace", home)
    plane.helm(*upgrade)
    with companion(plane, chart.render(namespace=home), home):
        before = kept(plane.admin, home)
        for flags in ((), ("--server-side=true", "--force-conflicts")):
            plane.helm(
                *(
                    *upgrade,
                    *flags,
                    "--set",
                    f"webhook.timeoutSeconds={4 + len(flags)}",
                ),
                program="helm-4",
            )

            assert before == kept(plane.admin, home)
            assert 4 + len(flags) == entries(plane.admin)[0]["timeoutSeconds"]
    plane.helm(
        *("uninstall", RELEASE, "--namespace", home, "--no-hooks", "--wait"),
        program="helm-4",
    )


def test_the_issuer_changes_there_and_back(
    plane: ControlPlane, helm: Helm, chart: Chart, home: str
) -> None:
    """cert-manager leaves its Secret behind, and a type is for good."""
    upgrade = ("upgrade", "--install", RELEASE, CHART, "--namespace", home)
    mine = ("--set", "certificates.mode=companion")
    theirs = "certificates.mode=certManager,certificates.certManager.issuerName=ca"
    certificates = f"/apis/cert-manager.io/v1/namespaces/{home}/certificates"
    secrets = f"/api/v1/namespaces/{home}/secrets"
    helm(*upgrade, "--set", theirs)
    (certificate,) = plane.admin.get(certificates)["items"]
    name = certificate["spec"]["secretName"]
    made_by_cert_manager(plane, secrets, name)

    helm(*upgrade, *mine)
    seen = [len(plane.admin.get(certificates)["items"])]
    with companion(plane, chart.render(namespace=home), home):
        before = kept(plane.admin, home)
    helm(*upgrade, "--set", theirs)
    seen.append(len(plane.admin.get(certificates)["items"]))
    helm("rollback", RELEASE, "2", "--namespace", home)
    with companion(plane, chart.render(namespace=home), home):
        after = kept(plane.admin, home)
    stayed = plane.admin.exists(f"{secrets}/{name}")
    helm("uninstall", RELEASE, "--namespace", home, "--no-hooks", "--wait")
    plane.admin.delete(f"{secrets}/{name}")

    assert ([0, 1], True) == (seen, stayed)
    assert before != after


def made_by_cert_manager(plane: ControlPlane, secrets: str, name: str) -> None:
    """A Certificate's Secret, and what cainjector makes of the configuration."""
    body = {"metadata": {"name": name}, "type": "kubernetes.io/tls"}
    plane.admin.create(secrets, body | {"data": {"tls.crt": "", "tls.key": ""}})
    pem = plane.authority.certificate.read_bytes()
    bundle = base64.b64encode(pem).decode()
    config = [
        one | {"clientConfig": one["clientConfig"] | {"caBundle": bundle}}
        for one in entries(plane.admin)
    ]
    plane.admin.patch(CONFIGURATION, {"webhooks": config})


def test_a_provided_bundle_takes_the_companions_place(
    plane: ControlPlane, helm: Helm, chart: Chart, home: str
) -> None:
    """Helm 4 asks first, since the field was the companion's."""
    upgrade = ("upgrade", "--install", RELEASE, CHART, "--namespace", home)
    bundle = base64.b64encode(plane.authority.certificate.read_bytes()).decode()
    given = f"secretName=brought-along,certificates.provided.caBundle={bundle}"
    provided = ("--set", f"certificates.mode=provided,certificates.provided.{given}")
    helm(*upgrade, "--set", "certificates.mode=companion")
    with companion(plane, chart.render(namespace=home), home):
        pass
    asked = ""
    try:
        helm(*upgrade, *provided)
    except LabError as error:
        asked = str(error)
        helm(*upgrade, *provided, "--force-conflicts")
    bundles = {one["clientConfig"]["caBundle"] for one in entries(plane.admin)}
    helm(*upgrade, "--set", "certificates.mode=companion")
    with companion(plane, chart.render(namespace=home), home):
        back = {one["clientConfig"]["caBundle"] for one in entries(plane.admin)}
    helm("uninstall", RELEASE, "--namespace", home, "--no-hooks", "--wait")

    assert bundles == {bundle}
    assert back != bundles
    assert not asked or ".clientConfig.caBundle" in asked
