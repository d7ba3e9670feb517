"""Runs the real server on loopback and calls it as kube-apiserver does.

The server is the `serve` command in a process of its own, with a certificate that
exists for as long. Whatever ends the caller, an error, Ctrl-C or SIGTERM, ends the
server and removes its files.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import click
from urllib3 import HTTPSConnectionPool, request
from urllib3.exceptions import HTTPError

from certs.issue import issue
from certs.policy import CertificatePolicy, service_name

NAME = service_name("tracking-injector", "michelangelo-tracking")
"""What kube-apiserver would ask the certificate for."""

START_SECONDS = 30.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of ours is made in it, mode 0700


@contextmanager
def running_server() -> Iterator[HTTPSConnectionPool]:
    """Start the server, wait until it is ready, and stop it at the end.

    Yields:
        A connection to it like kube-apiserver's: HTTP/1.1, kept alive, the CA bundle
        as the only trust, the Service's name as the server's.

    Raises:
        click.ClickException: It did not become ready; the message has its last lines.
    """
    place = _MEMORY if _MEMORY.is_dir() else None
    prefix = "tracking-injector-"
    with (
        _sigterm_as_ctrl_c(),
        tempfile.TemporaryDirectory(prefix=prefix, dir=place) as name,
    ):
        folder = Path(name)
        now = datetime.now(UTC)  # noqa: TID251 - the edge
        generation = issue(CertificatePolicy(names=(NAME,)), now)
        (folder / "tls.crt").write_bytes(generation.leaf)
        key = os.open(folder / "tls.key", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(key, "wb") as file:
            file.write(generation.key.reveal())
        ports = _free_ports(2)
        with _process(folder, ports) as process:
            _wait_until_ready(process, ports[1], folder / "log")
            with HTTPSConnectionPool(
                "127.0.0.1",
                ports[0],
                ca_cert_data=generation.root.pem.decode(),
                server_hostname=NAME,
                assert_hostname=NAME,
                timeout=3,
                retries=False,
            ) as client:
                yield client


def call(client: HTTPSConnectionPool, body: bytes) -> tuple[int, bytes]:
    """Send a review.

    Args:
        client: From `running_server`.
        body: An AdmissionReview as JSON.

    Returns:
        The status and the answer's body.
    """
    headers = {
        "Host": f"{NAME}:443",
        "User-Agent": "kube-apiserver-admission",
        "Accept": "application/json, */*",
        "Content-Type": "application/json",
        "Accept-Encoding": "gzip",
    }
    url = "/mutate?timeout=3s"
    response = client.request("POST", url, body=body, headers=headers)
    return response.status, response.data


@contextmanager
def _process(folder: Path, ports: list[int]) -> Iterator[subprocess.Popen[bytes]]:
    # Settings of the caller's shell are not the demo's.
    environ = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - handed on, not read
        if not name.startswith("MTI_")
    }
    serve = "from webhook.cli.main import main; main()"
    https, health = (f"127.0.0.1:{port}" for port in ports)
    options = ["--cert-dir", str(folder), "--bind", https, "--health-bind", health]
    process = None
    try:
        with (folder / "log").open("wb") as log, _signals_held_back() as held_back:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", serve, "serve", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
            )
        if held_back:
            raise KeyboardInterrupt
        yield process
    finally:
        if process is not None:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass  # it is killed
    finally:
        process.kill()
        process.wait()


@contextmanager
def _signals_held_back() -> Iterator[list[int]]:
    """Note signals instead of acting on them.

    One in the midst of starting a process would leave a process that nobody knows.

    Yields:
        The signals that came.
    """
    came: list[int] = []
    earlier = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Python would end at SIGTERM without a look back."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(HTTPError):  # it does not listen yet
            url = f"http://127.0.0.1:{port}/readyz"
            if request("GET", url, timeout=1, retries=False).status == HTTPStatus.OK:
                return
        time.sleep(_POLL_SECONDS)
    ended = process.poll() is not None
    problem = "ended" if ended else f"was not ready within {START_SECONDS:.0f} s"
    last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise click.ClickException(f"the server {problem}. Its last lines:\n{last}")


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()
