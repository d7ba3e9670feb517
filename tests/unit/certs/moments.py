"""Observations of a rotation at its different moments."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from certs import bundle
from certs.issue import issue
from certs.state import Mark, Observed, Pair, Served, State, Trust
from tests.unit.certs.cases import NOW, POLICY

if TYPE_CHECKING:
    from certs.material import Generation
    from certs.steps import Cause, Plan

OLD, CUR, NEXT = (issue(POLICY, NOW - timedelta(days=n)) for n in (2, 1, 0))
MINUTE = timedelta(minutes=1)
TRUST_WAIT = POLICY.bundle_dwell + 2 * POLICY.skew
SERVE_WAIT = POLICY.serve_dwell + 2 * POLICY.skew
STEADY = State(current=CUR)
STAGED = State(current=CUR, next=NEXT, trusted=Mark("c/1", NOW))
SIGNED = State(current=NEXT, retired=(CUR.root,), switched=Mark("p/1", NOW))


def observed(
    trusted: tuple[Generation, ...],
    pair: Generation | None,
    served: tuple[Served, ...] | None = None,
    **more: object,
) -> Observed:
    """Two webhook entries with the same bundle, and a serving Secret."""
    pem = bundle.render([generation.root for generation in trusted])
    held = more.get("held")
    assert held is None or isinstance(held, timedelta)
    return Observed(
        trust=Trust(version="c/1", bundles=(pem, pem), held=held),
        pair=Pair(version="p/1", generation=pair, held=held),
        served=served,
        request=str(more.get("request", "")),
    )


def shown(generation: Generation, *, trusted: bool = True) -> Served:
    """A replica that serves this."""
    return Served(replica="r", leaf=generation.fingerprint, trusted=trusted)


def causes(found: Plan) -> list[Cause]:
    """Why each step is due."""
    return [step.cause for step in found.steps]
