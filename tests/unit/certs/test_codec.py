"""What the two Secrets hold: round trips, damage, and formats of the future."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from certs.codec import (
    NewerFormatError,
    decode_pair,
    decode_state,
    encode_pair,
    encode_state,
)
from certs.issue import issue
from certs.state import SeenAt, State
from tests.unit.certs.cases import NOW, POLICY

ONE, TWO, THREE = (issue(POLICY, NOW) for _ in range(3))
FULL = State(
    current=ONE,
    next=TWO,
    retired=(THREE.root,),
    trusted=SeenAt("u/1", NOW),
    switched=SeenAt("u/2", NOW),
    answered="now",
)


@pytest.mark.parametrize("state", [State(), State(current=ONE), FULL])
def test_a_state_survives_the_secret(state: State) -> None:
    """The same state, and the same bytes for it."""
    data = encode_state(state)

    assert decode_state(data) == state
    assert encode_state(decode_state(data)) == data


def test_a_pair_survives_the_secret() -> None:
    """Under the keys that every TLS mount knows."""
    data = encode_pair(ONE)

    assert sorted(data) == ["ca.crt", "tls.crt", "tls.key"]
    assert decode_pair(data) == ONE.material


def test_absent_data_is_an_empty_secret() -> None:
    """An installer creates them without any."""
    assert decode_state(None) == State()
    assert not decode_pair(None).leaf


def test_a_state_of_the_future_is_left_alone() -> None:
    """A downgrade must not overwrite what it cannot read."""
    data = encode_state(FULL) | {"state.json": _text({"format": 2})}

    with pytest.raises(NewerFormatError, match="format 2, this version knows 1"):
        decode_state(data)


@pytest.mark.parametrize(
    "marks",
    [
        b"{",
        b"[]",
        b'{"format": "x", "trusted": 1, "answered": 7}',
        b'{"trusted": {"version": "x"}}',
        b'{"trusted": {"version": "x", "at": 7}}',
        b'{"trusted": {"version": "x", "at": "yesterday"}}',
        b'{"trusted": {"version": "x", "at": "2026-01-01T00:00:00"}}',
        b"[" * 100_000,
    ],
)
def test_damaged_marks_are_no_marks(marks: bytes) -> None:
    """A dwell begins anew, which is always safe."""
    data = encode_state(State(current=ONE))
    data["state.json"] = base64.b64encode(marks).decode()

    assert decode_state(data) == State(current=ONE)


@given(st.sampled_from(sorted(encode_state(FULL))), st.text(max_size=40))
def test_damage_stays_where_it_is(key: str, text: str) -> None:
    """One unreadable slot never takes another with it."""
    found = decode_state(encode_state(FULL) | {key: text})

    assert found.current == (None if key.startswith("current") else ONE)
    assert found.next == (None if key.startswith("next") else TWO)


def test_no_ca_key_has_a_place() -> None:
    """Every private key in the Secrets belongs to a leaf."""
    leaves = [
        x509.load_pem_x509_certificate(one.leaf).public_key() for one in (ONE, TWO)
    ]
    blobs = [
        base64.b64decode(text)
        for data in (encode_state(FULL), encode_pair(ONE))
        for text in data.values()
    ]

    keys = [load_pem_private_key(b, None) for b in blobs if b"PRIVATE KEY" in b]
    assert len(keys) == 3
    assert all(key.public_key() in leaves for key in keys)


def _text(marks: object) -> str:
    return base64.b64encode(json.dumps(marks).encode()).decode()
