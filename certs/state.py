"""What a rotation is planned on: its stored state, and the observed state."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from certs import bundle
from certs.model import Generation, Root
from certs.policy import CertificatePolicy


class RotationPhase(StrEnum):
    """The phase of a rotation; also a metric label."""

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
    """When one version of an object was first seen to hold what it must.

    It is about one version only, so any change of the object voids it, also one that no
    companion was running to see.

    Attributes:
        version: changes with every change of the object's content.
        at: wall clock of the process that saw it, UTC.
    """

    version: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Content of the state Secret.

    Attributes:
        current: the generation to serve.
        next: the generation that API servers learn to trust before it is served.
        retired: roots of earlier generations that a replica may still serve.
        trusted: when the bundle was seen to hold every root of this state.
        switched: when the serving Secret was seen to hold `current`.
        answered: the last request to rotate that was acted upon.
    """

    current: Generation | None = None
    next: Generation | None = None
    retired: tuple[Root, ...] = ()
    trusted: SeenAt | None = None
    switched: SeenAt | None = None
    answered: str = ""

    def required(self, policy: CertificatePolicy, now: datetime) -> tuple[Root, ...]:
        """Return the roots that API servers must trust in this state."""
        generations = (self.current, self.next)
        own = tuple(generation.root for generation in generations if generation)
        return bundle.live(bundle.union(own, self.retired), now, policy.skew)

    def started(self, policy: CertificatePolicy) -> datetime | None:
        """Return when the rotation under way began, UTC; None in the steady phase.

        A rotation that began long ago is stuck.
        """
        newest = self.next or (self.current if self.retired else None)
        return newest.not_before + policy.backdate if newest else None

    @property
    def phase(self) -> RotationPhase:
        """Return the phase of the rotation."""
        if self.current is None:
            return RotationPhase.BOOTSTRAP
        if self.next is not None:
            return RotationPhase.STAGED
        return RotationPhase.SIGNED if self.retired else RotationPhase.STEADY


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrust:
    """The webhook configuration's bundles, as read from the API.

    Attributes:
        version: changes with every change of the configuration's content.
        bundles: the `caBundle` of each webhook entry, as bytes of PEM.
        held: how long this process has seen this version, by a monotonic clock; None
            for a process that reconciles once and exits.
    """

    version: str
    bundles: tuple[bytes, ...]
    held: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSecret:
    """The serving Secret.

    Attributes:
        version: changes with every change of the Secret.
        generation: what it holds, if that is valid.
        held: as in `ClientTrust`.
    """

    version: str
    generation: Generation | None = None
    held: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaCertificate:
    """What one ready replica showed in a handshake.

    Attributes:
        replica: its address.
        leaf: fingerprint of the certificate; empty when there was no handshake.
        trusted: whether an API server would have accepted it, with the bundle as read.
    """

    replica: str
    leaf: str
    trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """The cluster as observed, read in this order: trust, pair, then the state.

    The order makes a decision on an outdated view harmless. What depends on the state
    is read before it and written only if unchanged since: a process that finds a root
    in the bundle knows the state that put it there, and one that replaces a pair knows
    the state that switched to it.

    Attributes:
        trust: None when there is no webhook configuration.
        pair: None when there is no serving Secret, or it is not ours to write.
        served: every ready replica; None when they were not probed.
        request: the newest request to rotate; empty for none.
    """

    trust: ClientTrust | None
    pair: ServingSecret | None
    served: tuple[ReplicaCertificate, ...] | None = None
    request: str = ""
