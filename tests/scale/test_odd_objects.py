"""No object stops the companion or keeps another namespace waiting; each is named."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Final

import pytest

from tests.fakes.cluster import Call
from tests.fakes.ownership import copied
from tests.scale import odd
from tests.scale.live import Live, live, tell, until
from tests.scale.odd import ODD, Json, Path, odd_objects
from tests.unit.companion.built import HOME, NAME
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    LEASE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    RAY_CLUSTER,
    SECRET,
    SERVICE,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.cluster.workqueue import WorkQueue
from webhook.companion import projections
from webhook.companion.audit import AuditReason
from webhook.companion.caches import Caches, EgressCaches
from webhook.companion.certificates import controller as certificates
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.certificates.result import CertificateResult
from webhook.companion.dns_controller import DnsController
from webhook.companion.watches import WatchReason
from webhook.egress.dns_cache import (
    CACHE_FIELD,
    DnsAnswer,
    DnsLimits,
    DnsOutcome,
)
from webhook.egress.services import EndpointSlice, Service, node_addresses
from webhook.injection.names import CONTENT_LABEL, INJECT_LABEL
from webhook.mirror.profile import SourceKind, SourceRef

OTHERS: Final = tuple(f"other-{number}" for number in range(5))
PROFILES: Final = json.dumps(
    {
        "default": [{"secret": "keys"}],
        "empty": [],
        ODD: [{"secret": ODD}, {"configMap": ODD}],
    }
)
BATCH: Final = 50


@dataclass(frozen=True, kw_only=True)
class Case:
    """A followed kind.

    Attributes:
        kind: the kind.
        good: makes a good one.
        informer: who follows it.
        project: what is kept of it; it may raise.
        kept: what selects it.
        at_once: how many there may be at a time.
    """

    kind: ResourceType
    good: Callable[[int], Json]
    informer: Callable[[Caches], Informer[Any]]
    project: Callable[[Json], object]
    kept: Sequence[Path] = ()
    at_once: int = BATCH


def _egress(caches: Caches) -> EgressCaches:
    assert caches.egress is not None
    return caches.egress


def _source(kind: SourceKind) -> Callable[[Caches], Informer[Any]]:
    return lambda caches: caches.sources[SourceRef(kind, ODD)]


NAMED: Final = (("metadata", "name"), ("metadata", "namespace"))
CASES: Final = {
    "Namespace": Case(
        kind=NAMESPACE,
        good=odd.namespace,
        informer=lambda caches: caches.namespaces,
        project=projections.compute_namespace,
        kept=(("metadata", "labels", INJECT_LABEL),),
    ),
    "mirror": Case(
        kind=SECRET,
        good=odd.mirror,
        informer=lambda caches: caches.mirrors,
        project=projections.mirror_state,
        kept=NAMED,
    ),
    "source Secret": Case(
        kind=SECRET,
        good=odd.source_secret,
        informer=_source(SourceKind.SECRET),
        project=projections.secret_source,
        kept=NAMED,
        at_once=1,
    ),
    "source ConfigMap": Case(
        kind=CONFIG_MAP,
        good=odd.source_config_map,
        informer=_source(SourceKind.CONFIG_MAP),
        project=projections.config_map_source,
        kept=NAMED,
        at_once=1,
    ),
    "shadowing ConfigMap": Case(
        kind=CONFIG_MAP,
        good=odd.shadowing,
        informer=lambda caches: caches.config_maps[0],
        project=projections.config_map_keys,
        kept=NAMED,
    ),
    "Pod": Case(
        kind=POD,
        good=odd.pod,
        informer=lambda caches: caches.pods[0],
        project=projections.task_pod,
        kept=(("metadata", "labels", "ray.io/node-type"),),
    ),
    "NetworkPolicy": Case(
        kind=NETWORK_POLICY,
        good=odd.policy,
        informer=lambda caches: _egress(caches).policies,
        project=projections.network_policy,
    ),
    "Service": Case(
        kind=SERVICE,
        good=odd.service,
        informer=lambda caches: _egress(caches).services,
        project=Service.parse,
    ),
    "EndpointSlice": Case(
        kind=ENDPOINT_SLICE,
        good=odd.endpoint_slice,
        informer=lambda caches: _egress(caches).slices,
        project=EndpointSlice.parse,
    ),
    "Node": Case(
        kind=NODE,
        good=odd.node,
        informer=lambda caches: _egress(caches).nodes,
        project=node_addresses,
    ),
}


@pytest.fixture(name="one")
def _one(tmp_path: FilePath) -> Iterator[Live]:
    """Five namespaces as usual, and those in which odd things happen."""
    shadowing = ("michelangelo-config",)
    with live(
        tmp_path, OTHERS, profiles=PROFILES, shadowing_config_maps=shadowing
    ) as one:
        one.compute(ODD, profile=ODD)
        for number in range(BATCH):
            one.compute(f"{ODD}-{number}", profile="empty")
        yield one


class Progress:
    """Changes what concerns the other namespaces, and measures how long they take."""

    def __init__(self, one: Live) -> None:
        """Nothing changed yet."""
        self.one = one
        self.changes = 0
        self.worst: dict[str, float] = {}

    def check(self) -> None:
        """Each other namespace converges, and every thread lives."""
        self.changes += 1
        one, change = self.one, f"c-{id(self)}-{self.changes}"
        one.secret("keys", TRACKING_URI="https://mlflow.example.org", CHANGE=change)
        one.isolate(OTHERS[0], change)
        one.miss(OTHERS[1], change)
        took = {
            "the changed key": until(
                "every other namespace has the changed key",
                lambda: all(one.holds(name, "CHANGE", change) for name in OTHERS),
            ),
            "a policy's shadow": until(
                "a new policy has its shadow", lambda: one.shadows(OTHERS[0], change)
            ),
            "a pod's Event": until(
                "a missed pod has its Event", lambda: one.told(OTHERS[1], change)
            ),
        }
        late = 0.0
        for what, seconds in took.items():
            late += seconds  # they began together
            self.worst[what] = max(self.worst.get(what, 0.0), late)
        one.user.delete(NETWORK_POLICY, change, OTHERS[0])
        one.user.delete(POD, change, OTHERS[1])
        one.check_alive()


def is_kept(case: Case, informer: Informer[Any], key: ObjectKey, body: Json) -> bool:
    """Whether an object is known, or that it cannot be read."""
    unread = informer.health.unprojected.get(key)
    if not key.name or case.kind.namespaced is not bool(key.namespace):
        return unread == "Nameless"
    try:
        return bool(informer.get(key) == case.project(body)) and unread is None
    except Exception as error:  # noqa: BLE001 - whichever it is, it is named
        return unread == type(error).__name__


def check_named(one: Live, informer: Informer[Any], *, events: bool) -> None:
    """What cannot be read is in the status, in the log and in an Event."""
    watch = str(informer.options)
    unread = informer.health.unprojected
    logged = {
        fields["object"]
        for event, fields in one.log.lines
        if event == "projection-failed" and fields["watch"] == watch
    }
    assert {str(key) for key in unread} <= logged
    if not unread:
        return

    def is_named() -> bool:
        result = one.companion.results.watches.get(watch)
        report = json.loads(one.published())["watches"]
        objects = {each["object"] for each in report["objects"]}
        return (
            result is not None
            and result.reason is WatchReason.PROJECTION_FAILED
            and result.unprojected.keys() == unread.keys()
            and objects == {str(key) for key in unread}
        )

    until("it is in the results and in the published report", is_named)
    # One for each namespace, whose Events are limited; none about what has no name.
    first = {
        key.namespace: key
        for key in sorted(unread, reverse=True)
        if key.name and events
    }
    for namespace, key in first.items():
        until(
            f"there is an Event about {key}",
            lambda at=namespace or "default", about=key.name: one.told(  # type: ignore[misc] # the defaults bind the loop's values
                at, about, WatchReason.PROJECTION_FAILED
            ),
        )


@pytest.mark.parametrize("name", CASES)
def test_no_object_stops_the_companion(one: Live, name: str) -> None:
    """Nor keeps another namespace waiting; what cannot be read is named."""
    case = CASES[name]
    informer = case.informer(one.companion.caches)
    progress = Progress(one)
    bodies = list(odd_objects(case.good, case.kept))
    unread, said = 0, len(one.log.lines)
    for start in range(0, len(bodies), BATCH):
        batch = bodies[start : start + BATCH]
        keys: dict[ObjectKey, Json] = {}
        try:
            for number in range(0, len(batch), case.at_once):
                for body in batch[number : number + case.at_once]:
                    keys[one.cluster.put(case.kind, body)] = body
                if number == 0:
                    progress.check()
                wait_for(case, one, informer, keys)
                unread += len(informer.health.unprojected)
            # A namespace's Events are limited to 100, and then to one in a second.
            check_named(one, informer, events=unread < 80)
        finally:
            for key in keys:
                one.cluster.drop(case.kind, key)
    until("nothing odd is left", lambda: not informer.health.unprojected)
    progress.check()
    check_errors(one, bodies, said)
    for what, seconds in progress.worst.items():
        tell(f"{name}, {len(bodies)} odd, {unread} not readable: {what}", seconds)


def wait_for(
    case: Case, one: Live, informer: Informer[Any], keys: dict[ObjectKey, Json]
) -> None:
    """Each odd object was looked at."""
    for key, body in keys.items():
        stored = one.stored(case.kind, key)
        assert stored is not None, body
        looked_at = partial(is_kept, case, informer, key, stored)
        until(f"{key} is known or named", looked_at)


def check_errors(one: Live, bodies: Sequence[Json], said: int) -> None:
    """An error belongs to the namespace of what is odd."""
    odd_names = {
        value
        for body in bodies
        for field in ("name", "namespace")
        if isinstance(body.get("metadata"), dict)
        and isinstance(value := body["metadata"].get(field), str)
    }
    elsewhere = [
        fields
        for event, fields in one.log.lines[said:]
        if event == "reconcile-failed"
        and not fields["key"].startswith(ODD)
        and fields["key"] not in odd_names
        # How the fake refuses to merge with what no API server would have stored.
        and not fields.get("problem", "").endswith("what is there is odd")
    ]
    assert elsewhere == []
    results = one.companion.results
    for name in OTHERS:
        mirror, egress = results.mirrors.get(name), results.egress.get(name)
        assert mirror is not None
        assert egress is not None
        assert mirror.reason.is_in_order
        assert egress.reason.is_in_order


def test_no_lease_stops_leader_election(one: Live) -> None:
    """Whatever it holds: no step raises, and it is led again once it is gone."""
    home = ObjectKey(HOME, f"{NAME}-companion")
    for body in odd_objects(odd.lease, NAMED):
        one.cluster.put(LEASE, body)
        one.companion.elector.step()
    one.cluster.drop(LEASE, home)
    progress = Progress(one)
    until("it leads again", lambda: one.companion.elector.is_leader)
    progress.check()


def test_no_report_stays_unwritten(one: Live) -> None:
    """Whatever somebody makes of its ConfigMap."""
    bodies = list(odd_objects(odd.report, NAMED))
    progress = Progress(one)
    for start in range(0, len(bodies), BATCH):
        for body in bodies[start : start + BATCH]:
            one.cluster.put(CONFIG_MAP, body)
        until("it is written again", lambda: '"namespaces"' in one.published())
    progress.check()


def test_no_owner_keeps_a_pod_from_being_counted(one: Live) -> None:
    """RayClusters are not watched; one is asked who made it."""
    progress = Progress(one)
    bodies = list(odd_objects(odd.ray_cluster, NAMED))
    for start in range(0, len(bodies), BATCH):
        batch = bodies[start : start + BATCH]
        for number, body in enumerate(batch, start):
            one.cluster.put(RAY_CLUSTER, body)
            owners = odd.pod(number)["metadata"]["ownerReferences"]
            one.miss(ODD, f"of-{number}", ownerReferences=owners)
        progress.check()
        until("they are counted", partial(_counts, one, len(batch)))
        for number in range(start, start + len(batch)):
            one.cluster.drop(POD, ObjectKey(ODD, f"of-{number}"))
    check_errors(one, bodies, 0)


CERTIFICATES: Final = {
    "configuration": (WEBHOOK_CONFIGURATION, ObjectKey("", NAME)),
    "serving Secret": (SECRET, ObjectKey(HOME, f"{NAME}-tls")),
    "state Secret": (SECRET, ObjectKey(HOME, f"{NAME}-tls-state")),
}
OURS: Final = (*NAMED, ("metadata", "labels", CONTENT_LABEL))


@pytest.mark.parametrize("what", CERTIFICATES)
def test_no_odd_certificate_object_is_an_error_of_our_own(one: Live, what: str) -> None:
    """It is told of or written anew; once it is gone, nothing is in the way."""
    kind, key = CERTIFICATES[what]
    until("a certificate is known and served", lambda: not _conditions(one))
    good = {each: _bare(one, *each) for each in CERTIFICATES.values()}
    bodies = list(odd_objects(lambda _: good[kind, key], (("kind",), *OURS)))
    progress, said = Progress(one), len(one.log.lines)
    told: set[RotationReason] = set()
    for number, body in enumerate(bodies):
        before, asked = _certificates(one), len(one.cluster.calls)
        one.cluster.put(kind, body)
        until("it is read", partial(_is_read, one, Call("get", kind, key), asked))
        until("it has a result", lambda known=before: _certificates(one) is not known)  # type: ignore[misc] # the default binds the loop's value
        told.update(_conditions(one))
        if number % BATCH == 0:
            progress.check()
    for (of, _), body in good.items():
        one.cluster.put(of, body)
    until("nothing is in the way any more", lambda: not _conditions(one), 10)
    progress.check()
    check_errors(one, bodies, said)
    assert RotationReason.INTERNAL_ERROR not in told
    for each, seconds in progress.worst.items():
        tell(f"{what}, {len(bodies)} odd, told as {sorted(told)}: {each}", seconds)


def _bare(one: Live, kind: ResourceType, key: ObjectKey) -> Json:
    """An object as it is now, fit to be put there again."""
    body = copied(one.stored(kind, key) or {}) | {"kind": kind.name}
    del body["metadata"]["resourceVersion"]
    return body


def _certificates(one: Live) -> CertificateResult | None:
    return one.companion.results.certificates.get(certificates.KEY)


def _conditions(one: Live) -> Sequence[RotationReason]:
    """What is in the way of the certificates; `StateMissing` before the first look."""
    found = _certificates(one)
    known = found.conditions if found and found.state.current else None
    return (
        [RotationReason.STATE_MISSING] if known is None else [c.reason for c in known]
    )


def _is_read(one: Live, call: Call, since: int) -> bool:
    return call in one.cluster.calls[since:]


def _counts(one: Live, missed: int) -> bool:
    found = one.companion.results.audits.get(ODD)
    return found is not None and found.counts[AuditReason.MISSED] == missed


def test_no_remembered_address_is_more_than_forgotten(one: Live) -> None:
    """What cannot be read counts as nothing, and is logged."""
    meta = {"name": ODD, "namespace": HOME}
    for body in odd_objects(odd.addresses):
        body.pop("kind", None)
        data = {CACHE_FIELD: json.dumps(body)}
        one.cluster.put(CONFIG_MAP, {"metadata": meta, "data": data})
        dns = DnsController(
            one.companion.context,
            WorkQueue("dns"),
            lambda _, now: DnsAnswer(now, DnsOutcome.TIMEOUT),
            ObjectKey(HOME, ODD),
            limits=DnsLimits(),
            jitter=lambda: 0.0,
        )
        dns.set_names("ray", frozenset({"mlflow.example.org"}))
        assert dns.reconcile("mlflow.example.org", one.now) is not None
        assert dns.is_resolved(["mlflow.example.org"])
