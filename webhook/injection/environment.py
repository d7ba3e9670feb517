"""The environment a container ends up with: a reference model of the kubelet's rule.

The kubelet takes every `envFrom` source in order, then every `env` entry in order;
whatever comes later replaces what came before. It skips no key: what a Secret or
ConfigMap may have as a key is a variable's name (before Kubernetes 1.32 it skipped
keys with `.` or `-`). `$(NAME)` in a literal means the value
that NAME has at that point, and stays as it is when there is none.

Source: kubernetes `pkg/kubelet/kubelet_pods.go` (`makeEnvironmentVariables`) and
`third_party/forked/golang/expansion`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from webhook.injection.names import MIRROR_SECRET

LONGEST: Final = 131_072
"""Bytes of NAME=VALUE with the NUL behind it that Linux passes on (MAX_ARG_STRLEN)."""

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")

_SERVICE_LINK = re.compile(r"[A-Z0-9_]+_(SERVICE_(HOST|PORT)|PORT)(_[A-Z0-9_]+)?")
"""Names that the kubelet adds underneath for the namespace's Services."""


class VariableSource(StrEnum):
    """Where a variable's value comes from in the end."""

    LITERAL = "literal"
    SECRET_KEY = "secret-key"  # noqa: S105 - a kind, not a password
    CONFIG_MAP_KEY = "config-map-key"
    FIELD = "field"
    FILE = "file"
    """A key of a file that an init container writes (`fileKeyRef`)."""
    SECRET = "secret"  # noqa: S105 - a kind, not a password
    CONFIG_MAP = "config-map"
    TRACKING = "tracking"
    """The mirror, as a whole or one key of it."""


_MIRROR = f"Secret {MIRROR_SECRET}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable and the source that wins.

    Attributes:
        name: The variable's name.
        kind: The winning source's kind.
        source: Where it stands, as `env[3]` or `envFrom[0] Secret michelangelo-…`. An
            optional one of which nothing is known ends in `if it is there`: without
            it, the last of `shadowed` is what the container has.
        value: The value; `None` when it is not known from what was given.
        object_name: Of the Secret or ConfigMap that has it; empty for other kinds.
        shadowed: Sources that had the name too and lost, in their order.
    """

    name: str
    kind: VariableSource
    source: str
    value: str | None = field(repr=False)
    object_name: str = ""
    shadowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a container would start with.

    Attributes:
        variables: By name, in the order in which the names first appear.
        unresolved: `envFrom` sources whose content was not given, so that any of
            their keys may be there as well.
        waits_for: Required objects or keys known to be missing: the kubelet holds
            the container until they are there.
        unfit: Names whose value a container may not start with: it is no text, or
            longer than Linux passes on.
    """

    variables: Mapping[str, Variable]
    unresolved: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSources:
    """Secrets and ConfigMaps of the pod's namespace, by name.

    Attributes:
        secrets: Name to keys and decoded values, what is not UTF-8 by `decoded`;
            `None` for a Secret known not to exist. A name that is absent here is
            unknown.
        config_maps: The same for the `data` of ConfigMaps; the kubelet takes no
            variable from their `binaryData`.
    """

    secrets: Mapping[str, Mapping[str, str] | None] = field(repr=False)
    config_maps: Mapping[str, Mapping[str, str] | None] = field(repr=False)

    def find(self, kind: str, name: str) -> tuple[bool, Mapping[str, str] | None]:
        """Look up by kind `Secret` or `ConfigMap`: whether known, and the content."""
        known = self.secrets if kind == "Secret" else self.config_maps
        return name in known, known.get(name)


NOTHING_KNOWN = KnownSources(secrets={}, config_maps={})


def decoded(value: bytes) -> str:
    """Return a Secret's value as text; a byte that is none becomes a lone surrogate."""
    return value.decode("utf-8", "surrogateescape")


def is_fit(name: str, value: str) -> bool:
    """Return whether a container starts with a variable on every node.

    With NUL or more than `LONGEST` on none. What is not UTF-8 is refused by kubelets
    1.34.0 to 1.36.1, as far as they have no later patch, and by containerd 2.2; others
    replace its bytes.
    """
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value and len(name) + len(encoded) + 2 <= LONGEST


def environment(
    container: Mapping[str, Any], sources: KnownSources = NOTHING_KNOWN
) -> Environment:
    """Compute the environment of a container.

    Args:
        container: A container of a pod.
        sources: What is known of the objects it refers to.

    Returns:
        The variables with the winning source each. What the image or the service
        links would add underneath is not included: both lose to all of it.
    """
    builder = _Builder(sources)
    for index, source in enumerate(container.get("envFrom") or ()):
        builder.add_source(index, source)
    for index, entry in enumerate(container.get("env") or ()):
        builder.add_entry(index, entry)
    return builder.environment()


