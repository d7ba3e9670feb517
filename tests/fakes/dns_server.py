"""A DNS server on loopback that answers as scripted, over UDP and TCP."""

import contextlib
import errno
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset


@dataclass(frozen=True, slots=True)
class Reply:
    """How a query is answered.

    Attributes:
        records: In zone file form: `t. 60 IN A 203.0.113.7`.
        truncated: Over UDP say only that the answer is longer.
        silent: Say nothing at all.
        garbage: Send bytes that are no message.
        delay: Seconds before the answer.
    """

    records: tuple[str, ...] = ()
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    truncated: bool = False
    silent: bool = False
    garbage: bool = False
    delay: float = 0


Script = Callable[[str, str], Reply]
"""A name with its trailing dot, and `A` or `AAAA`, to a reply."""


def _sockets() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket of the same port.

    A port that is free for the one may be taken for the other by somebody's
    connection; then it is another port's turn.
    """
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(("127.0.0.1", udp.getsockname()[1]))
        except OSError as error:
            udp.close()
            if error.errno != errno.EADDRINUSE:
                raise


class DnsServer:
    """Serves one script on one port of loopback, over UDP and TCP."""

    def __init__(self, script: Script) -> None:
        """Takes a free port; nothing is answered before the block is entered."""
        self.script = script
        self.queries: list[tuple[str, str, str]] = []
        """Name, type and transport of everything asked."""
        self._udp, self._tcp = _sockets()
        self.port: int = self._udp.getsockname()[1]
        serve = (self._serve_udp, self._serve_tcp)
        self._threads = [threading.Thread(target=target) for target in serve]

    def __enter__(self) -> Self:
        """Starts to answer."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops, and takes its sockets with it."""
        for sock in (self._udp, self._tcp):
            # An unconnected socket complains, and wakes its reader all the same.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            query, peer = self._udp.recvfrom(65535)
            if not query:
                return
            reply, wire = self._answer(query, "udp")
            if not reply.silent:
                self._udp.sendto(wire, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection:
                (length,) = struct.unpack("!H", connection.recv(2))
                reply, wire = self._answer(connection.recv(length), "tcp")
                if not reply.silent:
                    connection.sendall(struct.pack("!H", len(wire)) + wire)

    def _answer(self, query: bytes, transport: str) -> tuple[Reply, bytes]:
        asked = dns.message.from_wire(query)
        question = asked.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append((str(question.name), kind, transport))
        reply = self.script(str(question.name), kind)
        time.sleep(reply.delay)
        response = dns.message.make_response(asked)
        response.set_rcode(reply.rcode)
        if reply.garbage:
            return reply, query[:2] + b"\xff" * 10
        if reply.truncated and transport == "udp":
            response.flags |= dns.flags.TC
            return reply, response.to_wire(max_size=65535)
        for record in reply.records:
            name, ttl, _, rdtype, data = record.split(maxsplit=4)
            rrset = dns.rrset.from_text(name, int(ttl), "IN", rdtype, data)
            response.answer.append(rrset)
        return reply, response.to_wire(max_size=65535)
