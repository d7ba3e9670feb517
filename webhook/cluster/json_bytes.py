"""Parses what an API server sends, however deep or large a tenant's objects are.

A page of objects is split without parsing it, so that one object at a time is parsed.
"""

import re
from typing import Final

import msgspec
import orjson

from webhook.cluster.errors import Unavailable
from webhook.cluster.interface import Json

_DEEPEST: Final = 200
"""Levels that are kept: API types have a dozen, parsers refuse a thousand, and API
servers store ten thousand, in `managedFields` for instance."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]')


class ListMeta(msgspec.Struct):
    """A list's metadata."""

    version: str = msgspec.field(name="resourceVersion", default="")
    continue_: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct):
    """A page of a list, its objects not parsed yet."""

    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[msgspec.Raw] | None = None


_PAGE: Final = msgspec.json.Decoder(Page)


def parse_status(data: bytes) -> Json:
    """Return the `Status` that an API server refuses with; empty for anything else."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    is_status = isinstance(found, dict) and found.get("kind") == "Status"
    return found if is_status else {}


def parse(data: bytes | msgspec.Raw, what: str) -> Json:
    """Return the JSON object that an answer consists of.

    Raises:
        Unavailable: it is none; its text is not quoted.
    """
    try:
        body = orjson.loads(memoryview(data))
    except orjson.JSONDecodeError:
        try:
            body = orjson.loads(shallow(bytes(data)))
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"{what}: the answer is not JSON") from error
    if not isinstance(body, dict):
        raise Unavailable(f"{what}: the answer is no object")
    return body


def parse_page(data: bytes | bytearray, what: str) -> Page:
    """Return a page of a list.

    Raises:
        Unavailable: it is none; its text is not quoted.
    """
    try:
        try:
            return _PAGE.decode(data)
        except RecursionError:
            return _PAGE.decode(shallow(data))
    except msgspec.MsgspecError as error:
        raise Unavailable(f"{what}: the answer is not a list") from error


def shallow(data: bytes | bytearray) -> bytes:
    """Return JSON with null for everything that is nested too deep to be parsed."""
    parts, depth, kept = [], 0, 0
    for token in _TOKEN.finditer(data):
        character = token[0][:1]
        if character in b"[{":
            depth += 1
            if depth == _DEEPEST:
                parts.append(data[kept : token.start()])
        elif character in b"]}":
            if depth == _DEEPEST:
                parts.append(b"null")
                kept = token.end()
            depth -= 1
    return b"".join((*parts, data[kept:]))