def expand(
    text: str, values: Mapping[str, str | None], *, complete: bool = True
) -> str | None:
    """Replace `$(NAME)` as the kubelet does.

    Args:
        text: A literal; `$$` stands for a dollar sign that begins no reference.
        values: Known names; `None` for a name whose value is not known.
        complete: Whether a name that `values` lacks does not exist, and so stays as
            it is written; otherwise its value is not known.

    Returns:
        The text, or `None` when it depends on a value that is not known.
    """
    unknown = False

    def value_of(match: re.Match[str]) -> str:
        nonlocal unknown
        name = match.group(1)
        if name is None:
            return "$"
        if name in values:
            value = values[name]
        elif complete and not _SERVICE_LINK.fullmatch(name):
            value = match.group(0)
        else:
            value = None
        unknown = unknown or value is None
        return value or ""

    expanded = _REFERENCE.sub(value_of, text)
    return None if unknown else expanded


class _Builder:
    """Collects variables in the kubelet's order; later ones win."""

    def __init__(self, sources: KnownSources) -> None:
        self._sources = sources
        self._variables: dict[str, Variable] = {}
        self._unresolved: list[str] = []
        self._waits_for: list[str] = []

    def environment(self) -> Environment:
        return Environment(
            variables=self._variables,
            unresolved=tuple(self._unresolved),
            waits_for=tuple(self._waits_for),
            unfit=tuple(
                name
                for name, one in self._variables.items()
                if one.value is not None and not is_fit(name, one.value)
            ),
        )

    def add_source(self, index: int, source: Mapping[str, Any]) -> None:
        selector = source.get("configMapRef")
        object_kind, kind = "ConfigMap", VariableSource.CONFIG_MAP
        if not selector:
            selector = source.get("secretRef") or {}
            object_kind, kind = "Secret", VariableSource.SECRET
        name = selector.get("name", "")
        what = f"{object_kind} {name}"
        if what == _MIRROR:
            kind = VariableSource.TRACKING
        place = f"envFrom[{index}] {what}"
        known, content = self._sources.find(object_kind, name)
        for key, value in (content or {}).items():
            variable = (source.get("prefix") or "") + key
            self._set(variable, kind, place, value, object_name=name)
        if not known:
            self._unresolved.append(place)
        elif content is None and not selector.get("optional"):
            self._waits_for.append(what)

    def add_entry(self, index: int, entry: Mapping[str, Any]) -> None:
        name, place = entry["name"], f"env[{index}]"
        value_from = entry.get("valueFrom")
        if entry.get("value") or not value_from:
            known = {n: v.value for n, v in self._variables.items()}
            value = expand(
                entry.get("value") or "", known, complete=not self._unresolved
            )
            self._set(name, VariableSource.LITERAL, place, value)
            return
        for selector_field, object_kind, kind in (
            ("secretKeyRef", "Secret", VariableSource.SECRET_KEY),
            ("configMapKeyRef", "ConfigMap", VariableSource.CONFIG_MAP_KEY),
        ):
            if selector := value_from.get(selector_field):
                self._add_key(name, place, (object_kind, kind), selector)
                return
        kind = VariableSource.FIELD
        if file := value_from.get("fileKeyRef"):
            kind = VariableSource.FILE
            volume, path = file.get("volumeName", ""), file.get("path", "")
            place = f"{place} {path} of volume {volume} key {file.get('key', '')}"
            place += _if_there(file)
        self._set(name, kind, place, None)

    def _add_key(
        self,
        name: str,
        place: str,
        kinds: tuple[str, VariableSource],
        selector: Mapping[str, Any],
    ) -> None:
        object_kind, kind = kinds
        object_name, key = selector.get("name", ""), selector.get("key", "")
        if f"{object_kind} {object_name}" == _MIRROR:
            kind = VariableSource.TRACKING
        what = f"{object_kind} {object_name} key {key}"
        known, content = self._sources.find(object_kind, object_name)
        if not known:
            source = f"{place} {what}{_if_there(selector)}"
            self._set(name, kind, source, None, object_name=object_name)
        elif content is not None and key in content:
            source = f"{place} {what}"
            self._set(name, kind, source, content[key], object_name=object_name)
        elif not selector.get("optional"):
            self._waits_for.append(what)

    def _set(
        self,
        name: str,
        kind: VariableSource,
        source: str,
        value: str | None,
        *,
        object_name: str = "",
    ) -> None:
        earlier = self._variables.get(name)
        self._variables[name] = Variable(
            name=name,
            kind=kind,
            source=source,
            value=value,
            object_name=object_name,
            shadowed=(*earlier.shadowed, earlier.source) if earlier else (),
        )


def _if_there(selector: Mapping[str, Any]) -> str:
    return ", if it is there" if selector.get("optional") else ""
