"""Rotation under every fault we know of, over thousands of histories.

A history is a seed: it says how many companions, replicas and API servers there are,
how rough the weather is, and what happens when. A failure prints the history; running
`play(seed)` repeats it.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from certs import rotation
from certs.assess import inspect
from certs.issue import issue
from tests.property.rotation_world import (
    PLACE,
    POLICY,
    START,
    Companion,
    Faults,
    Mint,
    Violation,
    World,
    abstract_material,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.policy import Policy

HISTORIES = 10_000
CHUNKS = 20

DAY = 86400.0


def play(seed: int, policy: Policy = POLICY, *, real: bool = False) -> World:
    """One history, from an empty installation to calm weather at the end."""
    rng = random.Random(seed)
    mint = Mint()
    faults = Faults(
        error=rng.choice((0, 0, 0.05, 0.2)),
        crash=rng.choice((0, 0, 0.02, 0.1)),
        stall=rng.choice((0, 0.02, 0.1)),
        probe=rng.choice((0, 0, 0.1)),
    )
    world = World(rng, mint, faults, issue if real else mint.issue, policy)
    if real:
        _run(world, rng)
        return world
    with abstract_material(mint):
        _run(world, rng)
    return world


def _run(world: World, rng: random.Random) -> None:
    world.install(
        companions=rng.choice((1, 2, 3)), replicas=rng.choice((1, 3)), servers=2
    )
    _disturb(world, rng)
    for companion in world.companions:
        world.schedule(companion)
    world.advance(START + timedelta(days=rng.choice((10, 66, 66, 130))))
    world.calm_down()
    world.check_end()


def _disturb(world: World, rng: random.Random) -> None:
    """Puts up to six incidents where they hurt: near rotations."""
    # Clock steps break a process without memory: it is told so in its documentation.
    stepping = rng.random() < 0.3
    for companion in world.companions:
        companion.once = not stepping and rng.random() < 0.2
    moments = [0.0, 60 * DAY, 60 * DAY, 2 * DAY, 120 * DAY]
    incidents = list(INCIDENTS) + ([_step_back] * 3 if stepping else [])
    for _ in range(rng.randrange(7)):
        incident = rng.choice(incidents)
        base = rng.choice(moments)
        delay = base + rng.choice((60, 600, 1200, 2400, DAY)) * rng.random()
        world.at(delay, lambda incident=incident: incident(world, rng))
    if rng.random() < 0.3:
        world.at(2 * DAY, world.request_rotation)


def _empty_bundle(world: World, rng: random.Random) -> None:
    world.tamper(rng.choice(([b"", b""], [b"", _bundle_now(world)])))


def _replace_bundle(world: World, rng: random.Random) -> None:
    foreign = world.mint.root(
        f"foreign{rng.randrange(9)}", (world.now, world.now + timedelta(days=400))
    )
    world.tamper([foreign.pem, foreign.pem])


def _add_foreign_root(world: World, rng: random.Random) -> None:
    foreign = world.mint.root(
        f"foreign{rng.randrange(9)}", (world.now, world.now + timedelta(days=400))
    )
    pem = _bundle_now(world) + foreign.pem
    if world.configuration is not None:
        world.put_bundles([pem, pem], "somebody")


def _bundle_now(world: World) -> bytes:
    known = {root.fingerprint: root for root in world.mint.roots.values()}
    return b"".join(known[name].pem for name in sorted(world.live_roots()))


def _delete_secret(world: World, rng: random.Random) -> None:
    for name in rng.choice(
        ((PLACE.state_secret,), (PLACE.pair_secret,), (PLACE.state_secret, PLACE.pair_secret))
    ):
        world.touch_secret(name, None)


def _empty_secret(world: World, rng: random.Random) -> None:
    for name in rng.choice(
        ((PLACE.state_secret,), (PLACE.pair_secret,), (PLACE.state_secret, PLACE.pair_secret))
    ):
        world.touch_secret(name, {})


def _damage_secret(world: World, rng: random.Random) -> None:
    name = rng.choice((PLACE.state_secret, PLACE.pair_secret))
    data = dict(world.secrets.get(name, {}).get("data") or {})
    if data:
        data[rng.choice(sorted(data))] = rng.choice(("", "AAAA", "%"))
        world.touch_secret(name, data)


def _freeze_steady_clock(world: World, rng: random.Random) -> None:
    companion = rng.choice(world.companions)
    companion.frozen_at = companion.frozen_at or world.now
    world.note(f"{companion.name}'s steady clock stands still")
    world.at(40 * DAY, lambda: _thaw(world, companion))


def _thaw(world: World, companion: Companion) -> None:
    if companion.frozen_at is not None:
        companion.frozen += world.now - companion.frozen_at
        companion.frozen_at = None


def _step_back(world: World, rng: random.Random) -> None:
    companion = rng.choice(world.companions)
    companion.step = timedelta(hours=-1)
    world.note(f"{companion.name}'s clock is set back an hour")

    def correct() -> None:
        companion.step = timedelta(0)
        world.note(f"{companion.name}'s clock is right again")

    world.at(rng.choice((100.0, 1000.0, DAY)), correct)


def _sleep(world: World, rng: random.Random) -> None:
    """One of several: what a lone sleeper misses nobody can repair."""
    if len(world.companions) > 1:
        companion = world.companions[0]
        companion.asleep_until = world.now + timedelta(days=40)
        world.note(f"{companion.name} sleeps")


def _restart_replica(world: World, rng: random.Random) -> None:
    world.restart_replica(rng.choice(world.replicas))


INCIDENTS: tuple[Callable[[World, random.Random], None], ...] = (
    _empty_bundle,
    _replace_bundle,
    _add_foreign_root,
    _delete_secret,
    _empty_secret,
    _damage_secret,
    _freeze_steady_clock,
    _sleep,
    _restart_replica,
)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_history_keeps_every_invariant(chunk: int) -> None:
    """Ten thousand histories with faults at every call: I1 to I10 hold in each."""
    size = HISTORIES // CHUNKS

    for seed in range(chunk * size, (chunk + 1) * size):
        play(seed)
