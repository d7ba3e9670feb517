"""A wall clock that was a day ahead and is set back keeps nothing waiting for a day."""

from datetime import timedelta
from pathlib import Path

import pytest

from certs.issue import issue
from certs.policy import CertificatePolicy
from tests.unit.companion.built import DENY, Built
from webhook.cluster import metadata
from webhook.cluster.errors import Invalid, NotFound
from webhook.cluster.interface import ListOptions
from webhook.cluster.resources import CONFIG_MAP, EVENT, NETWORK_POLICY, SECRET
from webhook.companion.pauses import Pauses
from webhook.egress.dns_cache import load_cache
from webhook.injection.names import CA_CONFIG_MAP, MIRROR_SECRET
from webhook.mirror.reasons import MirrorReason

DAY = timedelta(days=1)
PACE = timedelta(seconds=5)


@pytest.fixture(name="built")
def _built(tmp_path: Path) -> Built:
    built = Built(tmp_path)
    built.ahead = DAY
    built.label()
    return built


def opened(built: Built) -> set[str]:
    """The ranges that the companion's policies of the namespace permit."""
    found = built.user.list(ListOptions(NETWORK_POLICY, namespace="ray"), dict)
    return {
        peer["ipBlock"]["cidr"]
        for _, body in found.items.values()
        for rule in body["spec"].get("egress", ())
        for peer in rule["to"]
        if "ipBlock" in peer
    }


def told(built: Built) -> int:
    """How often it was tried to write the Event of the foreign Secret."""
    return sum(
        call.kind == EVENT and call.key.namespace == "ray"
        for call in built.cluster.calls
    )


def test_a_mirror_goes_after_its_grace(built: Built) -> None:
    """Ten seconds by the new time, at most."""
    built.start()
    built.label(on=False)
    built.settle()
    built.ahead = timedelta(0)
    built.settle(10)
    built.settle(10)

    with pytest.raises(NotFound):
        built.user.get(SECRET, MIRROR_SECRET, "ray")


def test_the_trackers_ca_is_put_right(built: Built) -> None:
    """Five seconds after the last write, at most."""
    policy = CertificatePolicy(names=("mlflow.example.org",))
    pem = issue(policy, built.now).root.pem.decode()
    built.create(CONFIG_MAP, "ca", data={"ca.crt": pem})
    built.start(tracking_ca_source='{"configMap": "ca", "keys": ["ca.crt"]}')
    body = {"name": CA_CONFIG_MAP, "namespace": "ray"}
    built.user.apply(CONFIG_MAP, {"metadata": body, "data": {"ca.crt": "x"}})
    built.ahead = timedelta(0)
    built.settle()
    built.settle(10)

    assert built.user.get(CONFIG_MAP, CA_CONFIG_MAP, "ray")["data"] == {"ca.crt": pem}


def test_a_new_address_is_looked_up_permitted_and_saved(built: Built) -> None:
    """Names are asked for, rewrites are paced, and the cache is saved, as ever."""
    built.spec(NETWORK_POLICY, "deny", DENY)
    built.start()
    for seconds, address in ((61, "203.0.113.8"), (61, "203.0.113.9")):
        built.records["mlflow.example.org"] = (address,)
        built.settle(seconds)
        built.settle(10)
    built.ahead = timedelta(0)
    built.records["mlflow.example.org"] = ("203.0.113.10",)
    for _ in range(40):
        built.settle(10)
    saved = built.user.get(CONFIG_MAP, "tracking-injector-addresses", "release")
    known = load_cache(saved)["mlflow.example.org"]

    assert "203.0.113.10/31" in opened(built) or "203.0.113.10/32" in opened(built)
    assert "203.0.113.10" in {str(one) for one in known.seen}
    assert max(known.seen.values()) <= built.now


def test_an_event_is_written_again_after_an_hour(built: Built) -> None:
    """API servers forget it by then."""
    built.create(SECRET, MIRROR_SECRET, "ray", type="Opaque")
    built.start()
    before = told(built)
    built.ahead = timedelta(0)
    built.settle(3601)
    built.create(SECRET, MIRROR_SECRET, "ray", type="Opaque", labels={"again": "1"})
    for informer in built.companion.caches.all():
        informer.refresh()
    built.settle(1)

    assert 0 < before < told(built)


def test_a_refusal_is_told_though_the_servers_clock_is_ahead(built: Built) -> None:
    """Seconds after a label it may be no news; an hour of skew is not that."""
    built.ahead = -timedelta(hours=1)
    built.cluster.fail(
        lambda call: call.verb == "apply" and call.kind == SECRET,
        Invalid("ValidatingAdmissionPolicy denied request"),
    )
    built.start()
    built.settle(30)
    result = built.companion.results.mirrors.get("ray")
    events = built.user.list(ListOptions(EVENT, namespace="ray"), metadata.labels)

    assert result is not None
    assert result.reason is MirrorReason.REFUSED
    assert events.items


def test_a_pause_is_never_longer_than_it_was_begun(built: Built) -> None:
    """By whichever clock."""
    pauses = Pauses()
    pauses.begin("one", built.now + DAY, PACE)

    assert pauses.left("one", built.now) == PACE
    assert pauses.left("one", built.now + PACE / 2) == PACE / 2
    assert not pauses.left("one", built.now + PACE)
    assert not pauses.left("other", built.now)
