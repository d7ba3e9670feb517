"""Hundreds of odd objects around the certificates end no reconcile."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from certs.codec import NewerFormatError, encode_state
from tests.scale.odd import COUNT, odd_objects
from tests.unit.companion.certificates.site import OURS, PLACE, Site
from tests.unit.companion.certificates.test_odd_objects import (
    STATE,
    Answering,
    a_slice,
    configuration,
    pair,
    reconciled,
    secret,
    state,
)
from webhook.cluster.errors import Unavailable
from webhook.companion.certificates.observe import Observer
from webhook.companion.certificates.reasons import RotationReason

if TYPE_CHECKING:
    from webhook.cluster.interface import Json

NAMED: Final = (("metadata", "name"), ("metadata", "namespace"))
VERSION: Final = ("metadata", "resourceVersion")
"""Another than the site's: what is written because of an odd object is refused."""
LABELED: Final = (*NAMED, ("metadata", "labels", *OURS))
MARKS: Final = json.loads(base64.b64decode(encode_state(STATE)["state.json"]))


def odd_state_marks() -> list[Json]:
    """State Secrets whose marks are odd."""
    marks = list(odd_objects(lambda _: {"kind": "Marks"} | MARKS))
    texts = [base64.b64encode(json.dumps(one).encode()).decode() for one in marks]
    return [
        secret(PLACE.state_secret, encode_state(STATE) | {"state.json": text})
        for text in texts
    ]


ODD: Final[dict[str, list[Json]]] = {
    "configuration": list(
        odd_objects(configuration, (("kind",), ("metadata", "name"), VERSION))
    ),
    "pair": list(odd_objects(pair, (("kind",), *LABELED))),
    "state": list(odd_objects(state, (("kind",), *LABELED))),
    "marks": odd_state_marks(),
    "slice": list(odd_objects(a_slice, (("kind",), *NAMED))),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_object_is_no_error_of_our_own(kind: str) -> None:
    """What cannot be read counts as absent, and each result has a reason for it."""
    assert len(ODD[kind]) == COUNT
    for body in ODD[kind]:
        site = Site()
        site.settle()
        result = reconciled(site, body)
        assert result.reason is not RotationReason.INTERNAL_ERROR, (body, result)
        if result.conditions:
            assert (
                body["metadata"]["name"] in result.detail or "format" in result.detail
            )


@pytest.mark.parametrize("kind", ODD)
def test_reading_an_odd_object_raises_what_is_meant_for_it(kind: str) -> None:
    """Whatever the rotation would have asked for."""
    site = Site()
    site.settle()
    for body in ODD[kind]:
        client: Any = Answering(site, body)
        observer = Observer(client=client, names=PLACE, clock=site.clock)
        with suppress(NewerFormatError):
            observer.observe()
        with suppress(Unavailable):
            found = observer.replicas()
            assert all((type(h), type(p)) == (str, int) for h, p in found)
