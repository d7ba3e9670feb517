"""The short way and Flask's way give the same bytes for every body."""

import json

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from tests.server.bodies import ADMITTED, MALFORMED, RAY_HEAD
from tests.server.process import JSON_TYPE, Client, Server
from webhook.samples import reviews
from webhook.server.app import create_app
from webhook.settings import Settings

BODIES = {
    **{name: body for name, (body, _, _) in MALFORMED.items()},
    **ADMITTED,
    **reviews(),
}


@pytest.fixture(scope="module", name="flask")
def _flask() -> FlaskClient:
    return create_app(Settings(), write=lambda _: None).test_client()


def assert_same(
    flask: FlaskClient, client: Client, body: bytes, content_type: str
) -> None:
    """Status, type and body, both ways."""
    headers = {"Content-Type": content_type}
    slow = flask.post("/mutate", data=body, headers=headers)
    fast = client.ask("POST", "/mutate", body, headers)

    assert (slow.status_code, slow.content_type, slow.data) == (
        fast.status,
        fast.headers["content-type"],
        fast.body,
    )


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    "content_type", [JSON_TYPE["Content-Type"], "APPLICATION/json ; x=y", "text/html"]
)
def test_same_answer_to_every_body(
    flask: FlaskClient, client: Client, name: str, content_type: str
) -> None:
    """Golden, odd and malformed ones."""
    assert_same(flask, client, BODIES[name], content_type)


@given(body=st.binary(max_size=300))
def test_same_answer_to_any_bytes(
    flask: FlaskClient, server: Server, body: bytes
) -> None:
    """And any bytes give an answer."""
    with server.client() as client:
        assert_same(flask, client, body, "application/json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "labels", "spec", "containers", "env", "envFrom", "name"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(pod=JSON, request=st.dictionaries(st.sampled_from(["uid", "kind"]), JSON))
def test_same_answer_to_any_object(
    flask: FlaskClient, server: Server, pod: object, request: dict[str, object]
) -> None:
    """Any JSON where a pod, a uid or a kind should be."""
    content = json.loads(RAY_HEAD)
    content["request"] |= {"object": pod} | request

    with server.client() as client:
        body = json.dumps(content).encode()
        assert_same(flask, client, body, "application/json")
