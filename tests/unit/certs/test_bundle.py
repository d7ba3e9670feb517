"""Bundles: the same trust gives the same bytes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from certs import bundle
from certs.issue import issue
from tests.unit.certs.cases import NOW, POLICY

if TYPE_CHECKING:
    from certs.model import Root

ROOTS = [issue(POLICY, NOW + timedelta(days=n)).root for n in range(4)]


@given(st.lists(st.sampled_from(ROOTS), max_size=12))
def test_order_and_repetition_do_not_matter(roots: list[Root]) -> None:
    """Fifty copies are one certificate."""
    unique = [root for root in ROOTS if root in roots]

    assert bundle.render(roots) == b"".join(root.pem for root in unique)


@given(
    st.lists(st.sampled_from(ROOTS), max_size=6), st.sampled_from([b"\r\n", b"#x\n"])
)
def test_parsing_undoes_rendering(roots: list[Root], noise: bytes) -> None:
    """Whatever stands between the blocks."""
    text = noise.join(root.pem for root in roots)

    assert set(bundle.parse(text)) == set(roots)


def test_a_bad_block_does_not_hide_the_others() -> None:
    """A bundle may have been written by anybody."""
    bad = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    assert bundle.parse(bad + ROOTS[0].pem + b"Cg==") == (ROOTS[0],)


def test_nothing_readable_is_an_empty_bundle() -> None:
    """A placeholder is no trust."""
    assert bundle.parse(b"\n") == ()


def test_an_expired_root_is_dropped_when_every_clock_agrees() -> None:
    """Not while one within the skew may still take it for valid."""
    end, skew = ROOTS[0].not_after, POLICY.skew

    assert bundle.live(ROOTS, end + skew, skew) == tuple(ROOTS)
    assert bundle.live(ROOTS, end + 2 * skew, skew) == tuple(ROOTS[1:])


def test_the_first_certificate_of_a_chain_is_the_one_that_is_served() -> None:
    """Whatever follows it, and whatever it follows."""
    served = issue(POLICY, NOW)
    chain = b"a comment\n" + served.leaf + served.root.pem

    found = bundle.first(chain)

    assert found is not None
    assert served.fingerprint == found.fingerprint
    assert bundle.first(b"nothing") is None
