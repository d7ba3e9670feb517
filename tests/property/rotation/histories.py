"""One history of a cluster: a seed says everything that happens in it."""

from __future__ import annotations

import random
from contextlib import nullcontext
from datetime import timedelta
from functools import partial

from certs.issue import issue
from certs.policy import CertificatePolicy
from certs.validate import load
from tests.property.rotation.companion import Companion
from tests.property.rotation.incidents import DAY, INCIDENTS
from tests.property.rotation.mint import Mint, abstract_material
from tests.property.rotation.port import Weather
from tests.property.rotation.timeline import START
from tests.property.rotation.world import PLACE, World

POLICY = CertificatePolicy(names=("injector.system.svc",))


class History:
    """From an empty installation through bad weather to calm at the end."""

    def __init__(
        self, seed: int, policy: CertificatePolicy = POLICY, *, real: bool
    ) -> None:
        """One to three companions, one or three replicas, two API servers."""
        self.rng = rng = random.Random(seed)  # noqa: S311 - repeatable, no secret
        self.mint = Mint()
        self.weather = Weather(
            error=rng.choice((0, 0, 0.05, 0.2)),
            crash=rng.choice((0, 0, 0.02, 0.1)),
            stall=rng.choice((0, 0.02, 0.1)),
            probe=rng.choice((0, 0, 0.1)),
        )
        self.world = World(rng, load if real else self.mint.load, policy)
        self.world.install(replicas=rng.choice((1, 3)), servers=2)
        mint = issue if real else self.mint.issue
        self.companions = [
            Companion(self.world, self.weather, f"c{number}", mint)
            for number in range(rng.choice((1, 2, 3)))
        ]
        self._real = real
        self._arrange(rng.choice((3, 3, 66, 66, 130)))

    def play(self) -> None:
        """Let it happen; raises `Violation` where an invariant does not hold."""
        with nullcontext() if self._real else abstract_material(self.mint):
            self.world.advance(self._end)
            self._calm_down()
            self._check_end()

    def bundle(self) -> bytes:
        """What every webhook entry trusts now."""
        if self._real:
            return self.world.pems()[0]
        known = {root.fingerprint: root for root in self.mint.roots.values()}
        return b"".join(known[name].pem for name in sorted(self.world.live_roots()))

    def foreign_root(self) -> bytes:
        """The PEM of a CA that nobody here has issued."""
        now = self.world.now
        if self._real:
            return issue(self.world.policy, now).root.pem
        name = f"foreign{self.rng.randrange(9)}"
        return self.mint.root(name, (now, now + timedelta(days=400))).pem

    def _arrange(self, days: int) -> None:
        """Skewed clocks, and up to six incidents where they hurt: near rotations."""
        rng, skew = self.rng, self.world.policy.skew
        for companion in self.companions:
            companion.offset = rng.choice((-skew, timedelta(0), skew))
            companion.once = rng.random() < 0.2
            companion.schedule()
        moments = (0.0, 2 * DAY, 60 * DAY, 60 * DAY, 120 * DAY)
        within = [moment for moment in moments if moment < days * DAY]
        for _ in range(rng.randrange(7)):
            spread = rng.choice((60, 600, 1200, 2400, DAY))
            delay = rng.choice(within) + spread * rng.random()
            self.world.at(delay, partial(rng.choice(INCIDENTS), self))
        if rng.random() < 0.3:
            self.world.at(2 * DAY, self.world.request_rotation)
        self._end = START + timedelta(days=days)

    def _calm_down(self) -> None:
        """No more faults for three hours at most."""
        self.world.note("calm")
        skew = self.world.policy.skew
        for field in ("error", "crash", "stall", "probe"):
            setattr(self.weather, field, 0.0)
        for name in (PLACE.state_secret, PLACE.pair_secret):
            self.world.create_secret(name)
            self.world.own(name)
        for companion in self.companions:
            companion.asleep_until = START
            companion.offset = min(max(companion.offset, -skew), skew)
            companion.thaw()
        for _ in range(40):
            self.world.advance(self.world.now + timedelta(minutes=5))
            for companion in self.companions:
                companion.turn()
            if all(one.outcome and one.outcome.in_order for one in self.companions):
                return

    def _check_end(self) -> None:
        """I4, I8 and I9: the right bundle, no write without a cause, all in order."""
        world = self.world
        roots = world.live_roots()
        for companion in self.companions:
            before = companion.port.writes
            companion.turn()
            outcome = companion.outcome
            if outcome is None or not outcome.in_order:
                world.fail(f"I9 {companion.name} is not in order: {outcome}")
            if companion.port.writes != before:
                world.fail(f"I8 {companion.name} writes without a cause")
            required = {
                root.fingerprint
                for root in outcome.state.required(world.policy, world.now)
            }
            if roots != required or len(roots) > 3:
                world.fail(f"I4 bundle {sorted(roots)}, required {sorted(required)}")


def play(seed: int, *, real: bool = False) -> History:
    """The history of this seed, played to its end.

    Args:
        seed: Says everything.
        real: With X.509 certificates instead of the mint's.
    """
    history = History(seed, real=real)
    history.play()
    return history
