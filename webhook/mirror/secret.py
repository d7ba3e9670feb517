"""The mirror itself: what it should be, and how to tell whether it is.

Pure. Nothing of a source but its keys and values comes along: no label, annotation or
owner that Argo CD, Helm or kubectl left there.
"""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from webhook.injection.names import (
    DOMAIN,
    KEYS_ANNOTATION,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MIRROR_SECRET,
    PROFILE_LABEL,
    RELEASE_LABEL,
    SOURCE_HASH_ANNOTATION,
)
from webhook.mirror.merge import MergedKeys, digest_encoded

MIRROR_TYPE: Final = f"{DOMAIN}/keys"
"""A mirror's `type`. A Secret's type never changes, so the API server itself refuses
our apply onto a foreign Secret of the mirror's name, whatever we have seen of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorFingerprint:
    """All that makes a mirror equal to another, without its values."""

    type: str
    digest: str
    labels: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...]


def fingerprint(
    merged: MergedKeys, profile: str, release: str = MANAGED_BY
) -> MirrorFingerprint:
    """Return what the mirror of this content looks like."""
    return _fingerprint(merged.digest, tuple(merged.data), profile, release)


@lru_cache(maxsize=64)
def _fingerprint(
    digest: str, keys: tuple[str, ...], profile: str, release: str
) -> MirrorFingerprint:
    """Return it, made once per profile: a thousand namespaces compare with it."""
    return _same(
        MirrorFingerprint(
            type=MIRROR_TYPE,
            digest=digest,
            labels=tuple(sorted(_labels(profile, release).items())),
            annotations=tuple(sorted(_annotations(digest, keys).items())),
        )
    )


@lru_cache(maxsize=64)
def _same(one: MirrorFingerprint) -> MirrorFingerprint:
    """Return one of all equal ones: a thousand mirrors have the same."""
    return one


def fingerprint_of(body: Mapping[str, Any]) -> MirrorFingerprint:
    """Return what a Secret of the mirror's name looks like, as far as we decide."""
    meta = body.get("metadata") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    return _same(
        MirrorFingerprint(
            type=body.get("type") or "",
            digest=digest_encoded(body.get("data") or {}),
            labels=_ours(labels, (MANAGED_BY_LABEL, PROFILE_LABEL, RELEASE_LABEL)),
            annotations=_ours(annotations, (KEYS_ANNOTATION, SOURCE_HASH_ANNOTATION)),
        )
    )


def is_owned(body: Mapping[str, Any], release: str = MANAGED_BY) -> bool:
    """Return whether this release's companion made this Secret; others are foreign.

    By its type, which nobody can change, and by the release's label. One without that
    label is taken over: earlier versions wrote none, and labels come and go.
    """
    labels = (body.get("metadata") or {}).get("labels") or {}
    return body.get("type") == MIRROR_TYPE and is_of_release(labels, release)


def is_of_release(labels: Mapping[str, str], release: str) -> bool:
    """Return whether the labels of an object of ours name no other release."""
    return labels.get(RELEASE_LABEL, release) == release


def desired_secret(
    namespace: str, merged: MergedKeys, profile: str, release: str = MANAGED_BY
) -> dict[str, Any]:
    """Return the Secret to apply. It holds values: never log or format it."""
    return {
        "metadata": {
            "name": MIRROR_SECRET,
            "namespace": namespace,
            "labels": _labels(profile, release),
            "annotations": _annotations(merged.digest, merged.data),
        },
        "type": MIRROR_TYPE,
        "data": {
            name: base64.b64encode(value.reveal()).decode()
            for name, value in merged.data.items()
        },
    }


def keys_removal(namespace: str, keys: Collection[str]) -> dict[str, Any]:
    """Return the merge patch that takes keys out of a mirror."""
    return {
        "metadata": {"name": MIRROR_SECRET, "namespace": namespace},
        "data": dict.fromkeys(keys),
    }


def _labels(profile: str, release: str) -> dict[str, str]:
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        PROFILE_LABEL: profile,
        RELEASE_LABEL: release,
    }


def _annotations(digest: str, keys: Iterable[str]) -> dict[str, str]:
    return {SOURCE_HASH_ANNOTATION: digest, KEYS_ANNOTATION: ",".join(keys)}


def _ours(
    found: Mapping[str, str], names: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, found[name]) for name in names if name in found))
