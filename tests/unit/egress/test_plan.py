"""The one decision about a namespace: each mode, label and finding."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.egress.sketch import INJECTED, endpoints, ips, pod, policy, service
from webhook.egress.addresses import Address
from webhook.egress.baseline import Baseline, parse_baseline
from webhook.egress.destinations import Destination
from webhook.egress.dns_cache import DnsLimits
from webhook.egress.engines.detect import DetectedEngines, Engine
from webhook.egress.evaluate import Target, egress
from webhook.egress.mode import EgressMode
from webhook.egress.network_policy import NetworkPolicy, Protocol
from webhook.egress.options import EgressOptions
from webhook.egress.own_policy import ISOLATING_NAME, OwnPolicy, is_own
from webhook.egress.plan import (
    EgressWorld,
    NamespaceInput,
    NamespacePlan,
    plan_namespace,
    required_destinations,
)
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.services import Service, ServiceIndex

DENY = policy("{podSelector: {}, policyTypes: [Egress]}")
WORKERS = policy(
    "{podSelector: {matchLabels: {ray.io/node-type: worker}}, policyTypes: [Egress]}",
    "workers",
)
CLOSING = parse_baseline(
    '{"peers": "injected", "apiServer": [], "storage": ["s3.example"],'
    ' "michelangelo": []}',
    "b",
)
TRACKER = Destination("t.example", 443, "TRACKING_URI")
OTHER = Destination("other.example", 443, "WANDB_BASE_URL")
ALIAS = service(f"{{spec: {{externalName: {'a' * 64}.example}}}}", "alias")
KNOWN = {"t.example": ips("203.0.113.7"), "s3.example": ips("203.0.113.30")}
LOCAL = Finding(EgressReason.NO_NETWORK_NEEDED, "TRACKING_URI", "a local path")
MALFORMED = Finding(EgressReason.MALFORMED_URI, "TRACKING_URI", "names no server")
INDIRECT = Finding(EgressReason.HOST_NEEDED, "TRACKING_URI", "names no host")
READY, UNRESOLVED = EgressReason.EGRESS_READY, EgressReason.UNRESOLVED


def world(
    *policies: NetworkPolicy,
    known: Mapping[str, tuple[Address, ...]] = KNOWN,
    looked_up: bool = True,
    unreadable: Iterable[str] = (),
    index: ServiceIndex | None = None,
    dns: Mapping[str, tuple[Finding, ...]] | None = None,
    restricting: Mapping[str, tuple[tuple[Engine, str], ...]] | None = None,
) -> EgressWorld:
    """A cluster in which team-a has these policies."""
    return EgressWorld(
        index=index or ServiceIndex.of([ALIAS], nodes=()),
        addresses=known,
        dns_findings=dns or {},
        resolved=lambda names: looked_up or not list(names),
        policies={"team-a": policies},
        unreadable={"team-a": tuple(unreadable)} if unreadable else {},
        engines=DetectedEngines(restricting=restricting or {}),
    )


def about(
    *destinations: Destination,
    label: str | None = None,
    findings: tuple[Finding, ...] = (),
) -> NamespaceInput:
    """Team-a, whose keys name these."""
    labels = {"kubernetes.io/metadata.name": "team-a"}
    return NamespaceInput(
        name="team-a",
        labels=labels,
        egress_label=label,
        destinations=destinations,
        findings=findings,
    )


def options(mode: str = "additive", baseline: Baseline = CLOSING) -> EgressOptions:
    """Of the release."""
    return EgressOptions(
        mode=EgressMode(mode), baseline=baseline, nameservers=ips("10.0.0.10")
    )


def blocks(plan: NamespacePlan) -> set[str]:
    """The ranges that its policies permit."""
    return {
        peer["ipBlock"]["cidr"]
        for own in plan.policies
        for rule in own.manifest()["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    }


def there(own: OwnPolicy) -> NetworkPolicy:
    """Our policy as it is in the cluster."""
    return NetworkPolicy.parse(own.manifest())


@pytest.mark.parametrize("release", ["off", "observe", "additive", "isolate"])
@pytest.mark.parametrize(
    "label", [None, "off", "observe", "additive", "isolate", "sometimes"]
)
def test_a_label_narrows_the_mode_and_the_mode_says_what_is_written(
    release: str, label: str | None
) -> None:
    """Whatever the mode, the reason and the policies fit each other."""
    order = ["off", "observe", "additive", "isolate"]
    asked = "observe" if label == "sometimes" else label or release
    mode = min(release, asked, key=order.index)
    plan = plan_namespace(world(DENY), about(TRACKER, label=label), options(release))
    names = [own.name for own in plan.desired]

    assert plan.mode == mode
    assert plan.reason == ("SwitchedOff" if mode == "off" else "EgressReady")
    assert bool(plan.policies) == (mode != "off")
    assert bool(names) == (mode in ("additive", "isolate"))
    assert (names == [ISOLATING_NAME]) == (mode == "isolate")
    assert not plan.hold
    told = [f.reason for f in plan.findings]
    unknown = label == "sometimes" and mode != "off"
    assert told == ([EgressReason.SELECTOR_UNREADABLE] if unknown else [])


HOLD, FREE = True, False


@pytest.mark.parametrize(
    ("cluster", "namespace", "reason", "permitted", "hold"),
    [
        pytest.param(
            world(), about(TRACKER), EgressReason.NOT_ISOLATED, [], FREE, id="open"
        ),
        pytest.param(
            world(DENY),
            about(findings=(LOCAL,)),
            EgressReason.NO_NETWORK_NEEDED,
            [],
            FREE,
            id="no server",
        ),
        pytest.param(
            world(DENY),
            about(findings=(INDIRECT,)),
            EgressReason.HOST_NEEDED,
            [],
            HOLD,
            id="a server named indirectly",
        ),
        pytest.param(
            world(DENY),
            about(TRACKER, findings=(INDIRECT,)),
            EgressReason.HOST_NEEDED,
            ["10.0.0.10/32", "203.0.113.7/32"],
            HOLD,
            id="a server named indirectly beside one that is known",
        ),
        pytest.param(
            world(DENY),
            about(findings=(MALFORMED,)),
            EgressReason.MALFORMED_URI,
            [],
            HOLD,
            id="no server that can be read",
        ),
        pytest.param(
            world(DENY),
            about(TRACKER, findings=(MALFORMED,)),
            EgressReason.MALFORMED_URI,
            ["10.0.0.10/32", "203.0.113.7/32"],
            HOLD,
            id="one of two can be read",
        ),
        pytest.param(
            world(DENY),
            about(TRACKER, Destination("alias.ml", 80, "k")),
            EgressReason.MALFORMED_URI,
            ["10.0.0.10/32", "203.0.113.7/32"],
            HOLD,
            id="a Service that stands for a name of 64 characters",
        ),
        pytest.param(
            world(DENY),
            about(TRACKER, OTHER),
            UNRESOLVED,
            ["10.0.0.10/32", "203.0.113.7/32"],
            HOLD,
            id="one of two resolves",
        ),
        pytest.param(
            world(DENY, looked_up=False),
            about(TRACKER),
            UNRESOLVED,
            [],
            HOLD,
            id="not looked up yet",
        ),
        pytest.param(
            world(looked_up=False),
            about(TRACKER),
            EgressReason.NOT_ISOLATED,
            [],
            FREE,
            id="open, and not looked up yet",
        ),
        pytest.param(
            world(DENY, unreadable=["newer"]),
            about(TRACKER),
            EgressReason.SELECTOR_UNREADABLE,
            ["10.0.0.10/32", "203.0.113.7/32"],
            HOLD,
            id="an unreadable policy beside",
        ),
        pytest.param(
            world(unreadable=["newer"]),
            about(TRACKER),
            EgressReason.SELECTOR_UNREADABLE,
            [],
            HOLD,
            id="an unreadable policy alone",
        ),
        pytest.param(
            world(
                DENY,
                index=ServiceIndex.of(
                    [service("{spec: {clusterIP: 10.0.0.20, ports: [{port: 80}]}}")]
                ),
            ),
            about(TRACKER, Destination("mlflow.ml", 81, "k")),
            EgressReason.PORT_MISMATCH,
            ["10.0.0.10/32", "203.0.113.7/32"],
            HOLD,
            id="a port that the Service lacks",
        ),
    ],
)
def test_additive(
    cluster: EgressWorld,
    namespace: NamespaceInput,
    reason: EgressReason,
    permitted: list[str],
    hold: bool,
) -> None:
    """A destination without a rule is never ready, and what is known is written."""
    plan = plan_namespace(cluster, namespace, options())

    assert (plan.reason, sorted(blocks(plan)), plan.hold) == (reason, permitted, hold)
    assert plan.waiting == (not cluster.resolved(["x"]))


def test_nothing_is_known_of_a_profile_that_was_never_read() -> None:
    """What is there stays; where nothing is written, nothing stays."""
    namespace = replace(about(), destinations=None)
    additive = plan_namespace(world(DENY), namespace, options())
    observing = plan_namespace(world(DENY), namespace, options("observe"))

    assert additive == NamespacePlan(
        mode=EgressMode.ADDITIVE, reason=EgressReason.KEYS_UNKNOWN, hold=True
    )
    assert not observing.hold


def test_a_name_without_a_known_nameserver_is_reported() -> None:
    """Nobody can say where its pods look it up."""
    unknown = replace(options(), nameservers=())
    plan = plan_namespace(world(DENY), about(TRACKER), unknown)

    assert (UNRESOLVED, "DNS") in {(one.reason, one.subject) for one in plan.findings}


def test_what_is_not_known_any_more_stays_permitted() -> None:
    """The memory of addresses was lost, and DNS fails."""
    needs = about(TRACKER, OTHER)
    known = KNOWN | {"other.example": ips("203.0.113.8")}
    before = plan_namespace(world(DENY, known=known), needs, options())
    existing = map(there, before.policies)
    after = plan_namespace(world(DENY, *existing), needs, options())

    assert (after.reason, after.policies) == (UNRESOLVED, before.policies)


@pytest.mark.parametrize(
    ("cluster", "baseline", "reason", "hold"),
    [
        (world(), CLOSING, READY, FREE),
        (world(), Baseline(), EgressReason.BASELINE_MISSING, HOLD),
        (world(looked_up=False), CLOSING, UNRESOLVED, HOLD),
        (world(known={"t.example": ips("203.0.113.7")}), CLOSING, UNRESOLVED, HOLD),
        (world(unreadable=["newer"]), CLOSING, READY, FREE),
    ],
)
def test_isolate(
    cluster: EgressWorld, baseline: Baseline, reason: EgressReason, hold: bool
) -> None:
    """Nothing is closed before all that must stay open is known."""
    plan = plan_namespace(cluster, about(TRACKER), options("isolate", baseline))
    closed = [own.name for own in plan.desired]

    assert (plan.reason, plan.hold) == (reason, hold)
    assert closed == ([ISOLATING_NAME] if reason is READY else [])


def test_a_baseline_that_is_missing_is_told_by_its_groups() -> None:
    """As the settings name them."""
    plan = plan_namespace(world(), about(TRACKER), options("isolate", Baseline()))

    assert [(f.reason, f.message) for f in plan.findings] == [
        (
            EgressReason.BASELINE_MISSING,
            "nothing is closed before the baseline names peers, apiServer, storage,"
            " michelangelo",
        )
    ]


def test_a_closed_namespace_stays_closed_and_open_where_it_was() -> None:
    """While a new destination does not resolve."""
    isolating = options("isolate")
    (before,) = plan_namespace(world(), about(TRACKER), isolating).policies
    moved = KNOWN | {"t.example": ips("203.0.113.9")}
    cluster = world(there(before), known=moved)
    plan = plan_namespace(cluster, about(TRACKER, OTHER), isolating)

    assert (plan.reason, plan.hold) == (UNRESOLVED, True)
    assert blocks(plan) >= {"203.0.113.7/32", "203.0.113.9/32", "203.0.113.30/32"}


def test_a_closed_namespace_keeps_dns_whatever_it_dials() -> None:
    """Its pods find each other by name."""
    no_servers = parse_baseline(
        '{"peers": "injected", "apiServer": [], "storage": [], "michelangelo": []}', "b"
    )
    plan = plan_namespace(world(), about(), options("isolate", no_servers))

    assert blocks(plan) == {"10.0.0.10/32"}


def test_where_nothing_is_written_nothing_is_held() -> None:
    """What an earlier mode left goes."""
    plan = plan_namespace(world(DENY, known={}), about(TRACKER), options("observe"))

    assert (plan.reason, plan.hold) == (UNRESOLVED, False)


def test_the_baseline_is_none_of_an_additive_namespaces_business() -> None:
    """Its servers are permitted where it closes."""
    narrowed = about(TRACKER, label="additive")
    plan = plan_namespace(world(DENY), narrowed, options("isolate"))

    assert "203.0.113.30/32" not in blocks(plan)


def test_findings_are_told_once_and_by_whom_they_concern() -> None:
    """Those of keys and names are the profile's; the others this namespace's own."""
    stale = Finding(EgressReason.RESOLUTION_STALE, "t.example", "it failed")
    failed = Finding(UNRESOLVED, "other.example", "no lookup gave an address")
    mlflow = service(
        "{spec: {clusterIP: 10.0.0.20, selector: {app: mlflow},"
        " ports: [{port: 80, targetPort: 5000}]}}"
    )
    closed = policy("{podSelector: {}, policyTypes: [Ingress]}", "closed", "ml")
    cluster = replace(
        world(
            DENY,
            index=ServiceIndex.of(
                [mlflow],
                [endpoints(["192.0.2.1"], [("", 5000)])],
                nodes=ips("192.0.2.1"),
            ),
            dns={
                "t.example": (stale,),
                "other.example": (failed,),
                "unneeded.example": (replace(stale, subject="unneeded.example"),),
            },
            restricting={"": ((Engine.CILIUM, "a policy"),)},
        ),
        policies={"team-a": (DENY,), "ml": (closed,)},
    )
    needs = about(TRACKER, OTHER, Destination("mlflow.ml", 80, "k"), findings=(LOCAL,))
    plan = plan_namespace(cluster, needs, options())

    assert plan.shared == {stale, failed, LOCAL}
    assert [(f.reason, f.subject) for f in plan.findings if f not in plan.shared] == [
        (EgressReason.DESTINATION_INGRESS_BLOCKED, "mlflow.ml"),
        (EgressReason.NODE_ADDRESS, "mlflow.ml"),
        (EgressReason.OTHER_EGRESS_CONTROLS, "cilium"),
    ]
    assert plan.names == {"t.example", "other.example"}


def test_before_the_first_lookup_nothing_is_amiss() -> None:
    """It has not failed yet."""
    plan = plan_namespace(
        world(DENY, known={}, looked_up=False), about(TRACKER), options()
    )

    assert (plan.reason, plan.findings, plan.waiting) == (UNRESOLVED, (), True)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("off", []),
        ("observe", ["t.example"]),
        ("additive", ["t.example"]),
        ("isolate", ["t.example", "s3.example"]),
    ],
)
def test_the_baseline_is_required_where_a_namespace_is_closed(
    mode: str, expected: list[str]
) -> None:
    """Of what is not known, nothing is."""
    found = required_destinations(world(), about(TRACKER), options(mode))
    unknown = replace(about(), destinations=None)

    assert [place.host for place in found] == expected
    assert required_destinations(world(), unknown, options(mode)) == ()


def test_rules_are_computed_once_for_all_namespaces_with_equal_needs() -> None:
    """Only a short name means another Service in another namespace."""
    cluster = world(DENY)
    long = [cluster.rules((TRACKER,), name, ()) for name in ("a", "b")]
    short = (Destination("mlflow", 80, "k"),)
    other = [cluster.rules(short, name, ()) for name in ("a", "b")]

    assert long[0] is long[1]
    assert other[0] is not other[1]
    assert cluster.rules(short, "a", ()) is other[0]


SELECTORS = st.sampled_from(
    ["{}", "{matchLabels: {a: b}}", "{matchExpressions: [{key: a, operator: Exists}]}"]
)
ALLOWED = st.sampled_from(
    [
        "{}",
        "{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}",
        "{to: [{podSelector: {}}], ports: [{port: 443}]}",
        "{ports: [{port: 53, protocol: UDP}]}",
    ]
)
POLICIES = st.lists(
    st.builds(
        lambda number, selector, rules: policy(
            f"{{podSelector: {selector}, policyTypes: [Egress],"
            f" egress: [{', '.join(rules)}]}}",
            f"p{number}",
        ),
        st.integers(0, 5),
        SELECTORS,
        st.lists(ALLOWED, max_size=2),
    ),
    max_size=4,
)
DESTINATIONS = st.lists(
    st.sampled_from(
        [
            TRACKER,
            OTHER,
            Destination("198.51.100.0/24", 80, "k"),
            Destination("alias.ml", 80, "k"),
            Destination("gone.ml.svc", 80, "k"),
            Destination("mlflow.ml", 80, "k"),
        ]
    ),
    unique=True,
).map(tuple)
ADDRESSES = st.fixed_dictionaries(
    {},
    optional={"t.example": st.just(ips("203.0.113.7")), "other.example": st.just(())},
)
MLFLOW = service(
    "{spec: {clusterIP: 10.0.0.20, selector: {a: b}, ports: [{port: 80}]}}"
)
HAND = service("{spec: {clusterIP: 10.0.0.20, ports: [{port: 80}]}}")


@given(
    POLICIES,
    DESTINATIONS,
    ADDRESSES,
    st.sampled_from(list(EgressMode)),
    st.sampled_from([MLFLOW, HAND]),
    st.booleans(),
)
@settings(deadline=None)
def test_no_plan_has_a_rule_without_peers_or_ports(
    policies: list[NetworkPolicy],
    destinations: tuple[Destination, ...],
    known: dict[str, tuple[Address, ...]],
    mode: EgressMode,
    mlflow: Service,
    looked_up: bool,
) -> None:
    """And what is ready has a rule for every destination."""
    index = ServiceIndex.of([ALIAS, mlflow], nodes=())
    odd = there_with_anything()
    cluster = world(*policies, odd, known=known, looked_up=looked_up, index=index)
    chosen = replace(options(mode), limits=DnsLimits(cap=4))
    plan = plan_namespace(cluster, about(*destinations), chosen)
    rules = [rule for own in plan.policies for rule in own.rules]

    assert all(rule.peers and rule.ports for rule in rules)
    if plan.reason is READY:
        found = cluster.rules(destinations, "team-a", ())
        assert not [f for f in found.findings if f.reason is UNRESOLVED]


def there_with_anything() -> NetworkPolicy:
    """A policy of ours into which somebody wrote what permits anything."""
    (own,) = plan_namespace(world(DENY), about(TRACKER), options()).policies
    read = there(own)
    anything = policy("{policyTypes: [Egress], egress: [{}, {ports: []}]}").egress
    return replace(read, egress=(*read.egress, *anything))


@given(POLICIES, DESTINATIONS, ADDRESSES)
@settings(deadline=None)
def test_an_additive_plan_takes_nothing_away(
    policies: list[NetworkPolicy],
    destinations: tuple[Destination, ...],
    known: dict[str, tuple[Address, ...]],
) -> None:
    """Every packet that passed before passes after."""
    cluster = world(*policies, known=known)
    plan = plan_namespace(cluster, about(*destinations), options())
    after = [*policies, *map(there, plan.desired)]

    assert all(is_own(p.labels, p.name) for p in after[len(policies) :])
    for labels in ({}, {"a": "b"}, {"a": "c"}):
        for address in ips("203.0.113.7", "192.0.2.1"):
            for injected in ({}, INJECTED):
                packet = pod(labels | injected), Target(address), 443, Protocol.TCP
                if egress(policies, *packet).allowed:
                    assert egress(after, *packet).allowed
