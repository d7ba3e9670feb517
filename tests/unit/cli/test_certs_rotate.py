"""`certs rotate` and `certs verify`, and every command without a right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from certs.state import ReplicaCertificate
from tests.unit.companion.certificates.site import (
    HOME,
    OURS,
    PLACE,
    Site,
)
from webhook.cluster.resources import ENDPOINT_SLICE, SECRET, WEBHOOK_CONFIGURATION
from webhook.injection.names import ROTATE_ANNOTATION

if TYPE_CHECKING:
    from webhook.companion.certificates.probe import ReplicaAddress


from tests.unit.cli.certs_on_site import installed, run


@pytest.fixture(name="site")
def _site() -> Site:
    return installed()


# --- rotate ---


def test_rotate_asks_by_an_annotation(site: Site) -> None:
    """The companion acts on it; what it owns is left as it is."""
    before = site.data(PLACE.state_secret)

    done = run(site, "rotate", "--now")

    assert 0 == done.exit_code
    stored = site.user.get(SECRET, PLACE.state_secret, HOME)
    assert stored["metadata"]["annotations"][ROTATE_ANNOTATION] in done.output
    assert (before, OURS) == (stored["data"], stored["metadata"]["labels"])


def test_rotate_wants_to_be_told_twice(site: Site) -> None:
    """A command by mistake starts nothing."""
    done = run(site, "rotate")

    assert 2 == done.exit_code
    assert "Say --now: a rotation starts within seconds." in done.output


def test_rotate_makes_no_secret(site: Site) -> None:
    """One that is gone is named."""
    site.delete(PLACE.state_secret)

    done = run(site, "rotate", "--now")

    assert 2 == done.exit_code
    assert f"Not found: secrets {HOME}/{PLACE.state_secret}" in done.output


# --- verify ---


def test_verify_has_a_line_for_each_replica(site: Site) -> None:
    """Code 0 when an API server would accept every one."""
    done = run(site, "verify")

    assert 0 == done.exit_code
    assert 2 == done.output.count("  trusted  ")


def test_verify_tells_silence_from_distrust(site: Site) -> None:
    """They have different causes."""

    def probe(
        replicas: tuple[ReplicaAddress, ...], pem: bytes
    ) -> tuple[ReplicaCertificate, ...]:
        del replicas, pem
        return (
            ReplicaCertificate(replica="a:1", leaf="", trusted=False),
            ReplicaCertificate(replica="b:1", leaf="f00d", trusted=False),
        )

    site.probe = probe
    done = run(site, "verify")

    assert (1, "a:1  no handshake  \nb:1  NOT trusted  f00d\n") == (
        done.exit_code,
        done.output,
    )


def test_verify_without_a_replica_is_not_in_order(site: Site) -> None:
    """Nobody answers task pods then."""
    site.user.delete(ENDPOINT_SLICE, "injector-1", HOME)

    done = run(site, "verify")

    assert (1, "No replica is ready.\n") == (done.exit_code, done.output)


@pytest.mark.parametrize("text", ["127.0.0.1:8443", "[fd00::1]:8443"])
def test_verify_asks_one_address_alone(site: Site, text: str) -> None:
    """Such as a forwarded port."""
    done = run(site, "verify", "--connect", text)

    assert 0 == done.exit_code
    assert 1 == done.output.count("  trusted  ")
    assert done.output.startswith(f"{text}  trusted  ")


@pytest.mark.parametrize(
    "text", ["here", "here:", ":1", "here:https", "here:0x1", "u:p@here:1"]
)
def test_an_address_that_is_none_is_refused(site: Site, text: str) -> None:
    """By its option: what was meant may be a URI with a password."""
    done = run(site, "verify", "--connect", text)

    assert 2 == done.exit_code
    assert "--connect: it is not HOST:PORT" in done.output


# --- rights ---


@pytest.mark.parametrize("words", [("show",), ("verify",), ("rotate", "--now")])
@pytest.mark.parametrize("kind", [SECRET, WEBHOOK_CONFIGURATION])
def test_a_missing_right_is_one_sentence(
    site: Site, words: tuple[str, ...], kind: object
) -> None:
    """Which names the verb and the object."""
    site.cluster.forbid(lambda call: call.kind == kind)

    done = run(site, *words)

    assert 2 == done.exit_code
    assert "A right is missing: get " in done.output


def test_endpoints_that_cannot_be_listed_are_named(site: Site) -> None:
    """Without them nobody can be asked."""
    site.cluster.forbid(lambda call: call.kind == ENDPOINT_SLICE)

    done = run(site, "verify")

    assert 2 == done.exit_code
    assert f"A right is missing: list endpointslices {HOME}/" in done.output


def test_an_api_server_that_is_away_is_one_sentence(site: Site) -> None:
    """No trace."""
    site.cluster.outage = True

    done = run(site, "show")

    assert 2 == done.exit_code
    assert "nobody answers" in done.output
