"""The companion as a process: its threads, from start to a stop within seconds."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from webhook.cluster.errors import ClusterError
from webhook.cluster.informer import Informer
from webhook.cluster.leader_election import LeaderElector
from webhook.companion.loop import Runner
from webhook.companion.means import Log
from webhook.companion.observed import Observed

_FINISH: Final = 2.0
"""Seconds that steps under way get to end; each write takes milliseconds."""


class Wake:
    """Wakes the runners that wait on any of its events; safe from every thread."""

    def __init__(self, *events: threading.Event) -> None:
        """Takes the events of the runners to wake."""
        self._events = events

    def __call__(self) -> None:
        """Sets them all; never blocks."""
        for event in self._events:
            event.set()


@dataclass(slots=True, kw_only=True)
class Process:
    """Followers, leadership and runners, each in a thread of its own.

    Attributes:
        observed: the followers.
        leadership: decides whether the runners act.
        runners: one for each concern, by name.
        log: tells when leadership changes, and when a watch begins to fail or recovers.
        wake: wakes all of them.
        close: called once nothing steps any more.
        background: what else runs in a thread of its own, such as the event recorder.
        stop: set by whoever wants it to end.
    """

    observed: Observed
    leadership: LeaderElector
    runners: dict[str, Runner]
    log: Log
    wake: Callable[[], None]
    close: Callable[[], None]
    background: Sequence[Callable[[threading.Event], None]] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stepping: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Starts every thread; daemons, since a watch may be silent for long."""
        followers = list(self.observed.all())
        self._threads = [
            *(
                self._thread(str(one.options), partial(self._follow, one))
                for one in followers
            ),
            self._thread("leadership", self._lead),
            *(self._thread("background", run) for run in self.background),
        ]
        self._stepping = [
            self._thread(name, runner.run) for name, runner in self.runners.items()
        ]
        for thread in self._all():
            thread.start()

    def is_alive(self) -> bool:
        """Whether every thread still runs: one that died would be missed silently."""
        return all(thread.is_alive() for thread in self._all())

    def is_ready(self) -> bool:
        """Whether it could act: everything it decides by was listed once."""
        return self.observed.is_ready()

    def end(self) -> None:
        """Stops: no new write, those under way end, the Lease is let go."""
        self.stop.set()
        self.wake()
        deadline = time.monotonic() + _FINISH
        for thread in self._stepping:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.leadership.release()
        self.close()

    def _follow(self, follower: Informer[Any], stop: threading.Event) -> None:
        watch = str(follower.options)
        told: type[ClusterError] | None = None
        while not stop.wait(follower.step()):
            told = self._tell(watch, told, follower.health.failing)

    def _lead(self, stop: threading.Event) -> None:
        told: type[ClusterError] | None = None
        held = False
        while not stop.wait(self.leadership.step()):
            told = self._tell("leases", told, self.leadership.failing)
            if self.leadership.is_leader is not held:
                held = not held
                event = "leading" if held else "standing-by"
                self.log.line("info", event, {"holder": self.leadership.holder})

    def _tell(
        self, what: str, told: type[ClusterError] | None, failing: ClusterError | None
    ) -> type[ClusterError] | None:
        """Tells a failure once, and its end; returns what has been told."""
        if failing is None:
            if told is not None:
                self.log.line("info", "recovered", {"watch": what})
            return None
        if type(failing) is not told:
            fields = {"watch": what, "problem": str(failing)}
            self.log.line("warning", "watch-failed", fields)
        return type(failing)

    def _all(self) -> Sequence[threading.Thread]:
        return [*self._threads, *self._stepping]

    def _thread(
        self, name: str, run: Callable[[threading.Event], None]
    ) -> threading.Thread:
        return threading.Thread(target=run, args=(self.stop,), name=name, daemon=True)
