"""Our policies only ever add, and only where something isolates."""

import json

import pytest

from tests.unit.egress.sketch import INJECTED, ips, pod, policy, rule
from webhook.egress.evaluate import Target, egress
from webhook.egress.network_policy import NetworkPolicy, Protocol
from webhook.egress.normalize import normalize
from webhook.egress.reasons import EgressReason
from webhook.egress.shadow import (
    ISOLATING_NAME,
    OwnPolicy,
    PolicyPlan,
    additive,
    is_own,
    isolate,
)

TRACKER = rule("{to: [{ipBlock: {cidr: 203.0.113.7/32}}], ports: [{port: 443}]}")
DNS = rule(
    "{to: [{ipBlock: {cidr: 10.0.0.10/32}}],"
    " ports: [{port: 53}, {port: 53, protocol: UDP}]}"
)
RULES = (DNS, TRACKER)
DENY = "{podSelector: {}, policyTypes: [Egress]}"
WORKERS = (
    "{podSelector: {matchLabels: {ray.io/node-type: worker}}, policyTypes: [Egress]}"
)


def shadows(plan: PolicyPlan) -> list[tuple[dict[str, object], tuple[str, ...]]]:
    """Each shadow's selector and the names of its owners."""
    return [
        (p.selector.render(), tuple(name for name, _ in p.owners))
        for p in plan.policies
    ]


def read_back(own: OwnPolicy) -> NetworkPolicy:
    """Our policy as an engine reads it."""
    return NetworkPolicy.parse(own.manifest())


def test_an_open_namespace_gets_nothing() -> None:
    """A policy there would cut what is open now."""
    ingress_only = policy("{podSelector: {}, policyTypes: [Ingress]}")

    assert additive("team-a", [ingress_only], RULES) == PolicyPlan(
        "team-a", EgressReason.NOT_ISOLATED
    )


def test_a_default_deny_gets_one_shadow() -> None:
    """For all injected pods, owned by the policy it leans on."""
    plan = additive("team-a", [policy(DENY), policy(WORKERS, "workers")], RULES)

    assert plan.reason is EgressReason.EGRESS_READY
    assert shadows(plan) == [({"matchLabels": INJECTED}, ("deny",))]
    assert plan.policies[0].rules == RULES


def test_a_shadow_selects_only_what_is_isolated() -> None:
    """The head keeps all its egress."""
    deny = policy(WORKERS)
    plan = additive("team-a", [deny], RULES)
    after = [deny, *map(read_back, plan.policies)]
    head = pod(INJECTED | {"ray.io/node-type": "head"})
    elsewhere = Target(ips("198.51.100.1")[0])

    assert shadows(plan) == [
        ({"matchLabels": INJECTED | {"ray.io/node-type": "worker"}}, ("deny",))
    ]
    assert egress(after, head, elsewhere, 80, Protocol.TCP).allowed


def test_each_of_kuberays_policies_gets_a_shadow() -> None:
    """One for the head and one for each worker group."""
    spec = (
        "{{podSelector: {{matchLabels: {{ray.io/group: {0}}}}}, policyTypes: [Egress]}}"
    )
    names = ["head", "small", "large"]
    plan = additive("team-a", [policy(spec.format(n), n) for n in names], RULES)

    assert sorted(owners for _, owners in shadows(plan)) == [
        ("head",),
        ("large",),
        ("small",),
    ]


def test_policies_with_one_selector_share_a_shadow() -> None:
    """It goes with the last of them."""
    plan = additive("team-a", [policy(WORKERS, "b"), policy(WORKERS, "a")], RULES)

    assert shadows(plan)[0][1] == ("a", "b")
    assert [
        r["uid"] for r in plan.policies[0].manifest()["metadata"]["ownerReferences"]
    ] == [
        "uid-a",
        "uid-b",
    ]


def test_policies_that_select_the_same_injected_pods_share_a_shadow_too() -> None:
    """One of them asks for our label by itself."""
    asks = (
        "{podSelector: {matchLabels: {tracking.michelangelo-ai.org/injected: 'true'}},"
        " policyTypes: [Egress]}"
    )
    plan = additive("team-a", [policy(DENY, "a"), policy(asks, "b")], RULES)

    assert shadows(plan) == [({"matchLabels": INJECTED}, ("a", "b"))]


def test_a_narrowed_selector_gets_another_shadow() -> None:
    """What is no longer planned has to go, or it isolates the released pod."""
    wide = additive("team-a", [policy(WORKERS)], RULES).policies
    spec = "{podSelector: {matchLabels: {ray.io/group: small}}, policyTypes: [Egress]}"
    narrow = additive("team-a", [policy(spec)], RULES).policies

    assert {p.name for p in wide}.isdisjoint(p.name for p in narrow)


def test_a_policy_without_types_but_with_egress_rules_isolates() -> None:
    """Ours always says `[Egress]`, so ingress stays as it is."""
    plan = additive("team-a", [policy("{egress: [{to: [{podSelector: {}}]}]}")], RULES)

    assert plan.policies[0].manifest()["spec"]["policyTypes"] == ["Egress"]


