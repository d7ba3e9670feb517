"""Certificates of others: the companion touches nothing, and the commands say whose."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.rotation.others import (
    CONFIGURATION,
    HOME,
    RELEASE,
    Others,
    define_certificates,
)
from tests.lab.api import ApiError
from tests.lab.processes import wait_for
from webhook.settings import Issuer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.control_plane import ControlPlane

SECRETS = {
    Issuer.CERT_MANAGER: f"{RELEASE}-cert-manager-tls",
    Issuer.PROVIDED: "brought-along",
}


@pytest.fixture(name="others", params=SECRETS, scope="module")
def _others(
    own_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Others]:
    """On an API server of its own, with no cert-manager but us."""
    issuer: Issuer = request.param
    define_certificates(own_plane)
    folder = tmp_path_factory.mktemp("others")
    others = Others(own_plane, folder, issuer, SECRETS[issuer])
    others.install()
    yield others
    others.uninstall()


def test_the_companion_touches_nothing(others: Others) -> None:
    """Neither the Secret nor a `caBundle`, not even one that somebody emptied."""
    bundle = others.configuration()["webhooks"][0]["clientConfig"]["caBundle"]
    companion = others.start_companion()
    try:
        others.trust("")
        before = others.stored()
        time.sleep(4)  # twice as long as a repair of ours may take
        assert others.stored() == before
    finally:
        companion.stop(seconds=5)
        others.trust(bundle)

    writers = [
        entry["manager"]
        for stored in before
        for entry in stored["metadata"]["managedFields"]
    ]
    assert "cert-manager-cainjector" in writers
    assert "tracking-injector" not in writers


def test_the_companion_has_no_right_to(others: Others) -> None:
    """The chart gives it none for what is not its own."""
    companion = others.plane.service_account(HOME, f"{RELEASE}-companion")
    secret = f"/api/v1/namespaces/{HOME}/secrets/{others.secret}"
    for path in (CONFIGURATION, secret):
        with pytest.raises(ApiError, match="403 Forbidden"):
            companion.patch(path, {"metadata": {"annotations": {"a": "b"}}})


def test_show_and_verify_work_all_the_same(others: Others) -> None:
    """Who issues, what is mounted, who trusts it, and what each replica serves."""
    webhook = others.start_webhook()
    try:
        wait_for("a handshake", lambda: others.certs("verify")[0] == 0)
        code, said = others.certs("show", "-o", "json")
        table = others.certs("show")
    finally:
        webhook.stop(seconds=0)

    shown = json.loads(said)
    assert (code, shown["problems"]) == (0, [])
    assert shown["issuer"] == others.issuer.value
    assert shown["secret"] == f"{HOME}/{others.secret}"
    assert (shown["phase"], shown["daysUntilForcedOutage"]) == (None, 89)
    (replica,) = shown["replicas"]
    assert (replica["serves"], replica["current"]) == (shown["generation"], True)
    assert table[0] == 0
    assert others.issuer.value in table[1]


def test_rotate_says_whose_turn_it_is(others: Others) -> None:
    """There is nothing to rotate here: one sentence, and nothing is written."""
    before = others.stored()

    code, said = others.certs("rotate", "--now")

    assert code == 2
    words = {
        Issuer.CERT_MANAGER: f"such as by `cmctl renew {others.secret}`.",
        Issuer.PROVIDED: f"then replace the content of Secret {others.secret}.",
    }
    assert words[others.issuer] in said
    assert others.stored() == before
