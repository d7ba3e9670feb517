"""Companion processes: the real concern, with clocks and a memory that can be lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from certs import bundle
from certs.state import ReplicaCertificate
from tests.property.rotation.port import CrashError, Port, Weather
from tests.property.rotation.timeline import START
from tests.property.rotation.world import PLACE, World
from webhook.cluster.errors import ClusterError
from webhook.companion.certificates.concern import Certificates
from webhook.companion.certificates.words import Clocks, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.model import Generation
    from certs.policy import CertificatePolicy
    from webhook.companion.certificates.handshake import Address

HOUR = 3600.0


class Companion:
    """One process; what kills it takes its memory, and it starts again."""

    def __init__(
        self,
        world: World,
        weather: Weather,
        name: str,
        issue: Callable[[CertificatePolicy, datetime], Generation],
    ) -> None:
        """It listens to the world's changes, as a watch does."""
        self.name = name
        self.once = False
        self.offset = timedelta(0)
        self.asleep_until = START
        self.outcome: Outcome | None = None
        self.causes: set[str] = set()
        self.port = Port(world, weather, name)
        self._world = world
        self._weather = weather
        self._issue = issue
        self._concern: Certificates | None = None
        self._busy = False
        self._failed = False
        self._frozen_since: datetime | None = None
        self._frozen = timedelta(0)
        world.listeners.append(self._wake)

    def schedule(self) -> None:
        """The next turn: days away when all is in order, else seconds to minutes."""
        choice = self._world.rng.choice
        if self.outcome is None or self._failed:
            delay = choice((5.0, 60.0, 400.0))
        elif self.outcome.in_order:
            delay = choice((6 * HOUR, 24 * HOUR, 48 * HOUR, 96 * HOUR))
        elif self.outcome.complaints:
            delay = choice((60.0, 0.5 * HOUR, 2 * HOUR))
        else:
            delay = choice((60.0, 150.0, 240.0, 400.0))
        asleep = (self.asleep_until - self._world.now).total_seconds()
        self._world.at(max(delay, asleep), self._scheduled_turn)

    def turn(self) -> None:
        """One step."""
        if self._busy or self._world.now < self.asleep_until:
            return
        if self._concern is None:
            self._concern = self._start()
        self._busy = self._failed = True
        try:
            self.outcome = self._concern.step()
            self.causes |= {str(cause) for cause in self.outcome.done}
            self._failed = False
        except CrashError:
            self._concern = None
            self._world.note(f"{self.name} crashes")
        except ClusterError as error:
            self._world.note(f"{self.name} gives up: {type(error).__name__}")
        finally:
            self._busy = False
            if self.once:
                self._concern = None

    def freeze(self) -> None:
        """Its steady clock stands still from now on."""
        self._frozen_since = self._frozen_since or self._world.now
        self._world.note(f"{self.name}'s steady clock stands still")

    def thaw(self) -> None:
        """Its steady clock goes on where it stood."""
        if self._frozen_since is not None:
            self._frozen += self._world.now - self._frozen_since
            self._frozen_since = None

    def _scheduled_turn(self) -> None:
        self.turn()
        self.schedule()

    def _wake(self) -> None:
        """Watches deliver within two seconds, unless one is just broken."""
        rng = self._world.rng
        if rng.random() < 0.9:
            self._world.at(rng.random() * 2, self.turn)

    def _start(self) -> Certificates:
        steady = None if self.once else self._steady
        return Certificates(
            self.port,
            PLACE,
            self._world.policy,
            Clocks(wall=self._wall, steady=steady),
            self._probe,
            self._issue,
        )

    def _wall(self) -> datetime:
        return self._world.now + self.offset

    def _steady(self) -> float:
        now = self._frozen_since or self._world.now
        return (now - START - self._frozen).total_seconds()

    def _probe(
        self, replicas: tuple[Address, ...], pem: bytes
    ) -> tuple[ReplicaCertificate, ...]:
        roots = {root.fingerprint for root in bundle.parse(pem)}
        loaded = {replica.name: replica.loaded for replica in self._world.replicas}
        served = []
        for address in replicas:
            leaf = loaded[address.host]
            if leaf is None or self._world.rng.random() < self._weather.probe:
                served.append(
                    ReplicaCertificate(replica=address.host, leaf="", trusted=False)
                )
                continue
            valid = leaf.not_before <= self._wall() <= leaf.not_after
            trusted = valid and leaf.root.fingerprint in roots
            served.append(
                ReplicaCertificate(
                    replica=address.host, leaf=leaf.fingerprint, trusted=trusted
                )
            )
        return tuple(served)
