"""The view of `certs show`: one report for JSON, and the same report as tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.table import Column, Table

from certs import bundle
from certs.model import Root
from certs.state import ReplicaCertificate
from webhook.companion.certificates.observe import Observation
from webhook.companion.certificates.reasons import RotationReason
from webhook.settings import Issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A release's certificates.

    Attributes:
        issuer: who issues them.
        secret: `namespace/name` of the Secret that replicas mount.
        observation: what API servers trust, and the rotation's state.
        leaf: the certificate in the mounted Secret; None when it holds none.
        served: what each replica serves.
        now: UTC.
    """

    issuer: Issuer
    secret: str
    observation: Observation
    leaf: Root | None
    served: tuple[ReplicaCertificate, ...]
    now: datetime

    def report(self) -> dict[str, Any]:
        """Return the JSON output."""
        state = self.observation.state
        ours = self.issuer is Issuer.COMPANION
        return {
            "issuer": self.issuer.value,
            "secret": self.secret,
            "phase": state.phase.value if ours else None,
            "generation": self.leaf.fingerprint if self.leaf else None,
            "notAfter": self.leaf.not_after.isoformat() if self.leaf else None,
            "daysUntilForcedOutage": self._days(),
            "next": state.next.fingerprint if state.next else None,
            "bundle": [
                {
                    "root": root.fingerprint,
                    "notAfter": root.not_after.isoformat(),
                    "of": self._role(root),
                }
                for root in self._roots()
            ],
            "replicas": [
                {
                    "address": one.replica,
                    "serves": one.leaf,
                    "trusted": one.trusted,
                    "current": self.leaf is not None
                    and one.leaf == self.leaf.fingerprint,
                }
                for one in self.served
            ],
            "problems": list(self._problems()),
        }

    def _roots(self) -> tuple[Root, ...]:
        trust = self.observation.observed.trust
        return bundle.union(*map(bundle.parse, trust.bundles if trust else ()))

    def _days(self) -> int:
        """Return the days until no replica is trusted any more, if nothing is done."""
        ends = [root.not_after for root in self._roots()]
        if self.leaf is None or not ends:
            return 0
        return max(0, (min(self.leaf.not_after, max(ends)) - self.now).days)

    def _role(self, root: Root) -> str:
        """Return which of the companion's generations a root belongs to."""
        state = self.observation.state
        for role, generation in (("current", state.current), ("next", state.next)):
            if generation is not None and generation.root == root:
                return role
        return "retired" if root in state.retired else "-"

    def _problems(self) -> Iterable[str]:
        ours = self.issuer is Issuer.COMPANION
        for one in self.observation.conditions:
            # The companion has no business with the Secrets of others.
            if ours or one.error or one.reason is RotationReason.CONFIGURATION_MISSING:
                yield one.detail
        if self.leaf is None:
            yield f"Secret {self.secret} holds no certificate"
        trust = self.observation.observed.trust
        if trust is not None and not all(map(bundle.parse, trust.bundles)):
            yield "API servers are told to trust nobody: a caBundle is empty"
        for replica in self.served:
            if not replica.leaf:
                yield f"{replica.replica} does not answer"
            elif not replica.trusted:
                yield f"{replica.replica} does not serve a trusted certificate"


def tables(report: dict[str, Any]) -> list[Any]:
    """Return the report for a terminal."""
    facts = Table(
        Column(no_wrap=True),
        Column(overflow="fold"),
        box=None,
        show_header=False,
        pad_edge=False,
    )
    for name, value in report.items():
        if not isinstance(value, list):
            facts.add_row(name, "-" if value is None else str(value)[:64])
    trusted = _table("TRUSTED ROOT", "UNTIL", "OF")
    for root in report["bundle"]:
        trusted.add_row(root["root"][:16], root["notAfter"], root["of"])
    replicas = _table("REPLICA", "SERVES", "TRUSTED")
    for one in report["replicas"]:
        replicas.add_row(
            one["address"], one["serves"][:16] or "-", "yes" if one["trusted"] else "no"
        )
    return [facts, trusted, replicas, *report["problems"]]


def _table(*headers: str) -> Table:
    """Return a table that cuts nothing, however narrow the terminal is."""
    columns = [Column(one, overflow="fold") for one in headers]
    return Table(*columns, box=None, pad_edge=False)
