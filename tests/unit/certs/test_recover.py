"""Without a clock nothing is lost and nothing is new."""

from __future__ import annotations

from dataclasses import replace

from certs import bundle
from certs.plan import Cause, WriteBundle, WritePair
from certs.recover import recover
from certs.state import ClientTrust, ObservedState, ServingSecret, State
from tests.unit.certs.moments import CUR, NEXT, OLD, SIGNED, STAGED, STEADY, observed


def bundle_of(seen: ObservedState, state: State = STEADY) -> list[bytes]:
    """The bundles that would be written."""
    steps = recover(state, seen).steps
    return [step.pem for step in steps if isinstance(step, WriteBundle)]


def test_what_is_whole_is_left_alone() -> None:
    """Also what a clock would find expired, foreign or due."""
    seen = observed((OLD, CUR, NEXT), CUR)

    found = recover(STAGED, seen)

    assert ((), False, False) == (found.steps, found.settled, found.attest)


def test_an_emptied_bundle_gets_every_root_of_the_state() -> None:
    """Of the next and of retired generations, too."""
    state = replace(STAGED, retired=(OLD.root,))

    wanted = bundle.render([OLD.root, CUR.root, NEXT.root])
    assert [wanted] == bundle_of(observed((), CUR), state)


def test_roots_that_nobody_knows_stay_in_a_bundle() -> None:
    """Whoever cannot tell the time cannot tell who needs them."""
    assert [bundle.render([OLD.root, CUR.root])] == bundle_of(observed((OLD,), CUR))


def test_one_of_two_bundles_is_enough_to_repair() -> None:
    """Each entry is called by itself."""
    pem = bundle.render([CUR.root])
    seen = replace(
        observed((CUR,), CUR), trust=ClientTrust(version="c/1", bundles=(b"", pem))
    )

    assert [pem] == bundle_of(seen)


def test_a_lost_state_keeps_what_is_served_trusted() -> None:
    """By the pair in the serving Secret."""
    assert [bundle.render([CUR.root])] == bundle_of(observed((), CUR), State())


def test_an_emptied_pair_comes_back() -> None:
    """The generation that the state says is served."""
    (step,) = recover(STEADY, observed((CUR,), None)).steps

    assert WritePair(CUR, Cause.PAIR_DRIFT) == step


def test_an_emptied_pair_waits_where_a_root_is_retired() -> None:
    """How long its root has been known only a clock could tell."""
    assert () == recover(SIGNED, observed((CUR, NEXT), None)).steps


def test_another_sound_pair_is_left_alone() -> None:
    """Which of the two is the newer one only a clock could tell."""
    assert () == recover(STEADY, observed((CUR, OLD), OLD)).steps


def test_nothing_to_write_to_is_no_reason_to_write() -> None:
    """No configuration, no Secret, no state."""
    nothing = ObservedState(trust=None, pair=None)
    empty = ObservedState(
        trust=ClientTrust(version="c/1", bundles=()), pair=ServingSecret(version="p/1")
    )

    assert () == recover(STEADY, nothing).steps
    assert () == recover(State(), empty).steps
