"""Peers that stall, send slowly or do not read keep nobody else waiting."""

import contextlib
import json
import os
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from tests.bench.measure import memory_mib
from tests.server.bodies import RAY_HEAD
from tests.server.pairs import HOST, PemPair
from tests.server.process import Client, Server, serving, trusting, wait_until
from webhook.server.limits import BODY_LIMIT, LARGE_BODIES

HALF_REQUEST = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


def silent(port: int) -> socket.socket:
    """A peer that connects and says nothing."""
    return socket.create_connection(("127.0.0.1", port))


def half_handshake(port: int) -> socket.socket:
    """A peer that sends the first byte of a ClientHello."""
    peer = silent(port)
    peer.sendall(b"\x16")
    return peer


def open_files(pid: int) -> int:
    """The number of a process's descriptors."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def under_way(port: int) -> int:
    """Bytes that were sent to a port and not read there."""
    queues = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    ours, unread = f":{port:04X}", 0
    for _, local, remote, state, queue, *_ in queues[1:]:
        if state == "01" and local.endswith(ours):
            unread += int(queue.partition(":")[2], 16)
        elif state == "01" and remote.endswith(ours):
            unread += int(queue.partition(":")[0], 16)
    return unread


def threads(pid: int) -> int:
    """The number of a process's threads."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def test_stalled_peers_delay_nobody(folder: Path, pair: PemPair) -> None:
    """A request is answered at once; deadlines clear the stalled; nothing is left."""
    with serving(folder, pair) as server:
        pid = server.worker()
        before = open_files(pid)
        stalled = [silent(server.port) for _ in range(30)]
        stalled += [half_handshake(server.port) for _ in range(30)]
        stalled += [silent(server.health_port) for _ in range(20)]
        slow = [server.client() for _ in range(20)]
        for client in slow:
            client.sock.sendall(HALF_REQUEST)

        started = time.monotonic()
        with server.client() as client:
            status = client.mutate(RAY_HEAD).status
        assert (200, 200) == (status, server.probe("/healthz").status)
        assert time.monotonic() - started < 5  # seconds; an order less than deadlines

        # Every deadline passes: nobody stays.
        assert b"408" in slow[0].rest()
        wait_until(lambda: open_files(pid) <= before + 2)
        assert server.metric("tracking_injector_deadline_closes_total") >= 20
        timed_out = 'tracking_injector_handshakes_total{result="timed-out"}'
        assert server.metric(timed_out) == 60
        for peer in (*stalled, *(client.sock for client in slow)):
            peer.close()


def test_a_full_house_makes_room(folder: Path, pair: PemPair) -> None:
    """The oldest that never asked leaves; who was answered before stays."""
    with serving(folder, pair, max_connections="20") as server:
        with server.client() as regular:
            assert regular.mutate(RAY_HEAD).status == 200
            crowd = [silent(server.port) for _ in range(100)]

            with server.client() as newcomer:
                assert newcomer.mutate(RAY_HEAD).status == 200
            assert regular.mutate(RAY_HEAD).status == 200

        assert server.metric("tracking_injector_evicted_connections_total") >= 80
        for peer in crowd:
            peer.close()


def test_a_peer_that_does_not_read_is_not_read_either(server: Server) -> None:
    """Its answers fill no memory: it is left with those that the network holds."""
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    with Client(server.health_port, None) as deaf:
        deaf.sock.settimeout(1)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 200 << 20:
                sent += deaf.sock.send(request)

        with server.client() as client:
            assert client.mutate(RAY_HEAD).status == 200
        assert server.probe("/healthz").status == 200
    assert sent < 100 << 20


