"""Each way in which a certificate can be unfit has its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from certs.issue import issue
from certs.model import Material, PrivateKey
from certs.validate import (
    CertificateReason,
    check,
    load,
    load_strict,
)
from tests.unit.certs.cases import NOW, POLICY, Case, reason_of

GOOD = issue(POLICY, NOW)
OTHER = issue(POLICY, NOW)
PARTS = GOOD.material


def with_key(pem: bytes) -> Material:
    """Good certificates with another key."""
    return replace(PARTS, key=PrivateKey(pem))


UNFIT: dict[str, tuple[Material, CertificateReason]] = {
    "nothing": (Material(), CertificateReason.MISSING),
    "no CA": (replace(PARTS, ca=b""), CertificateReason.MISSING),
    "no leaf": (replace(PARTS, leaf=b""), CertificateReason.MISSING),
    "no key": (with_key(b""), CertificateReason.MISSING),
    "no PEM": (replace(PARTS, ca=b"\x00\xff"), CertificateReason.UNPARSABLE),
    "truncated leaf": (
        replace(PARTS, leaf=PARTS.leaf[:200]),
        CertificateReason.UNPARSABLE,
    ),
    "truncated key": (with_key(PARTS.key.reveal()[:100]), CertificateReason.UNPARSABLE),
    "two CAs": (
        replace(PARTS, ca=PARTS.ca + OTHER.root.pem),
        CertificateReason.UNPARSABLE,
    ),
    "encrypted key": (
        Case(encryption=serialization.BestAvailableEncryption(b"x")).material(),
        CertificateReason.UNPARSABLE,
    ),
    "another key": (with_key(OTHER.key.reveal()), CertificateReason.KEY_MISMATCH),
    "an RSA key": (
        with_key(
            rsa.generate_private_key(65537, 2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        ),
        CertificateReason.KEY_MISMATCH,
    ),
    "leaf and CA swapped": (
        replace(PARTS, ca=PARTS.leaf, leaf=PARTS.ca),
        CertificateReason.KEY_MISMATCH,
    ),
    "another CA": (replace(PARTS, ca=OTHER.root.pem), CertificateReason.CHAIN_BROKEN),
    "CA that is none": (Case(ca=False).material(), CertificateReason.CHAIN_BROKEN),
    "CA that may not sign": (
        Case(signs=False).material(),
        CertificateReason.CHAIN_BROKEN,
    ),
    "CA without constraints": (
        Case(constraints=False).material(),
        CertificateReason.CHAIN_BROKEN,
    ),
    "leaf without purpose": (
        Case(purposes=()).material(),
        CertificateReason.CHAIN_BROKEN,
    ),
    "leaf for clients": (
        Case(purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)).material(),
        CertificateReason.CHAIN_BROKEN,
    ),
    "leaf that outlives its CA": (
        Case(ca_life=POLICY.life - timedelta(days=1)).material(),
        CertificateReason.CHAIN_BROKEN,
    ),
    "short RSA key": (
        Case(leaf_key=rsa.generate_private_key(65537, 1024)).material(),  # noqa: S505 - weak
        CertificateReason.WEAK,
    ),
    "short curve": (
        Case(ca_key=ec.generate_private_key(ec.SECP224R1())).material(),
        CertificateReason.WEAK,
    ),
    "DSA": (
        Case(leaf_key=dsa.generate_private_key(1024)).material(),  # noqa: S505 - weak
        CertificateReason.WEAK,
    ),
    "other names": (Case(names=("a.b.svc",)).material(), CertificateReason.WRONG_NAMES),
    "no names": (Case(names=()).material(), CertificateReason.WRONG_NAMES),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_certificate_has_its_reason(case: str) -> None:
    """The first thing wrong is the one reported."""
    material, reason = UNFIT[case]

    assert reason_of(material) is reason


@pytest.mark.parametrize(
    "case", [Case(), Case(leaf_key=rsa.generate_private_key(65537, 2048))]
)
def test_what_others_issue_well_is_accepted(case: Case) -> None:
    """Also RSA: an operator may bring his own."""
    assert reason_of(case.material()) is CertificateReason.OK


@pytest.mark.parametrize("edge", [b"\xef\xbb\xbf", b"\r\n\r\n", b"# comment\n"])
def test_what_editors_add_does_no_harm(edge: bytes) -> None:
    """A byte order mark, blank lines and comments are not part of the PEM."""
    material = replace(PARTS, ca=edge + PARTS.ca, leaf=edge + PARTS.leaf)

    assert reason_of(material) is CertificateReason.OK


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (timedelta(hours=-2), CertificateReason.PREMATURE),
        (timedelta(hours=-1), CertificateReason.OK),
        (
            POLICY.life - POLICY.renew_before - timedelta(seconds=1),
            CertificateReason.OK,
        ),
        (POLICY.life - POLICY.renew_before, CertificateReason.EXPIRING),
        (POLICY.life, CertificateReason.EXPIRING),
        (POLICY.life + timedelta(seconds=1), CertificateReason.EXPIRED),
    ],
)
def test_the_reason_follows_the_clock(
    offset: timedelta, reason: CertificateReason
) -> None:
    """At the second."""
    assert check(GOOD, POLICY, NOW + offset) is reason


ORDER = [
    CertificateReason.PREMATURE,
    CertificateReason.OK,
    CertificateReason.EXPIRING,
    CertificateReason.EXPIRED,
]
MOMENTS = st.timedeltas(timedelta(days=-1), timedelta(days=120))


@given(MOMENTS, MOMENTS)
def test_reasons_only_move_forward_in_time(one: timedelta, other: timedelta) -> None:
    """Later never looks younger."""
    earlier, later = sorted((one, other))

    before = check(GOOD, POLICY, NOW + earlier)
    after = check(GOOD, POLICY, NOW + later)

    assert ORDER.index(before) <= ORDER.index(after)


@given(st.binary(max_size=300), st.sampled_from(["ca", "leaf", "key"]))
def test_any_bytes_get_a_reason(blob: bytes, part: str) -> None:
    """Never an exception, and never a consent."""
    parts = {
        "ca": replace(PARTS, ca=blob),
        "leaf": replace(PARTS, leaf=blob),
        "key": with_key(blob),
    }

    assert isinstance(load(parts[part]), CertificateReason)


def test_sound_says_why_it_is_not() -> None:
    """For material that cannot be otherwise."""
    assert load_strict(PARTS) == GOOD
    with pytest.raises(ValueError, match="Missing"):
        load_strict(with_key(b""))


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{:>40}".format])
def test_no_value_prints_a_key(shown: object) -> None:
    """Whatever way it is turned into text."""
    assert callable(shown)
    secret = PARTS.key.reveal().decode().splitlines()[1]

    for value in (PARTS, GOOD, PARTS.key, [GOOD], {"x": PARTS.key}):
        try:
            text = str(shown(value))
        except TypeError:  # a dataclass knows no alignment
            continue
        assert secret not in text
        assert secret[:20] not in text
