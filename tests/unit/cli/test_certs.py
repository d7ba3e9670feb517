"""`tracking-injector certs` on a cluster in memory."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from certs.codec import encode_pair
from certs.state import Served
from tests.unit.companion.certificates.site import (
    HOME,
    NAME,
    OURS,
    PLACE,
    Site,
    endpoint_slice,
    generation,
)
from webhook.cli.main import cli
from webhook.cluster.access import Access
from webhook.cluster.kinds import ENDPOINT_SLICE, SECRET, WEBHOOK_CONFIGURATION
from webhook.companion.certificates.words import ROTATE_ANNOTATION
from webhook.injection.names import CERTIFICATES_ANNOTATION, TLS_SECRET_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.companion.certificates.handshake import Address, Handshakes


@pytest.fixture(name="site")
def _site() -> Site:
    """After its first installation, with two replicas that serve what is current."""
    site = Site()
    site.settle()
    site.user.delete(ENDPOINT_SLICE, "injector-1", HOME)
    site.user.create(ENDPOINT_SLICE, endpoint_slice("10.0.0.1", "10.0.0.2"))
    return site


def run(site: Site, *words: str) -> Result:
    """The command against the site, whose replicas answer for the network."""
    port: Any = site.cluster.client("tracking-injector-certs")
    access = Access(port, HOME, "https://api.example")

    def ask(self: Handshakes, replicas: tuple[Address, ...], pem: bytes) -> Any:
        del self
        return site.certificates.probe(replicas, pem)

    with (
        patch("webhook.cli.certs.connect", lambda *_, **__: access),
        patch("webhook.cli.certs.now", site.clock),
        patch("webhook.cli.certs.Handshakes.__call__", ask),
    ):
        words = ("certs", words[0], "--release", NAME, *words[1:])
        return CliRunner().invoke(cli, words, env={"COLUMNS": "120"})


def shown(site: Site) -> dict[str, Any]:
    """What `show` says, for programs."""
    report: dict[str, Any] = json.loads(run(site, "show", "-o", "json").output)
    return report


# --- show ---


def test_show_has_every_fact(site: Site) -> None:
    """Generation, phase, every date, every replica's digest, days to an outage."""
    current = site.serving
    assert current is not None

    assert {
        "issuer": "companion",
        "secret": f"{HOME}/{PLACE.pair_secret}",
        "phase": "steady",
        "generation": current.fingerprint,
        "notAfter": "2026-04-02T03:04:05+00:00",
        "daysUntilForcedOutage": 89,
        "next": None,
        "bundle": [
            {
                "root": current.root.fingerprint,
                "notAfter": "2026-04-02T03:04:05+00:00",
                "of": "current",
            }
        ],
        "replicas": [
            {
                "address": f"10.0.0.{number}:8443",
                "serves": current.fingerprint,
                "trusted": True,
                "current": True,
            }
            for number in (1, 2)
        ],
        "problems": [],
    } == shown(site)


def test_show_has_a_column_for_each_fact(site: Site) -> None:
    """For people; code 0 says that all is in order."""
    done = run(site, "show")

    assert 0 == done.exit_code
    for word in (
        *("issuer", "companion", "secret", "phase", "steady", "generation"),
        *("notAfter", "daysUntilForcedOutage", "89", "next"),
        *("TRUSTED ROOT", "UNTIL", "OF", "current", "REPLICA", "SERVES", "TRUSTED"),
        *("10.0.0.1:8443", "10.0.0.2:8443"),
    ):
        assert word in done.output


def test_show_tells_every_phase_of_a_rotation(site: Site) -> None:
    """Whose each root is, and who serves which certificate."""
    site.request()
    site.step()
    staged = shown(site)
    site.now += timedelta(minutes=20)
    site.step()
    signed = shown(site)

    assert ("staged", ["current", "next"]) == (
        staged["phase"],
        [root["of"] for root in staged["bundle"]],
    )
    assert ("signed", ["retired", "current"]) == (
        signed["phase"],
        [root["of"] for root in signed["bundle"]],
    )
    assert staged["next"] == signed["generation"]
    assert [False, False] == [one["current"] for one in signed["replicas"]]


