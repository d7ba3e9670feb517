"""What an operator declares before a namespace is closed."""

import pytest

from webhook.egress.baseline import Baseline, Peers, parse_baseline

WHOLE = (
    '{"peers": "injected", "apiServer": ["kubernetes.default.svc"],'
    ' "storage": ["s3.example.com", "10.0.0.0/24:9000"], "michelangelo": []}'
)


def test_every_group_has_to_be_spoken_about() -> None:
    """Silence about storage is not the same as *no storage*."""
    partly = parse_baseline('{"peers": "none", "apiServer": []}', "B")

    assert partly.missing == ("storage", "michelangelo")
    assert Baseline().missing == ("peers", "apiServer", "storage", "michelangelo")
    assert parse_baseline("", "B") == Baseline()
    assert parse_baseline(WHOLE, "B").missing == ()


def test_servers_are_given_as_hosts_and_ranges() -> None:
    """As in the list of hosts besides the keys'."""
    places = parse_baseline(WHOLE, "B").destinations

    assert [(p.host, p.port) for p in places] == [
        ("kubernetes.default.svc", 443),
        ("s3.example.com", 443),
        ("10.0.0.0/24", 9000),
    ]


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        (
            Peers.INJECTED,
            [{"matchLabels": {"tracking.michelangelo-ai.org/injected": "true"}}],
        ),
        (Peers.NAMESPACE, [{}]),
        (Peers.NONE, []),
        (None, []),
    ],
)
def test_peers_are_pods_of_the_same_namespace(
    peers: Peers | None, expected: list[object]
) -> None:
    """On every port of every protocol, which is still a list of ports."""
    rules = [rule.render() for rule in Baseline(peers=peers).among_pods()]

    assert [peer["podSelector"] for rule in rules for peer in rule["to"]] == expected
    assert all(
        rule["ports"] == [{"protocol": p} for p in ("TCP", "UDP", "SCTP")]
        for rule in rules
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "B is no JSON"),
        ("[]", "B must be an object with apiServer, michelangelo, peers, storage"),
        ('{"disk": []}', "B must be an object"),
        ('{"peers": "all"}', "B: peers must be one of injected, namespace, none"),
        ('{"storage": "s3"}', "B: storage must be a list of HOST"),
        ('{"storage": [1]}', "B: storage must be a list of HOST"),
        ('{"storage": ["a:0"]}', "B, storage: 'a:0' is not a destination"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    """The setting and the part of it."""
    with pytest.raises(ValueError, match=said):
        parse_baseline(text, "B")
