"""Secret data ↔ values: what `.data` of the two Secrets looks like.

Decoding never raises on content: what is damaged counts as absent, and the rotation
repairs it. The exception is a state that a newer version wrote.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from certs import bundle
from certs.model import Generation, Material, PrivateKey
from certs.state import SeenAt, State
from certs.validate import load

FORMAT = 1
"""Of the state Secret; grows when an older version could misread it."""

_PAIR = ("ca.crt", "tls.crt", "tls.key")
_CURRENT = ("current.ca.crt", "current.crt", "current.key")
_NEXT = ("next.ca.crt", "next.crt", "next.key")
_RETIRED = "retired.crt"
_MARKS = "state.json"

Data = Mapping[str, str] | None
"""A Secret's `.data`: base64 by key; absent when it is empty."""


class NewerFormatError(ValueError):
    """The state was written by a newer version: leave it alone."""


def decode_pair(data: Data) -> Material:
    """Return the serving Secret's content, not validated."""
    return _material(_readable(data), _PAIR)


def encode_pair(generation: Generation) -> dict[str, str]:
    """Return `.data` of the serving Secret: `tls.crt`, `tls.key`, `ca.crt`."""
    return _slots(generation, _PAIR)


def decode_state(data: Data) -> State:
    """Return the state Secret's content; what is damaged is absent.

    Raises:
        NewerFormatError: a newer version of the product wrote it.
    """
    data = _readable(data)
    marks = _json(_blob(data, _MARKS))
    written = marks.get("format", FORMAT)
    if isinstance(written, int) and written > FORMAT:
        raise NewerFormatError(
            f"the state is of format {written}, this version knows {FORMAT}"
        )
    answered = marks.get("answered", "")
    return State(
        current=_generation(data, _CURRENT),
        next=_generation(data, _NEXT),
        retired=bundle.parse(_blob(data, _RETIRED)),
        trusted=_mark(marks.get("trusted")),
        switched=_mark(marks.get("switched")),
        answered=answered if isinstance(answered, str) else "",
    )


def encode_state(state: State) -> dict[str, str]:
    """Return `.data` of the state Secret; the same state gives the same bytes."""
    marks = {
        "format": FORMAT,
        "trusted": _mark_json(state.trusted),
        "switched": _mark_json(state.switched),
        "answered": state.answered,
    }
    data = {_MARKS: _text(json.dumps(marks, sort_keys=True).encode())}
    if state.retired:
        data[_RETIRED] = _text(bundle.render(state.retired))
    for generation, keys in ((state.current, _CURRENT), (state.next, _NEXT)):
        if generation is not None:
            data |= _slots(generation, keys)
    return data


def _slots(generation: Generation, keys: tuple[str, str, str]) -> dict[str, str]:
    blobs = (generation.root.pem, generation.leaf, generation.key.reveal())
    return {key: _text(blob) for key, blob in zip(keys, blobs, strict=True)}


def _material(data: Mapping[str, str], keys: tuple[str, str, str]) -> Material:
    ca, leaf, key = (_blob(data, name) for name in keys)
    return Material(ca=ca, leaf=leaf, key=PrivateKey(key))


def _generation(
    data: Mapping[str, str], keys: tuple[str, str, str]
) -> Generation | None:
    found = load(_material(data, keys))
    return found if isinstance(found, Generation) else None


def _readable(data: Data) -> Mapping[str, str]:
    return data if isinstance(data, dict) else {}


def _text(blob: bytes) -> str:
    return base64.b64encode(blob).decode()


def _blob(data: Mapping[str, str], key: str) -> bytes:
    try:
        return base64.b64decode(data.get(key) or "", validate=True)
    except (TypeError, ValueError):
        return b""


def _json(blob: bytes) -> dict[str, Any]:
    try:
        found = json.loads(blob or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _mark(found: object) -> SeenAt | None:
    if not isinstance(found, dict):
        return None
    try:
        at = datetime.fromisoformat(found["at"])
        # What UTC cannot say could not be written again.
        return SeenAt(str(found["version"]), at.astimezone(UTC)) if at.tzinfo else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _mark_json(mark: SeenAt | None) -> dict[str, str] | None:
    if mark is None:
        return None
    return {"version": mark.version, "at": mark.at.astimezone(UTC).isoformat()}
