"""Reads and writes manifests the way that kubectl does.

Scalars mean what they mean to kubectl, which is not quite YAML 1.1 nor 1.2: `1e3` is a
number, `12:30` and `2026-01-01` are text, `y` is true. What is written is quoted
wherever any common reader would see something else than text. Order and unknown
fields survive; comments, anchors and quoting styles do not.

Source: go.yaml.in/yaml/v2 `resolve.go`, by way of sigs.k8s.io/yaml.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import yaml

from webhook.cli.document import BadInputError, Field

_DEEPEST = 100
"""Levels of nesting; the deepest field of a pod is at 20 or so."""
_REPEATED = 1 << 20
"""Characters and nodes that aliases may repeat in a file."""
_TOO_DEEP = f"it is nested deeper than {_DEEPEST} levels"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a manifest.

    Attributes:
        origin: Where it stands, as `pods.yaml, document 2`.
        content: The object, made of JSON values alone, none of them shared.
    """

    origin: str
    content: dict[str, Any]

    @property
    def root(self) -> Field:
        """The object, to be walked."""
        return Field(self.content, self.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestObject:
    """An object of a document, on its own or in a list.

    Attributes:
        field: The object.
        pointer: JSON pointer to it in the document.
        group: Of its API; None when the object names no version.
        version: Of its API.
        kind: Its kind.
    """

    field: Field
    pointer: str
    group: str | None
    version: str
    kind: str

    @property
    def name(self) -> str:
        """The object's name, which it must have."""
        name = self.field.at("metadata").or_empty().at("name")
        if not name.text():
            raise name.error("is missing")
        return name.text()

    def is_a(self, group: str, kind: str) -> bool:
        """Whether it is of a group and kind; one that names no group may be."""
        return self.kind == kind and self.group in (group, None)


def objects(document: Document) -> Iterator[ManifestObject]:
    """Find the objects of a document, in lists and in lists of lists too.

    Raises:
        BadInputError: An item is no object, or has no kind; it is named.
    """
    return _objects(document.root, "")


def _objects(node: Field, pointer: str) -> Iterator[ManifestObject]:
    kind, api = node.at("kind").text(), node.at("apiVersion").text()
    if not kind:
        raise node.at("kind").error("is missing")
    if kind.endswith("List") and "items" in node.map():
        # The API's own lists leave out what their items are.
        default = {} if kind == "List" else {"kind": kind.removesuffix("List")}
        default |= {"apiVersion": api} if api and default else {}
        for index, item in enumerate(node.at("items").items()):
            typed = Field(default | item.map(), item.origin, item.path)
            yield from _objects(typed, f"{pointer}/items/{index}")
        return
    group, _, version = api.rpartition("/")
    yield ManifestObject(
        field=node,
        pointer=pointer,
        group=group if api else None,
        version=version,
        kind=kind,
    )


def read(file: IO[bytes]) -> list[Document]:
    """Read every document of a file: YAML, or JSON objects one after the other.

    Args:
        file: Open for reading; its name goes into errors.

    Returns:
        The documents in their order; empty ones are left out, and counted.

    Raises:
        BadInputError: The file is neither, or a document is no Kubernetes object.
    """
    name = getattr(file, "name", "<stdin>")
    name = "standard input" if name == "<stdin>" else name
    documents = [
        Document(origin, _plain(value, origin))
        for number, value in enumerate(_values(file.read(), name), start=1)
        if value is not None
        for origin in (f"{name}, document {number}",)
    ]
    if not documents:
        raise BadInputError(f"{name} holds no document.")
    for document in documents:
        for _ in objects(document):
            pass  # what cannot be read is named before anything is done
    return documents


def as_yaml(values: list[Any]) -> str:
    """Write values as the documents of one YAML stream."""
    return yaml.dump_all(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=1_000_000,
    )


def as_json(values: list[Any]) -> str:
    """Write values as JSON, one after the other, as kubectl reads them."""
    return "".join(
        json.dumps(value, indent=2, ensure_ascii=False) + "\n" for value in values
    )


WRITERS: Final = {"yaml": as_yaml, "json": as_json}
"""By the name that `-o` takes."""


def _values(text: bytes, name: str) -> list[Any]:
    if text.lstrip()[:1] == b"{":
        try:
            return _json_values(text.decode().strip())
        except (ValueError, RecursionError):
            pass  # YAML in flow style begins with a brace as well
    try:
        _check_size(text, name)
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        # Not the whole message: it would quote the line, and that may be a secret.
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = error.problem
        if problem == "exceeded maximum nesting depth":
            # libyaml scans ahead, and says so before the depth is counted here.
            raise BadInputError(f"{name}: {_TOO_DEEP}.") from None
        if isinstance(error, yaml.constructor.ConstructorError):
            problem = "it has a tag, a key or a number that JSON cannot hold"
        raise BadInputError(f"{name},{place} {problem}.") from None
    except yaml.YAMLError:
        raise BadInputError(f"{name} is not text in UTF-8.") from None
    except (ValueError, AttributeError, LookupError, RecursionError):
        # Numbers, dates and truth values that its tags announce and that are none.
        raise BadInputError(f"{name} is not YAML that JSON can hold.") from None


def _check_size(text: bytes, name: str) -> None:
    """Refuse what is nested too deep, or repeated too often by aliases.

    libyaml composes by recursion, and would end the process on a deep document; an
    alias costs nothing before its copies are made.
    """
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = repeated = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            sizes |= {anchor: total - before} if anchor else {}
        elif isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value)
            total += size
            sizes |= {event.anchor: size} if event.anchor else {}
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor or "", 0)
            total, repeated = total + size, repeated + size
        if len(open_) > _DEEPEST:
            raise BadInputError(f"{name}: {_TOO_DEEP}.")
        if repeated > _REPEATED:
            raise BadInputError(f"{name}: its aliases repeat too much.")


def _json_values(text: str) -> list[Any]:
    decoder, values, position = json.JSONDecoder(), [], 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        values.append(value)
        while position < len(text) and text[position].isspace():
            position += 1
    return values


def _plain(value: Any, origin: str) -> dict[str, Any]:
    # Through JSON and back: keys become strings, anchors become copies, so that a
    # patch of one container cannot reach another that shares its list.
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        plain = json.loads(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise BadInputError(f"{origin}: it holds a value JSON cannot hold.") from None
    if not _is_shallow(plain, _DEEPEST):
        raise BadInputError(f"{origin}: {_TOO_DEEP}.")
    return Field(plain, origin).map()


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    members = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(member, levels - 1) for member in members)


_TAG = "tag:yaml.org,2002:"
_INT = r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0|0o?[0-7][0-7_]*|[1-9][0-9_]*)"
_FLOAT = r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
_SCALARS = (
    ("bool", "y|Y|n|N|yes|Yes|YES|no|No|NO", "yYnN"),
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("bool", "on|On|ON|off|Off|OFF", "oO"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", "<<", "<"),
)


class _Loader(yaml.CSafeLoader):
    # Without YAML 1.1's own table: timestamps and base 60 are text to kubectl.
    yaml_implicit_resolvers = {}  # noqa: RUF012 - the library's own attribute
    bool_values = yaml.CSafeLoader.bool_values | {"y": True, "n": False}


class _Dumper(yaml.CSafeDumper):
    # On top of YAML 1.1's table, so that text which any reader may see as something
    # else is quoted.
    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


for _kind, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            _TAG + _kind, re.compile(f"^(?:{_pattern})$"), list(_first)
        )
_Dumper.add_representer(str, _text)
