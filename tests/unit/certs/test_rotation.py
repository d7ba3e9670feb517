"""Each decision of a rotation, one observation at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from certs import bundle
from certs.issue import issue
from certs.plan import Cause, KeepState, RotationPlan, Stage, WriteBundle
from certs.rotation import MAX_DWELL, plan
from certs.state import ClientTrust, ReplicaCertificate, RotationPhase, SeenAt, State
from tests.unit.certs.cases import NOW, POLICY

if TYPE_CHECKING:
    from certs.model import Generation

from tests.unit.certs.moments import (
    CUR,
    MINUTE,
    NEXT,
    SIGNED,
    STAGED,
    STEADY,
    TRUST_WAIT,
    causes,
    observed,
    shown,
)

# --- nothing to do ---


def test_one_generation_served_and_trusted_alone_is_settled() -> None:
    """No step; the next look is when the margin begins."""
    found = plan(STEADY, observed((CUR,), CUR), POLICY, NOW)

    assert found == RotationPlan(
        phase=RotationPhase.STEADY,
        steps=(),
        settled=True,
        again=CUR.not_after - POLICY.renew_before,
    )


# --- a first installation ---


def test_a_first_installation_stages_a_generation() -> None:
    """Empty Secrets, no bundle."""
    found = plan(State(), observed((), None), POLICY, NOW)

    assert found.phase is RotationPhase.BOOTSTRAP
    assert found.steps == (Stage(State(), Cause.BOOTSTRAP),)


def test_its_root_is_made_known_before_anything_is_served() -> None:
    """Only the bundle is written."""
    found = plan(State(next=NEXT), observed((), None), POLICY, NOW)

    pem = bundle.render([NEXT.root])
    assert found.steps == (WriteBundle(pem, Cause.UNTRUSTED),)


def test_with_nothing_in_service_there_is_nothing_to_wait_for() -> None:
    """It asks for handshakes first, and switches when there are no replicas."""
    state = State(next=NEXT)

    asked = plan(state, observed((NEXT,), None), POLICY, NOW)
    told = plan(state, observed((NEXT,), None, ()), POLICY, NOW)

    assert asked.attest
    assert causes(told) == [Cause.EMERGENCY]
    assert told.steps[0] == KeepState(State(current=NEXT), Cause.EMERGENCY)


@pytest.mark.parametrize(
    "replica", [shown(CUR), ReplicaCertificate(replica="r", leaf="", trusted=False)]
)
def test_lost_secrets_do_not_shorten_the_dwell(replica: ReplicaCertificate) -> None:
    """Replicas serve what they last had, or do not say."""
    found = plan(State(next=NEXT), observed((CUR, NEXT), None, (replica,)), POLICY, NOW)

    assert causes(found) == [Cause.TRUST_SEEN]


# --- a rotation ---


@pytest.mark.parametrize(
    ("now", "cause"),
    [
        (CUR.not_after - POLICY.renew_before, Cause.RENEWAL),
        (CUR.not_after + MINUTE, Cause.RENEWAL),
        (CUR.not_before - timedelta(hours=1), Cause.DEFECT),
    ],
)
def test_a_certificate_near_its_end_starts_a_rotation(
    now: datetime, cause: Cause
) -> None:
    """Or past it, or issued by a clock that was wrong."""
    found = plan(STEADY, observed((CUR,), CUR), POLICY, now)

    assert causes(found) == [cause]


def test_a_renamed_service_starts_a_rotation() -> None:
    """The old certificate is of no use to anybody: it is not even written."""
    policy = replace(POLICY, names=("new.system.svc",))

    found = plan(STEADY, observed((CUR,), None), policy, NOW)

    assert causes(found) == [Cause.RENAMED]


def test_a_request_starts_a_rotation_once() -> None:
    """The state remembers which request it answered."""
    asked = plan(STEADY, observed((CUR,), CUR, request="a"), POLICY, NOW)
    again = plan(
        replace(STEADY, answered="a"),
        observed((CUR,), CUR, request="a"),
        POLICY,
        NOW,
    )

    assert asked.steps == (Stage(replace(STEADY, answered="a"), Cause.REQUESTED),)
    assert again.steps == ()


def test_a_request_waits_for_the_end_of_a_rotation() -> None:
    """One at a time, or bundles would grow."""
    found = plan(SIGNED, observed((CUR, NEXT), NEXT, request="b"), POLICY, NOW)

    assert found.steps == ()


def test_the_dwell_begins_when_the_bundle_was_read_back() -> None:
    """Not when it was written."""
    state = replace(STAGED, trusted=None)

    found = plan(state, observed((CUR, NEXT), CUR), POLICY, NOW)

    assert found.steps == (KeepState(STAGED, Cause.TRUST_SEEN),)


def test_within_the_dwell_nothing_happens() -> None:
    """It says when to look again."""
    found = plan(STAGED, observed((CUR, NEXT), CUR), POLICY, NOW + MINUTE)

    assert found.steps == ()
    assert found.again == NOW + TRUST_WAIT


def test_after_the_dwell_the_next_generation_becomes_the_current_one() -> None:
    """The last one's root stays trusted."""
    found = plan(STAGED, observed((CUR, NEXT), CUR), POLICY, NOW + TRUST_WAIT)

    state = State(current=NEXT, retired=(CUR.root,), trusted=STAGED.trusted)
    assert found.steps == (KeepState(state, Cause.SWITCH),)