TROUBLES: dict[str, tuple[Callable[[Site], object], str]] = {
    "emptied": (
        lambda site: site.trust("", ""),
        "API servers are told to trust nobody: a caBundle is empty",
    ),
    "no-pair": (
        lambda site: _renew(site, PLACE.pair_secret, OURS),
        f"Secret {HOME}/{PLACE.pair_secret} holds no certificate",
    ),
    "silent": (
        lambda site: setattr(site, "serving", None),
        "10.0.0.1:8443 does not answer",
    ),
    "untrusted": (
        lambda site: setattr(site, "serving", generation()),
        "10.0.0.2:8443 does not serve a trusted certificate",
    ),
    "foreign-state": (
        lambda site: _renew(site, PLACE.state_secret, {}),
        f"Secret {HOME}/{PLACE.state_secret} lacks the label",
    ),
    "no-configuration": (
        lambda site: site.user.delete(WEBHOOK_CONFIGURATION, NAME),
        "there is no MutatingWebhookConfiguration injector",
    ),
    "pair-gone": (
        lambda site: site.delete(PLACE.pair_secret),
        f"Secret {HOME}/{PLACE.pair_secret} is gone",
    ),
}


def _renew(site: Site, name: str, labels: dict[str, str]) -> None:
    """Delete a Secret, and create it anew: empty, with these labels."""
    site.delete(name)
    site.secret(name, labels)


@pytest.mark.parametrize("case", TROUBLES)
def test_show_names_each_trouble(site: Site, case: str) -> None:
    """As the last lines, and as code 1."""
    breaks, sentence = TROUBLES[case]
    breaks(site)

    done = run(site, "show")

    assert 1 == done.exit_code
    assert sentence in " ".join(done.output.split())


def test_nobody_is_trusted_for_longer_than_the_last_root(site: Site) -> None:
    """The forced outage comes when the first of the two ends."""
    root = generation(site.now - timedelta(days=80)).root
    site.trust(*2 * (_text(root.pem),))

    assert 10 == shown(site)["daysUntilForcedOutage"]


def _text(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


# --- certificates of others ---


def _give_away(site: Site, issuer: str) -> None:
    """Another issues: its Secret, and what the chart says on the configuration."""
    pair = generation()
    site.secret("another", {})
    site.put("another", encode_pair(pair))
    site.serving = pair
    text = _text(pair.root.pem)
    site.trust(text, text)
    for name in (PLACE.state_secret, PLACE.pair_secret):
        site.delete(name)
    said = {CERTIFICATES_ANNOTATION: issuer, TLS_SECRET_ANNOTATION: "another"}
    meta = {"name": NAME, "annotations": said}
    site.cluster.client("helm").apply(WEBHOOK_CONFIGURATION, {"metadata": meta})


@pytest.mark.parametrize("issuer", ["certManager", "provided"])
def test_show_reads_the_certificate_of_others(site: Site, issuer: str) -> None:
    """From the Secret that the chart names; nothing of ours is missed."""
    _give_away(site, issuer)

    report = shown(site)

    assert (issuer, f"{HOME}/another", None, []) == (
        *(report["issuer"], report["secret"], report["phase"], report["problems"]),
    )
    assert report["generation"] == report["replicas"][0]["serves"]
    assert 0 == run(site, "verify").exit_code


@pytest.mark.parametrize(
    ("issuer", "sentence"),
    [
        ("certManager", "such as by `cmctl renew another`."),
        ("provided", "then replace the content of Secret another."),
    ],
)
def test_rotate_says_who_would_have_to(site: Site, issuer: str, sentence: str) -> None:
    """Nothing is written."""
    _give_away(site, issuer)
    before = site.writes()

    done = run(site, "rotate", "--now")

    assert (2, before) == (done.exit_code, site.writes())
    assert sentence in done.output


def test_an_issuer_that_nobody_knows_is_named(site: Site) -> None:
    """A newer chart, or a slip."""
    _give_away(site, "nobody")

    done = run(site, "show")

    assert 2 == done.exit_code
    assert "says 'nobody'; known are companion, certManager, provided." in done.output


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

    def probe(replicas: tuple[Address, ...], pem: bytes) -> tuple[Served, ...]:
        del replicas, pem
        return (
            Served(replica="a:1", leaf="", trusted=False),
            Served(replica="b:1", leaf="f00d", trusted=False),
        )

    site.certificates.probe = probe
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


@pytest.mark.parametrize("text", ["here", "here:", ":1", "here:https", "here:0x1"])
def test_an_address_that_is_none_is_named(site: Site, text: str) -> None:
    """With the option it came by."""
    done = run(site, "verify", "--connect", text)

    assert 2 == done.exit_code
    assert "--connect" in done.output
    assert f"{text!r} is not HOST:PORT" in done.output


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
    assert f"The EndpointSlices in namespace {HOME} cannot be listed." in done.output


def test_an_api_server_that_is_away_is_one_sentence(site: Site) -> None:
    """No trace."""
    site.cluster.outage = True

    done = run(site, "show")

    assert 2 == done.exit_code
    assert "nobody answers" in done.output
