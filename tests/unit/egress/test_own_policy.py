"""How our policies are named, recognized and written."""

import pytest

from tests.unit.egress.sketch import policy, rendered, rule
from webhook.egress.network_policy import NetworkPolicy, Rule
from webhook.egress.own_policy import INJECTED, OwnPolicy, is_own

TRACKER = rule("{to: [{ipBlock: {cidr: 203.0.113.7/32}}], ports: [{port: 443}]}")


def own(*rules: Rule, uid: str = "u-1") -> OwnPolicy:
    """A shadow of one policy."""
    return OwnPolicy(
        namespace="team-a",
        name="mti-egress-1",
        selector=INJECTED,
        rules=rules,
        owners=(("deny", uid),),
    )


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [
        ({"app.kubernetes.io/managed-by": "tracking-injector"}, "mti-egress-1", True),
        ({"app.kubernetes.io/managed-by": "tracking-injector"}, "deny", False),
        ({}, "mti-egress-1", False),
    ],
)
def test_a_policy_is_ours_by_label_and_by_name(
    labels: dict[str, str], name: str, expected: bool
) -> None:
    """One of them alone may be somebody's copy."""
    assert is_own(labels, name) == expected


def test_it_is_read_back_as_it_was_written() -> None:
    """By the same reader as everybody's policies."""
    read = NetworkPolicy.parse(own(TRACKER).manifest())

    assert (read.selector, read.egress, read.owners) == (INJECTED, (TRACKER,), ("u-1",))
    assert is_own(read.labels, read.name)


def test_an_owner_without_identity_is_not_referred_to() -> None:
    """Manifests have no uid, and the API wants one."""
    assert "ownerReferences" not in own(TRACKER, uid="").manifest()["metadata"]


def test_it_keeps_what_the_existing_one_permits_besides() -> None:
    """Nothing shrinks while too little is known."""
    existing = policy(
        "{policyTypes: [Egress], egress: ["
        "{to: [{ipBlock: {cidr: 203.0.113.9/32}}, {podSelector: {}}],"
        " ports: [{port: 443}]}]}"
    )
    kept = own(TRACKER).keeping(existing, at_most=10)

    assert rendered(kept.rules) == [
        {
            "to": [
                {"ipBlock": {"cidr": "203.0.113.7/32"}},
                {"ipBlock": {"cidr": "203.0.113.9/32"}},
                {"podSelector": {}},
            ],
            "ports": [{"protocol": "TCP", "port": 443}],
        }
    ]
    assert kept.keeping(existing, at_most=10) == kept


@pytest.mark.parametrize("text", ["{}", "{to: [{podSelector: {}}]}", "{ports: []}"])
def test_what_permits_anything_is_not_kept(text: str) -> None:
    """Somebody else wrote that into it."""
    existing = policy(f"{{policyTypes: [Egress], egress: [{text}]}}")

    assert own(TRACKER).keeping(existing, at_most=10) == own(TRACKER)


def test_not_more_is_kept_than_a_name_may_have() -> None:
    """A pool that rotates would let it grow for ever."""
    blocks = ", ".join(f"{{ipBlock: {{cidr: 198.51.100.{n}/32}}}}" for n in range(9))
    allowed = f"{{to: [{blocks}], ports: [{{port: 443}}]}}"
    existing = policy(f"{{policyTypes: [Egress], egress: [{allowed}]}}")
    (kept,) = own(TRACKER).keeping(existing, at_most=1).rules

    assert len(kept.peers) == 2
