"""Reading a NetworkPolicy loses nothing, and what we render reads back equal."""

import pytest

from tests.unit.egress.sketch import EGRESS, INGRESS, policy, rule
from webhook.egress.network_policy import Direction, NetworkPolicy
from webhook.egress.selector import Operator, Requirement, Selector


def selector(*requirements: tuple[str, str, tuple[str, ...]]) -> Selector:
    """A selector from (key, operator, values)."""
    return Selector.of(*(Requirement(k, Operator(o), v) for k, o, v in requirements))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{podSelector: {}}", {INGRESS}),
        ("{podSelector: {}, egress: []}", {INGRESS}),
        ("{podSelector: {}, egress: [{}]}", {INGRESS, EGRESS}),
        ("{podSelector: {}, policyTypes: [Egress]}", {EGRESS}),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", {INGRESS, EGRESS}),
    ],
)
def test_missing_policy_types_are_filled_as_the_api_server_fills_them(
    spec: str, expected: set[str]
) -> None:
    """Always Ingress, and Egress when there are egress rules."""
    assert policy(spec).directions == {Direction(e) for e in expected}


@pytest.mark.parametrize(
    ("key", "operator", "values", "matching", "other"),
    [
        ("a", "In", ("1", "2"), {"a": "2"}, {"a": "3"}),
        ("a", "NotIn", ("1",), {}, {"a": "1"}),
        ("a", "Exists", (), {"a": ""}, {}),
        ("a", "DoesNotExist", (), {}, {"a": ""}),
    ],
)
def test_each_operator_selects_as_documented(
    key: str,
    operator: str,
    values: tuple[str, ...],
    matching: dict[str, str],
    other: dict[str, str],
) -> None:
    """`NotIn` also selects what has no such label."""
    chosen = selector((key, operator, values))

    assert (chosen.matches(matching), chosen.matches(other)) == (True, False)


@pytest.mark.parametrize(
    ("requirements", "contradictory"),
    [
        ((("a", "In", ("1",)), ("a", "In", ("2",))), True),
        ((("a", "In", ("1", "2")), ("a", "In", ("2", "3"))), False),
        ((("a", "In", ("1",)), ("a", "NotIn", ("1",))), True),
        ((("a", "In", ("1",)), ("a", "DoesNotExist", ())), True),
        ((("a", "Exists", ()), ("a", "DoesNotExist", ())), True),
        ((("a", "Exists", ()), ("a", "NotIn", ("1",))), False),
        ((("a", "Exists", ()), ("b", "DoesNotExist", ())), False),
        ((), False),
    ],
)
def test_a_selector_that_no_pod_can_meet_is_recognized(
    requirements: tuple[tuple[str, str, tuple[str, ...]], ...], contradictory: bool
) -> None:
    """No shadow is needed for pods that cannot be."""
    assert selector(*requirements).contradictory == contradictory


def test_equal_selectors_are_equal_however_they_are_written() -> None:
    """Two policies with one selector share one shadow."""
    short = Selector.parse({"matchLabels": {"b": "2", "a": "1"}})
    expression = {"key": "a", "operator": "In", "values": ["1", "1"]}
    long = Selector.parse({"matchExpressions": [expression], "matchLabels": {"b": "2"}})

    assert short == long


def test_a_selector_renders_to_what_it_was_read_from() -> None:
    """Also where one key is asked for twice."""
    chosen = selector(
        ("a", "In", ("1",)),
        ("a", "In", ("1", "2")),
        ("b", "Exists", ()),
        ("c", "In", ("3",)),
    )

    assert chosen.render() == {
        "matchLabels": {"a": "1", "c": "3"},
        "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["1", "2"]},
            {"key": "b", "operator": "Exists"},
        ],
    }
    assert Selector.parse(chosen.render()) == chosen


def test_one_key_asked_for_twice_with_one_value_each_keeps_both() -> None:
    """`matchLabels` has room for one of them."""
    chosen = selector(("a", "In", ("1",)), ("a", "In", ("2",)))

    assert Selector.parse(chosen.render()) == chosen


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}",
        "{to: [{ipBlock: {cidr: '2001:db8::/32'}}], ports: [{protocol: SCTP}]}",
        "{to: [{podSelector: {}}], ports: [{port: http}]}",
        "{to: [{namespaceSelector: {}}], ports: [{port: 1, endPort: 2}]}",
        "{to: [{namespaceSelector: {matchLabels: {a: b}},"
        " podSelector: {matchLabels: {c: d}}}]}",
    ],
)
def test_a_rule_renders_to_what_it_was_read_from(text: str) -> None:
    """Every form that the API has."""
    read = rule(text)

    assert rule(str(read.render())) == read


@pytest.mark.parametrize(
    "spec",
    [
        "{policyTypes: [egress]}",
        "{egress: [{to: [{}]}]}",
        "{egress: [{to: [{ipBlock: {}}]}]}",
        "{egress: [{to: [{ipBlock: {cidr: x}}]}]}",
        "{egress: [{ports: [{protocol: ICMP}]}]}",
        "{podSelector: {matchExpressions: [{key: a, operator: Like}]}}",
        "{podSelector: {matchLabels: {a: 1}}}",
        "{podSelector: {matchLabels: {a: ä}}}",
    ],
)
def test_a_policy_that_no_api_server_accepts_is_named(spec: str) -> None:
    """Manifests given by hand may hold anything."""
    with pytest.raises(ValueError, match="NetworkPolicy team-a/deny cannot be read"):
        policy(spec)


def test_owners_are_known_by_their_identity() -> None:
    """A name may be used again; a uid never is."""
    meta = {"name": "x", "ownerReferences": [{"uid": "1"}]}

    assert NetworkPolicy.parse({"metadata": meta}).owners == ("1",)
