"""Objects with missing, null and wrong-typed fields end no reconcile.

`tests/scale/test_odd_certificates.py` has hundreds of each.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import pytest

from certs.codec import encode_pair, encode_state
from certs.state import RotationPhase, SeenAt, State
from tests.unit.companion.certificates.site import (
    DWELL,
    HOME,
    NAME,
    OURS,
    PLACE,
    START,
    Site,
    endpoint_slice,
    generation,
)
from webhook.companion.certificates.probe import ReplicaAddress, TlsProber
from webhook.companion.certificates.reasons import RotationReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.cluster.interface import Json, ListOptions
    from webhook.cluster.resources import ResourceType
    from webhook.companion.certificates.result import CertificateResult

META: Final = {"uid": "u", "resourceVersion": "7", "generation": 3}
HELD: Final = generation()
STATE: Final = State(current=HELD, trusted=SeenAt("v", START), switched=None)


def configuration(_: int = 0) -> Json:
    """A good one."""
    text = base64.b64encode(HELD.root.pem).decode()
    entry = {"clientConfig": {"caBundle": text}}
    return {
        "kind": "MutatingWebhookConfiguration",
        "metadata": META | {"name": NAME},
        "webhooks": [entry | {"name": "ray"}, entry | {"name": "spark"}],
    }


def secret(name: str, data: dict[str, str]) -> Json:
    """A good one of ours."""
    meta = META | {"name": name, "namespace": HOME, "labels": OURS, "annotations": {}}
    return {"kind": "Secret", "metadata": meta, "data": data}


def pair(_: int = 0) -> Json:
    """What replicas serve."""
    return secret(PLACE.pair_secret, encode_pair(HELD))


def state(_: int = 0) -> Json:
    """The rotation's state."""
    return secret(PLACE.state_secret, encode_state(STATE))


def a_slice(_: int = 0) -> Json:
    """Of the webhook's Service."""
    return endpoint_slice("10.0.0.1", ready=True) | {"kind": "EndpointSlice"}


class Answering:
    """A client of a site that gives one object as it is told to."""

    def __init__(self, site: Site, body: Json) -> None:
        """Of the body's kind and name."""
        self._client: Any = site.cluster.client()
        self._body = body
        self._name = body["metadata"]["name"]

    def __getattr__(self, name: str) -> Any:
        """Everything else is the site's."""
        return getattr(self._client, name)

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json:
        """The odd one, or the site's."""
        if (kind.name, name) == (self._body.get("kind"), self._name):
            return self._body
        found: Json = self._client.get(kind, name, namespace)
        return found

    def list(self, selection: ListOptions, project: Callable[[Json], Any]) -> Any:
        """The odd slice, read as the real client reads it."""
        found = self._client.list(selection, project)
        if self._body.get("kind") == selection.kind.name:
            found.items.clear()
            found.items[""] = 1, project(self._body)
        return found


def reconciled(site: Site, body: Json) -> CertificateResult:
    """What a new companion makes of a site with this object."""
    site.restart(Answering(site, body))
    return site.step()


@pytest.mark.parametrize(
    ("webhooks", "said"),
    [
        (None, "has no entries"),
        ([], "has no entries"),
        ("ray", "has no entries"),
        ([None], "has no entries"),
        ([{"clientConfig": {}}], "has no entries"),
        ([{"name": 5}], "has no entries"),
        ([{"name": "ray", "clientConfig": {}}, None], "has an unreadable entry"),
    ],
)
def test_a_configuration_that_calls_nobody_is_named(webhooks: Any, said: str) -> None:
    """As one that is not there: the rotation goes on without it."""
    site = Site()
    site.settle()
    result = reconciled(site, configuration() | {"webhooks": webhooks})

    assert result.reason is RotationReason.CONFIGURATION_MISSING
    assert result.detail == f"MutatingWebhookConfiguration {NAME} {said}"


@pytest.mark.parametrize(
    "odd",
    [
        {"endpoints": 5},
        {"endpoints": [None]},
        {"endpoints": [{"addresses": [None]}]},
        {"endpoints": [{"addresses": {"10.0.0.1": 1}}]},
        {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": "ready"}]},
        {"ports": "8443"},
        {"ports": [8443]},
        {"ports": [{"port": "8443"}]},
        {"ports": [{"port": True}]},
    ],
)
def test_a_slice_that_cannot_be_read_holds_the_rotation(odd: Json) -> None:
    """A replica in it may serve the last certificate: nothing is retired unasked."""
    site = Site()
    site.settle()
    site.request()
    while site.step().phase is not RotationPhase.SIGNED:
        site.now += DWELL
    site.restart(Answering(site, a_slice() | odd))
    for _ in range(2):
        site.step()
        site.now += DWELL
    result = site.step()

    assert result.phase is RotationPhase.SIGNED
    assert result.reason is RotationReason.UNAVAILABLE
    assert result.detail == f"EndpointSlice {HOME}/{NAME}-1 cannot be read"


@pytest.mark.parametrize("data", [None, [], "x", 5, {"tls.crt": 5, "ca.crt": None}])
def test_secrets_without_readable_content_are_written_anew(data: Any) -> None:
    """Damaged content is absent content."""
    for body in (pair(), state()):
        site = Site()
        site.settle()
        result = reconciled(site, body | {"data": data})
        assert result.reason is RotationReason.ROTATION_UNDER_WAY
        assert not result.conditions


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "\udcff", "\0"])
def test_a_host_that_is_no_name_does_not_answer(host: str) -> None:
    """A slice of names may hold one with a label of 64 characters."""
    (served,) = TlsProber("injector.system.svc")((ReplicaAddress(host, 8443),), b"")

    assert (served.leaf, served.trusted) == ("", False)
