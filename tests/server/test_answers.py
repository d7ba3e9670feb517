"""What the serving port answers to everything that can be asked of it."""

import base64
import json
import re
import socket
import ssl
from collections.abc import Iterator

import jsonpatch
import pytest

from tests.server.bodies import ADMITTED, CANARY, MALFORMED, RAY_HEAD
from tests.server.process import JSON_TYPE, Client, Reply, Server
from webhook.samples import NOT_A_TASK, reviews


def chunks(body: bytes) -> Iterator[bytes]:
    """The body in pieces, which makes the client send it chunked."""
    for start in range(0, len(body), 60_000):
        yield body[start : start + 60_000]


def assert_is_ours(reply: Reply) -> None:
    """JSON without a banner and without anything of the request."""
    assert reply.headers["content-type"] == "application/json"
    assert "server" not in reply.headers
    assert CANARY.encode() not in reply.body
    assert b"Traceback" not in reply.body


@pytest.mark.parametrize("name", reviews())
def test_answers_every_captured_review(client: Client, name: str) -> None:
    """A task pod gets a patch that applies; any other pod stays as it is."""
    body = reviews()[name]
    asked = json.loads(body)["request"]

    reply = client.mutate(body)

    assert reply.status == 200
    assert_is_ours(reply)
    answer = reply.json()
    assert ("admission.k8s.io/v1", "AdmissionReview") == (
        answer["apiVersion"],
        answer["kind"],
    )
    response = answer["response"]
    assert (asked["uid"], True) == (response["uid"], response["allowed"])
    if name.startswith(NOT_A_TASK):
        assert {"uid", "allowed"} == set(response)
    else:
        assert response["patchType"] == "JSONPatch"
        patch = json.loads(base64.b64decode(response["patch"]))
        assert asked["object"] != jsonpatch.apply_patch(asked["object"], patch)


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_refuses_what_is_no_review(client: Client, name: str, how: str) -> None:
    """A deliberate JSON error, whichever way the body is framed."""
    body, status, reason = MALFORMED[name]

    reply = client.mutate(chunks(body) if how == "chunked" and body else body)

    assert_is_ours(reply)
    assert (status, reason) == (reply.status, reply.json()["reason"])


@pytest.mark.parametrize("name", ADMITTED)
def test_admits_odd_pods_unchanged(client: Client, name: str) -> None:
    """Whatever its object is, a review with a uid gets an answer that allows."""
    reply = client.mutate(ADMITTED[name])

    assert_is_ours(reply)
    if name == "5000-digit-integer":
        assert (400, "NotJson") == (reply.status, reply.json()["reason"])
        return
    assert reply.json()["response"]["allowed"] is True


def test_of_duplicate_keys_the_last_wins(client: Client) -> None:
    """As in kube-apiserver."""
    reply = client.mutate(ADMITTED["duplicate-uid"])

    uid = json.loads(RAY_HEAD)["request"]["uid"]
    assert uid == reply.json()["response"]["uid"]


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json-patch+json", "application/yaml"],
)
def test_refuses_other_content_types(client: Client, content_type: str) -> None:
    """415, with a reason."""
    headers = {"Content-Type": content_type} if content_type else {}

    reply = client.ask("POST", "/mutate", RAY_HEAD, headers)

    assert (415, "WrongContentType") == (reply.status, reply.json()["reason"])


def test_takes_a_content_type_with_parameters(client: Client) -> None:
    """Its case and its parameters mean nothing."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}

    assert client.ask("POST", "/mutate", RAY_HEAD, headers).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/mutate", 405),
        ("OPTIONS", "/mutate", 405),
        ("PUT", "/mutate", 405),
        ("POST", "/mutate/", 404),
        ("GET", f"/{CANARY}", 404),
        ("GET", "/metrics", 404),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("POST", "/readyz", 405),
    ],
)
def test_every_other_path_answers_in_json(
    client: Client, method: str, path: str, status: int
) -> None:
    """Flask's routes, without a page of HTML."""
    reply = client.ask(method, path, b"{}", JSON_TYPE)

    assert status == reply.status
    assert_is_ours(reply)


def test_one_connection_takes_good_and_bad_in_turn(client: Client) -> None:
    """A refused body ends nothing but its own request."""
    statuses = []
    for name in ("array", "v1beta1", "empty"):
        statuses += [
            client.mutate(RAY_HEAD).status,
            client.mutate(MALFORMED[name][0]).status,
            client.ask("GET", "/healthz").status,
        ]

    assert statuses == [200, 400, 200] * 3


def test_a_large_review_is_taken(client: Client) -> None:
    """3 MiB is what an object may have; it fits."""
    content = json.loads(RAY_HEAD)
    content["request"]["object"]["spec"]["overhead"] = "x" * (3 << 20)

    assert client.mutate(json.dumps(content)).json()["response"]["allowed"] is True


def test_waits_for_leave_to_send_the_body(client: Client) -> None:
    """`Expect: 100-continue` gets its 100, then the answer."""
    head = (
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(RAY_HEAD)
    )
    client.sock.sendall(head)
    first = client.sock.recv(1000)

    rest = client.raw(RAY_HEAD)

    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_too_large_gets_no_leave(client: Client) -> None:
    """It is refused before it is sent."""
    answer = client.raw(
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"TooLarge" in answer


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    """Reviews and other requests mixed, each with its own answer."""
    head = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    post = head + b"Content-Length: %d\r\n\r\n%s" % (len(RAY_HEAD), RAY_HEAD)
    get = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    answers = client.raw(post + get + post + post + get + last)

    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
    assert statuses == [b"200", b"404", b"200", b"200", b"404", b"200"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\nnonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\n",
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000),
        b"GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n" % (b"a" * 90_000),
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00b: c\r\n\r\n",
    ],
)
def test_bad_framing_is_refused_in_json(client: Client, request_bytes: bytes) -> None:
    """And the connection ends, for nobody knows where the next request begins."""
    answer = client.raw(request_bytes)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4") or head.startswith(b"HTTP/1.1 501")
    assert b"Content-Type: application/json" in head
    assert b"Connection: close" in head
    assert {"reason", "message"} == set(json.loads(body))


def test_old_tls_is_refused(server: Server) -> None:
    """Nothing below TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with server.client() as client:
        plain = client.sock.getpeername()

    with pytest.raises(ssl.SSLError), socket.create_connection(plain) as sock:
        context.wrap_socket(sock)

    assert server.metric('tracking_injector_handshakes_total{result="old-protocol"}')


def test_plain_http_on_the_tls_port_gets_nothing(server: Server) -> None:
    """It is counted for what it is."""
    before = server.metric('tracking_injector_handshakes_total{result="not-tls"}')

    with Client(server.port, None) as client:
        answer = client.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert not answer.startswith(b"HTTP/")
    after = server.metric('tracking_injector_handshakes_total{result="not-tls"}')
    assert before + 1 == after
