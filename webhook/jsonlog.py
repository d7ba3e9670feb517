"""The log: JSON lines, written by a thread that nobody waits for.

It drops and counts lines when their reader stands still. No line has room for a body, a
patch, an environment or the text of an exception.
"""

import logging
import re
import threading
import traceback
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import orjson

LINE_LIMIT: Final = 4096
"""Lines kept for a reader that stands still: about 2 MB, half a second at full load."""
LINE_BATCH: Final = 256
"""Lines written at once, so that a backlog is never there twice."""
FLUSH_SECONDS: Final = 0.01
"""Lines that lie longer leave the processor's cache, which costs more than to write."""

_RANKS: Final = {
    name.lower(): rank for name, rank in logging.getLevelNamesMapping().items()
}
_PLAIN: Final = re.compile(r"[-\w./:@+]+", re.ASCII)


class JsonLog:
    """JSON lines, in order, written by a thread that nobody waits for.

    Where people read them, that thread makes text of them. Until `start` lines are
    written at once: the process that only forks workers answers nobody, and a thread
    would not survive the fork.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        clock: Callable[[], datetime],
        *,
        level: str = "info",
        text: bool = False,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        """Keep the sink and the clock.

        Args:
            write: Takes some whole lines; may block, may raise OSError.
            clock: The time now, in UTC.
            level: The least that is written.
            text: Whether people read the lines, and no program.
            flush_seconds: How often the thread looks for lines.
        """
        self._write = write
        self._clock = clock
        self._least = _RANKS[level]
        self._text = text
        self._flush_seconds = flush_seconds
        self._lines: deque[bytes] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def takes(self, level: str) -> bool:
        """Whether lines of a level are written at all."""
        return _RANKS[level] >= self._least

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Add a line if its level is written; a full log drops it and counts.

        Args:
            level: As in `logging`, in lower case.
            event: What happened, from a closed vocabulary or a fixed sentence.
            fields: JSON-able, and never the content of a request.
        """
        if not self.takes(level):
            return
        head = {"time": self._clock(), "level": level, "event": event}
        # Copied to its size: orjson cuts it from a KiB, whose rest nothing else fits.
        self.add(bytes(memoryview(orjson.dumps(head | fields, option=_LINE))))

    def add(self, line: bytes) -> None:
        """Add a line that is encoded already, of a level that is written."""
        if len(self._lines) >= LINE_LIMIT:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._thread is None:
            self._flush()

    def start(self) -> None:
        """Write from a thread from now on."""
        self._thread = threading.Thread(target=self._run, name="json-log", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        """Write what is left, for at most `timeout` seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.wait(self._flush_seconds):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while self._lines:
            count = min(len(self._lines), LINE_BATCH)
            lines = [self._lines.popleft() for _ in range(count)]
            if self._text:
                lines = [as_text(line) for line in lines]
            try:
                self._write(b"".join(lines))
            except OSError:
                self.dropped += count


_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


def as_text(line: bytes) -> bytes:
    """A line for people: time, level and event, then each field as `name=value`.

    A value that is more than one word stays JSON, so nobody's text becomes a field or
    a line of its own.
    """
    fields = orjson.loads(line)
    level = fields.pop("level").upper()
    head = [fields.pop("time"), f"{level:7}", fields.pop("event")]
    tail = [f"{name}={_word(value)}" for name, value in fields.items()]
    return " ".join([*head, *tail]).encode() + b"\n"


def _word(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return orjson.dumps(value).decode()


class JsonLogHandler(logging.Handler):
    """Brings what libraries log into the log.

    Of an exception it keeps the type and the places, never its text or a message
    made with it, which may quote what somebody sent.
    """

    def __init__(self, log: JsonLog) -> None:
        """Log to `log`."""
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line for `record`."""
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            # asyncio puts the exception's text into the lines that follow.
            event = str(record.msg).partition("\n")[0]
            fields |= failure(record.exc_info[1])
        else:
            event = record.getMessage()
        self._log.line(record.levelname.lower(), event, fields)


def failure(error: BaseException) -> dict[str, Any]:
    """What a log line may say about an exception: its type and its places."""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "at": places}
