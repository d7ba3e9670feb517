"""Answers worlds with network-config-analyzer, as a library in one process.

Runs in the analyzer's own environment, which pins old libraries. Reads worlds as JSON,
one a line, and writes one line for each: which packets pass, what `after` lost against
`before`, what it gained that was not declared, and what it should permit and does not.
"""

import contextlib
import io
import itertools
import json
import sys
from typing import Any

from nca.CoreDS.ConnectivityProperties import ConnectivityProperties
from nca.CoreDS.Peer import BasePeerSet, IpBlock, PeerSet
from nca.CoreDS.PortSet import PortSet
from nca.CoreDS.ProtocolSet import ProtocolSet
from nca.NetworkConfig.NetworkConfig import NetworkConfig
from nca.NetworkConfig.PeerContainer import PeerContainer
from nca.NetworkConfig.PoliciesFinder import PoliciesFinder
from nca.NetworkConfig.TopologyObjectsFinder import NamespacesFinder, PodsFinder
from nca.Utils.NcaLogger import NcaLogger

Json = dict[str, Any]

_PROTOCOLS = ("TCP", "UDP", "SCTP")


class World:
    """The pods and namespaces of one world, known to the analyzer."""

    def __init__(self, raw: Json) -> None:
        """Forgets the world before: the analyzer numbers peers globally."""
        BasePeerSet.reset()
        BasePeerSet()
        namespaces, pods = NamespacesFinder(), PodsFinder()
        for item in raw["namespaces"]:
            namespaces.parse_yaml_code_for_ns({**item, "kind": "Namespace"})
        pods.namespaces_finder = namespaces
        for item in raw["pods"]:
            pods.add_eps_from_yaml({**item, "kind": "Pod"})
        self._finder, self._namespaces = pods, namespaces
        self._by_name = {pod.full_name(): pod for pod in pods.peer_set}

    def connections(self, policies: list[Json]) -> Any:
        """Everything that policies permit between pods and with the outside."""
        container = PeerContainer(
            self._finder.peer_set,
            self._namespaces.namespaces,
            [],
            self._finder.representative_peers,
        )
        finder = PoliciesFinder()
        finder.set_peer_container(container)
        for policy in policies:
            finder.parse_yaml_code_for_policy(policy, "world")
        finder.parse_policies_in_parse_queue()
        config = NetworkConfig("world", container, finder)
        return config.filter_conns_by_peer_types(
            config.allowed_connections().all_allowed_conns
        )

    def all_of(self, wanted: list[Json]) -> Any:
        """The connections from pods to pods or CIDRs on a port, for each item."""
        found = ConnectivityProperties.make_empty_props()
        for item in wanted:
            ports = PortSet()
            ports.add_port(item["port"])
            protocol = ProtocolSet.get_protocol_set_with_single_protocol(
                item["protocol"]
            )
            found |= ConnectivityProperties.make_conn_props_from_dict(
                {
                    "src_peers": self._peers(item["sources"]),
                    "dst_peers": self._peers(item["targets"]),
                    "dst_ports": ports,
                    "protocols": protocol,
                }
            )
        return found

    def passing(self, connections: Any, outside: list[str], ports: list[int]) -> Any:
        """The packets among pods, addresses and ports that connections contain.

        Cube by cube: asking for each packet on its own takes the analyzer seconds.
        """
        found: set[tuple[str, str, int, str]] = set()
        targets = {name: self._one(name) for name in (*self._by_name, *outside)}
        for cube in connections:
            sides = connections.get_connectivity_cube(cube)
            sources, receivers = sides["src_peers"], sides["dst_peers"]
            protocols = [p for p in _PROTOCOLS if p in sides["protocols"]]
            numbers = [n for n in ports if n in sides["dst_ports"].port_set]
            found.update(
                itertools.product(
                    [name for name, pod in self._by_name.items() if pod in sources],
                    [name for name, peer in targets.items() if peer in receivers],
                    numbers,
                    protocols,
                )
            )
        return sorted(found)

    def _one(self, name: str) -> Any:
        return self._by_name.get(name) or IpBlock(name)

    def _peers(self, names: list[str]) -> Any:
        peers = PeerSet()
        for name in names:
            peers.add(self._one(name))
        return peers


def judge(raw: Json) -> Json:
    """Answers one world."""
    world = World(raw)
    before = world.connections(raw["before"])
    after = world.connections(raw["after"])
    return {
        "passing": world.passing(before, raw["targets"], raw["ports"]),
        "lost": _told(before - after),
        "undeclared": _told(after - before - world.all_of(raw["declared"])),
        "missing": _told(world.all_of(raw["expected"]) - after),
        "gained": bool(after - before),
    }


def _told(connections: Any) -> str:
    return str(connections) if connections else ""


def main() -> None:
    """Reads until the end of input; the analyzer's own chatter goes nowhere."""
    NcaLogger().mute()
    NcaLogger().dont_collect_msgs()
    for line in sys.stdin:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            answer = judge(json.loads(line))
        print(json.dumps(answer), flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    main()
