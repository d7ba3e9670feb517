"""What is read, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.companion.certificates.site import (
    NAME,
    PLACE,
    Site,
    endpoint_slice,
)
from webhook.companion.certificates.observe import (
    Observer,
    ca_bundles,
    replica_addresses,
)
from webhook.companion.certificates.probe import ReplicaAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def observer(site: Site, *, monotonic: Callable[[], float] | None = None) -> Observer:
    """Over a site."""
    return Observer(
        client=site.cluster.client(),
        names=PLACE,
        clock=site.clock,
        monotonic=monotonic,
    )


def reads(site: Site) -> list[str]:
    """Names of the objects that were read, in order."""
    return [call.key.name for call in site.cluster.calls if call.verb == "get"]


def test_the_state_is_read_last() -> None:
    """So that it is the newest: see `certs.state.ObservedState`."""
    site = Site()
    site.settle()
    site.cluster.calls.clear()

    observer(site).observe()

    assert [NAME, PLACE.pair_secret, PLACE.state_secret] == reads(site)


def test_a_pair_that_may_be_adopted_is_read_after_the_state() -> None:
    """For then the pair has to be the newer of the two."""
    site = Site()

    observer(site).observe()

    assert [NAME, PLACE.pair_secret, PLACE.state_secret, PLACE.pair_secret] == (
        reads(site)
    )


def test_a_version_is_held_since_it_was_first_seen() -> None:
    """By the process's own clock, and anew with each version."""
    site = Site()
    seconds = [10.0]
    watching = observer(site, monotonic=lambda: seconds[0])
    held = []
    for at, change in ((10.0, False), (25.0, False), (40.0, True), (45.0, False)):
        seconds[0] = at
        if change:
            site.trust("", "")
        trust = watching.observe().observed.trust
        assert trust is not None
        assert trust.held is not None
        held.append(trust.held.total_seconds())

    assert [0, 15, 0, 5] == held


def test_a_process_of_one_pass_holds_nothing() -> None:
    """It has no memory that could vouch for a dwell."""
    trust = observer(Site()).observe().observed.trust

    assert trust is not None
    assert trust.held is None


@pytest.mark.parametrize(
    ("conditions", "called"),
    [
        ({}, True),
        ({"ready": None}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "Terminating": True}, True),
        ({"ready": False, "serving": False, "Terminating": True}, False),
    ],
)
def test_who_may_still_be_called_is_asked(
    conditions: Mapping[str, bool | None], *, called: bool
) -> None:
    """API servers keep connections to replicas that end."""
    found = replica_addresses(endpoint_slice("10.0.0.1", **conditions))

    assert ((ReplicaAddress("10.0.0.1", 8443),) if called else ()) == found


@pytest.mark.parametrize("field", ["ports", "endpoints"])
def test_a_slice_without_ports_or_endpoints_has_no_address(field: str) -> None:
    """Both may be null."""
    assert () == replica_addresses(endpoint_slice("10.0.0.1") | {field: None})


def test_a_port_without_a_number_is_no_address() -> None:
    """It permits any port, so there is none to probe; the others are probed."""
    ports = [{"name": "any"}, {"name": "none", "port": None}, None, {"port": 8443}]
    found = replica_addresses(endpoint_slice("10.0.0.1") | {"ports": ports})

    assert (ReplicaAddress("10.0.0.1", 8443),) == found


@pytest.mark.parametrize(
    ("entry", "pem"),
    [
        ({"clientConfig": {"caBundle": "QQ=="}}, b"A"),
        ({"clientConfig": {"caBundle": "Q"}}, b""),
        ({"clientConfig": {"caBundle": ""}}, b""),
        ({"clientConfig": {"caBundle": 5}}, b""),
        ({"clientConfig": {"caBundle": "\u00e4"}}, b""),
        ({"clientConfig": "none"}, b""),
        ({"clientConfig": {}}, b""),
        ({"clientConfig": None}, b""),
        ({}, b""),
    ],
)
def test_a_bundle_may_be_anything(entry: dict[str, Any], pem: bytes) -> None:
    """What is no base64 is as good as none."""
    assert (pem,) == ca_bundles({"webhooks": [{"name": "ray"} | entry]})
    assert () == ca_bundles({"webhooks": None})
