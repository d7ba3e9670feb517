"""Shadows add what was declared, to injected pods, and take nothing from anybody.

What is lost, gained or missing is said by network-config-analyzer; what was declared
is written down here from the wish, not taken from the policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.additions import NONE, differences, selected, service
from tests.oracle.judges import Json, Judge
from tests.oracle.worlds import NAMESPACES, World, labels, worlds
from webhook.egress.destinations import Destination
from webhook.egress.rules import rules_for
from webhook.egress.services import Service, ServiceIndex
from webhook.egress.shadow import isolating, shadows
from webhook.injection.names import INJECTED_LABEL, INJECTED_TRUE

NAMESERVER = "10.0.0.10"
CLUSTER_IP = "10.0.0.20"
_DNS_LABELS = {"app": "x"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What task pods should reach.

    Attributes:
        resolved: Addresses of `t.example`, dialed on 443; none when DNS failed.
        ranges: Addresses and ranges, dialed on 8080.
        selector: Labels of the pods behind `tracker.b`, which is dialed on 80 and
            listens on 8080; `None` when it is not dialed.
    """

    resolved: tuple[str, ...]
    ranges: tuple[str, ...]
    selector: dict[str, str] | None
    spelled: str = "tracker.b"

    @property
    def dials_pods(self) -> bool:
        """Whether the name is one of a single pod behind the Service."""
        return self.spelled.startswith("p0.")


def wishes() -> st.SearchStrategy[Wish]:
    """Any mix of destinations."""
    return st.builds(
        Wish,
        # The first two are adjacent, and become one range.
        resolved=_some("203.0.113.6", "203.0.113.7", "2001:db8::7"),
        ranges=_some("198.51.100.1/32", "203.0.113.128/25"),
        selector=st.none() | labels(),
        spelled=st.sampled_from(
            [
                "tracker.b",
                "tracker.b.svc.cluster.local",
                "alias.b",
                "p0.tracker.b.svc.cluster.local",
                "p0.tracker.b",
            ]
        ),
    )


def _some(*texts: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(texts), max_size=2, unique=True).map(tuple)


def needed(wish: Wish) -> tuple[list[Service], list[Destination]]:
    """The operator's Services in namespace b, and what task pods dial."""
    ports = [(53, 53, "UDP"), (53, 53, "TCP")]
    services = [Service.parse(service("b", "dns", NAMESERVER, _DNS_LABELS, ports))]
    destinations = [Destination("t.example", 443, "TRACKING_URI")]
    destinations += [Destination(cidr, 8080, "hosts") for cidr in wish.ranges]
    if wish.selector is not None:
        ports = [(80, 8080, "TCP")]
        tracker = service("b", "tracker", CLUSTER_IP, wish.selector, ports)
        services.append(Service.parse(tracker))
        alias = {"externalName": "tracker.b.svc.cluster.local"}
        meta = {"name": "alias", "namespace": "b"}
        services.append(Service.parse({"metadata": meta, "spec": alias}))
        port = 8080 if wish.dials_pods else 80
        destinations.append(Destination(wish.spelled, port, "TRACKING_URI"))
    return services, destinations


def planned(world: World, wish: Wish) -> list[Json]:
    """The policies that both namespaces get."""
    services, destinations = needed(wish)
    known = {"t.example": tuple(ip_address(a) for a in wish.resolved)}
    policies = world.read_policies()
    written = []
    for name in NAMESPACES:
        own = [p for p in policies if p.namespace == name]
        catalog = ServiceIndex.of(services)
        reached = rules_for(
            destinations, name, catalog, known, [ip_address(NAMESERVER)]
        )
        made = shadows(name, isolating(own), reached.rules)
        written += [policy.manifest() for policy in made]
    return written


def outside(world: World, wish: Wish) -> Iterator[Json]:
    """What every injected pod must be able to reach outside of the cluster."""
    yield from _to(world, [f"{NAMESERVER}/32"], 53, "UDP")
    yield from _to(world, [f"{NAMESERVER}/32"], 53, "TCP")
    resolved = [f"{a}/{ip_address(a).max_prefixlen}" for a in wish.resolved]
    yield from _to(world, resolved, 443)
    yield from _to(world, list(wish.ranges), 8080)
    if wish.selector is not None and not wish.dials_pods:
        yield from _to(world, [f"{CLUSTER_IP}/32"], 80)


def inside(world: World, wish: Wish) -> Iterator[Json]:
    """The pods that may become reachable for injected pods."""
    for protocol in ("UDP", "TCP"):
        yield from _to(world, selected(world, "b", _DNS_LABELS), 53, protocol)
    if wish.selector:
        yield from _to(world, selected(world, "b", wish.selector), 8080)


def _to(
    world: World, targets: list[str], port: int, protocol: str = "TCP"
) -> list[Json]:
    injected = [
        f"{p['metadata']['namespace']}/{p['metadata']['name']}"
        for p in world.pods
        if p["metadata"]["labels"].get(INJECTED_LABEL) == INJECTED_TRUE
    ]
    if not injected or not targets:
        return []
    wish = {"sources": injected, "targets": targets}
    return [{**wish, "port": port, "protocol": protocol}]


@settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(world=worlds(host_network=False), wish=wishes())
def test_nothing_is_lost_and_only_what_was_declared_is_gained(
    analyzer: Judge, world: World, wish: Wish
) -> None:
    """For every world, before against after."""
    expected = list(outside(world, wish))
    gained = differences(
        analyzer,
        world,
        planned(world, wish),
        declared=[*expected, *inside(world, wish)],
        expected=expected,
    )

    assert NONE == gained
