"""Walks from a pod to everything it should reach, policy by policy. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from webhook.cli.egress_scene import Scene
from webhook.egress.evaluate import Target, egress, ingress
from webhook.egress.network_policy import IpBlock, Peer, Pod, PodPeer, Port
from webhook.egress.rules import EgressRules
from webhook.egress.selector import Operator, Selector


@dataclass(frozen=True, slots=True)
class Leg:
    """One way that has to be open.

    Attributes:
        to: The other end, for people.
        leaves: The pod's own policies let the packet out.
        arrives: The policies at the other end let it in.
        why: Which policies decide, in one phrase.
    """

    to: str
    leaves: bool
    arrives: bool
    why: str

    @property
    def is_open(self) -> bool:
        """Both ends agree."""
        return self.leaves and self.arrives


def walk(scene: Scene, pod: Pod, reached: EgressRules) -> Iterator[Leg]:
    """Every peer and port that a pod should reach."""
    for rule in reached.rules:
        for peer in rule.peers:
            for port in rule.ports:
                yield _leg(scene, pod, peer, port)


def _leg(scene: Scene, pod: Pod, peer: Peer, port: Port) -> Leg:
    number = port.port if isinstance(port.port, int) else 0
    target = _target(scene, peer)
    out = egress(scene.policies, pod, target, number, port.protocol)
    to = f"{_named(peer)} {port.protocol}/{number}"
    if not out.allowed:
        isolated = ", ".join(out.isolated_by)
        return Leg(to, False, True, f"isolated by {isolated}; no rule permits it")
    why = "nothing isolates the pod"
    if out.allowed_by is not None:
        why = f"permitted by rule {out.allowed_by[1] + 1} of {out.allowed_by[0]}"
    if target.pod is None:
        return Leg(to, True, True, why)
    source = Target(next(iter(pod.addresses), None), pod)
    entry = ingress(scene.policies, target.pod, source, number, port.protocol)
    if entry.allowed:
        return Leg(to, True, True, why)
    closed = ", ".join(entry.isolated_by)
    where = target.pod.namespace
    return Leg(to, True, False, f"DestinationIngressBlocked: {closed} in {where}")


def _target(scene: Scene, peer: Peer) -> Target:
    """A pod there is, else one as the selector describes it."""
    if isinstance(peer, IpBlock):
        return Target(peer.network.network_address)
    for pod in scene.pods:
        spaces = peer.namespaces or Selector()
        if peer.pods.matches(pod.labels) and spaces.matches(pod.namespace_labels):
            return Target(next(iter(pod.addresses), None), pod)
    return Target(None, _described(scene, peer))


def _described(scene: Scene, peer: PodPeer) -> Pod:
    labels = _labels(peer.pods)
    space = _labels(peer.namespaces or Selector())
    name = next(iter(space.values()), "default")
    return Pod(name, "any", labels, {**space, **scene.labels.get(name, {})})


def _labels(selector: Selector) -> dict[str, str]:
    single = (r for r in selector.requirements if r.operator is Operator.IN)
    return {r.key: r.values[0] for r in single}


def _named(peer: Peer) -> str:
    if isinstance(peer, IpBlock):
        return str(peer.network)
    space = ",".join(_labels(peer.namespaces or Selector()).values())
    labels = ",".join(f"{k}={v}" for k, v in _labels(peer.pods).items())
    return f"pods {labels or '*'} in {space or 'the same namespace'}"
