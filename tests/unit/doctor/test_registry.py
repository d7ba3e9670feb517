"""The table of checks is whole, and in an order that can be."""

from collections.abc import Mapping
from typing import Any

import pytest

from webhook.companion.audit import AuditReason
from webhook.doctor.check import Check
from webhook.doctor.registry import CLUSTER, NAMESPACE, PREFLIGHT, PROBE
from webhook.egress.reasons import WITHOUT_RULE, EgressReason
from webhook.mirror.reasons import KeyReason, MirrorReason

CHECKS: list[Check[Any]] = [
    *(check for group in CLUSTER.values() for check in group),
    *(check for group in NAMESPACE.values() for check in group),
    *(check for group in PREFLIGHT.values() for check in group),
    *(check for group in PROBE.values() for check in group),
]
CODES = [check.code for check in CHECKS]
SYMPTOM = {"subject": "pod/x", "key": "tracking/inject"}
PREFLIGHT_WORDS = {"home": "ml-tracking", "release": "tracking-injector", **SYMPTOM}
CLUSTER_WORDS = {**PREFLIGHT_WORDS, "companion": "tracking-injector-companion"}
NAMESPACE_WORDS = {**CLUSTER_WORDS, "namespace": "ray"}
"""What a remedy may name: as the facts of its group tell, and the symptom."""


def test_a_code_is_one_check() -> None:
    """So that a code is a heading of the page, and a word for programs."""
    assert len(CODES) == len(set(CODES))
    assert all(code.isalnum() and code[0].isupper() for code in CODES)


def test_causes_come_before_their_consequences() -> None:
    """A check that would be skipped after a later one never was examined in time."""
    for check in CHECKS:
        for cause in check.after:
            assert cause in CODES, f"{check.code} comes after {cause}, which is none"
            assert CODES.index(cause) < CODES.index(check.code), (check.code, cause)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        pytest.param(check, words, id=check.code)
        for groups, words in (
            (CLUSTER, CLUSTER_WORDS),
            (NAMESPACE, NAMESPACE_WORDS),
            (PREFLIGHT, PREFLIGHT_WORDS),
            (PROBE, NAMESPACE_WORDS),
        )
        for group in groups.values()
        for check in group
    ],
)
def test_what_is_said_is_whole(check: Check[Any], words: Mapping[str, str]) -> None:
    """A title that holds, a sentence, and a command whose words are all known."""
    assert check.title
    assert check.sentence.endswith((".", "?"))
    assert "{" not in check.remedy.format_map(words).replace("{}", "")
    assert check.link == f"docs/reference/checks.md#{check.code.lower()}"


@pytest.mark.parametrize(
    "reason",
    [
        *(one for one in MirrorReason if not one.is_in_order),
        *(one for one in AuditReason if one.is_missed),
        *WITHOUT_RULE,
        *(
            one
            for one in KeyReason
            # An earlier source that loses is how sources are meant.
            if one is not KeyReason.KEY_CONFLICT
        ),
        EgressReason.WRITE_REFUSED,
        EgressReason.DESTINATION_INGRESS_BLOCKED,
    ],
)
def test_what_the_companion_finds_amiss_has_a_check(reason: str) -> None:
    """Nothing that is out of order is passed over in silence."""
    assert reason in CODES
