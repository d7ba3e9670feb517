"""Who learns of a change late: webhook replicas, and API servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.property.rotation.timeline import START

if TYPE_CHECKING:
    from datetime import datetime

    from certs.model import Generation


@dataclass(slots=True)
class Replica:
    """A webhook process: keeps the last good pair its mount showed."""

    name: str
    loaded: Generation | None = None
    up_to: datetime = START


@dataclass(slots=True)
class Server:
    """An API server: sees what its watch has delivered so far."""

    name: str
    sees: frozenset[str] = frozenset()
    up_to: datetime = START
