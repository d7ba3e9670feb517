"""Log lines never wait, never grow without end and quote nobody."""

import json
import logging
import threading
from datetime import UTC, datetime

import pytest

from webhook.jsonlog import LINE_LIMIT, JsonLog, JsonLogHandler

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CANARY = "canary"


def clock() -> datetime:
    """Always noon."""
    return NOON


def test_a_line_is_one_json_object() -> None:
    """Time, level and event first."""
    lines: list[bytes] = []

    JsonLog(lines.append, clock).line("info", "decision", {"uid": "1"})

    assert lines == [
        b'{"time":"2026-01-02T12:00:00Z","level":"info","event":"decision","uid":"1"}\n'
    ]


@pytest.mark.parametrize(
    ("least", "written"),
    [
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_less_than_the_level_is_not_written(
    least: str, written: list[str]
) -> None:
    """Nor counted as lost."""
    lines: list[bytes] = []
    log = JsonLog(lines.append, clock, level=least)

    for level in ("debug", "info", "warning", "error"):
        log.line(level, "event", {})

    assert written == [json.loads(line)["level"] for line in lines]
    assert (0, written) == (
        log.dropped,
        [one for one in ("info", "warning", "error") if log.takes(one)],
    )


def test_people_read_text() -> None:
    """One line each, on which nobody's value looks like another field."""
    lines: list[bytes] = []
    log = JsonLog(lines.append, clock, text=True)

    log.line("warning", "decision", {"pod": "a-1", "containers": ["a"], "seconds": 0.5})
    log.line("info", "companion-started", {"name": "x level=error\n2026"})

    assert b"".join(lines).decode().splitlines() == [
        '2026-01-02T12:00:00Z WARNING decision pod=a-1 containers=["a"] seconds=0.5',
        '2026-01-02T12:00:00Z INFO    companion-started name="x level=error\\n2026"',
    ]


def test_a_reader_that_stands_still_costs_lines_and_no_time() -> None:
    """What does not fit is dropped and counted."""
    blocked, entered = threading.Event(), threading.Event()

    def write(_: bytes) -> None:
        entered.set()
        blocked.wait(10)

    log = JsonLog(write, clock)
    log.start()
    log.line("info", "first", {})
    assert entered.wait(5)

    for _ in range(LINE_LIMIT + 7):
        log.line("info", "more", {})

    assert log.dropped == 7
    blocked.set()
    log.close()


def test_closing_writes_what_is_left() -> None:
    """In order."""
    lines: list[bytes] = []
    log = JsonLog(lines.append, clock)
    log.start()

    for number in range(100):
        log.line("info", "event", {"number": number})
    log.close()

    written = b"".join(lines).splitlines()
    assert list(range(100)) == [json.loads(line)["number"] for line in written]


def test_a_broken_pipe_is_no_error_of_the_caller() -> None:
    """The lines are lost, and counted."""

    def write(_: bytes) -> None:
        raise BrokenPipeError

    log = JsonLog(write, clock)
    log.line("info", "event", {})

    assert log.dropped == 1


@pytest.mark.parametrize("message", ["failed: %s", f"failed\nfuture: {CANARY}"])
def test_an_exception_is_logged_without_its_text(message: str) -> None:
    """Its type and its places are enough to find it; its text may quote a body."""
    lines: list[bytes] = []
    handler = JsonLogHandler(JsonLog(lines.append, clock))

    try:
        dict[str, str]()[CANARY]
    except KeyError as problem:
        failed = (type(problem), problem, problem.__traceback__)
        args = (problem,) if "%s" in message else ()
        place = ("x", logging.ERROR, "x.py", 1, message, args, failed)
        handler.handle(logging.LogRecord(*place))

    (line,) = lines
    assert CANARY.encode() not in line
    logged = json.loads(line)
    assert ("KeyError", "error") == (logged["error"], logged["level"])
    assert "test_jsonlog.py" in logged["at"][0]
