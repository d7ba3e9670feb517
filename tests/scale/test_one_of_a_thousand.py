"""Where everything fails in one of a thousand namespaces, the others do not notice."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, cast

import pytest
from click.testing import CliRunner

from certs.issue import issue
from certs.policy import CertificatePolicy
from tests.fakes.cluster import Call
from tests.fakes.installation import configuration, deployment, replica
from tests.fakes.ownership import copied
from tests.scale.live import BEARABLE, Live, live, tell, until
from tests.unit.companion.built import HOME, NAME
from webhook.cli import status as command
from webhook.cli.kubeconfig import now
from webhook.cluster.config import ClusterConnection
from webhook.cluster.errors import ClusterError, Unavailable, from_status
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import (
    DEPLOYMENT,
    EVENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    RAY_CLUSTER,
    SECRET,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.audit import AuditReason
from webhook.egress.reasons import EgressReason
from webhook.injection.names import MIRROR_SECRET
from webhook.mirror.reasons import MirrorReason
from webhook.settings import Issuer

COUNT: Final = 1000
NAMES: Final = tuple(f"n-{number:04}" for number in range(COUNT))
URI: Final = "https://mlflow.example.org"
PROFILES: Final = '{"default": [{"secret": "keys"}], "second": [{"secret": "second"}]}'
METRIC: Final = "tracking_injector_companion_"
SAMPLE: Final = 5
"""Other namespaces that are changed under each fault."""


class Fault(StrEnum):
    """How a call ends, again and again."""

    FORBIDDEN = "403"
    INVALID = "422"
    THROTTLED = "429"
    BROKEN = "500"
    TIMEOUT = "timeout"
    CUT = "connection cut"


def error(fault: Fault, what: str) -> ClusterError:
    """What the client makes of it."""
    if not fault.isdecimal():
        return Unavailable(f"{what}: ConnectionResetError")
    causes = {"details": {"causes": [{"field": "spec"}]}}
    return from_status(int(fault), causes, what=what, retry_after=1.0)


MIRROR: Final = {
    Fault.FORBIDDEN: MirrorReason.FORBIDDEN,
    Fault.INVALID: MirrorReason.REFUSED,
}
"""What a failed write of a mirror means; any other fault: `Unavailable`."""


def _other_profile(one: Live, name: str) -> None:
    one.compute(name, profile="second")


def _tampered(one: Live, name: str, **fields: Any) -> None:
    """Somebody changes the mirror; not with a call, which might fail as well."""
    mirror = one.stored(SECRET, ObjectKey(name, MIRROR_SECRET))
    assert mirror is not None
    body = copied(mirror)
    del body["metadata"]["resourceVersion"]
    body["data"]["FOREIGN"] = "eA=="
    one.cluster.put(SECRET, body | fields)


def _foreign_key(one: Live, name: str) -> None:
    _tampered(one, name)


def _frozen(one: Live, name: str) -> None:
    _tampered(one, name, immutable=True)


def _isolated(one: Live, name: str) -> None:
    one.isolate(name, "deny")


def _shadowed(one: Live, name: str) -> None:
    one.isolate(name, "deny")
    until("there is a shadow", lambda: one.shadows(name, "deny"))


def _open(one: Live, name: str) -> None:
    one.cluster.drop(NETWORK_POLICY, ObjectKey(name, "deny"))


def _missed(one: Live, name: str) -> None:
    one.miss(name, "missed")


def _of_a_cluster(one: Live, name: str) -> None:
    owner = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "c"}
    owners = [owner | {"uid": f"c-{name}", "controller": True}]
    one.miss(name, "missed", ownerReferences=owners)


def _nothing(one: Live, name: str) -> None:
    del one, name


@dataclass(frozen=True, kw_only=True)
class Act:
    """A call that the companion makes in a namespace.

    Attributes:
        verb: of the call.
        kind: of the call.
        begin: makes it needed.
        before: is done while everything still works.
        part: whose reason tells of it: `mirrors`, `egress` or `audits`.
    """

    verb: str
    kind: ResourceType
    begin: Callable[[Live, str], None]
    part: str
    before: Callable[[Live, str], None] = _nothing


ACTS: Final = (
    Act(verb="apply", kind=SECRET, begin=_other_profile, part="mirrors"),
    Act(verb="merge", kind=SECRET, begin=_foreign_key, part="mirrors"),
    Act(verb="delete", kind=SECRET, begin=_frozen, part="mirrors"),
    Act(verb="apply", kind=NETWORK_POLICY, begin=_isolated, part="egress"),
    Act(
        verb="delete",
        kind=NETWORK_POLICY,
        before=_shadowed,
        begin=_open,
        part="egress",
    ),
    Act(verb="create", kind=EVENT, begin=_missed, part="audits"),
    Act(verb="get", kind=RAY_CLUSTER, begin=_of_a_cluster, part="audits"),
)
CASES: Final = [(act, fault) for act in ACTS for fault in Fault]


@pytest.fixture(name="one", scope="module")
def _one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    started = time.monotonic()
    with live(folder, NAMES, profiles=PROFILES, certificates=Issuer.PROVIDED) as one:
        one.secret("second", TRACKING_URI=URI, SECOND="2")
        tell(f"{COUNT} namespaces from nothing", time.monotonic() - started)
        until("the report knows all", lambda: report(one).get("total") == COUNT, 60)
        until("the beginning is over", partial(_is_calm, one), 60)
        complete(one)
        yield one


def complete(one: Live) -> None:
    """The rest of an installation, as far as `status` looks at it."""
    for component, name in (("webhook", NAME), ("companion", f"{NAME}-companion")):
        pods = [(POD, replica(component, f"{name}-{number}")) for number in range(2)]
        for kind, body in ((DEPLOYMENT, deployment(component, name)), *pods):
            body["metadata"]["namespace"] = HOME
            one.cluster.put(kind, body)
    trust = configuration(issue(CertificatePolicy(names=(NAME,)), now()).root.pem)
    trust["metadata"]["name"] = NAME
    one.cluster.put(WEBHOOK_CONFIGURATION, trust)


def _is_calm(one: Live) -> bool:
    """While a thousand namespaces change at once, the report is written less often."""
    before = one.companion.results.version
    time.sleep(1)
    return one.companion.results.version == before


@pytest.fixture(autouse=True)
def _calm(one: Live) -> Iterator[None]:
    """No fault outlives its test."""
    yield
    one.cluster.allow_all()


def report(one: Live) -> Json:
    """What is published."""
    found: Json = json.loads(one.published() or "{}")
    return found


def exit_code(one: Live, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Of the command `status` on this cluster."""
    client = cast("Any", one.cluster.client("reader"))
    connection = ClusterConnection(client, HOME)
    monkeypatch.setattr("webhook.cli.release.connect", lambda *_, **__: connection)
    monkeypatch.setattr(command, "deeper", lambda *_, **__: ())  # it reaches into pods
    release = ("--release", f"{HOME}/{NAME}")
    return CliRunner().invoke(command.status, [*release, *arguments]).exit_code