def test_large_bodies_share_a_bounded_memory(folder: Path, pair: PemPair) -> None:
    """Beyond it one is told to come back; small ones are always taken."""
    head = (
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n"
    )
    almost = BODY_LIMIT - 1
    with serving(folder, pair) as server:
        holders = [server.client() for _ in range(LARGE_BODIES // BODY_LIMIT)]
        for client in holders:
            client.sock.sendall(head % (almost + 1) + b" " * almost)
        wait_until(lambda: under_way(server.port) == 0)
        with server.client() as late:
            late.sock.sendall(head % almost)
            with contextlib.suppress(OSError):
                late.sock.sendall(b" " * (almost - 1))
            refused = late.rest()
        with server.client() as small:
            assert small.mutate(RAY_HEAD).status == 200

        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in refused
        for client in holders:
            client.sock.sendall(b" ")
            assert client.sock.recv(1000).startswith(b"HTTP/1.1 400 ")
            client.close()
        with server.client() as after:
            content = json.loads(RAY_HEAD)
            content["request"]["oldObject"] = "x" * (3 << 20)
            assert after.mutate(json.dumps(content)).status == 200


def test_who_pipelines_without_end_is_cut_off(server: Server) -> None:
    """Thousands of requests in one piece would keep the others waiting."""
    request = b"POST /mutate HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.client() as greedy:
        with contextlib.suppress(OSError):
            greedy.sock.sendall(request * 20_000)
        answers = greedy.rest()

    assert answers.count(b"HTTP/1.1 415 ") < 20_000
    with server.client() as client:
        assert client.mutate(RAY_HEAD).status == 200


@pytest.mark.parametrize(("path", "status"), [("/mutate", b"400"), ("/x", b"404")])
def test_a_body_in_tiny_chunks_costs_its_bytes(
    server: Server, path: str, status: bytes
) -> None:
    """A quarter of a million objects for half a MiB would be fifteen MiB."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    before = memory_mib(server.worker())
    with server.client() as client:
        client.sock.sendall(head.encode() + b"2\r\n  \r\n" * (256 << 10))
        assert server.probe("/healthz").status == 200
        held = memory_mib(server.worker())
        answer = client.raw(b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert held < before + 5


def test_a_stopping_server_answers_until_it_is_quiet(
    folder: Path, pair: PemPair
) -> None:
    """Not ready, still accepting, and closing each connection that it answers."""
    with serving(folder, pair, drain_seconds="5") as server:
        kept = server.client()
        assert kept.mutate(RAY_HEAD).headers.get("connection") is None
        idle = server.client()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.probe("/readyz").status == 503)

        assert server.probe("/healthz").status == 200
        assert kept.mutate(RAY_HEAD).headers["connection"] == "close"
        with server.client() as fresh:
            answer = fresh.mutate(RAY_HEAD)
        assert (200, "close") == (answer.status, answer.headers["connection"])

        assert server.process.wait(30) == 0
        assert idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            silent(server.port)
        kept.close()
        idle.close()


def test_no_stalled_peer_holds_up_the_end(folder: Path, pair: PemPair) -> None:
    """Every phase has its deadline while draining, too."""
    with serving(folder, pair) as server:
        stalled = [half_handshake(server.port) for _ in range(5)]
        slow = [server.client() for _ in range(5)]
        for client in slow:
            client.sock.sendall(HALF_REQUEST)
        started = time.monotonic()

        assert server.stop() == 0
        assert time.monotonic() - started < 20  # seconds
        for peer in (*stalled, *(client.sock for client in slow)):
            peer.close()


def test_a_killed_worker_is_replaced(folder: Path, pair: PemPair) -> None:
    """The port stays open meanwhile: only what was in flight is lost."""
    with serving(folder, pair) as server:
        worker = server.worker()
        os.kill(worker, signal.SIGKILL)

        with server.client() as client:
            assert client.mutate(RAY_HEAD).status == 200
        assert worker != server.worker()


def test_handshakes_in_pieces_are_fine(server: Server, pair: PemPair) -> None:
    """Bytes one by one, and many connections at once."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(pair).wrap_bio(incoming, outgoing, server_hostname=HOST)
    with silent(server.port) as peer:
        peer.settimeout(5)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    peer.sendall(bytes([byte]))
                incoming.write(peer.recv(1 << 14))
        assert client.version() == "TLSv1.3"


def test_many_clients_at_once_get_their_own_answers(server: Server) -> None:
    """Each connection gets the uid that it sent."""
    wrong: list[str] = []

    def ask(name: str) -> None:
        with server.client() as client:
            for number in range(50):
                uid = f"{name}-{number}"
                body = json.loads(RAY_HEAD)
                body["request"]["uid"] = uid
                got = client.mutate(json.dumps(body)).json()["response"]["uid"]
                if got != uid:
                    wrong.append(got)

    workers = [threading.Thread(target=ask, args=(f"c{n}",)) for n in range(10)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert wrong == []
