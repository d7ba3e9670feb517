"""Errors of the command line: one sentence each, and an exit code that says what kind.

0 in order, 1 not in order, 2 no access or bad input, 130 interrupted.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from webhook.cluster.config import ClusterConnection, NoAccessError
from webhook.cluster.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    Unauthorized,
    Unavailable,
)


class CommandError(click.ClickException):
    """The command cannot do it; the message is one sentence that names the place."""

    exit_code = 2


def place(connection: ClusterConnection) -> str:
    """Return which cluster is meant, and how it is reached."""
    parts = (connection.server, connection.origin)
    return ", ".join(part for part in parts if part)


def sentence(error: ClusterError, connection: ClusterConnection) -> str:
    """Return what an API server's refusal means, and whose it is."""
    where = f" ({place(connection)})"
    if isinstance(error, NotFound):
        return f"Not found: {error}{where}"
    if isinstance(error, Forbidden):
        return f"A right is missing: {error}{where}"
    if isinstance(error, Unauthorized):
        return f"The credential is not accepted: {error}{where}"
    if isinstance(error, Unavailable):
        return f"The API server cannot be asked: {error}{where}"
    return f"{error}{where}"


@contextmanager
def told(connection: ClusterConnection) -> Iterator[None]:
    """Turn errors of a cluster into a sentence with its context and server."""
    try:
        yield
    except ClusterError as error:
        raise CommandError(sentence(error, connection)) from error


def no_access(error: NoAccessError) -> CommandError:
    """Return what it means that there is no usable credential."""
    return CommandError(f"No access to a cluster: {error}")
