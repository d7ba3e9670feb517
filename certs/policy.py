"""What a certificate has to be, and how long each step of a rotation waits.

Validated when built: a policy that could never be satisfied is rejected with the
numbers that contradict each other, instead of causing a loop of renewals.
"""

from dataclasses import dataclass
from datetime import timedelta


class PolicyError(ValueError):
    """A policy contradicts itself; the message names the two numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePolicy:
    """Names and durations that every generation follows.

    Attributes:
        names: DNS names of the leaf; the first one is what API servers ask for.
        life: from the moment of issue to the end of both certificates.
        renew_before: a rotation starts when less than this is left.
        backdate: how far before the moment of issue a certificate starts, so that a
            slow clock does not see one from the future.
        skew: the bound on how far any two clocks differ from the true time.
        bundle_dwell: how long API servers are given to see a bundle.
        serve_dwell: how long mounts are given to see a new pair.

    Raises:
        PolicyError: the durations contradict each other.
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
        """Reject durations that could never be satisfied."""
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
        """Return the least time from staging a generation to retiring the last."""
        return self.bundle_dwell + self.serve_dwell + 4 * self.skew


def service_name(service: str, namespace: str) -> str:
    """Return the name that API servers ask a webhook's certificate for.

    Source: `k8s.io/apiserver/pkg/util/webhook/client.go`, `ServerName`.
    """
    return f"{service}.{namespace}.svc"