@pytest.mark.parametrize(
    ("number", "act", "fault"),
    [(number, *case) for number, case in enumerate(CASES)],
    ids=[f"{act.verb} {act.kind.plural} {fault}" for act, fault in CASES],
)
def test_one_fails_and_the_others_converge(
    one: Live, number: int, act: Act, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each within the time of its own change; the failing one says what is so."""
    bad = NAMES[number]
    others = NAMES[200 + SAMPLE * number :][:SAMPLE]
    act.before(one, bad)
    asked = len(one.cluster.calls)
    answer = fail(one, bad, act, fault)
    act.begin(one, bad)
    until("it is tried", lambda: was_asked(one, asked, bad, act))

    check_convergence(one, others, f"{act.verb} {act.kind.plural} {fault}")
    one.check_alive()
    answer.set()
    check_told(one, bad, act, fault)
    until("status says so", lambda: exit_code(one, monkeypatch, "-n", bad) == 1)
    assert exit_code(one, monkeypatch, "-o", "json") == 1
    assert exit_code(one, monkeypatch, "-n", NAMES[-1]) == 0
    if act.part == "audits":
        one.cluster.drop(POD, ObjectKey(bad, "missed"))


def fail(one: Live, name: str, act: Act, fault: Fault) -> threading.Event:
    """Let an act fail in a namespace from now on; what hangs ends with the event."""

    def rule(call: Call) -> bool:
        asked = (call.verb, call.kind, call.key.namespace)
        return asked == (act.verb, act.kind, name)

    if fault is Fault.TIMEOUT:
        return one.cluster.hang(rule)
    one.cluster.fail(rule, error(fault, f"{act.verb} {act.kind.plural} {name}"))
    return threading.Event()


def was_asked(one: Live, since: int, name: str, act: Act) -> bool:
    """Whether the companion has tried it."""
    return any(
        (call.verb, call.kind, call.key.namespace) == (act.verb, act.kind, name)
        for call in one.cluster.calls[since:]
    )


def check_convergence(one: Live, names: Sequence[str], under: str) -> None:
    """Mirror, policy, Event and status of each namespace follow its own change."""
    began: dict[str, float] = {}
    for name in names:
        began[name] = time.monotonic()
        one.compute(name, profile="second")
        one.isolate(name, "deny")
        one.miss(name, "missed")
    waiting = {(name, what) for name in names for what in CONVERGED}
    worst = dict.fromkeys(CONVERGED, 0.0)
    latest = max(began.values())
    while waiting:
        told = report(one)["namespaces"]
        now = time.monotonic()
        assert now - latest < BEARABLE, f"not within {BEARABLE} s: {sorted(waiting)}"
        for name, what in tuple(waiting):
            if CONVERGED[what](one, name, told.get(name, {})):
                worst[what] = max(worst[what], now - began[name])
                waiting.discard((name, what))
        time.sleep(0.01)
    for what, seconds in worst.items():
        tell(f"under {under}, {what}", seconds)
    for name in names:
        one.user.delete(POD, "missed", name)


CONVERGED: Final[dict[str, Callable[[Live, str, Json], bool]]] = {
    "mirror": lambda one, name, _: one.holds(name, "SECOND", "2"),
    "policy": lambda one, name, _: one.shadows(name, "deny"),
    "Event": lambda one, name, _: one.told(name, "missed", AuditReason.MISSED),
    "status": lambda _one, _name, told: (
        (told["profile"], told["missed"], told["egress"]["policies"])
        == ("second", 1, 1)
    ),
}


def check_told(one: Live, name: str, act: Act, fault: Fault) -> None:
    """The failing namespace has a reason, an Event and a metric."""
    reason: StrEnum = AuditReason.MISSED
    metric = f'task_pods{{reason="Missed",target_namespace="{name}"}}'
    about = "missed"
    if act.part == "mirrors":
        reason = MIRROR.get(fault, MirrorReason.UNAVAILABLE)
        metric, about = f'namespaces{{reason="{reason}"}}', name
    elif act.part == "egress":
        reason, about = EgressReason.WRITE_REFUSED, name
        metric = f'egress_namespaces{{mode="additive",reason="{reason}"}}'

    until(f"{name} has {reason}", partial(has_reason, one, act.part, name, reason))
    until("a metric counts it", lambda: METRIC + metric in one.ask("/metrics")[1])
    if act.kind is EVENT:
        assert not one.told(name, about)
        if fault in (Fault.FORBIDDEN, Fault.INVALID):
            until("it is counted", lambda: one.recorder.dropped > 0)
    else:
        until("there is an Event", lambda: one.told(name, about, reason))


def has_reason(one: Live, part: str, name: str, reason: StrEnum) -> bool:
    """Whether a namespace's latest result has this reason."""
    found = getattr(one.companion.results, part).get(name)
    return found is not None and found.reason is reason


def test_lists_of_pods_that_fail_keep_no_mirror_from_its_namespace(
    one: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a pod needs the mirror of a namespace that leaves is asked by a list."""
    act = Act(verb="list", kind=POD, begin=_leaves, part="mirrors")
    leaving = dict(zip(NAMES[-20:], Fault, strict=False))
    answers = [fail(one, name, act, fault) for name, fault in leaving.items()]
    asked = len(one.cluster.calls)
    for name in leaving:
        act.begin(one, name)
    for name in leaving:
        until("it is tried", partial(was_asked, one, asked, name, act), 30)

    check_convergence(one, NAMES[-100:-95], "failing lists of pods")
    one.check_alive()
    for answer in answers:
        answer.set()
    for name, fault in leaving.items():
        assert one.stored(SECRET, ObjectKey(name, MIRROR_SECRET)), "nobody knows"
        expected = MIRROR.get(fault, MirrorReason.UNAVAILABLE)
        if fault is Fault.FORBIDDEN:
            expected = MirrorReason.PODS_UNREADABLE
        until(
            f"{name} has {expected}",
            partial(has_reason, one, "mirrors", name, expected),
        )
        until("there is an Event", partial(one.told, name, MIRROR_SECRET, expected))
    until("status says so", lambda: exit_code(one, monkeypatch, "-n", name) == 1)


def _leaves(one: Live, name: str) -> None:
    one.user.apply(NAMESPACE, {"metadata": {"name": name, "labels": {}}})


def test_ten_thousand_missed_pods_delay_nobody_elses_event(one: Live) -> None:
    """The first one of another namespace is told at once."""
    for number in range(10_000):
        one.miss(NAMES[-200], f"missed-{number}")
    other = NAMES[-201]
    one.miss(other, "missed")
    seconds = until("another's Event", lambda: one.told(other, "missed"), 3 * BEARABLE)
    tell("another's first Event beside 10 000 missed pods", seconds)
    one.check_alive()
