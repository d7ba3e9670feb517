"""The companion's threads, from start to a stop within seconds."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from webhook.cluster.events import EventRecorder
from webhook.cluster.leader_election import LeaderElector
from webhook.companion.caches import Caches
from webhook.companion.controller import Controller, Log
from webhook.jsonlog import failure

_FINISH: Final = 2.0
"""Seconds that writes under way get to end; each takes milliseconds."""

Run = Callable[[threading.Event], None]


@dataclass(slots=True, kw_only=True)
class Manager:
    """Informers, leader election, Events and controllers, each in threads of its own.

    Attributes:
        caches: the informers.
        elector: decides whether the controllers act.
        recorder: writes Events.
        controllers: what acts.
        log: gets a line when leadership changes, and when a thread dies.
        stop: set by whoever wants it to end.
    """

    caches: Caches
    elector: LeaderElector
    recorder: EventRecorder
    controllers: Sequence[Controller[Any]]
    log: Log
    stop: threading.Event = field(default_factory=threading.Event)
    _watching: list[threading.Thread] = field(default_factory=list)
    _acting: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start every thread."""
        watching = [
            self._thread(str(one.options), one.run) for one in self.caches.all()
        ]
        acting = [self._thread(name, run) for name, run in self._runs()]
        for thread in (*watching, *acting):
            thread.start()
        # Only now: a thread that is yet to start would count as dead.
        self._watching, self._acting = watching, acting

    def is_alive(self) -> bool:
        """Return whether every thread still runs: a dead one would not be missed."""
        return all(one.is_alive() for one in (*self._watching, *self._acting))

    def is_ready(self) -> bool:
        """Return whether it could act: everything it decides by was listed once."""
        return self.caches.is_synced()

    def end(self) -> None:
        """Let writes under way end, then release the Lease; watches just end."""
        self.stop.set()
        for controller in self.controllers:
            controller.queue.shut_down()
        deadline = time.monotonic() + _FINISH
        for thread in self._acting:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.elector.release()

    def _runs(self) -> Iterator[tuple[str, Run]]:
        yield "leader-election", self._elect
        for number in range(self.recorder.workers):
            yield f"events-{number}", self.recorder.run
        for one in self.controllers:
            for number in range(one.workers):
                yield f"{one.reconciler.name}-{number}", one.run

    def _elect(self, stop: threading.Event) -> None:
        failing, leading = "", False
        while not stop.is_set():
            pause = self.elector.step()
            error = self.elector.failing
            found = type(error).__name__ if error else ""
            if found and found != failing:
                fields = {"problem": str(error)}
                self.log.line("warning", "leader-election-failed", fields)
            elif failing and not found:
                self.log.line("info", "leader-election-recovered", {})
            failing = found
            if self.elector.is_leader is not leading:
                leading = not leading
                event = "leading" if leading else "standing-by"
                self.log.line("info", event, {"holder": self.elector.holder})
            stop.wait(pause)

    def _thread(self, name: str, run: Run) -> threading.Thread:
        def guarded() -> None:
            try:
                run(self.stop)
            except Exception as error:  # noqa: BLE001 - stderr would quote its text
                self.log.line(
                    "error", "thread-died", {"thread": name, **failure(error)}
                )

        # A daemon, since a watch may be silent for long.
        return threading.Thread(target=guarded, name=name, daemon=True)
