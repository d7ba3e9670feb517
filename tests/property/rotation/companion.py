"""Companion processes: the real controller, with clocks, and a memory to lose."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from certs import bundle
from certs.state import ReplicaCertificate
from tests.property.rotation.port import CrashError, Port, Weather
from tests.property.rotation.timeline import START
from tests.property.rotation.world import PLACE, World
from webhook.cluster.errors import ClusterError
from webhook.cluster.events import EventRecorder
from webhook.companion.certificates.controller import KEY, CertificateController
from webhook.companion.controller import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.model import Generation
    from certs.policy import CertificatePolicy
    from webhook.companion.certificates.probe import ReplicaAddress
    from webhook.companion.certificates.result import CertificateResult

HOUR = 3600.0


class _Silent:
    """A log that nobody reads."""

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Drop it."""


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
        self.outcome: CertificateResult | None = None
        self.causes: set[str] = set()
        self.port = Port(world, weather, name)
        self._world = world
        self._weather = weather
        self._issue = issue
        self._controller: CertificateController | None = None
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
        elif self.outcome.conditions:
            delay = choice((60.0, 0.5 * HOUR, 2 * HOUR))
        else:
            delay = choice((60.0, 150.0, 240.0, 400.0))
        asleep = (self.asleep_until - self._world.now).total_seconds()
        self._world.at(max(delay, asleep), self._scheduled_turn)

    def turn(self) -> None:
        """One step."""
        if self._busy or self._world.now < self.asleep_until:
            return
        if self._controller is None:
            self._controller = self._start()
        self._busy = self._failed = True
        try:
            self.outcome = self._controller.reconcile(KEY, self._wall())
            self.causes |= {str(cause) for cause in self.outcome.done}
            self._failed = False
        except CrashError:
            self._controller = None
            self._world.note(f"{self.name} crashes")
        except ClusterError as error:
            self._world.note(f"{self.name} gives up: {type(error).__name__}")
        finally:
            self._busy = False
            if self.once:
                self._controller = None

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

    def _start(self) -> CertificateController:
        context = Context(
            client=self.port,
            log=_Silent(),
            recorder=EventRecorder(self.port, component="companion", instance="one"),
            is_leader=lambda: True,
            clock=self._wall,
        )
        return CertificateController(
            context,
            PLACE,
            self._world.policy,
            self._probe,
            monotonic=None if self.once else self._steady,
            issue=self._issue,
        )

    def _wall(self) -> datetime:
        return self._world.now + self.offset

    def _steady(self) -> float:
        now = self._frozen_since or self._world.now
        return (now - START - self._frozen).total_seconds()

    def _probe(
        self, replicas: tuple[ReplicaAddress, ...], pem: bytes
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
