"""What `status -o json` prints: one document, whose schema is published.

A piece that could not be read is null, and `unknown` says why.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from webhook.companion.observation.model import (
    Installation,
    LeaseState,
    PolicyState,
    ReplicaState,
    WorkloadState,
)
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.trouble import Trouble
from webhook.companion.observation.troubles import in_order
from webhook.companion.observation.unknown import Unknown

STATUS_SCHEMA: Final = 1
"""Grows when a field changes its meaning or goes; a new field alone does not count."""


class UnknownPiece(msgspec.Struct, frozen=True, kw_only=True):
    """Why a piece is null."""

    reason: str
    what: str
    detail: str


class TrustedRoot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A certificate that API servers trust."""

    fingerprint: str
    not_after: datetime


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an installation is.

    Attributes:
        schema: of this document.
        client: this command's version.
        release: namespace and name of the release.
        observed_at: when it was read.
        in_order: whether the command exits with 0.
        troubles: what is wrong, the worst first.
        kubernetes: the API server's version.
        webhook: its Deployment.
        webhook_replicas: its pods.
        companion: its Deployment.
        companion_replicas: its pods.
        lease: who leads.
        trusted: what API servers trust.
        policy: what API servers do by themselves.
        fail_open: requests that the API server let through without us.
        report: the companion's own.
        unknown: by the name of a piece that is null, why.
    """

    schema: int
    client: str
    release: dict[str, str]
    observed_at: datetime
    in_order: bool
    troubles: list[Trouble]
    kubernetes: str | None
    webhook: WorkloadState | None
    webhook_replicas: tuple[ReplicaState, ...] | None
    companion: WorkloadState | None
    companion_replicas: tuple[ReplicaState, ...] | None
    lease: LeaseState | None
    trusted: list[TrustedRoot] | None
    policy: PolicyState | None
    fail_open: int | None
    report: PublishedReport | None
    unknown: dict[str, UnknownPiece]


_PIECES: Final = (
    "kubernetes",
    "webhook",
    "webhook_replicas",
    "companion",
    "companion_replicas",
    "lease",
    "policy",
    "fail_open",
    "report",
)


def status_document(
    seen: Installation, found: Iterable[Trouble], client: str
) -> StatusDocument:
    """Return the document of an observation."""
    told = list(found)
    pieces = {name: getattr(seen, name) for name in _PIECES}
    trusted = None
    if not isinstance(seen.configuration, Unknown):
        roots = {
            root.fingerprint: TrustedRoot(
                fingerprint=root.fingerprint, not_after=root.not_after
            )
            for entry in seen.configuration.entries
            for root in entry.roots
        }
        trusted = list(roots.values())
    unread = {
        _camel(name): UnknownPiece(
            reason=piece.reason, what=piece.what, detail=piece.detail
        )
        for name, piece in (pieces | {"trusted": seen.configuration}).items()
        if isinstance(piece, Unknown)
    }
    known = {k: None if isinstance(v, Unknown) else v for k, v in pieces.items()}
    return StatusDocument(
        schema=STATUS_SCHEMA,
        client=client,
        release={"namespace": seen.release.namespace, "name": seen.release.name},
        observed_at=seen.at,
        in_order=in_order(told),
        troubles=told,
        trusted=trusted,
        unknown=unread,
        **known,
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
