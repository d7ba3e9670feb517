"""Reads the Secrets and ConfigMaps that a person gives to `explain`.

Their values stay inside `KnownSources`, whose repr hides them; an error names a key at
most.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import IO

from webhook.cli.document import BadInputError, Field
from webhook.cli.manifests import objects, read
from webhook.injection.environment import KnownSources, decoded
from webhook.injection.names import DEFAULT_PROFILE, MIRROR_SECRET
from webhook.mirror.merge import KeyFinding, MergeFailure, merge
from webhook.mirror.profile import Profile, Source, SourceKind, SourceRef
from webhook.secret_bytes import SecretBytes

_Files = tuple[IO[bytes], ...]
_Content = Mapping[str, bytes]


def given_sources(
    secrets: _Files, config_maps: _Files, central: _Files
) -> tuple[KnownSources, tuple[KeyFinding, ...]]:
    """Read what is known of the objects that a pod refers to.

    Args:
        secrets: Manifests of Secrets of the pod's namespace.
        config_maps: Manifests of its ConfigMaps.
        central: Manifests of the central Secrets and ConfigMaps, which the companion
            would merge into the mirror in this order.

    Returns:
        The content by name, and what is worth knowing of the central ones. The mirror
        is known if a central one was given, or a Secret of the mirror's own name.

    Raises:
        BadInputError: A file holds something else, or the central ones make no mirror.
    """
    kinds = SourceKind.SECRET, SourceKind.CONFIG_MAP
    known = {ref.name: _texts(data) for ref, data in _objects(secrets, kinds[:1])}
    settings = {
        ref.name: _texts(data) for ref, data in _objects(config_maps, kinds[1:])
    }
    findings: tuple[KeyFinding, ...] = ()
    if central:
        known[MIRROR_SECRET], findings = _mirror(dict(_objects(central, kinds)))
    return KnownSources(secrets=known, config_maps=settings), findings


def _mirror(
    central: Mapping[SourceRef, _Content],
) -> tuple[Mapping[str, str], tuple[KeyFinding, ...]]:
    profile = Profile(
        name=DEFAULT_PROFILE, sources=tuple(Source(ref=ref) for ref in central)
    )
    merged = merge(
        profile,
        {
            ref: {key: SecretBytes(value) for key, value in data.items()}
            for ref, data in central.items()
        },
    )
    if isinstance(merged, MergeFailure):
        detail = "; ".join(map(str, merged.findings)) or merged.detail
        raise BadInputError(f"--source: {merged.reason.sentence} ({detail})")
    texts = _texts({key: value.reveal() for key, value in merged.data.items()})
    return texts, merged.findings


def _objects(
    files: _Files, kinds: tuple[SourceKind, ...]
) -> Iterator[tuple[SourceRef, _Content]]:
    for file in files:
        for one in (one for document in read(file) for one in objects(document)):
            if not any(one.is_a("", kind) for kind in kinds):
                problem = f"is not {' or '.join(kinds)}"
                raise one.field.at("kind").error(problem)
            yield SourceRef(SourceKind(one.kind), one.name), _content(one.field)


def _content(node: Field) -> _Content:
    data = node.at("data")
    if node.at("kind").text() == SourceKind.CONFIG_MAP:
        return {key: value.encode() for key, value in data.texts().items()}
    # The API server lets stringData win over data of the same key.
    plain = node.at("stringData").texts()
    return {key: _decoded(data.at(key)) for key in data.texts()} | {
        key: value.encode() for key, value in plain.items()
    }


def _decoded(value: Field) -> bytes:
    try:
        return base64.b64decode("".join(value.text().split()), validate=True)
    except binascii.Error:
        raise value.error("is not base64") from None


def _texts(content: _Content) -> Mapping[str, str]:
    return {key: decoded(value) for key, value in content.items()}
