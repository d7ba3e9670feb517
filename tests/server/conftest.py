"""One server for every test that only asks it things."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.pairs import PemPair, issue
from tests.server.process import Client, Server, serving


@pytest.fixture(scope="session", name="pair")
def _pair() -> PemPair:
    return issue()


@pytest.fixture(scope="session", name="server")
def _server(
    tmp_path_factory: pytest.TempPathFactory, pair: PemPair
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("certificate")
    pair.write(directory)
    with serving(directory, pair) as server:
        yield server


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, pair: PemPair) -> Path:
    pair.write(tmp_path)
    return tmp_path
