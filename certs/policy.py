"""What a certificate has to be, and how long each step of a rotation waits.

Checked when built: a policy that could never be satisfied is refused with the numbers
that contradict each other, not discovered as a loop of renewals.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["CertificatePolicy", "PolicyError", "service_name"]


class PolicyError(ValueError):
    """A policy contradicts itself; the message names the two numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePolicy:
    """Names and durations that every generation follows.

    Attributes:
        names: DNS names of the leaf; the first one is what API servers ask for.
        life: From the moment of issue to the end of both certificates.
        renew_before: A rotation starts when less than this is left.
        backdate: How far before the moment of issue a certificate starts, so that a
            slow clock does not see one from the future.
        skew: The bound on how far any two clocks differ from the true time.
        bundle_dwell: How long API servers are given to see a bundle.
        serve_dwell: How long mounts are given to see a new pair.

    Raises:
        PolicyError: When the durations contradict each other.
    """

    names: tuple[str, ...]
    life: timedelta = timedelta(days=90)
    renew_before: timedelta = timedelta(days=30)
    backdate: timedelta = timedelta(hours=1)
    skew: timedelta = timedelta(minutes=5)
    # API servers learn of a changed configuration by watch; 200 s is the longest lag
    # that the rotation is proven against.
    bundle_dwell: timedelta = timedelta(minutes=4)
    # A kubelet refreshes a mounted Secret within its sync period plus its cache's
    # lifetime, about two minutes.
    serve_dwell: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """Refuse what could never be satisfied."""
        if not self.names:
            raise PolicyError("a certificate needs at least one DNS name")
        for field in ("life", "renew_before"):
            if getattr(self, field) <= timedelta(0):
                raise PolicyError(f"{field} must be longer than nothing")
        for field in ("backdate", "skew", "bundle_dwell", "serve_dwell"):
            if getattr(self, field) < timedelta(0):
                raise PolicyError(f"{field} must not be negative")
        if self.renew_before >= self.life:
            raise PolicyError(
                f"renew_before ({self.renew_before}) must be shorter than life "
                f"({self.life}): every new certificate would be due at once"
            )
        if self.rotation > self.renew_before:
            raise PolicyError(
                f"one rotation takes {self.rotation}, longer than renew_before "
                f"({self.renew_before}): the old certificate would expire first"
            )

    @property
    def rotation(self) -> timedelta:
        """The least time between staging a generation and retiring the last one."""
        return self.bundle_dwell + self.serve_dwell + 4 * self.skew


def service_name(service: str, namespace: str) -> str:
    """The name that API servers ask a webhook's certificate for.

    Source: `k8s.io/apiserver/pkg/util/webhook/client.go`, `ServerName`.
    """
    return f"{service}.{namespace}.svc"
