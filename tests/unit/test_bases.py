"""The Dockerfile's bases: read, pinned by asking a registry, and checked."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DIGEST: Final = "sha256:" + "0a" * 32
DOCKERFILE: Final = (
    "# bases\nARG BUILD_BASE={build}\nARG BASE={base}\nFROM ${{BUILD_BASE}} AS build\n"
    "FROM ${{BASE}}\nARG BASE\nARG VERSION=0.1.0\n"
)


def script(name: str) -> ModuleType:
    """A file of `.ci`, as a module."""
    spec = spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


bases: Any = script("bases")


class Registry(BaseHTTPRequestHandler):
    """As registries answer: a challenge first, then a digest for each tag."""

    asked: ClassVar[list[str]] = []
    needs_token: ClassVar = True
    answer: ClassVar[tuple[int, str]] = (200, DIGEST)

    def do_HEAD(self) -> None:
        """The head of a manifest."""
        self.asked.append(f"{self.path} {self.headers.get('Accept', '')}")
        if self.needs_token and self.headers.get("Authorization") != "Bearer t0ken":
            realm = f"http://{self.headers['Host']}/token"
            self.send_response(401)
            challenge = f'Bearer realm="{realm}",service="registry.example"'
            self.send_header("WWW-Authenticate", challenge)
        else:
            code, digest = self.answer
            self.send_response(code)
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def do_GET(self) -> None:
        """A token."""
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": "t0ken"}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""


@pytest.fixture(name="registry")
def _registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Registry, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with server:
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def dockerfile(base: str, build: str = "") -> str:
    """A Dockerfile on these bases, or on one for both."""
    return DOCKERFILE.format(base=base, build=build or base)


def test_this_dockerfiles_bases_can_be_read() -> None:
    """Both, by registry, name and tag."""
    found = bases.bases((ROOT / "Dockerfile").read_text("utf-8"))

    assert {name: (b.registry, b.name) for name, b in found.items()} == {
        "BUILD_BASE": ("docker.io", "library/python"),
        "BASE": ("docker.io", "library/python"),
    }
    assert all(base.tag.startswith("3.") for base in found.values())


@pytest.mark.parametrize(
    "text",
    [
        "python",
        "python:3.13",
        "docker.io/library/python",
        "docker.io/library/python@sha256:00",
        "docker.io/library/python:3@sha256:00",
        "docker.io/Library/python:3",
        "https://docker.io/library/python:3",
        f"docker.io/library/python:3@{DIGEST}x",
    ],
)
def test_a_base_that_says_less_is_refused(text: str) -> None:
    """One without its registry or its tag cannot be refreshed."""
    with pytest.raises(bases.BaseError, match="is not REGISTRY/NAME:TAG"):
        bases.bases(dockerfile(text))


def test_a_dockerfile_without_bases_is_no_success() -> None:
    """Else a renamed argument would pass the check."""
    with pytest.raises(bases.BaseError, match="names no base"):
        bases.bases("FROM docker.io/library/python:3\n")


@pytest.mark.parametrize("needs_token", [True, False])
@pytest.mark.parametrize("before", ["", "@sha256:" + "1f" * 32])
def test_a_refresh_writes_the_digest_behind_the_tag(
    registry: str, monkeypatch: pytest.MonkeyPatch, before: str, needs_token: bool
) -> None:
    """An older one is replaced; the rest of the file stays as it is."""
    monkeypatch.setattr(Registry, "needs_token", needs_token)
    one, other = f"{registry}/library/python:3.13-slim", f"{registry}/a/b.c:1"
    text = dockerfile(one + before, other)

    assert bases.pinned(text, "http") == dockerfile(
        f"{one}@{DIGEST}", f"{other}@{DIGEST}"
    )
    heads = [line for line in Registry.asked if line.startswith("/v2/")]
    assert all("image.index" in line for line in heads)
    scopes = [line for line in Registry.asked if line.startswith("/token")]
    assert len(scopes) == (2 if needs_token else 0)
    assert all("service=registry.example" in line for line in scopes)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, DIGEST), "does not say what"),
        ((200, ""), "names no digest"),
        ((200, "sha256:zz"), "names no digest"),
        ((200, "md5:" + "0a" * 32), "names no digest"),
    ],
)
def test_a_registry_that_does_not_say_changes_nothing(
    registry: str, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str], said: str
) -> None:
    """And it is named."""
    monkeypatch.setattr(Registry, "answer", answer)
    with pytest.raises(bases.BaseError, match=said):
        bases.pinned(dockerfile(f"{registry}/library/python:3"), "http")


def test_a_challenge_leads_to_no_other_protocol(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry cannot send us to a file or to plain text."""
    with pytest.raises(ValueError, match="none that is known"):
        bases._token('Bearer realm="file:///etc/passwd"', None, "https")
    with pytest.raises(ValueError, match="none that is known"):
        bases._token('Basic realm="https://x"', None, "https")


def test_what_is_not_pinned_is_named() -> None:
    """Each base by itself."""
    pinned = f"docker.io/library/python:3@{DIGEST}"

    assert list(bases.unpinned(dockerfile(pinned, pinned))) == []
    (problem,) = bases.unpinned(dockerfile("docker.io/library/python:3", pinned))

    assert problem.startswith("BASE is docker.io/library/python:3, which may be")


def test_the_check_fails_exactly_while_a_base_is_not_pinned() -> None:
    """As a release runs it."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "bases.py", "check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == (1 if list(bases.unpinned(text)) else 0)
    assert done.returncode == 0 or "`.ci/run bases`" in done.stderr
