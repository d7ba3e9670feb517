"""The effective settings of egress, which the companion publishes in its status.

The command line reads them there, so that it plans what the companion plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final

from webhook.egress.addresses import Address
from webhook.egress.baseline import Baseline, parse_baseline
from webhook.egress.destinations import Destination, parse_extra
from webhook.egress.dns_cache import DnsLimits
from webhook.egress.mode import EgressMode

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressOptions:
    """What the release's settings say.

    Attributes:
        mode: Of the release; a namespace's label may narrow it.
        extra: Hosts and ranges besides those of the keys.
        baseline: What stays reachable under `isolate`.
        domain: The cluster's DNS domain.
        nameservers: Of the companion's own resolv.conf, which task pods share.
        limits: How long and how many addresses of a name stay permitted.
        dns_cache: Name of the ConfigMap that remembers addresses.
        allowed: Names or patterns of the namespaces that may be labeled; empty: any.
        excluded: Namespaces that never may.
    """

    mode: EgressMode = EgressMode.ADDITIVE
    extra: tuple[Destination, ...] = ()
    baseline: Baseline = Baseline()  # noqa: RUF009 - frozen
    domain: str = "cluster.local"
    nameservers: tuple[Address, ...] = ()
    limits: DnsLimits = DnsLimits()  # noqa: RUF009 - frozen
    dns_cache: str = "tracking-injector-addresses"
    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the settings as the status has them."""
        return {
            "mode": str(self.mode),
            "hosts": [destination.text for destination in self.extra],
            "baseline": self.baseline.text,
            "domain": self.domain,
            "nameservers": [str(address) for address in self.nameservers],
            "graceHours": self.limits.grace / _HOUR,
            "addressesPerName": self.limits.cap,
            "dnsCacheConfigMap": self.dns_cache,
            "allowedNamespaces": list(self.allowed),
            "excludedNamespaces": list(self.excluded),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "EgressOptions":
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            return cls(
                mode=EgressMode(raw["mode"]),
                extra=tuple(parse_extra(host, "hosts") for host in raw["hosts"]),
                baseline=parse_baseline(raw["baseline"], "baseline"),
                domain=raw["domain"],
                nameservers=tuple(ip_address(a) for a in raw["nameservers"]),
                limits=DnsLimits(
                    grace=raw["graceHours"] * _HOUR, cap=raw["addressesPerName"]
                ),
                dns_cache=raw["dnsCacheConfigMap"],
                allowed=tuple(raw["allowedNamespaces"]),
                excluded=tuple(raw["excludedNamespaces"]),
            )
        except (KeyError, TypeError) as error:
            message = f"the published settings cannot be read: {error!r}"
            raise ValueError(message) from error
