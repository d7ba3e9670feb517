"""Which packets policies let pass, by the API's own rules."""

from ipaddress import ip_address

import pytest

from tests.unit.egress.sketch import pod, policy
from webhook.egress.evaluate import PacketVerdict, Target, egress, ingress
from webhook.egress.network_policy import Pod, Protocol

TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP
WORKER = {"ray.io/node-type": "worker"}
TRACKER = pod({"app": "mlflow"}, "ml", (("http", 5000, TCP),), at="10.244.0.7")


def to(target: Pod | str) -> Target:
    """A pod with its address, or an address outside."""
    if isinstance(target, str):
        return Target(ip_address(target))
    return Target(target.addresses[0], target)


def test_a_pod_that_nothing_selects_may_do_anything() -> None:
    """Isolation begins with a policy."""
    other = policy("{podSelector: {matchLabels: {a: b}}, policyTypes: [Egress]}")

    assert egress([other], pod(WORKER), to("203.0.113.7"), 443, TCP) == PacketVerdict(
        allowed=True
    )


def test_a_selected_pod_may_do_what_rules_permit_and_nothing_else() -> None:
    """The verdict names the policies that isolate and the rule that permits."""
    deny = policy("{podSelector: {}, policyTypes: [Egress]}")
    spec = (
        "{policyTypes: [Egress],"
        " egress: [{ports: [{port: 53}]}, {ports: [{port: 80}]}]}"
    )
    allow = policy(spec, "allow")

    assert egress([deny, allow], pod(), to("203.0.113.7"), 80, TCP) == PacketVerdict(
        allowed=True, isolated_by=("allow", "deny"), allowed_by=("allow", 1)
    )
    assert egress([deny, allow], pod(), to("203.0.113.7"), 81, TCP) == PacketVerdict(
        allowed=False, isolated_by=("allow", "deny")
    )


@pytest.mark.parametrize(
    ("rule", "target", "port", "protocol", "allowed"),
    [
        ("{}", "203.0.113.7", 443, TCP, True),
        ("{to: [], ports: [{port: 443}]}", "203.0.113.7", 443, TCP, True),
        ("{ports: [{port: 443}]}", "203.0.113.7", 443, UDP, False),
        ("{ports: [{protocol: SCTP}]}", "203.0.113.7", 9, SCTP, True),
        ("{ports: [{port: 8000, endPort: 8100}]}", "203.0.113.7", 8100, TCP, True),
        ("{ports: [{port: 8000, endPort: 8100}]}", "203.0.113.7", 8101, TCP, False),
        ("{ports: [{port: 8000, endPort: 8100}]}", "203.0.113.7", 7999, TCP, False),
        ("{ports: [{port: http}]}", TRACKER, 5000, TCP, True),
        ("{ports: [{port: http}]}", TRACKER, 5001, TCP, False),
        ("{ports: [{port: http}]}", "203.0.113.7", 5000, TCP, False),
        ("{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}", "203.0.113.7", 1, TCP, True),
        ("{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}", "203.0.114.7", 1, TCP, False),
        (
            "{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}]}",
            "203.0.113.7",
            1,
            TCP,
            False,
        ),
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}", "2001:db8::1", 1, TCP, False),
        ("{to: [{ipBlock: {cidr: '2001:db8::/32'}}]}", "2001:db8::1", 1, TCP, True),
        ("{to: [{ipBlock: {cidr: 10.244.0.0/16}}]}", TRACKER, 1, TCP, True),
        ("{to: [{podSelector: {}}]}", TRACKER, 1, TCP, False),
        ("{to: [{podSelector: {}}]}", pod(), 1, TCP, True),
        ("{to: [{podSelector: {}}]}", "203.0.113.7", 1, TCP, False),
        ("{to: [{podSelector: {}}]}", pod(host_network=True), 1, TCP, False),
        ("{to: [{namespaceSelector: {}}]}", TRACKER, 1, TCP, True),
        (
            "{to: [{namespaceSelector:"
            " {matchLabels: {kubernetes.io/metadata.name: ml}},"
            " podSelector: {matchLabels: {app: mlflow}}}]}",
            TRACKER,
            1,
            TCP,
            True,
        ),
        (
            "{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: x}}}]}",
            TRACKER,
            1,
            TCP,
            False,
        ),
    ],
)
def test_an_egress_rule_permits_what_it_says(
    rule: str, target: Pod | str, port: int, protocol: Protocol, allowed: bool
) -> None:
    """Peers and ports, in every form."""
    isolating = policy(f"{{policyTypes: [Egress], egress: [{rule}]}}")

    assert egress([isolating], pod(), to(target), port, protocol).allowed == allowed


def test_a_pod_on_the_host_network_is_never_isolated() -> None:
    """Policies see the node's address, not the pod."""
    deny = policy("{podSelector: {}, policyTypes: [Egress, Ingress]}")
    host = pod(host_network=True)

    assert egress([deny], host, to("203.0.113.7"), 443, TCP).allowed
    assert ingress([deny], host, to("203.0.113.7"), 443, TCP).allowed


def test_a_pod_on_the_host_network_has_no_named_ports() -> None:
    """To a policy it is an address like any other."""
    spec = "{policyTypes: [Egress], egress: [{ports: [{port: http}]}]}"
    host = pod(ports=(("http", 80, TCP),), host_network=True)

    assert not egress([policy(spec)], pod(), to(host), 80, TCP).allowed


def test_a_policy_of_another_namespace_selects_nothing_here() -> None:
    """Policies are namespaced."""
    deny = policy("{podSelector: {}, policyTypes: [Egress]}", namespace="team-b")

    assert egress([deny], pod(), to("203.0.113.7"), 443, TCP).allowed


def test_a_policy_without_egress_isolates_ingress_only() -> None:
    """A guide's `deny-cross-namespace` leaves egress open."""
    deny = policy("{podSelector: {}}")

    assert egress([deny], pod(), to("203.0.113.7"), 443, TCP).allowed
    assert not ingress([deny], pod(), to("203.0.113.7"), 443, TCP).allowed


def test_ingress_rules_are_read_with_the_receiving_pods_ports() -> None:
    """Whoever calls, the port's name is the receiver's."""
    spec = (
        "{policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]},"
        " {from: [{namespaceSelector:"
        " {matchLabels: {kubernetes.io/metadata.name: team-a}}}],"
        " ports: [{port: http}]}]}"
    )
    open_door = policy(spec, "door", "ml")

    assert ingress([open_door], TRACKER, to(pod()), 5000, TCP) == PacketVerdict(
        allowed=True, isolated_by=("door",), allowed_by=("door", 1)
    )
    assert not ingress([open_door], TRACKER, to(pod()), 5001, TCP).allowed


def test_without_an_address_no_block_matches() -> None:
    """Cilium's reading: a block is for addresses outside the cluster."""
    block = "{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"

    assert not egress([policy(block)], pod(), Target(pod=TRACKER), 5000, TCP).allowed
