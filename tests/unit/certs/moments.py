"""Observations of a rotation at its different moments."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from certs import bundle
from certs.issue import issue
from certs.state import (
    ClientTrust,
    ObservedState,
    ReplicaCertificate,
    SeenAt,
    ServingSecret,
    State,
)
from tests.unit.certs.cases import NOW, POLICY

if TYPE_CHECKING:
    from certs.model import Generation
    from certs.plan import Cause, RotationPlan

OLD, CUR, NEXT = (issue(POLICY, NOW - timedelta(days=n)) for n in (2, 1, 0))
MINUTE = timedelta(minutes=1)
TRUST_WAIT = POLICY.bundle_dwell + 2 * POLICY.skew
SERVE_WAIT = POLICY.serve_dwell + 2 * POLICY.skew
STEADY = State(current=CUR)
STAGED = State(current=CUR, next=NEXT, trusted=SeenAt("c/1", NOW))
SIGNED = State(current=NEXT, retired=(CUR.root,), switched=SeenAt("p/1", NOW))


def observed(
    trusted: tuple[Generation, ...],
    pair: Generation | None,
    served: tuple[ReplicaCertificate, ...] | None = None,
    **more: object,
) -> ObservedState:
    """Two webhook entries with the same bundle, and a serving Secret."""
    pem = bundle.render([generation.root for generation in trusted])
    held = more.get("held")
    assert held is None or isinstance(held, timedelta)
    return ObservedState(
        trust=ClientTrust(version="c/1", bundles=(pem, pem), held=held),
        pair=ServingSecret(version="p/1", generation=pair, held=held),
        served=served,
        request=str(more.get("request", "")),
    )


def shown(generation: Generation, *, trusted: bool = True) -> ReplicaCertificate:
    """A replica that serves this."""
    return ReplicaCertificate(replica="r", leaf=generation.fingerprint, trusted=trusted)


def causes(found: RotationPlan) -> list[Cause]:
    """Why each step is due."""
    return [step.cause for step in found.steps]
