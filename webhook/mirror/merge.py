"""Merges a profile's sources into one content, later ones winning.

Pure. Whole or not at all: while one source is missing, nothing is taken away from
anybody; the caller keeps the last good content.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from webhook.injection.environment import LONGEST
from webhook.mirror.aliases import needed, preset_of, resolve
from webhook.mirror.profile import Profile, Source, SourceRef
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.mirror.validate import (
    is_text,
    rejection,
    reserved,
    size,
    warnings,
)
from webhook.secret_bytes import SecretBytes

LIMIT: Final = 1024 * 1024
"""Bytes of all variables together. It is Kubernetes' own limit for a Secret's values,
and leaves the image and the pod half of the 2 MiB that Linux passes on to a program."""
_POINTER: Final = 8

Content: TypeAlias = Mapping[str, SecretBytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFinding:
    """Something worth knowing about one key; never about its value.

    Attributes:
        reason: what.
        key: which variable, with its prefix.
        source: which source has it; None where none has: it is an alias, or lacks.
    """

    reason: KeyReason
    key: str
    source: SourceRef | None

    def __str__(self) -> str:
        """Return one or two sentences with the key and the source."""
        place = f"{self.source}, key" if self.source else "key"
        text = f"{place} {self.key}: {self.reason.sentence}"
        if self.reason is KeyReason.KEY_RESERVED:
            text += f" With it, {reserved(self.key)}."
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedKeys:
    """What a profile gives.

    Attributes:
        data: variables by name, in order of name.
        digest: changes with every change of `data`, and with nothing else.
        findings: what is worth knowing, in order of source and key.
    """

    data: Content
    digest: str
    findings: tuple[KeyFinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeFailure:
    """Why a profile gives nothing now; `detail` names the source or the key."""

    reason: MirrorReason
    detail: str
    findings: tuple[KeyFinding, ...] = ()


@dataclass(slots=True)
class _Merge:
    data: dict[str, SecretBytes] = field(default_factory=dict)
    origin: dict[str, SourceRef] = field(default_factory=dict)
    findings: list[KeyFinding] = field(default_factory=list)

    def note(self, reason: KeyReason, key: str, source: SourceRef | None) -> None:
        self.findings.append(KeyFinding(reason=reason, key=key, source=source))


def merge(
    profile: Profile,
    contents: Mapping[SourceRef, Content | MirrorReason],
    *,
    listed: Collection[str] = (),
    certificate: str = "",
) -> MergedKeys | MergeFailure:
    """Merge the profile's sources; a profile without any gives nothing, in order.

    Args:
        profile: what to merge.
        contents: each source's content, or why there is none.
        listed: variables allowed by name although they look like the platform's.
        certificate: path of the tracking server's CA in task containers; empty for
            none. The preset's variable names it, unless a source has that.
    """
    work = _Merge()
    for source in profile.sources:
        content = contents.get(source.ref, MirrorReason.SOURCE_MISSING)
        if isinstance(content, MirrorReason):
            return MergeFailure(reason=content, detail=str(source.ref))
        _add(work, source, content, listed)
    _add_aliases(work, profile, listed)
    _add_certificate(work, profile, certificate)
    findings = tuple(work.findings)
    if profile.sources and not work.data:
        return MergeFailure(
            reason=MirrorReason.NO_KEYS, detail=profile.name, findings=findings
        )
    total = sum(_POINTER + size(name, value) for name, value in work.data.items())
    if total > LIMIT:
        largest = max(work.data, key=lambda name: len(work.data[name]))
        detail = (
            f"{total} bytes, of which key {largest} of {work.origin[largest]} has "
            f"{len(work.data[largest])}"
        )
        return MergeFailure(
            reason=MirrorReason.TOO_LARGE, detail=detail, findings=findings
        )
    data = dict(sorted(work.data.items()))
    return MergedKeys(data=data, digest=digest(data), findings=findings)


def digest(data: Content) -> str:
    """Return a digest of names and values, independent of order."""
    return digest_encoded(
        {
            name: base64.b64encode(value.reveal()).decode()
            for name, value in data.items()
        }
    )


def digest_encoded(data: Mapping[str, str]) -> str:
    """Return the digest of a Secret's `data` as the API server sends it, in base64."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _add(
    work: _Merge, source: Source, content: Content, listed: Collection[str]
) -> None:
    chosen = sorted(content) if source.keys is None else source.keys
    for key in chosen:
        name = source.prefix + key
        if key not in content:
            work.note(KeyReason.KEY_ABSENT, name, source.ref)
            continue
        refused = _refusal(name, content[key], listed)
        if refused is not None:
            work.note(refused, name, source.ref)
            continue
        for doubt in warnings(name, content[key]):
            work.note(doubt, name, source.ref)
        if name in work.data:
            work.note(KeyReason.KEY_CONFLICT, name, source.ref)
        work.data[name] = content[key]
        work.origin[name] = source.ref


def _add_aliases(work: _Merge, profile: Profile, listed: Collection[str]) -> None:
    """Add the other names of keys, and note what the tracker's client lacks."""
    resolved = resolve(profile, frozenset(work.data))
    for alias, reason in resolved.problems.items():
        work.note(reason, alias, None)
    for alias, key in resolved.keys.items():
        refused = _refusal(alias, work.data[key], listed)
        if refused is not None:
            work.note(refused, alias, work.origin[key])
            continue
        work.data[alias], work.origin[alias] = work.data[key], work.origin[key]
    if work.data:
        for key in needed(profile, work.data):
            work.note(KeyReason.KEY_NEEDED, key, None)


def _add_certificate(work: _Merge, profile: Profile, path: str) -> None:
    """Name the CA to the tracker's client, where it has a variable for that alone."""
    preset = preset_of(profile)
    wanted = path and preset.certificate and work.data
    if wanted and preset.insecure not in work.data:
        work.data.setdefault(preset.certificate, SecretBytes(path.encode()))


def _refusal(
    name: str, value: SecretBytes, listed: Collection[str]
) -> KeyReason | None:
    """Return why a variable of that name and value must not reach a task."""
    refused = rejection(name, listed)
    if refused is None and not is_text(value):
        refused = KeyReason.VALUE_NOT_TEXT
    if refused is None and size(name, value) > LONGEST:
        refused = KeyReason.VALUE_TOO_LONG
    return refused