def test_the_own_clock_must_agree_that_the_dwell_is_over() -> None:
    """A wall clock that is set forward does not end it."""
    now = NOW + TRUST_WAIT
    seen = observed((CUR, NEXT), CUR, held=MINUTE)

    found = plan(STAGED, seen, POLICY, now)

    assert found.steps == ()
    assert found.again == now + POLICY.bundle_dwell - MINUTE


def test_an_own_clock_that_stands_still_delays_a_day_at_most() -> None:
    """Not until the certificate ends."""
    seen = observed((CUR, NEXT), CUR, held=timedelta(0))

    found = plan(STAGED, seen, POLICY, NOW + MAX_DWELL)

    assert causes(found) == [Cause.SWITCH]


@pytest.mark.parametrize(
    "mark",
    [SeenAt("c/0", NOW - timedelta(hours=1)), SeenAt("c/1", NOW + timedelta(hours=1))],
)
def test_a_mark_about_another_version_or_from_the_future_is_void(mark: SeenAt) -> None:
    """Whatever happened to the object in between, the dwell begins anew."""
    state = replace(STAGED, trusted=mark)

    found = plan(state, observed((CUR, NEXT), CUR), POLICY, NOW)

    assert found.steps == (KeepState(STAGED, Cause.TRUST_SEEN),)


@pytest.mark.parametrize("trusted", [(), (CUR,), (NEXT,)])
def test_a_bundle_that_lacks_a_root_is_repaired_and_nothing_is_switched(
    trusted: tuple[Generation, ...],
) -> None:
    """Even after the dwell."""
    found = plan(STAGED, observed(trusted, CUR), POLICY, NOW + TRUST_WAIT)

    pem = bundle.render([CUR.root, NEXT.root])
    assert found.steps == (WriteBundle(pem, Cause.UNTRUSTED),)


def test_every_entry_of_the_configuration_counts() -> None:
    """One complete bundle of two is not enough."""
    seen = observed((CUR, NEXT), CUR)
    pem = bundle.render([CUR.root])
    assert seen.trust is not None
    trust = replace(seen.trust, bundles=(seen.trust.bundles[0], pem))

    found = plan(STAGED, replace(seen, trust=trust), POLICY, NOW + TRUST_WAIT)

    assert causes(found) == [Cause.UNTRUSTED]


def test_a_staged_generation_that_grew_old_is_replaced() -> None:
    """After a long sleep."""
    now = NEXT.not_after - POLICY.renew_before

    found = plan(STAGED, observed((CUR, NEXT), CUR), POLICY, now)

    assert found.steps == (Stage(STEADY, Cause.RENEWAL),)


def test_an_expired_certificate_has_nothing_to_lose() -> None:
    """When the replicas, asked, say so too."""
    now = CUR.not_after + 2 * POLICY.skew
    state = replace(STAGED, next=issue(POLICY, now), trusted=None)
    assert state.next is not None
    pem = bundle.render([state.next.root])
    seen = observed((), CUR, (shown(CUR, trusted=False),))
    trust = ClientTrust(version="c/2", bundles=(pem,))

    found = plan(state, replace(seen, trust=trust), POLICY, now)

    assert causes(found) == [Cause.EMERGENCY]