def test_what_is_permitted_already_is_not_permitted_again() -> None:
    """The namespace's own policies cover tracker and DNS."""
    spec = (
        "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53},"
        " {port: 53, protocol: UDP}]}, {to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}"
    )
    plan = additive("team-a", [policy(spec)], RULES)

    assert plan == PolicyPlan("team-a", EgressReason.EGRESS_READY)


def test_only_what_is_missing_is_added() -> None:
    """DNS is there, the tracker is not."""
    spec = (
        "{policyTypes: [Egress],"
        " egress: [{ports: [{port: 53}, {port: 53, protocol: UDP}]}]}"
    )
    plan = additive("team-a", [policy(spec)], RULES)

    assert plan.policies[0].rules == (TRACKER,)


def test_what_is_permitted_to_other_pods_does_not_count() -> None:
    """A rule for heads says nothing about workers."""
    heads = (
        "{podSelector: {matchLabels: {ray.io/node-type: head}},"
        " policyTypes: [Egress], egress: [{}]}"
    )
    plan = additive(
        "team-a", [policy(WORKERS, "workers"), policy(heads, "heads")], RULES
    )

    assert [(p.owners[0][0], p.rules) for p in plan.policies] == [("workers", RULES)]


def test_what_is_permitted_to_fewer_pods_does_not_count() -> None:
    """A rule for the workers of one group says nothing about all workers."""
    fewer = (
        "{podSelector: {matchLabels: {ray.io/node-type: worker, z: y}},"
        " policyTypes: [Egress], egress: [{}]}"
    )
    given = [policy(WORKERS, "workers"), policy(fewer, "fewer")]
    plan = additive("team-a", given, RULES)

    assert [(p.owners[0][0], p.rules) for p in plan.policies] == [("workers", RULES)]


def test_a_pod_that_was_not_injected_gains_nothing() -> None:
    """The shadow asks for our label."""
    deny = policy(DENY)
    after = [deny, *map(read_back, additive("team-a", [deny], RULES).policies)]
    tracker = Target(ips("203.0.113.7")[0])

    assert egress(after, pod(INJECTED), tracker, 443, Protocol.TCP).allowed
    assert not egress(after, pod(), tracker, 443, Protocol.TCP).allowed


def test_a_policy_that_excludes_injected_pods_gets_no_shadow() -> None:
    """No pod can be both."""
    spec = (
        "{podSelector: {matchExpressions: [{key: tracking.michelangelo-ai.org/injected,"
        " operator: DoesNotExist}]}, policyTypes: [Egress]}"
    )

    assert additive("team-a", [policy(spec)], RULES).reason is EgressReason.NOT_ISOLATED


def test_without_addresses_there_is_no_rule() -> None:
    """An empty list of peers would mean the whole world."""
    assert additive("team-a", [policy(DENY)], ()) == PolicyPlan(
        "team-a", EgressReason.UNRESOLVED
    )


def test_our_own_policies_are_not_shadowed() -> None:
    """A plan made of what a plan wrote is the same plan."""
    deny = policy(DENY)
    first = additive("team-a", [deny], RULES)

    assert additive("team-a", [deny, *map(read_back, first.policies)], RULES) == first


@pytest.mark.parametrize(
    ("labels", "name", "own"),
    [
        ({"app.kubernetes.io/managed-by": "tracking-injector"}, "mti-egress-1", True),
        ({"app.kubernetes.io/managed-by": "tracking-injector"}, "deny", False),
        ({}, "mti-egress-1", False),
    ],
)
def test_a_policy_is_ours_by_label_and_by_name(
    labels: dict[str, str], name: str, own: bool
) -> None:
    """One of them alone may be somebody's copy."""
    assert is_own(labels, name) == own


def test_output_is_the_same_byte_for_byte() -> None:
    """Whatever order the API lists policies in."""
    policies = [
        policy(WORKERS, "b"),
        policy(WORKERS, "a"),
        policy(
            "{egress: [{to: [{podSelector: {}}]}], podSelector: {matchLabels: {x: y}}}",
            "c",
        ),
    ]

    def written(given: list[NetworkPolicy]) -> str:
        return json.dumps(
            [p.manifest() for p in additive("team-a", given, RULES).policies]
        )

    assert written(policies[::-1]) == written(policies)


def test_an_owner_without_identity_is_not_referred_to() -> None:
    """Manifests have no uid, and the API wants one."""
    deny = NetworkPolicy.parse(
        {"metadata": {"name": "d"}, "spec": {"policyTypes": ["Egress"]}}
    )
    own = additive("default", [deny], RULES).policies[0]

    assert "ownerReferences" not in own.manifest()["metadata"]


def test_isolation_closes_injected_pods_to_everything_else() -> None:
    """One policy, whatever else is there."""
    plan = isolate("team-a", RULES)
    (own,) = plan.policies

    assert (plan.reason, own.name) == (EgressReason.EGRESS_READY, ISOLATING_NAME)
    assert own.selector.render() == {"matchLabels": INJECTED}
    assert own.rules == normalize(RULES)
