"""No part of a credential leaves a URI, and what leaves is what the clients dial."""

import random

import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from tests.property.egress.uris import a_uri, pieces
from webhook.egress.destinations import derive
from webhook.mirror.merge import MergedKeys, merge
from webhook.mirror.profile import Profile, Source, SourceKind, SourceRef
from webhook.secret_bytes import SecretBytes
from webhook.uri import DATABASES, MalformedUriError, servers

PER_SEED = 13 * settings().max_examples
"""URIs of each of eight seeds: 104 000 of all, or 3 120 when it is quick."""
KEYS = ["TRACKING_URI", "MLFLOW_TRACKING_URI", "HTTPS_PROXY", "all_proxy", "HTTP_PROXY"]
KEYS += ["MLFLOW_S3_ENDPOINT_URL", "WANDB_BASE_URL", "DATABRICKS_HOST"]
SOURCE = Source(ref=SourceRef(SourceKind.SECRET, "tracking"))


@pytest.mark.parametrize("seed", range(8))
def test_no_piece_of_a_canary_leaves_a_uri(seed: int) -> None:
    """All that leaves is destinations and findings; nothing else ever sees a value."""
    choose = random.Random(seed)  # noqa: S311 - no secret is made of it
    permitted = 0
    for _ in range(PER_SEED):
        key, uri = choose.choice(KEYS), a_uri(choose)
        keys = {"MLFLOW_TRACKING_URI": "https://t.example"} | {key: uri}
        derived = derive(keys)
        permitted += any(one.origin == key for one in derived.destinations)
        merged = merge(
            Profile(name="default", sources=(SOURCE,)),
            {SOURCE.ref: {key: SecretBytes(uri.encode())}},
        )
        told = [*map(str, derived.findings), repr(derived), repr(merged)]
        told += map(str, merged.findings)
        text = "\n".join(told)

        assert isinstance(merged, MergedKeys)
        assert not pieces(text), (key, uri, text)
    assert permitted > PER_SEED // 40


@pytest.mark.parametrize("seed", range(4))
def test_what_is_told_of_a_uri_is_what_its_client_dials(seed: int) -> None:
    """By urllib3 for what `requests` dials, by SQLAlchemy for databases.

    Less may be told, and nothing else.
    """
    choose = random.Random(100 + seed)  # noqa: S311 - no secret is made of it
    compared = 0
    for _ in range(10_000):
        uri = a_uri(choose)
        try:
            (one,) = servers(uri)
        except MalformedUriError:
            continue
        compared += 1
        uri = uri.strip()
        if one.scheme in DATABASES:
            try:
                url = make_url(uri)
            except (ArgumentError, ValueError):
                continue
            host, port = url.host, url.port
        elif one.scheme in ("http", "https"):
            try:
                parsed = parse_url(uri)
            except LocationParseError:
                continue
            host, port = parsed.host, parsed.port
        else:
            continue
        assert host is not None
        if "@" not in host:  # SQLAlchemy takes the first of several
            assert host.strip("[]").lower() in (one.spelled, "b\xfc.de"), uri
            assert port == (one.port if one.explicit else None), uri
    assert compared > 500


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql+psycopg2://u:p@/db?host=10.1.2.3&port=5433", ["10.1.2.3:5433"]),
        ("postgresql://u:p@/db?host=db.example.com", ["db.example.com:5432"]),
        ("postgresql://u:p@/db?host=/cloudsql/a:b:c", []),
        ("postgresql://u:p@/db?host=%2Fvar%2Frun", []),
        ("postgresql://u:p@/db?host=a:5432&host=b:5433", ["a:5432", "b:5433"]),
        ("postgresql://u:p@/db?host=a,b&port=1,2", ["a:1", "b:2"]),
        ("postgresql://u:p@/db?host=a&host=b&port=7", ["a:7", "b:7"]),
        ("postgresql://u:p@x:9/db?host=a", ["a:9"]),
        ("postgresql://u:p@x/db?hostaddr=10.0.0.1&host=a", ["10.0.0.1:5432"]),
        ("postgresql://u:p@/db?host=2001:db8::1", ["2001:db8::1:5432"]),
        ("mysql://u:p@h/db?unix_socket=/run/mysqld.sock", []),
        ("mysql+pymysql://u:p@h:3307/db?charset=utf8", ["h:3307"]),
        ("mssql+pyodbc://u:p@h/db?driver=ODBC+Driver+18", ["h:1433"]),
        ("postgresql://u:p@h/db?host=", ["h:5432"]),
    ],
)
def test_a_database_takes_its_host_from_the_query(
    uri: str, expected: list[str]
) -> None:
    """As libpq and SQLAlchemy's dialects do; a socket needs no network."""
    assert [f"{one.host}:{one.port}" for one in servers(uri)] == expected
    assert make_url(uri).get_backend_name() in DATABASES
