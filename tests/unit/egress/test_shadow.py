"""Our policies only ever add, and only where something isolates."""

import json

from tests.unit.egress.sketch import INJECTED, ips, pod, policy, rule
from webhook.egress.evaluate import Target, egress
from webhook.egress.network_policy import NetworkPolicy, Protocol
from webhook.egress.own_policy import OwnPolicy
from webhook.egress.shadow import isolating, shadows

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


def plan(given: list[NetworkPolicy]) -> tuple[OwnPolicy, ...]:
    """The shadows of a namespace's policies."""
    return shadows("team-a", isolating(given), RULES)


def selected(made: tuple[OwnPolicy, ...]) -> list[tuple[object, tuple[str, ...]]]:
    """Each shadow's selector and the names of its owners."""
    return [(p.selector.render(), tuple(name for name, _ in p.owners)) for p in made]


def read_back(own: OwnPolicy) -> NetworkPolicy:
    """Our policy as an engine reads it."""
    return NetworkPolicy.parse(own.manifest())


def test_an_open_namespace_gets_nothing() -> None:
    """A policy there would cut what is open now."""
    ingress_only = policy("{podSelector: {}, policyTypes: [Ingress]}")

    assert isolating([ingress_only]) == []


def test_a_default_deny_gets_one_shadow() -> None:
    """For all injected pods, owned by the policy it leans on."""
    made = plan([policy(DENY), policy(WORKERS, "workers")])

    assert selected(made) == [({"matchLabels": INJECTED}, ("deny",))]
    assert made[0].rules == RULES


def test_a_shadow_selects_only_what_is_isolated() -> None:
    """The head keeps all its egress."""
    deny = policy(WORKERS)
    made = plan([deny])
    after = [deny, *map(read_back, made)]
    head = pod(INJECTED | {"ray.io/node-type": "head"})
    elsewhere = Target(ips("198.51.100.1")[0])

    assert selected(made) == [
        ({"matchLabels": INJECTED | {"ray.io/node-type": "worker"}}, ("deny",))
    ]
    assert egress(after, head, elsewhere, 80, Protocol.TCP).allowed


def test_each_of_kuberays_policies_gets_a_shadow() -> None:
    """One for the head and one for each worker group."""
    spec = (
        "{{podSelector: {{matchLabels: {{ray.io/group: {0}}}}}, policyTypes: [Egress]}}"
    )
    names = ["head", "small", "large"]
    made = plan([policy(spec.format(n), n) for n in names])

    assert sorted(owners for _, owners in selected(made)) == [
        ("head",),
        ("large",),
        ("small",),
    ]


def test_policies_with_one_selector_share_a_shadow() -> None:
    """It goes with the last of them."""
    made = plan([policy(WORKERS, "b"), policy(WORKERS, "a")])

    assert selected(made)[0][1] == ("a", "b")
    assert [r["uid"] for r in made[0].manifest()["metadata"]["ownerReferences"]] == [
        "uid-a",
        "uid-b",
    ]


def test_policies_that_select_the_same_injected_pods_share_a_shadow_too() -> None:
    """One of them asks for our label by itself."""
    asks = (
        "{podSelector: {matchLabels: {tracking.michelangelo-ai.org/injected: 'true'}},"
        " policyTypes: [Egress]}"
    )
    made = plan([policy(DENY, "a"), policy(asks, "b")])

    assert selected(made) == [({"matchLabels": INJECTED}, ("a", "b"))]


def test_a_narrowed_selector_gets_another_shadow() -> None:
    """What is no longer planned has to go, or it isolates the released pod."""
    wide = plan([policy(WORKERS)])
    spec = "{podSelector: {matchLabels: {ray.io/group: small}}, policyTypes: [Egress]}"
    narrow = plan([policy(spec)])

    assert {p.name for p in wide}.isdisjoint(p.name for p in narrow)


def test_a_policy_without_types_but_with_egress_rules_isolates() -> None:
    """Ours always says `[Egress]`, so ingress stays as it is."""
    made = plan([policy("{egress: [{to: [{podSelector: {}}]}]}")])

    assert made[0].manifest()["spec"]["policyTypes"] == ["Egress"]


def test_what_is_permitted_already_is_not_permitted_again() -> None:
    """The namespace's own policies cover tracker and DNS."""
    spec = (
        "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53},"
        " {port: 53, protocol: UDP}]}, {to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}"
    )
    made = plan([policy(spec)])

    assert made == ()


def test_only_what_is_missing_is_added() -> None:
    """DNS is there, the tracker is not."""
    spec = (
        "{policyTypes: [Egress],"
        " egress: [{ports: [{port: 53}, {port: 53, protocol: UDP}]}]}"
    )
    made = plan([policy(spec)])

    assert made[0].rules == (TRACKER,)


def test_what_is_permitted_to_other_pods_does_not_count() -> None:
    """A rule for heads says nothing about workers."""
    heads = (
        "{podSelector: {matchLabels: {ray.io/node-type: head}},"
        " policyTypes: [Egress], egress: [{}]}"
    )
    made = plan([policy(WORKERS, "workers"), policy(heads, "heads")])

    assert [(p.owners[0][0], p.rules) for p in made] == [("workers", RULES)]


def test_what_is_permitted_to_fewer_pods_does_not_count() -> None:
    """A rule for the workers of one group says nothing about all workers."""
    fewer = (
        "{podSelector: {matchLabels: {ray.io/node-type: worker, z: y}},"
        " policyTypes: [Egress], egress: [{}]}"
    )
    given = [policy(WORKERS, "workers"), policy(fewer, "fewer")]
    made = plan(given)

    assert [(p.owners[0][0], p.rules) for p in made] == [("workers", RULES)]


def test_a_pod_that_was_not_injected_gains_nothing() -> None:
    """The shadow asks for our label."""
    deny = policy(DENY)
    after = [deny, *map(read_back, plan([deny]))]
    tracker = Target(ips("203.0.113.7")[0])

    assert egress(after, pod(INJECTED), tracker, 443, Protocol.TCP).allowed
    assert not egress(after, pod(), tracker, 443, Protocol.TCP).allowed


def test_a_policy_that_excludes_injected_pods_gets_no_shadow() -> None:
    """No pod can be both."""
    spec = (
        "{podSelector: {matchExpressions: [{key: tracking.michelangelo-ai.org/injected,"
        " operator: DoesNotExist}]}, policyTypes: [Egress]}"
    )

    assert isolating([policy(spec)]) == []


def test_without_addresses_there_is_no_rule() -> None:
    """An empty list of peers would mean the whole world."""
    assert shadows("team-a", [policy(DENY)], ()) == ()


def test_our_own_policies_are_not_shadowed() -> None:
    """A plan made of what a plan wrote is the same plan."""
    deny = policy(DENY)
    first = plan([deny])

    assert plan([deny, *map(read_back, first)]) == first


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
        return json.dumps([p.manifest() for p in plan(given)])

    assert written(policies[::-1]) == written(policies)
