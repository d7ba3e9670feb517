"""What is wrong with the parts of an installation, whatever the report says. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from webhook.companion.observation.model import (
    ConfigurationState,
    Installation,
    LeaseState,
    NamespaceLabels,
    Piece,
    PolicyState,
    ReplicaState,
    WorkloadState,
)
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.observation.trouble import Trouble, error, unread, warning
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.injection.names import INJECT_DISABLED, INJECT_ENABLED, INJECT_LABEL
from webhook.settings import Issuer

ASLEEP_SECONDS: Final = 30
"""Seconds since the Lease was renewed after which nobody is at work: it is renewed
every two, and another replica takes over after fifteen."""


def of_parts(seen: Installation) -> Iterator[Trouble]:
    """Yield what is wrong with the Deployments, the configuration and the Lease."""
    reasons = InstallationReason
    alone = has_no_webhook(seen.report)
    if not alone:
        yield from _workload(
            "webhook",
            seen.webhook,
            seen.webhook_replicas,
            (reasons.WEBHOOK_MISSING, reasons.WEBHOOK_DOWN, reasons.WEBHOOK_DEGRADED),
        )
    yield from _workload(
        "companion",
        seen.companion,
        seen.companion_replicas,
        (reasons.COMPANION_MISSING, reasons.COMPANION_DOWN, reasons.COMPANION_DEGRADED),
    )
    if not alone:
        yield from _configuration(seen)
    yield from _policy(seen, alone=alone)
    yield from _lease(seen)


def _workload(
    about: str,
    workload: Piece[WorkloadState],
    replicas: Piece[tuple[ReplicaState, ...]],
    reasons: tuple[InstallationReason, InstallationReason, InstallationReason],
) -> Iterator[Trouble]:
    missing, down, degraded = reasons
    if isinstance(workload, Unknown):
        absent = workload.reason is UnknownReason.ABSENT
        yield error(missing, about) if absent else unread(workload, about)
        return
    if workload.ready >= workload.desired > 0:
        return
    known = () if isinstance(replicas, Unknown) else replicas
    problems = [f"{one.name}: {one.problem}" for one in known if not one.ready]
    said = f"{workload.ready} of {workload.desired} ready"
    detail = "; ".join([said, *problems])
    yield error(degraded if workload.ready else down, about, detail)


def _configuration(seen: Installation) -> Iterator[Trouble]:
    about, found = "webhook configuration", seen.configuration
    if isinstance(found, Unknown):
        if found.reason is not UnknownReason.ABSENT:
            yield unread(found, about)
            return
        yield error(InstallationReason.CONFIGURATION_MISSING, about, found.what)
    elif not found.entries:
        yield error(InstallationReason.CONFIGURATION_MISSING, about, found.name)
    else:
        yield from _trust(found, about, seen.at)


def has_no_webhook(report: Piece[PublishedReport]) -> bool:
    """Return whether the release was installed without a webhook."""
    if isinstance(report, Unknown):
        return False
    return bool(report.settings.get("certificates") == Issuer.NONE)


def _policy(seen: Installation, *, alone: bool) -> Iterator[Trouble]:
    """Say what is wrong with the API server's policy; beside a webhook it may lack."""
    about, found, binding = "policy", seen.policy, seen.policy_binding
    if isinstance(found, Unknown):
        if alone and found.reason is UnknownReason.ABSENT:
            yield error(InstallationReason.POLICY_MISSING, about, found.what)
        elif alone:
            yield unread(found, about)
        return
    if isinstance(binding, Unknown):
        if binding.reason is UnknownReason.ABSENT:
            yield error(InstallationReason.POLICY_UNBOUND, about, binding.what)
    elif binding != found.name:
        yield error(InstallationReason.POLICY_UNBOUND, about, f"it binds {binding}")
    parts = [*found.altered, *_other_choices(found, seen.report)]
    if parts:
        yield error(InstallationReason.POLICY_ALTERED, about, ", ".join(parts))


def _other_choices(
    policy: PolicyState, report: Piece[PublishedReport]
) -> Iterator[str]:
    """Yield what the policy was made with that the companion was not."""
    settings = {} if isinstance(report, Unknown) else report.settings
    if settings.get("precedence", policy.precedence) != policy.precedence:
        yield "precedence"
    keys = settings.get("enforcedKeys", policy.enforced_keys)
    if tuple(keys) != policy.enforced_keys:
        yield "enforcedKeys"


def _trust(found: ConfigurationState, about: str, at: datetime) -> Iterator[Trouble]:
    roots = {one.name: one.roots for one in found.entries}
    missing = sorted(name for name, some in roots.items() if not some)
    if missing:
        yield error(InstallationReason.TRUST_MISSING, about, ", ".join(missing))
    expired = sorted(
        name
        for name, some in roots.items()
        if some and all(root.not_after < at for root in some)
    )
    if expired:
        yield error(InstallationReason.TRUST_EXPIRED, about, ", ".join(expired))


def _lease(seen: Installation) -> Iterator[Trouble]:
    about, lease = "companion", seen.lease
    if isinstance(lease, Unknown):
        yield unread(lease, about)
        return
    age = lease.age(seen.at)
    if not lease.holder or age is None:
        yield error(InstallationReason.COMPANION_ASLEEP, about, "nobody leads")
    elif abs(age) > ASLEEP_SECONDS:
        yield error(InstallationReason.COMPANION_ASLEEP, about, _last_seen(lease, age))


def _last_seen(lease: LeaseState, age: float) -> str:
    if age < 0:
        return f"{lease.holder} renewed it {-age:.0f} s in the future: a clock is wrong"
    return f"last renewed by {lease.holder}, {age:.0f} s ago"


def of_labels(
    namespaces: Piece[tuple[NamespaceLabels, ...]], only: frozenset[str]
) -> Iterator[Trouble]:
    """Say where a label was meant to switch injection on and does not."""
    if isinstance(namespaces, Unknown):
        return
    for one in namespaces:
        meant = one.inject in (INJECT_ENABLED, INJECT_DISABLED)
        if not meant and (not only or one.name in only):
            detail = f"{INJECT_LABEL}={one.inject}"
            reason = InstallationReason.LABEL_UNKNOWN
            yield error(reason, one.name, detail, namespace=one.name)


def notices(seen: Installation, client: str) -> Iterator[Trouble]:
    """Yield what is good to know: the fail-open count and versions that differ."""
    if isinstance(seen.fail_open, int) and seen.fail_open:
        detail = f"{seen.fail_open} pods"
        yield warning(InstallationReason.FAILED_OPEN, "API server", detail)
    versions = dict(_versions(seen, client))
    if len(set(versions.values())) > 1:
        detail = ", ".join(f"{part} {text}" for part, text in versions.items())
        yield warning(InstallationReason.VERSION_SKEW, "versions", detail)


def _versions(seen: Installation, client: str) -> Iterator[tuple[str, str]]:
    if client:
        yield "this command", client
    for part, workload in (("webhook", seen.webhook), ("companion", seen.companion)):
        if isinstance(workload, WorkloadState) and workload.version:
            yield part, workload.version
    if isinstance(seen.report, PublishedReport):
        yield "report", seen.report.version
