"""The companion's report to people and tools: one ConfigMap, with a versioned schema.

It is written when something changed and not otherwise: ages are told as times, so that
an idle cluster costs no request. No value, digest or URI is in it.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from webhook import __version__
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.companion.auditor import Auditor, PodsReport
from webhook.companion.means import Means
from webhook.companion.mirrors import Mirrors, NamespaceReport
from webhook.companion.supply import Supplies
from webhook.mirror.decide import ProfileContent

SCHEMA: Final = 1
"""Grows when a field changes its meaning or goes; a new field alone does not count."""
FIELD: Final = "status.json"
_PACE: Final = 2.0
"""Seconds between two looks at what changed."""
_LARGEST: Final = 900_000
"""Bytes; a ConfigMap holds 1 MiB, and 900 kB are some 4 000 namespaces."""

Json: TypeAlias = dict[str, Any]
Section: TypeAlias = Callable[[], Json]
"""What another concern has to say about itself."""


class Status:
    """The concern."""

    name = "status"

    def __init__(
        self,
        means: Means,
        home: ObjectKey,
        supplies: Supplies,
        mirrors: Mirrors,
        auditor: Auditor,
    ) -> None:
        """Takes what it acts with, the ConfigMap's address, and what it tells about."""
        self._means = means
        self._home = home
        self._supplies = supplies
        self._mirrors = mirrors
        self._auditor = auditor
        self._written = ""
        self.sections: dict[str, Section] = {}
        """By name, what other concerns add."""

    def step(self, now: datetime) -> float | None:
        """Writes the report if it changed."""
        del now  # ages are times
        text = self.text()
        if text != self._written and self._means.may_act():
            meta = {"name": self._home.name, "namespace": self._home.namespace}
            body = {"metadata": meta, "data": {FIELD: text}}
            self._means.resources.apply(CONFIG_MAP, body)
            self._written = text
        return _PACE

    def text(self) -> str:
        """The report as JSON, cut where a ConfigMap would not hold it."""
        report = self.report()
        text = json.dumps(report, separators=(",", ":"))
        if len(text) <= _LARGEST:
            return text
        # What is in order is what nobody needs to read.
        troubled = {
            name: one
            for name, one in report["namespaces"].items()
            if one["reason"] != "Mirrored" or one.get("missed")
        }
        kept = dict(list(troubled.items())[: _LARGEST // 400])
        report |= {"namespaces": kept, "truncated": True}
        return json.dumps(report, separators=(",", ":"))

    def report(self) -> Json:
        """The report as a document of schema 1."""
        return {
            "schema": SCHEMA,
            "version": __version__,
            "audit": self._auditor.state,
            "total": len(self._mirrors.report),
            "profiles": {
                name: self._profile(name, supply)
                for name, supply in self._mirrors.supplies.items()
            },
            "namespaces": {
                name: _namespace(one, self._auditor.report.get(name))
                for name, one in sorted(self._mirrors.report.items())
            },
            **{name: section() for name, section in self.sections.items()},
        }

    def _profile(self, name: str, supply: ProfileContent) -> Json:
        content, problem = supply.content, supply.problem
        findings = (problem.findings if problem else ()) or (
            content.findings if content else ()
        )
        profile: Json = {
            "keys": list(content.data) if content else [],
            "sourceChanged": _stamp(self._supplies.changed(name)),
            "findings": [
                {"reason": f.reason, "key": f.key, "source": str(f.source)}
                for f in findings
            ],
        }
        if problem is not None:
            profile["problem"] = {
                "reason": problem.reason,
                "detail": problem.detail,
                "since": _stamp(supply.since),
            }
        return profile


def _namespace(one: NamespaceReport, pods: PodsReport | None) -> Json:
    told: Json = {
        "inject": one.inject,
        "reason": one.reason,
        "profile": one.profile,
        "keys": len(one.keys),
        "changed": _stamp(one.changed),
    }
    if one.detail:
        told["detail"] = one.detail
    if pods is None:
        return told
    told["pods"] = {
        reason.value: count for reason, count in sorted(pods.counts.items())
    }
    told["missed"] = sum(n for reason, n in pods.counts.items() if reason.is_missed)
    if pods.outdated:
        told["outdated"] = {"pods": pods.outdated, "oldest": _stamp(pods.oldest)}
    if pods.shadowed:
        told["shadowed"] = dict(pods.shadowed)
    return told


def _stamp(time: datetime | None) -> str | None:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None
