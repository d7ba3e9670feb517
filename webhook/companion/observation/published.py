"""The companion's report as its readers take it: schema 2, typed.

Reasons stay words here: a newer companion of the same schema may say new ones.
"""

from datetime import datetime
from typing import Any

import msgspec

from webhook.cluster.interface import Json
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.companion.report import FIELD, SCHEMA


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every part of the report has in common."""


class PublishedFinding(_Struct, frozen=True, kw_only=True):
    """One thing that is worth knowing, and the key, host or object it is about."""

    reason: str
    subject: str


class PublishedEgress(_Struct, frozen=True, kw_only=True):
    """Egress of a namespace: its reason, and the first of its findings."""

    mode: str
    reason: str
    policies: int
    findings: list[PublishedFinding]
    findings_total: int


class PublishedOutdated(_Struct, frozen=True, kw_only=True):
    """How many pods run with older keys, and when the first of them started."""

    pods: int
    oldest: datetime | None = None


class PublishedNamespace(_Struct, frozen=True, kw_only=True):
    """One namespace: its mirror, its egress, and its task pods by their reason.

    `missed` counts pods that were meant to have keys; `missedPods` names the first of
    all pods without, each with its reason. `waitingPods` names the first of those that
    `waiting` counts; `injectedBy` counts pods by who gave their keys; without `pods`,
    nobody looked.
    """

    in_order: bool
    inject: str
    reason: str
    profile: str
    keys: int
    changed: datetime | None = None
    detail: str = ""
    pods: dict[str, int] | None = None
    missed: int = 0
    missed_pods: list[PublishedFinding] = []
    waiting: int = 0
    waiting_pods: list[str] = []
    injected_by: dict[str, int] = {}
    outdated: PublishedOutdated | None = None
    shadowed: dict[str, str] = {}
    tracking_ca: str = ""
    egress: PublishedEgress | None = None


class PublishedProblem(_Struct, frozen=True, kw_only=True):
    """Why a profile's keys are stale, and since when."""

    reason: str
    detail: str
    since: datetime | None = None


class PublishedKeyFinding(_Struct, frozen=True, kw_only=True):
    """What is worth knowing about a key of a source."""

    reason: str
    key: str
    source: str


class PublishedProfile(_Struct, frozen=True, kw_only=True):
    """A profile: names of its keys, and what is amiss with its sources."""

    in_order: bool
    keys: list[str]
    keys_total: int
    source_changed: datetime | None = None
    findings: list[PublishedKeyFinding] = []
    findings_total: int = 0
    problem: PublishedProblem | None = None


class PublishedWatch(_Struct, frozen=True, kw_only=True):
    """A watch that fails."""

    watch: str
    reason: str
    detail: str


class PublishedOddObject(_Struct, frozen=True, kw_only=True):
    """An object that the companion cannot read."""

    watch: str
    object: str
    error: str


class PublishedWatches(_Struct, frozen=True, kw_only=True):
    """The watches that fail, and the first of the objects that cannot be read."""

    failing: list[PublishedWatch]
    unreadable: int
    objects: list[PublishedOddObject]


class PublishedReasons(_Struct, frozen=True, kw_only=True):
    """How many namespaces and pods have which reason; complete, whatever was cut."""

    mirror: dict[str, int]
    egress: dict[str, int]
    pods: dict[str, int]
    injected_by: dict[str, int] = {}


class PublishedCertificates(_Struct, frozen=True, kw_only=True):
    """The webhook's certificates; without a reason, somebody else issues them."""

    reason: str = ""
    in_order: bool = True
    phase: str = ""
    not_after: datetime | None = None
    rotating_since: datetime | None = None
    problems: list[str] = []
    line: str = ""


class PublishedReport(_Struct, frozen=True, kw_only=True):
    """The whole report.

    Attributes:
        schema: 2.
        version: of the companion that wrote it.
        settings: the effective settings, as the command line plans with them.
        audit: `complete`, `off`, or why pods cannot be audited.
        reasons: counts.
        watches: what cannot be seen.
        engines: other engines that restrict egress.
        certificates: the webhook's.
        profiles: by name.
        namespaces: by name.
        total: how many namespaces there are, whatever was cut.
        truncated: how many profiles and namespaces were cut.
    """

    schema: int
    version: str
    settings: dict[str, Any]
    audit: str
    reasons: PublishedReasons
    watches: PublishedWatches
    engines: dict[str, Any]
    certificates: PublishedCertificates
    profiles: dict[str, PublishedProfile]
    namespaces: dict[str, PublishedNamespace]
    total: int
    truncated: dict[str, int] = {}


class _Head(msgspec.Struct):
    schema: int


def parse_report(body: Json, what: str) -> PublishedReport | Unknown:
    """Return the report in a ConfigMap, or why there is none to read."""
    data = body.get("data")
    text = data.get(FIELD) if isinstance(data, dict) else None
    if not isinstance(text, str):
        detail = "still empty: no companion has led yet"
        return Unknown(reason=UnknownReason.ABSENT, what=what, detail=detail)
    try:
        schema = msgspec.json.decode(text, type=_Head).schema
        if schema == SCHEMA:
            return msgspec.json.decode(text, type=PublishedReport)
        detail = (
            f"the report has schema {schema}, this command knows {SCHEMA}: use the "
            "command of the installed version"
        )
    except msgspec.DecodeError as error:
        detail = f"the report cannot be read: {error}"
    return Unknown(reason=UnknownReason.UNREADABLE, what=what, detail=detail)
