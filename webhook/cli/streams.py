"""Standard streams: what is in the way of one is no traceback."""

import codecs
import os
import sys
from io import BytesIO, TextIOWrapper
from typing import Final, NoReturn

_NEAREST: Final = {
    **{"√": "v", "‼": "!", "×": "x", "≠": "!=", "…": "..."},
    **{"└": "`", "├": "|", "│": "|", "─": "-"},
}
"""What stands for our symbols where an encoding lacks them."""
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


def leave(code: int) -> NoReturn:
    """Exit where standard output cannot take what is still buffered."""
    # Python would complain once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
