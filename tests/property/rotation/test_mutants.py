"""The histories notice when the rotation is wrong: each mutant is caught.

A mutant changes one line of thought of the real code. What it breaks is named, so that
it is caught for the right reason.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from certs.plan import Cause
from certs.state import State
from tests.property.rotation.companion import Companion
from tests.property.rotation.histories import POLICY, History
from tests.property.rotation.mint import Mint, abstract_material
from tests.property.rotation.port import Weather
from tests.property.rotation.timeline import Violation
from tests.property.rotation.world import PLACE, World
from webhook.companion.certificates.controller import CertificateController
from webhook.companion.certificates.observe import Observer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certs.policy import CertificatePolicy
    from webhook.cluster.interface import Json
    from webhook.cluster.resources import ResourceType
    from webhook.companion.certificates.result import Condition

HISTORIES = 100


def first_violation(policy: CertificatePolicy = POLICY) -> str:
    """What the first history to fail says; empty if none does."""
    for seed in range(HISTORIES):
        try:
            History(seed, policy, real=False).play()
        except Violation as violation:
            return str(violation).splitlines()[0]
    return ""


def test_the_code_as_it_is_survives() -> None:
    """The same histories find nothing in the unchanged code."""
    assert first_violation() == ""


def test_a_switch_without_a_dwell_is_caught() -> None:
    """API servers learn of a bundle up to 200 s late."""
    with patch("certs.rotation._Decision._waited", lambda *_: True):
        assert first_violation().startswith(("I1", "I2"))


def test_a_root_dropped_without_attestation_is_caught() -> None:
    """Replicas load a pair up to 120 s late."""
    with patch("certs.rotation._Decision._attested", lambda _: True):
        assert first_violation().startswith(("I1", "I3"))


def test_a_certificate_without_backdating_is_caught() -> None:
    """A slow clock sees a certificate from the future."""
    policy = replace(POLICY, backdate=timedelta(0))

    assert first_violation(policy).startswith("I1 validity")


def test_the_swapped_order_is_caught() -> None:
    """Serving a generation first and making it known afterwards."""

    def swapped(decision: Any, following: Any) -> Any:
        current = decision.state.current
        last = (current.root,) if current else ()
        return decision._switch(following, last, Cause.SWITCH)

    with (
        patch("certs.rotation._Decision._promote", swapped),
        patch("certs.rotation._Decision._must_wait", lambda _: False),
    ):
        assert first_violation().startswith(("I1", "I2"))


def test_a_clock_that_is_simply_believed_is_caught() -> None:
    """A year ahead, every certificate looks expired."""
    with patch.object(CertificateController, "_clock_condition", lambda *_: None):
        assert first_violation().startswith(("I1", "I2", "I3"))


def test_a_forgotten_root_is_caught() -> None:
    """A bundle that is replaced at the switch instead of united."""

    def required(state: State, *_: object) -> object:
        return (state.current.root,) if state.current else ()

    with patch.object(State, "required", required):
        assert first_violation() != ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster whose companion has been at work for an hour."""

    mint: Mint
    world: World
    busy: Companion

    def work(self, minutes: int) -> None:
        """The companion takes its turn every minute."""
        for _ in range(minutes):
            self.world.advance(self.world.now + timedelta(minutes=1))
            self.busy.turn()

    def assert_in_order(self) -> None:
        """The companion found nothing left to do."""
        assert self.busy.outcome is not None
        assert self.busy.outcome.in_order


@contextmanager
def settled() -> Iterator[Scene]:
    """The scene, while key material is abstract."""
    mint = Mint()
    world = World(random.Random(1), mint.load, POLICY)  # noqa: S311 - to repeat
    world.install(replicas=3, servers=2)
    with abstract_material(mint):
        scene = Scene(mint, world, Companion(world, Weather(), "c0", mint.issue))
        scene.work(60)
        yield scene


def stalled_for_a_whole_rotation(read: int) -> None:
    """One companion stalls before its n-th read while another one rotates."""
    with settled() as scene:
        slow = Companion(scene.world, Weather(), "c1", scene.mint.issue)
        scene.world.request_rotation()
        scene.work(5)
        reads = iter(range(1, 100))
        get = slow.port.get

        def stalling(kind: ResourceType, name: str, namespace: str = "") -> Json:
            if next(reads) == read:
                scene.work(120)
            return get(kind, name, namespace)

        with patch.object(slow.port, "get", stalling):
            slow.turn()
        scene.work(120)
        scene.assert_in_order()


@pytest.mark.parametrize("read", [1, 2, 3])
def test_a_stall_between_two_reads_harms_nobody(read: int) -> None:
    """What was read before the stall is no ground for a write after it."""
    stalled_for_a_whole_rotation(read)


def test_the_wrong_order_of_reading_is_caught() -> None:
    """A state read before the pair lets a stalled companion restore the old pair."""
    early: list[Json | None] = []
    read_state, read_configuration = Observer._state_secret, Observer._configuration

    def configuration(observer: Observer, conditions: list[Condition]) -> Json | None:
        early.append(read_state(observer, conditions))
        return read_configuration(observer, conditions)

    with (
        patch.object(Observer, "_configuration", configuration),
        patch.object(Observer, "_state_secret", lambda *_: early.pop()),
        pytest.raises(Violation, match="I1"),
    ):
        stalled_for_a_whole_rotation(3)


def test_a_silent_replica_is_not_taken_for_an_untrusted_one() -> None:
    """Who does not answer the companion may well answer an API server."""

    def nothing_to_lose(decision: Any) -> bool:
        decision.attest = True
        state, served = decision.state, decision.observed.served
        return state.current is None and not any(one.trusted for one in served or ())

    with patch("certs.rotation._Decision._nothing_to_lose", nothing_to_lose):
        assert first_violation().startswith(("I1", "I2"))


def sight_lost_of_a_switch() -> None:
    """The pair cannot be written, then the state not be read while a bundle goes."""
    with settled() as scene:
        world = scene.world
        world.request_rotation()
        scene.work(5)
        world.disown(PLACE.pair_secret)
        scene.work(25)
        world.disown(PLACE.state_secret)
        world.own(PLACE.pair_secret)
        scene.work(1)
        world.tamper([b"", b""])
        scene.work(60)
        world.own(PLACE.state_secret)
        scene.work(120)
        scene.assert_in_order()


def test_a_switch_that_was_lost_sight_of_waits_anew() -> None:
    """What the state then wants served is not what was trusted meanwhile."""
    sight_lost_of_a_switch()


def test_a_pair_ahead_of_a_changed_bundle_is_caught() -> None:
    """The switch waited, but since then its root was lost and came back."""
    with (
        patch("certs.rotation._Decision._must_wait", lambda _: False),
        pytest.raises(Violation, match="I2"),
    ):
        sight_lost_of_a_switch()
