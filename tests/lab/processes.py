"""Starts programs that cannot outlive the one that asked for them.

Each program starts through `setpriv --pdeathsig KILL`, so the kernel itself kills it
when its parent ends, however that ends: a failed test, Ctrl-C, `kill -9`. Teardown
code runs in none of the hard cases. Three gaps are closed here. The kernel's word
covers the *thread* that started the program, hence `start` insists on the main thread.
A parent that dies before `setpriv` has spoken goes unnoticed, hence the program starts
only if its parent is still ours. And it covers no grandchildren (gunicorn's workers,
Spark's Python), hence each program has a guard: a shell that reads a pipe of which we
alone hold the other end, and kills the program's group when we are gone.

Each program leads a session of its own: Ctrl-C at the terminal reaches pytest alone,
which then stops things in their right order.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.lab.tools import LabError

_SECONDS_TO_STOP = 10.0
_SECONDS_BETWEEN_LOOKS = 0.05
_LOG_LINES_IN_AN_ERROR = 15
_IF_PARENT_LIVES = '[ "$PPID" = "$0" ] && exec "$@"'
_ONCE_PARENT_IS_GONE = 'read -r _; kill -s KILL -- "-$0"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A running program with its log.

    Attributes:
        name: For messages.
        log: File that takes its standard output and error.
        popen: The process itself; it also leads its process group.
        guard: What kills the group should we end without stopping it.
    """

    name: str
    log: Path
    popen: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a program; it dies with this process.

        Args:
            name: For messages.
            command: Program and arguments.
            log: File to append its output to.
            env: Its whole environment; `None` passes ours on.

        Raises:
            LabError: If `setpriv` is missing, or this is not the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise LabError(f"{name} has to be started from the main thread")
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise LabError("missing: setpriv (util-linux), which ties programs to us")
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [
                    *(setpriv, "--pdeathsig", "KILL", "--"),
                    *("/bin/sh", "-c", _IF_PARENT_LIVES, str(os.getpid())),
                    *map(str, command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _ONCE_PARENT_IS_GONE, str(popen.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the group may have ended before
            start_new_session=True,
        )
        return cls(name=name, log=log, popen=popen, guard=guard)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 120) -> None:
        """Return once `ready()` is true.

        Raises:
            LabError: If the program ends first or the time is up, with the end of
                its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise LabError(f"{self.name} ended by itself:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.name} not ready in {seconds:.0f} s:\n{self.last_words()}"
                )
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def stop(self, *, seconds: float = _SECONDS_TO_STOP) -> None:
        """Ask it to end; kill its whole group when it does not within `seconds`."""
        if self.running:
            self.popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(seconds)
        with suppress(ProcessLookupError):  # also whatever it left in its group
            os.killpg(self.popen.pid, signal.SIGKILL)
        # First the guard, then the wait: the number stays ours until it is reaped.
        self.guard.kill()
        self.guard.communicate()
        self.popen.wait()

    def kill(self) -> None:
        """End it without asking, as a crash would."""
        self.stop(seconds=0)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LOG_LINES_IN_AN_ERROR:])


class Port:
    """A loopback TCP port that is ours for as long as this object lives.

    The socket is bound with `SO_REUSEPORT` and never listens: the kernel gives the
    number to nobody else, while a program told to share its port can listen on it,
    stop, and find it free again.
    """

    def __init__(self) -> None:
        """Reserve a free port."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def __str__(self) -> str:
        """The number."""
        return str(self.number)

    def close(self) -> None:
        """Let it go."""
        self._socket.close()


def free_port() -> int:
    """A port free just now, for a program that cannot share a reserved one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def listens(port: int) -> bool:
    """Whether something takes connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: str, seen: Callable[[], bool], *, seconds: float = 180) -> None:
    """Return once `seen()` is true.

    Raises:
        LabError: If `what` was not seen in time.
    """
    deadline = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > deadline:
            raise LabError(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(_SECONDS_BETWEEN_LOOKS)
