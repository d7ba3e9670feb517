"""The one type that secret values have: it prints as `***`, whatever prints it.

Pure. `reveal` is the only way out, and only whoever writes a Secret calls it.
"""

from typing import final


@final
class SecretBytes:
    """Bytes that no log, error, format or pickle may show."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        """Wraps the value."""
        self._value = value

    def reveal(self) -> bytes:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        """Three stars, whatever the length."""
        return "***"

    def __str__(self) -> str:
        """Three stars as well."""
        return "***"

    def __format__(self, spec: str) -> str:
        """Three stars, whatever the format asks for."""
        return "***"

    def __len__(self) -> int:
        """Length in bytes."""
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        """Equal values are equal."""
        return isinstance(other, SecretBytes) and self._value == other._value

    def __hash__(self) -> int:
        """As the value's."""
        return hash(self._value)

    def __reduce__(self) -> str:
        """Refuses to be pickled or copied elsewhere."""
        raise TypeError("a sensitive value is not to be serialized")
