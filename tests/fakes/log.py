"""A log in memory."""

from typing import Any


class Lines:
    """Keeps each line's event and fields."""

    def __init__(self) -> None:
        """Empty."""
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Keep it."""
        self.lines.append((event, fields))

    def events(self) -> list[str]:
        """What happened, in order."""
        return [event for event, _ in self.lines]
