"""Every reason and every metric of the reference comes from the built companion."""

import base64
import json
import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from certs.issue import issue
from certs.policy import CertificatePolicy
from tests.unit.companion.built import DENY, HEAD, HOME, KEYS, NAME, START, Built
from webhook.cluster.errors import Forbidden, Invalid, Unavailable
from webhook.cluster.resources import (
    CONFIG_MAP,
    NETWORK_POLICY,
    NODE,
    POD,
    SECRET,
    SERVICE,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.audit import AuditReason
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.status import StatusReason
from webhook.companion.watches import WatchReason
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.egress.reasons import EgressReason
from webhook.injection.names import (
    CA_CONFIG_MAP,
    INJECT_LABEL,
    INJECTED_LABEL,
    MIRROR_SECRET,
    ROTATE_ANNOTATION,
)
from webhook.mirror.certificates import TrackingCaReason
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.mirror.secret import MIRROR_TYPE

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
CA = issue(CertificatePolicy(names=("a.example.org",)), START).root.pem.decode()
INJECTED = HEAD | {INJECTED_LABEL: "true"}
REFERENCE_TO_MIRROR = [{"secretRef": {"name": MIRROR_SECRET}}]
VOCABULARIES: dict[str, type[StrEnum]] = {
    "Of a namespace's mirror": MirrorReason,
    "Of the tracking server's CA in a namespace": TrackingCaReason,
    "Of a task pod, by the auditor": AuditReason,
    "Of a key of a source": KeyReason,
    "Of a namespace's egress": EgressReason,
    "Of the webhook's certificates": RotationReason,
    "Of a watch of the companion": WatchReason,
    "Of the companion's report": StatusReason,
}
"""By their headings in the reference."""
OF_OTHERS = {
    "Of a decision about a pod",
    "Of a body that is no review",
    "Of an installation as a whole",
    "Of a pod whose cluster `explain` cannot ask",
}
"""The webhook's, and those of whoever looks at an installation from outside."""

Case = Callable[[Built], None]


def labeled(**settings: Any) -> Case:
    """A labeled namespace, and a companion with these settings."""

    def case(built: Built) -> None:
        built.label()
        built.start(**settings)

    return case


def marked(*, profile: str = "", egress: str = "") -> Case:
    """A labeled namespace with another label besides."""

    def case(built: Built) -> None:
        built.label(profile=profile, egress=egress)
        built.start()

    return case


def gives(**keys: str) -> Case:
    """A labeled namespace whose profile gives these keys, and an isolating policy."""

    def case(built: Built) -> None:
        built.user.delete(SECRET, "keys", HOME)
        built.secret("keys", **keys)
        built.label()
        built.spec(NETWORK_POLICY, "deny", DENY)
        built.start()

    return case


def isolated(built: Built, **settings: Any) -> None:
    """A labeled namespace with an isolating policy."""
    built.label()
    built.spec(NETWORK_POLICY, "deny", DENY)
    built.start(**settings)


def says(**more: Any) -> Case:
    """A labeled namespace whose profile says more than its sources."""
    profile = {"sources": [{"secret": "keys"}], **more}
    return labeled(profiles=json.dumps({"default": profile}))


def trusts(*, value: str = CA, theirs: bool = False, fails: bool = False) -> Case:
    """A labeled namespace, and a release that names the tracking server's CA."""

    def case(built: Built) -> None:
        built.create(CONFIG_MAP, "ca", data={"ca.crt": value})
        built.label()
        if theirs:
            built.create(CONFIG_MAP, CA_CONFIG_MAP, "ray", data={})
        if fails:
            built.cluster.fail(
                lambda call: call.key.name == CA_CONFIG_MAP and call.verb == "apply",
                Forbidden("no"),
            )
        built.start(tracking_ca_source='{"configMap": "ca", "keys": ["ca.crt"]}')

    return case


def kept_back(built: Built) -> None:
    """A CA that goes after the mirror, which waits out its grace."""
    trusts()(built)
    built.label(on=False)
    built.settle(1)


def runs(labels: dict[str, str], **more: Any) -> Case:
    """A pod that is created once its namespace has its mirror."""

    def case(built: Built) -> None:
        built.label()
        built.start()
        built.now += timedelta(seconds=10)
        built.pod(labels, **more)
        built.settle(5)

    return case


def fails(verb: str, kind: object, error: Exception) -> Case:
    """A labeled namespace in which one kind of write or read fails."""

    def case(built: Built) -> None:
        built.label()
        built.spec(NETWORK_POLICY, "deny", DENY)
        built.cluster.fail(
            lambda call: (
                call.verb == verb and call.kind == kind and call.key.namespace == "ray"
            ),
            error,
        )
        built.start()

    return case


# --- mirrors ---


def pending(built: Built) -> None:
    """Another replica leads."""
    built.label()
    built.start(alone=False)


def stale(built: Built) -> None:
    """A source goes after it was mirrored."""
    built.label()
    built.start()
    built.user.delete(SECRET, "keys", HOME)
    built.settle()


def unreadable_source(built: Built) -> None:
    """The right to a source is missing."""
    built.cluster.forbid(lambda call: call.key.name == "keys")
    labeled()(built)


def too_large(built: Built) -> None:
    """Two sources that each fit, and together do not."""
    for name in ("one", "two"):
        many = {f"{name}{number}": "a" * 100_000 for number in range(6)}
        built.secret(name, **many)
    labeled(profiles='{"default": [{"secret": "one"}, {"secret": "two"}]}')(built)


def foreign(built: Built) -> None:
    """Somebody else's Secret has the mirror's name."""
    built.label()
    built.secret(MIRROR_SECRET, "ray", A="a")
    built.start()


def squatted(built: Built) -> None:
    """A pod reads it."""
    foreign(built)
    built.pod(INJECTED, envFrom=REFERENCE_TO_MIRROR)
    built.settle(60)


def tokenless(built: Built) -> None:
    """A pod mounts no token, and its client shows one."""
    gives(MLFLOW_TRACKING_AUTH="kubernetes")(built)
    built.now += timedelta(seconds=10)
    built.pod(INJECTED, envFrom=REFERENCE_TO_MIRROR)
    built.settle(5)


def terminating(built: Built) -> None:
    """The namespace is being deleted."""
    built.label()
    built.cluster.terminate("ray")
    built.start()


def leaving(built: Built) -> None:
    """The namespace was switched off a moment ago."""
    labeled()(built)
    built.label(on=False)
    built.settle()


def kept_for_pods(built: Built) -> None:
    """A pod that runs refers to the mirror."""
    labeled()(built)
    reference = [{"secretRef": {"name": MIRROR_SECRET}}]
    built.pod(HEAD, envFrom=reference)
    built.label(on=False)
    built.settle()
    built.settle(11)


def pods_unreadable(built: Built) -> None:
    """Nobody may look whether a pod does."""
    labeled()(built)
    built.cluster.forbid(lambda call: call.kind == POD)
    built.label(on=False)
    built.settle()
    built.settle(11)


def quota(built: Built) -> None:
    """The namespace has no room for a Secret."""
    built.label()
    built.cluster.full.add("ray")
    built.start()


def contested(built: Built) -> None:
    """Another webhook changes what is written."""

    def rewrite(body: Any) -> None:
        if body["metadata"]["name"] == MIRROR_SECRET:
            body["data"] = {"A": "YQ=="}

    built.cluster.admission = rewrite
    labeled()(built)


def unread_namespace(built: Built) -> None:
    """The namespace's Secret cannot be read."""
    built.label()
    built.create(SECRET, MIRROR_SECRET, "ray", type=MIRROR_TYPE, data=[1])
    built.start()


def before_label(built: Built) -> None:
    """The pod is older than the namespace's label."""
    built.label(on=False)
    built.pod(HEAD)
    built.now += timedelta(seconds=10)
    built.label()
    built.start()
    built.settle(5)


def not_text(built: Built) -> None:
    """A value that no container can have."""
    data = {"A": base64.b64encode(b"\xff").decode(), "B": "Yg=="}
    built.create(SECRET, "keys", type="Opaque", data=data)
    labeled()(built)


# --- egress ---


def node_address(built: Built) -> None:
    """The server is on a node's own network."""
    built.records["mlflow.example.org"] = ("172.18.0.2",)
    addresses = [{"type": "InternalIP", "address": "172.18.0.2"}]
    built.create(NODE, "node", "", status={"addresses": addresses})
    isolated(built)


def resolution_stale(built: Built) -> None:
    """A name that had an address has none any more."""
    isolated(built)
    built.records["mlflow.example.org"] = DnsOutcome.SERVFAIL
    built.settle(120)


def rotating(built: Built) -> None:
    """Each lookup brings an address that nobody has seen."""
    isolated(built)
    for number in range(60):
        built.records["mlflow.example.org"] = (f"203.0.113.{number + 10}",)
        built.settle(61)


def truncated(built: Built) -> None:
    """A name has more addresses than may be permitted."""
    built.records["mlflow.example.org"] = ("203.0.113.7", "203.0.113.8")
    isolated(built, egress_addresses_per_name=1)


def unsafe(built: Built) -> None:
    """An answer holds a loopback address."""
    built.records["mlflow.example.org"] = ("203.0.113.7", "127.0.0.1")
    isolated(built)


def port_mismatch(built: Built) -> None:
    """A headless Service whose pods listen elsewhere."""
    built.label()
    spec = "{clusterIP: None, selector: {a: b}, ports: [{port: 80}]}"
    built.service("mlflow", spec, ("10.1.0.1",))
    gives(TRACKING_URI="http://mlflow.ray.svc:9999")(built)


def tls_name(built: Built) -> None:
    """A Service that stands for another name."""
    built.label()
    built.service("mlflow", "{type: ExternalName, externalName: mlflow.example.org}")
    gives(TRACKING_URI="https://mlflow.ray.svc")(built)


def ingress_blocked(built: Built) -> None:
    """The server's own namespace lets nobody in."""
    spec = "{clusterIP: 10.0.0.50, selector: {a: b}, ports: [{port: 80}]}"
    built.label("tracking", on=False)
    built.spec(SERVICE, "mlflow", spec, "tracking")
    built.spec(
        NETWORK_POLICY,
        "deny",
        "{podSelector: {}, policyTypes: [Ingress]}",
        "tracking",
    )
    gives(TRACKING_URI="http://mlflow.tracking.svc")(built)


def other_controls(built: Built) -> None:
    """A policy of another engine."""
    built.label()
    kind = ResourceType(
        "cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies"
    )
    built.create(kind, "deny-all", "ray", spec={"egress": []})
    built.start()


def enforcement_unknown(built: Built) -> None:
    """No network plugin shows itself."""
    built.cluster.served.clear()
    isolated(built)


def paced(built: Built) -> None:
    """Two rewrites in a short time."""
    isolated(built)
    for number in range(2):
        host = f"mlflow-{number}.example.org"
        built.records[host] = (f"203.0.113.{number + 10}",)
        built.secret("keys", TRACKING_URI=f"https://{host}")
        built.settle(1)


# --- certificates ---


def rotating_certificates(built: Built) -> None:
    """Somebody asks for a rotation."""
    labeled()(built)
    meta = {"name": f"{NAME}-tls-state", "namespace": HOME}
    asked = {"annotations": {ROTATE_ANNOTATION: "now"}}
    built.user.patch(SECRET, {"metadata": meta | asked})
    built.settle()


def without(kind: ResourceType, name: str) -> Case:
    """An object of the chart is gone."""

    def case(built: Built) -> None:
        built.user.delete(kind, name, "" if kind == WEBHOOK_CONFIGURATION else HOME)
        built.start()

    return case


def disowned(name: str) -> Case:
    """A Secret lacks the release's label."""

    def case(built: Built) -> None:
        built.create(SECRET, name, labels={"owner": "somebody"})
        built.start()

    return case


def newer(built: Built) -> None:
    """A newer version wrote the state."""
    text = base64.b64encode(b'{"format": 2}').decode()
    meta = {"name": f"{NAME}-tls-state", "namespace": HOME}
    built.user.patch(SECRET, {"metadata": meta, "data": {"state.json": text}})
    built.start()


def wrong_clock(built: Built) -> None:
    """The companion's clock is an hour ahead."""
    built.ahead = timedelta(hours=1)
    built.start()


def at_home(kind: ResourceType, error: Exception, verb: str = "apply") -> Case:
    """A kind of write fails in the release namespace."""

    def case(built: Built) -> None:
        built.label()
        built.cluster.fail(
            lambda call: (
                call.verb == verb and call.kind == kind and call.key.namespace == HOME
            ),
            error,
        )
        built.start()

    return case


# --- watches ---


def unlisted(kind: ResourceType) -> Case:
    """The right to see a kind is missing."""

    def case(built: Built) -> None:
        built.cluster.forbid(lambda call: call.kind == kind)
        built.start()

    return case


def odd_service(built: Built) -> None:
    """An object has a value of another type."""
    built.label()
    built.spec(SERVICE, "odd", "{clusterIP: 7, ports: canary}")
    built.start()


CASES: tuple[tuple[StrEnum, Case], ...] = (
    (MirrorReason.MIRRORED, labeled()),
    (MirrorReason.PENDING, pending),
    (MirrorReason.STALE, stale),
    (MirrorReason.NOT_ALLOWED, labeled(allowed_namespaces=("team-*",))),
    (MirrorReason.EXCLUDED_NAMESPACE, labeled(excluded_namespaces=("ray",))),
    (
        MirrorReason.UNKNOWN_PROFILE,
        marked(profile="other"),
    ),
    (
        MirrorReason.SOURCE_MISSING,
        labeled(profiles='{"default": [{"secret": "none"}]}'),
    ),
    (MirrorReason.SOURCE_UNREADABLE, unreadable_source),
    (MirrorReason.TOO_LARGE, too_large),
    (MirrorReason.NO_KEYS, gives(PATH="/bin")),
    (MirrorReason.NO_SOURCES, labeled(profiles='{"default": []}')),
    (MirrorReason.ENFORCED_KEY_MISSING, labeled(enforced_keys=("TYPO",))),
    (MirrorReason.FOREIGN_SECRET, foreign),
    (MirrorReason.TERMINATING, terminating),
    (MirrorReason.LEAVING, leaving),
    (MirrorReason.KEPT_FOR_PODS, kept_for_pods),
    (MirrorReason.PODS_UNREADABLE, pods_unreadable),
    (MirrorReason.QUOTA_EXCEEDED, quota),
    (MirrorReason.FORBIDDEN, fails("apply", SECRET, Forbidden("no right"))),
    (MirrorReason.REFUSED, fails("apply", SECRET, Invalid("no", fields=("a",)))),
    (MirrorReason.CONTESTED, contested),
    (MirrorReason.UNAVAILABLE, fails("apply", SECRET, Unavailable("nobody"))),
    (MirrorReason.PROJECTION_FAILED, unread_namespace),
    (MirrorReason.INTERNAL_ERROR, fails("apply", SECRET, ValueError("ours"))),
    (AuditReason.INJECTED, runs(INJECTED, envFrom=REFERENCE_TO_MIRROR)),
    (
        AuditReason.ALREADY_REFERENCED,
        runs(HEAD, envFrom=REFERENCE_TO_MIRROR),
    ),
    (AuditReason.OPTED_OUT, runs(HEAD | {INJECT_LABEL: "disabled"})),
    (AuditReason.MISSED, runs(HEAD)),
    (AuditReason.WRONG_LABELS, runs({"ray.io/node-type": "haed"})),
    (AuditReason.NO_TASK_CONTAINER, runs({"spark-role": "driver"})),
    (AuditReason.REFERENCE_MISSING, runs(INJECTED)),
    (AuditReason.FOREIGN_MIRROR, squatted),
    (AuditReason.TOKEN_MISSING, tokenless),
    (KeyReason.KEY_RESERVED, gives(PATH="/bin", A="a")),
    (KeyReason.KEY_NOT_A_VARIABLE, gives(**{"1": "a", "A": "a"})),
    (KeyReason.TRAILING_NEWLINE, gives(A="a\n")),
    (KeyReason.URI_WITH_SPACE, gives(TRACKING_URI="https://a b")),
    (KeyReason.URI_WITHOUT_SCHEME, gives(TRACKING_URI="mlflow:5000")),
    (KeyReason.URI_MALFORMED, gives(TRACKING_URI="https://u:p#w@a.example.org")),
    (KeyReason.URI_OF_THE_POD, gives(TRACKING_URI="http://localhost:5000")),
    (KeyReason.VALUE_TOO_LONG, gives(CA_BUNDLE="a" * 131_072, A="a")),
    (KeyReason.URI_UNKNOWN_SCHEME, gives(TRACKING_URI="htps://a")),
    (KeyReason.URI_WITH_CREDENTIALS, gives(TRACKING_URI="https://u:p@a.example.org")),
    (
        KeyReason.KEY_CONFLICT,
        labeled(profiles='{"default": [{"secret": "keys"}, {"secret": "keys"}]}'),
    ),
    (
        KeyReason.KEY_ABSENT,
        labeled(
            profiles='{"default": [{"secret": "keys", "keys": ["NO", "TRACKING_URI"]}]}'
        ),
    ),
    (KeyReason.KEY_NEEDED, says(preset="clearml")),
    (KeyReason.ALIAS_UNKNOWN, says(aliases={"A": "B"})),
    (KeyReason.ALIAS_CYCLE, says(aliases={"A": "A"})),
    (TrackingCaReason.CA_MIRRORED, trusts()),
    (TrackingCaReason.CA_PENDING, kept_back),
    (TrackingCaReason.CA_SOURCE_UNUSABLE, trusts(value="no certificate")),
    (TrackingCaReason.CA_FOREIGN, trusts(theirs=True)),
    (TrackingCaReason.CA_REFUSED, trusts(fails=True)),
    (EgressReason.EGRESS_READY, isolated),
    (EgressReason.NOT_ISOLATED, labeled()),
    (
        EgressReason.SWITCHED_OFF,
        marked(egress="off"),
    ),
    (EgressReason.NO_NETWORK_NEEDED, gives(TRACKING_URI="file:///tmp")),
    (EgressReason.KEYS_UNKNOWN, labeled(profiles='{"default": [{"secret": "none"}]}')),
    (EgressReason.UNRESOLVED, gives(TRACKING_URI="https://nowhere.example.org")),
    (EgressReason.RESOLUTION_STALE, resolution_stale),
    (EgressReason.ROTATING_ADDRESSES, rotating),
    (EgressReason.TRUNCATED, truncated),
    (EgressReason.UNSAFE_ADDRESS, unsafe),
    (EgressReason.PORT_MISMATCH, port_mismatch),
    (EgressReason.TLS_NAME_MISMATCH, tls_name),
    (EgressReason.DESTINATION_INGRESS_BLOCKED, ingress_blocked),
    (EgressReason.ENFORCEMENT_UNKNOWN, enforcement_unknown),
    (EgressReason.NODE_ADDRESS, node_address),
    (EgressReason.MALFORMED_URI, gives(TRACKING_URI="http://")),
    (EgressReason.HOST_NEEDED, gives(TRACKING_URI="databricks")),
    (EgressReason.STORE_HOST_NEEDED, gives(AWS_ACCESS_KEY_ID="x")),
    (EgressReason.DATABASE_URI, gives(TRACKING_URI="postgresql://u@db.example.org/x")),
    (EgressReason.LEGACY_TRACKER, gives(**{"NEPTUNE_API_TOKEN": "x"})),
    (EgressReason.BASELINE_MISSING, labeled(egress_mode=EgressMode.ISOLATE)),
    (EgressReason.SELECTOR_UNREADABLE, marked(egress="sometimes")),
    (EgressReason.PENDING, paced),
    (EgressReason.WRITE_REFUSED, fails("apply", NETWORK_POLICY, Forbidden("no right"))),
    (EgressReason.OTHER_EGRESS_CONTROLS, other_controls),
    (AuditReason.CREATED_BEFORE_LABEL, before_label),
    (KeyReason.VALUE_NOT_TEXT, not_text),
    (RotationReason.CERTIFICATES_READY, labeled()),
    (RotationReason.ROTATION_UNDER_WAY, rotating_certificates),
    (RotationReason.STATE_MISSING, without(SECRET, f"{NAME}-tls-state")),
    (RotationReason.STATE_FOREIGN, disowned(f"{NAME}-tls-state")),
    (RotationReason.STATE_NEWER, newer),
    (RotationReason.PAIR_MISSING, without(SECRET, f"{NAME}-tls")),
    (RotationReason.PAIR_FOREIGN, disowned(f"{NAME}-tls")),
    (RotationReason.CONFIGURATION_MISSING, without(WEBHOOK_CONFIGURATION, NAME)),
    (RotationReason.CLOCK_DIFFERS, wrong_clock),
    (RotationReason.FORBIDDEN, at_home(SECRET, Forbidden("no right"))),
    (RotationReason.REFUSED, at_home(SECRET, Invalid("not that"))),
    (RotationReason.UNAVAILABLE, at_home(SECRET, Unavailable("nobody"))),
    (RotationReason.INTERNAL_ERROR, at_home(SECRET, ValueError("ours"), "get")),
    (WatchReason.WATCHING, labeled()),
    (WatchReason.NOT_PERMITTED, unlisted(NODE)),
    (WatchReason.WATCH_FAILED, unlisted(SERVICE)),
    (WatchReason.PROJECTION_FAILED, odd_service),
    (StatusReason.PUBLISHED, labeled()),
    (StatusReason.WRITE_REFUSED, at_home(CONFIG_MAP, Forbidden("no right"))),
)
"""No mapping: reasons of two vocabularies that read alike are equal."""


def name_of(reason: StrEnum) -> str:
    """A reason with its vocabulary."""
    return f"{type(reason).__name__}-{reason}"


@pytest.fixture(name="built")
def _built(tmp_path: Path) -> Built:
    return Built(tmp_path)


@pytest.mark.parametrize(
    ("reason", "case"), [pytest.param(*one, id=name_of(one[0])) for one in CASES]
)
def test_each_reason_is_produced(built: Built, reason: StrEnum, case: Case) -> None:
    """By the companion as it is built, on a cluster in memory."""
    case(built)

    assert name_of(reason) in {name_of(one) for one in built.reasons()}


def test_each_reason_of_the_reference_has_a_case() -> None:
    """And each case is of a reason that the reference has."""
    page = (REFERENCE / "reasons.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    listed = {
        f"{VOCABULARIES[heading].__name__}-{reason}"
        for heading, rows in sections.items()
        if heading not in OF_OTHERS
        for reason in re.findall(r"^\| `(\w+)` \|", rows, re.M)
    }

    assert {name_of(reason) for reason, _ in CASES} == listed


def older_pods(built: Built) -> None:
    """A pod runs with keys from before the last change, and an older value wins."""
    name = "michelangelo-config"
    built.label()
    built.start(shadowing_config_maps=(name,))
    built.create(CONFIG_MAP, name, "ray", data={"TRACKING_URI": "http://older"})
    source = [{"configMapRef": {"name": name}}]
    built.pod(HEAD | {INJECTED_LABEL: "true"}, envFrom=source)
    built.settle(60)
    built.secret("keys", **KEYS | {"MORE": "a"})
    built.settle(60)
    built.settle(5)


def waiting_pod(built: Built) -> None:
    """A pod cannot start without the mirror, as the kubelet words it."""
    built.label()
    built.start()
    said = f'secret "{MIRROR_SECRET}" not found'
    waiting = {"reason": "CreateContainerConfigError", "message": said}
    built.create(
        POD,
        "held",
        "ray",
        labels=HEAD | {INJECTED_LABEL: "true"},
        spec={
            "containers": [
                {
                    "name": "head",
                    "image": "i",
                    "envFrom": REFERENCE_TO_MIRROR,
                }
            ]
        },
        status={
            "phase": "Pending",
            "containerStatuses": [{"name": "head", "state": {"waiting": waiting}}],
        },
    )
    built.settle(5)


def test_each_metric_of_the_reference_is_served(tmp_path: Path) -> None:
    """And no other is; each has a sample in one of these cases."""
    served: set[str] = set()
    known: set[str] = set()
    for number, case in enumerate([older_pods, waiting_pod, *(c for _, c in CASES)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        built = Built(folder)
        case(built)
        for family in built.companion.registry.collect():
            name = family.name + "_total" * (family.type == "counter")
            known.add(name)
            served |= {name} if family.samples else set()
    page = (REFERENCE / "metrics.md").read_text("utf-8")
    listed = re.findall(
        r"^\| `(\w+)` \|", page.partition("## Of the companion")[2], re.M
    )

    assert sorted(known) == sorted(listed)
    assert sorted(known - served) == []
