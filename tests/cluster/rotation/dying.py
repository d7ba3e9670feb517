"""A companion that dies at a chosen write: before it, or right after it took effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.cluster.kinds import Kind
    from webhook.cluster.ports import Json, Listing, Resources, Selection


class DeathError(BaseException):
    """The process is gone; nothing under test may catch it."""


class Dying:
    """The port of a process that lives until its n-th write.

    Attributes:
        writes: How many it made.
    """

    def __init__(self, resources: Resources, *, at: int, after: bool) -> None:
        """Dies at write number `at`, counted from 1; `after` it took effect or before.

        Args:
            resources: The real port.
            at: 0 never dies.
            after: Whether the write is still made.
        """
        self.writes = 0
        self._resources = resources
        self._at = at
        self._after = after

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        """As the real one."""
        return self._resources.get(kind, name, namespace)

    def listing(
        self, selection: Selection, project: Callable[[Json], Any]
    ) -> Listing[Any]:
        """As the real one."""
        return self._resources.listing(selection, project)

    def apply(self, kind: Kind, body: Json, *, force: bool = True) -> Json:
        """As the real one, unless this is where it dies."""
        self.writes += 1
        if self.writes == self._at and not self._after:
            raise DeathError
        stored = self._resources.apply(kind, body, force=force)
        if self.writes == self._at:
            raise DeathError
        return stored

    def watch(self, *arguments: Any, **named: Any) -> Any:
        """As the real one."""
        return self._resources.watch(*arguments, **named)

    def merge(self, kind: Kind, body: Json) -> Json:
        """As the real one."""
        return self._resources.merge(kind, body)

    def create(self, kind: Kind, body: Json) -> Json:
        """As the real one."""
        return self._resources.create(kind, body)

    def delete(self, *arguments: Any, **named: Any) -> None:
        """As the real one."""
        self._resources.delete(*arguments, **named)
