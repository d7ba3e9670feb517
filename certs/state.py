"""What a rotation remembers, and what it is shown: the values `rotation` decides on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from certs import bundle

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from certs.model import Generation, Root
    from certs.policy import CertificatePolicy

__all__ = [
    "ClientTrust",
    "ObservedState",
    "ReplicaCertificate",
    "RotationPhase",
    "SeenAt",
    "ServingSecret",
    "State",
]


class RotationPhase(StrEnum):
    """Where a rotation stands: also a metric label."""

    BOOTSTRAP = "bootstrap"
    """Nothing serves yet."""
    STEADY = "steady"
    """One generation serves, and it alone is trusted."""
    STAGED = "staged"
    """The next generation is being made known; the current one serves."""
    SIGNED = "signed"
    """The next one became the current one; replicas may still serve the last."""


@dataclass(frozen=True, slots=True)
class SeenAt:
    """When one version of an object was seen to hold what it must.

    A mark is about one version only, so whatever happens to the object voids it, also
    while nobody watches.

    Attributes:
        version: Changes with every change of the object's content.
        at: Wall clock of whoever saw it, UTC.
    """

    version: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Content of the state Secret.

    Attributes:
        current: The generation to serve.
        next: The generation that API servers learn to trust before it is served.
        retired: Roots of earlier generations that a replica may still serve.
        trusted: The bundle was seen to hold every root of this state.
        switched: The serving Secret was seen to hold `current`.
        answered: The last request to rotate that was acted upon.
    """

    current: Generation | None = None
    next: Generation | None = None
    retired: tuple[Root, ...] = ()
    trusted: SeenAt | None = None
    switched: SeenAt | None = None
    answered: str = ""

    def required(self, policy: CertificatePolicy, now: datetime) -> tuple[Root, ...]:
        """The roots that API servers must trust in this state."""
        generations = (self.current, self.next)
        own = tuple(generation.root for generation in generations if generation)
        return bundle.live(bundle.union(own, self.retired), now, policy.skew)

    def started(self, policy: CertificatePolicy) -> datetime | None:
        """When the rotation under way began, UTC; None in the steady phase.

        Whoever finds this long ago has a rotation that is stuck.
        """
        newest = self.next or (self.current if self.retired else None)
        return newest.not_before + policy.backdate if newest else None

    @property
    def phase(self) -> RotationPhase:
        """Where the rotation stands."""
        if self.current is None:
            return RotationPhase.BOOTSTRAP
        if self.next is not None:
            return RotationPhase.STAGED
        return RotationPhase.SIGNED if self.retired else RotationPhase.STEADY


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrust:
    """The webhook configuration's bundles, as read from the API.

    Attributes:
        version: Changes with every change of the configuration's content.
        bundles: The `caBundle` of each webhook entry, as bytes of PEM.
        held: How long this process has seen this version, by a clock that is not set;
            None where the process has no memory.
    """

    version: str
    bundles: tuple[bytes, ...]
    held: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSecret:
    """The serving Secret.

    Attributes:
        version: Changes with every change of the Secret.
        generation: What it holds, if that is sound.
        held: As in `ClientTrust`.
    """

    version: str
    generation: Generation | None = None
    held: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaCertificate:
    """What one ready replica showed in a handshake.

    Attributes:
        replica: Its address, for people.
        leaf: Fingerprint of the certificate; empty when there was no handshake.
        trusted: Whether an API server would have accepted it, with the bundle as read.
    """

    replica: str
    leaf: str
    trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """One look at the cluster, read in this order: trust, pair, then the state.

    The order is what makes a decision on an outdated view harmless. What depends on the
    state is read before it and written only if unchanged since: whoever finds a root in
    the bundle knows the state that put it there, and whoever replaces a pair knows
    the state that switched to it.

    Attributes:
        trust: None when there is no webhook configuration.
        pair: None when there is no serving Secret, or it is not ours to write.
        served: Every ready replica; None when nobody asked or the list is unknown.
        request: The newest request to rotate; empty for none.
    """

    trust: ClientTrust | None
    pair: ServingSecret | None
    served: tuple[ReplicaCertificate, ...] | None = None
    request: str = ""
