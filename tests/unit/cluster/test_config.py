"""Connecting: which context of a kubeconfig, and by which roots."""

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import Configuration

from certs.codec import encode_pair
from certs.issue import issue
from certs.policy import CertificatePolicy
from webhook.cluster.config import (
    ClusterConnection,
    NoAccessError,
    TokenFile,
    load_in_cluster,
    load_kubeconfig,
)
from webhook.cluster.errors import Unavailable
from webhook.cluster.resources import NAMESPACE


def kubeconfig(folder: Path, **more: Any) -> Path:
    """Write a kubeconfig with two contexts and without a current one."""
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "me"} | context}
        for name, context in {"a": {"namespace": "team-a"}, "b": {}}.items()
    ]
    clusters = [
        {"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}}
        for name, port in {"a": 1, "b": 2}.items()
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": contexts,
        "clusters": clusters,
        "users": [{"name": "me", "user": {"token": "canary"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config | more))
    return path


def load(path: Path, context: str | None = None) -> ClusterConnection:
    """Connect as the command line does."""
    return load_kubeconfig(manager="test", path=path, context=context)


def server_of(connection: ClusterConnection) -> str:
    """Where the connection leads."""
    host: str = connection.resources._client.configuration.host
    return host


@pytest.mark.parametrize(
    ("server", "more", "expected"),
    [
        ("https://127.0.0.1:6443", {}, None),
        ("https://localhost:6443", {}, None),
        ("https://[::1]:6443", {}, None),
        ("https://10.0.0.1:6443", {}, "http://proxy.example.org:3128"),
        ("https://k8s.example.org", {}, "http://proxy.example.org:3128"),
        (
            "https://127.0.0.1:6443",
            {"proxy-url": "http://jump.example.org:1080"},
            "http://jump.example.org:1080",
        ),
    ],
)
def test_a_proxy_is_asked_where_kubectl_asks_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    more: dict[str, str],
    expected: str | None,
) -> None:
    """Not the environment's for this machine, where kind and tunnels listen."""
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    clusters = [{"name": "a", "cluster": {"server": server, **more}}]
    path = kubeconfig(tmp_path, clusters=clusters)

    pools = load(path, "a").resources._client.rest_client.pool_manager

    assert str(pools.proxy) == str(expected)


def test_a_proxy_of_the_environment_needs_no_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl and curl take it."""
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.org:3128")
    clusters = [{"name": "a", "cluster": {"server": "https://k8s.example.org"}}]

    pools = load(kubeconfig(tmp_path, clusters=clusters), "a").resources._client
    proxy = pools.rest_client.pool_manager.proxy
    assert str(proxy) == "http://proxy.example.org:3128"


@pytest.mark.parametrize(
    ("cluster", "part"),
    [
        ({}, "server"),
        ({"server": ""}, "server"),
        ({"server": "ftp://canary@k8s.example.org"}, "server"),
        ({"server": "https://k8s.example.org:99999"}, "server"),
        ({"server": "https://k8s.example.org:https"}, "server"),
        ({"proxy-url": "ftp://canary@proxy.example.org"}, "proxy"),
        ({"proxy-url": "https://[::1:canary"}, "proxy"),
        ({"proxy-url": "http://proxy.example.org:canary"}, "proxy"),
    ],
)
def test_a_url_that_is_none_is_named(
    tmp_path: Path, cluster: dict[str, str], part: str
) -> None:
    """By its context and file, and never quoted: it may hold a password."""
    server = {} if part == "server" else {"server": "https://k8s.example.org"}
    clusters = [{"name": "a", "cluster": server | cluster}]
    path = kubeconfig(tmp_path, clusters=clusters)

    with pytest.raises(NoAccessError) as caught:
        load(path, "a")
    said = f"context a of {path}: its {part} is no URL such as "
    assert str(caught.value).startswith(said)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("current", [{}, {"current-context": "gone"}])
def test_a_named_context_needs_no_current_one(
    tmp_path: Path, current: dict[str, str]
) -> None:
    """As with kubectl: `--context` says which."""
    path = kubeconfig(tmp_path, **current)
    for context, namespace, port in (("a", "team-a", 1), ("b", "default", 2)):
        connection = load(path, context)
        assert connection.namespace == namespace
        assert server_of(connection) == f"http://127.0.0.1:{port}"


def test_the_current_context_is_the_default(tmp_path: Path) -> None:
    """And a named one goes before it."""
    path = kubeconfig(tmp_path, **{"current-context": "a"})

    assert load(path).namespace == "team-a"
    assert load(path, "b").namespace == "default"
    assert server_of(load(path, "b")) == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("more", "context", "said"),
    [
        ({}, None, "current-context"),
        ({"current-context": "gone"}, None, "gone"),
        ({"current-context": "a"}, "gone", "gone"),
        ({"contexts": []}, "a", "a"),
        ({"clusters": []}, "a", "a"),
        ({"contexts": [{"name": "a", "token": "canary"}]}, "a", "context"),
        ({"users": [{"name": "me", "token": "canary"}]}, "a", "user"),
    ],
)
def test_what_is_missing_is_a_sentence(
    tmp_path: Path, more: dict[str, Any], context: str | None, said: str
) -> None:
    """Which names it, and no credential."""
    with pytest.raises(NoAccessError, match=said) as caught:
        load(kubeconfig(tmp_path, **more), context)

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", "x", "a: !canary 1", "contexts: 7"]
)
def test_a_file_that_is_no_kubeconfig_is_a_sentence(
    tmp_path: Path, text: str | None
) -> None:
    """Missing, empty, or something else."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NoAccessError, match="kubeconfig") as caught:
        load(path)
    assert "canary" not in str(caught.value)


class _Server(BaseHTTPRequestHandler):
    """An API server of one object, which keeps connections."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers anything."""
        body = b'{"metadata": {"name": "a"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
        """Silent."""


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[int]:
    """An API server with a root of its own, which the service account is told."""
    now = datetime.now(UTC)  # noqa: TID251 - the TLS library's clock judges it
    pair = encode_pair(issue(CertificatePolicy(names=("localhost",)), now))
    for name, text in pair.items():
        (folder / name).write_bytes(base64.b64decode(text))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server = ThreadingHTTPServer(("127.0.0.1", port), _Server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_pod(folder: Path, port: int) -> ClusterConnection:
    """Connect as a pod does."""
    (folder / "token").write_text("a")
    (folder / "namespace").write_text("home")
    where = {"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": port}
    environ = {name: str(value) for name, value in where.items()}
    return load_in_cluster(environ, manager="test", folder=folder)


@pytest.mark.parametrize(
    "broken", [b"", b"\xff\xfe", b"canary\nInjected: header", b"\0"]
)
def test_a_token_that_no_header_takes_leaves_the_last_good_one(
    tmp_path: Path, broken: bytes
) -> None:
    """Whoever sends it would raise what nobody expects, and quote it."""
    configuration, path = Configuration(), tmp_path / "token"
    token = TokenFile(path)
    path.write_bytes(b"good\n")
    token(configuration)
    path.unlink()
    path.write_bytes(broken)
    token(configuration)

    assert configuration.api_key == {"BearerToken": "Bearer good"}


def test_all_connections_have_one_tls_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each watch has a connection, and each context takes as much as a hundred pods."""
    with serving(tmp_path) as port:
        resources = in_pod(tmp_path, port).resources
        monkeypatch.delattr("urllib3.connection.create_urllib3_context")
        threads = [
            threading.Thread(target=resources.get, args=(NAMESPACE, "a"))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert resources.get(NAMESPACE, "a")["metadata"]["name"] == "a"


def test_a_new_root_is_trusted_without_a_restart(tmp_path: Path) -> None:
    """The kubelet replaces the file; the next connection reads it."""
    with serving(tmp_path) as port:
        resources = in_pod(tmp_path, port).resources
        assert resources.get(NAMESPACE, "a")
    before = (tmp_path / "ca.crt").read_bytes()
    with serving(tmp_path, port):
        after = (tmp_path / "ca.crt").read_bytes()
        (tmp_path / "ca.crt").write_bytes(before)
        resources.close()
        with pytest.raises(Unavailable):
            resources.get(NAMESPACE, "a")
        (tmp_path / "ca.crt").write_bytes(after)

        assert resources.get(NAMESPACE, "a")
