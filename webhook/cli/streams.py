"""Standard streams: what is in the way is no traceback, and no text is a command."""

import codecs
import os
import re
import sys
from io import BytesIO, TextIOWrapper
from typing import Final, NoReturn

_NEAREST: Final = {
    **{"√": "v", "‼": "!", "×": "x", "≠": "!=", "…": "..."},
    **{"└": "`", "├": "|", "│": "|", "─": "-"},
}
"""What stands for our symbols where an encoding lacks them."""
_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Of ECMA-48, as programs color their words."""
_ERRORS: Final = "nearest"
"""What Python calls `_replaced`."""


def prepare_streams() -> None:
    """Let no character end a command, and a closed standard input be an empty one."""
    codecs.register_error(_ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    if sys.stdin is None:
        sys.stdin = TextIOWrapper(BytesIO())


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Return what is nearest to characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_NEAREST.get(one, "?") for one in lacking), error.end


def inert(text: str) -> str:
    """Return a text that others wrote without what a terminal would obey."""
    text = _SEQUENCE.sub("", text)
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def leave(code: int) -> NoReturn:
    """Exit where standard output cannot take what is still buffered."""
    # Python would complain once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
