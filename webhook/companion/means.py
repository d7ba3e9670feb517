"""What a concern acts with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import KubeClient


class Log(Protocol):
    """Where a change, a failure or a loss of leadership is told; never a value."""

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """One JSON line."""


def always() -> bool:
    """Whoever runs alone may always act."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The port to the cluster and the two ways of telling people.

    Attributes:
        resources: reads and writes objects.
        announcer: tells the users of an object by Events.
        log: tells every change made, in one line each.
        may_act: asked before each write, since leadership may end within a step.
    """

    resources: KubeClient
    announcer: EventRecorder
    log: Log
    may_act: Callable[[], bool] = always
