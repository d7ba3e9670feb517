"""A rule is left out only when others are sure to permit the same."""

import pytest

from tests.unit.egress.sketch import policy, rule
from webhook.egress.coverage import subtract

ML = "kubernetes.io/metadata.name: ml"
BLOCK = "{to: [{ipBlock: {cidr: 203.0.113.0/28}}], ports: [{port: 443}]}"
PODS = (
    f"{{to: [{{namespaceSelector: {{matchLabels: {{{ML}}}}},"
    " podSelector: {matchLabels: {app: mlflow}}}], ports: [{port: 5000}]}"
)


@pytest.mark.parametrize(
    ("existing", "wanted", "covered"),
    [
        ("{}", BLOCK, True),
        ("{}", PODS, True),
        ("{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}", BLOCK, True),
        ("{to: [{ipBlock: {cidr: 203.0.113.0/29}}]}", BLOCK, False),
        ("{to: [{ipBlock: {cidr: '::/0'}}]}", BLOCK, False),
        (
            "{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.7/32]}}]}",
            BLOCK,
            False,
        ),
        (
            "{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}]}",
            BLOCK,
            True,
        ),
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}", PODS, False),
        ("{to: [{namespaceSelector: {}}]}", BLOCK, False),
        ("{to: [{namespaceSelector: {}}]}", PODS, True),
        (
            "{to: [{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}]}",
            PODS,
            False,
        ),
        (f"{{to: [{{namespaceSelector: {{matchLabels: {{{ML}}}}}}}]}}", PODS, True),
        ("{to: [{namespaceSelector: {matchLabels: {team: x}}}]}", PODS, False),
        ("{to: [{podSelector: {}}]}", PODS, False),
        ("{ports: [{}]}", BLOCK, True),
        ("{ports: [{protocol: UDP}]}", BLOCK, False),
        ("{ports: [{port: 443}]}", BLOCK, True),
        ("{ports: [{port: 400, endPort: 500}]}", BLOCK, True),
        ("{ports: [{port: 444, endPort: 500}]}", BLOCK, False),
        ("{ports: [{port: https}]}", BLOCK, False),
        (
            "{ports: [{port: https}]}",
            "{to: [{podSelector: {}}], ports: [{port: https}]}",
            True,
        ),
        (
            "{to: [{podSelector: {}}]}",
            "{to: [{podSelector: {}}], ports: [{port: 1}]}",
            False,
        ),
    ],
)
def test_a_rule_covers_another_when_its_text_says_so(
    existing: str, wanted: str, covered: bool
) -> None:
    """When the text does not tell, the rule is kept."""
    given = policy("{policyTypes: [Egress]}")

    left = subtract([rule(wanted)], [(given, rule(existing))])

    assert left == (() if covered else (rule(wanted),))


def test_a_policy_covers_pods_of_its_own_namespace() -> None:
    """A peer without a namespace selector means the policy's namespace."""
    home = policy("{policyTypes: [Egress]}", namespace="ml")

    existing = [(home, rule("{to: [{podSelector: {}}]}"))]

    assert subtract([rule(PODS)], existing) == ()


def test_several_rules_may_cover_a_rule_together() -> None:
    """Each port by another one."""
    given = policy("{policyTypes: [Egress]}")
    wanted = rule(
        "{to: [{ipBlock: {cidr: 10.0.0.1/32}}], ports: [{port: 1}, {port: 2}]}"
    )
    existing = [
        (given, rule("{ports: [{port: 1}]}")),
        (given, rule("{ports: [{port: 2}]}")),
    ]

    assert subtract([wanted], existing) == ()
    assert subtract([wanted], existing[:1]) == (wanted,)


def test_only_the_peers_that_are_missing_stay() -> None:
    """A new address of a known server is the usual change."""
    given = policy("{policyTypes: [Egress]}")
    wanted = rule(
        "{to: [{ipBlock: {cidr: 10.0.0.1/32}}, {ipBlock: {cidr: 10.0.0.2/32}}],"
        " ports: [{port: 1}]}"
    )
    existing = [(given, rule("{to: [{ipBlock: {cidr: 10.0.0.1/32}}]}"))]

    assert subtract([wanted], existing) == (
        rule("{to: [{ipBlock: {cidr: 10.0.0.2/32}}], ports: [{port: 1}]}"),
    )
