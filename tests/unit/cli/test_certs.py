"""`tracking-injector certs show`, also where others issue."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from certs.codec import encode_pair
from tests.unit.companion.certificates.site import (
    HOME,
    NAME,
    OURS,
    PLACE,
    Site,
    generation,
)
from webhook.cli.certs_view import tables
from webhook.cluster.resources import WEBHOOK_CONFIGURATION
from webhook.injection.names import CERTIFICATES_ANNOTATION, TLS_SECRET_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable


from tests.unit.cli.certs_on_site import installed, run, shown


@pytest.fixture(name="site")
def _site() -> Site:
    return installed()


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


def test_a_narrow_terminal_shows_whole_values(site: Site) -> None:
    """What is cut cannot be copied, such as a fingerprint."""
    facts, trusted, replicas, *_ = tables(shown(site))
    console = Console(width=40)
    with console.capture() as captured:
        console.print(facts, trusted, replicas, sep="\n")

    assert "\N{HORIZONTAL ELLIPSIS}" not in captured.get()
    assert "daysUntilForcedOutage" in captured.get()


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
    assert "says 'nobody'; known are companion, certManager, provided, " in done.output
