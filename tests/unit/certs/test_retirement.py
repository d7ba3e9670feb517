"""After the switch, and after a loss: who is still needed, and who is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from certs import bundle
from certs.issue import issue
from certs.plan import Cause, KeepState, Stage, WriteBundle, WritePair
from certs.rotation import plan
from certs.state import ClientTrust, ReplicaCertificate, SeenAt, State
from tests.unit.certs.cases import NOW, POLICY
from tests.unit.certs.moments import (
    CUR,
    MINUTE,
    NEXT,
    OLD,
    SERVE_WAIT,
    SIGNED,
    STAGED,
    STEADY,
    TRUST_WAIT,
    causes,
    observed,
    shown,
)

if TYPE_CHECKING:
    from datetime import datetime

    from certs.model import Generation

# --- after the switch ---


KNOWN = replace(SIGNED, trusted=SeenAt("c/1", NOW - TRUST_WAIT), switched=None)
"""Switched a moment ago, when API servers had known both roots for long enough."""


@pytest.mark.parametrize("pair", [CUR, OLD, None])
def test_the_pair_follows_the_state(pair: Generation | None) -> None:
    """Also when somebody empties or replaces it."""
    found = plan(KNOWN, observed((CUR, NEXT), pair), POLICY, NOW)

    assert found.steps == (WritePair(NEXT, Cause.PAIR_DRIFT),)


@pytest.mark.parametrize("pair", [CUR, OLD, None])
def test_a_bundle_that_changed_since_the_switch_has_to_be_known_anew(
    pair: Generation | None,
) -> None:
    """Else a replica could serve what an API server does not trust yet."""
    state = replace(KNOWN, trusted=SeenAt("c/0", NOW - TRUST_WAIT))
    seen = observed((CUR, NEXT), pair)
    marked = replace(state, trusted=SeenAt("c/1", NOW))

    first = plan(state, seen, POLICY, NOW)
    within = plan(marked, seen, POLICY, NOW + TRUST_WAIT - MINUTE)
    after = plan(marked, seen, POLICY, NOW + TRUST_WAIT)

    assert first.steps == (KeepState(marked, Cause.TRUST_SEEN),)
    assert (within.steps, within.again) == ((), NOW + TRUST_WAIT)
    assert after.steps == (WritePair(NEXT, Cause.PAIR_DRIFT),)


def test_a_bundle_is_repaired_before_the_pair_changes() -> None:
    """The root that the pair needs comes first, and its dwell begins later."""
    found = plan(KNOWN, observed((CUR,), CUR), POLICY, NOW)

    assert causes(found) == [Cause.UNTRUSTED]


def test_another_sound_pair_is_replaced_only_when_the_root_is_known() -> None:
    """As when a backup brought it back."""
    seen = observed((OLD, CUR), OLD)
    marked = replace(STEADY, trusted=SeenAt("c/1", NOW))

    first = plan(STEADY, seen, POLICY, NOW)
    after = plan(marked, seen, POLICY, NOW + TRUST_WAIT)

    assert causes(first) == [Cause.TRUST_SEEN]
    assert WritePair(CUR, Cause.PAIR_DRIFT) in after.steps


def test_an_emptied_pair_comes_back_at_once() -> None:
    """In the steady phase every replica serves that one already, or none."""
    found = plan(STEADY, observed((CUR,), None), POLICY, NOW)

    assert found.steps == (WritePair(CUR, Cause.PAIR_DRIFT),)


def test_an_expired_pair_is_replaced_at_once() -> None:
    """Whoever serves it is trusted by nobody."""
    expired = issue(POLICY, NOW - POLICY.life - MINUTE)

    found = plan(STEADY, observed((CUR,), expired), POLICY, NOW)

    assert found.steps == (WritePair(CUR, Cause.PAIR_DRIFT),)


def test_without_a_configuration_the_pair_stays() -> None:
    """Nobody can tell what API servers will be told to trust."""
    seen = replace(observed((CUR, NEXT), CUR), trust=None)

    assert plan(KNOWN, seen, POLICY, NOW).steps == ()


def test_the_second_dwell_begins_when_the_pair_was_read_back() -> None:
    """A mark about the Secret as it is now."""
    state = replace(SIGNED, switched=None)

    found = plan(state, observed((CUR, NEXT), NEXT), POLICY, NOW)

    assert found.steps == (KeepState(SIGNED, Cause.SWITCH_SEEN),)


def test_replicas_are_asked_only_after_the_second_dwell() -> None:
    """Earlier their answer would change nothing."""
    early = plan(SIGNED, observed((CUR, NEXT), NEXT), POLICY, NOW + MINUTE)
    late = plan(SIGNED, observed((CUR, NEXT), NEXT), POLICY, NOW + SERVE_WAIT)

    assert (early.attest, early.again) == (False, NOW + SERVE_WAIT)
    assert late.attest


def test_a_root_is_retired_when_every_replica_shows_the_new_leaf() -> None:
    """From the bundle and from the state; the writes are independent."""
    seen = observed((CUR, NEXT), NEXT, (shown(NEXT), shown(NEXT)))

    found = plan(SIGNED, seen, POLICY, NOW + SERVE_WAIT)

    assert found.steps == (KeepState(replace(SIGNED, retired=()), Cause.RETIRED),)
    then = plan(replace(SIGNED, retired=()), seen, POLICY, NOW + SERVE_WAIT)
    assert then.steps == (WriteBundle(bundle.render([NEXT.root]), Cause.PRUNED),)


@pytest.mark.parametrize(
    "served",
    [
        (),
        (shown(NEXT), shown(CUR)),
        (ReplicaCertificate(replica="r", leaf="", trusted=False),),
    ],
)
def test_a_root_stays_while_any_replica_may_need_it(
    served: tuple[ReplicaCertificate, ...],
) -> None:
    """Also when none is ready, or one does not answer."""
    seen = observed((CUR, NEXT), NEXT, served)

    found = plan(SIGNED, seen, POLICY, NOW + SERVE_WAIT)

    assert found.steps == ()
    assert not found.settled


def test_an_expired_root_goes_without_being_asked_about() -> None:
    """I4: no expired certificate stays in a bundle."""
    now = CUR.not_after + 2 * POLICY.skew
    fresh = issue(POLICY, now)
    state = State(current=fresh, retired=(CUR.root,))

    found = plan(state, observed((CUR, fresh), fresh), POLICY, now)

    assert WriteBundle(bundle.render([fresh.root]), Cause.PRUNED) in found.steps


# --- recovery ---


def test_a_lost_state_is_recovered_from_the_pair() -> None:
    """What the Secret holds is what replicas serve."""
    found = plan(State(), observed((CUR,), CUR), POLICY, NOW)

    assert found.steps == (KeepState(STEADY, Cause.RECOVERED),)


def test_a_lost_state_drops_nothing_from_the_bundle() -> None:
    """Until the replicas have shown what they serve."""
    found = plan(State(), observed((OLD, CUR), CUR), POLICY, NOW)

    marked = replace(STEADY, switched=SeenAt("p/1", NOW))
    assert found.steps == (KeepState(marked, Cause.SWITCH_SEEN),)


def test_a_half_lost_state_keeps_its_other_half() -> None:
    """The staged generation stays staged, unless it is the one served."""
    half = State(next=NEXT)

    kept = plan(half, observed((CUR, NEXT), CUR), POLICY, NOW)
    same = plan(half, observed((NEXT,), NEXT), POLICY, NOW)

    assert kept.steps == (KeepState(STAGED, Cause.TRUST_SEEN),)
    assert same.steps == (KeepState(State(current=NEXT), Cause.RECOVERED),)


def test_a_useless_pair_is_not_recovered() -> None:
    """Expired: a new generation is staged instead."""
    now = CUR.not_after + MINUTE

    found = plan(State(), observed((CUR,), CUR), POLICY, now)

    assert found.steps == (Stage(State(), Cause.BOOTSTRAP),)


def test_a_foreign_root_is_kept_until_the_replicas_are_asked() -> None:
    """Then it goes; fifty of them go at once."""
    foreign = tuple(issue(POLICY, NOW) for _ in range(50))
    state = replace(STEADY, switched=SeenAt("p/1", NOW))
    now = NOW + SERVE_WAIT

    asked = plan(state, observed((CUR, *foreign), CUR), POLICY, now)
    told = plan(state, observed((CUR, *foreign), CUR, (shown(CUR),)), POLICY, now)

    assert (asked.steps, asked.attest) == ((), True)
    assert told.steps == (WriteBundle(bundle.render([CUR.root]), Cause.PRUNED),)


def test_without_a_configuration_nothing_is_switched() -> None:
    """There is nobody who could trust the next generation."""
    seen = replace(observed((), CUR), trust=None)

    assert plan(STAGED, seen, POLICY, NOW + TRUST_WAIT).steps == ()


def test_a_configuration_without_entries_trusts_nobody() -> None:
    """It is not a complete one."""
    seen = replace(observed((), CUR), trust=ClientTrust(version="c/1", bundles=()))

    assert plan(STAGED, seen, POLICY, NOW + TRUST_WAIT).steps == ()


def test_without_a_serving_secret_nothing_is_retired() -> None:
    """It was deleted, or is not ours."""
    seen = replace(observed((CUR, NEXT), None, (shown(NEXT),)), pair=None)

    assert plan(SIGNED, seen, POLICY, NOW + SERVE_WAIT).steps == ()


# --- the state itself ---


@pytest.mark.parametrize(
    ("state", "started"),
    [
        (State(), None),
        (STEADY, None),
        (STAGED, NEXT.not_before + POLICY.backdate),
        (SIGNED, NEXT.not_before + POLICY.backdate),
    ],
)
def test_the_state_knows_since_when_a_rotation_runs(
    state: State, started: datetime | None
) -> None:
    """Long ago means stuck."""
    assert state.started(POLICY) == started
