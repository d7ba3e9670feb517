"""What stays reachable in a namespace that is closed on purpose, as settings say it.

Isolation without a word on storage or the API server would break the first task, so
every group has to be spoken about: an empty one says *nothing of the kind*.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from webhook.egress.destinations import Destination, parse_extra
from webhook.egress.network_policy import PodPeer, Port, Protocol, Rule
from webhook.egress.own_policy import INJECTED
from webhook.egress.selector import EVERYTHING


class Peers(StrEnum):
    """Which pods of the same namespace a task pod may call, on every port."""

    INJECTED = "injected"
    """Those that the webhook handled: heads, workers, drivers, executors."""
    NAMESPACE = "namespace"
    """All: a Redis or a proxy beside the tasks too."""
    NONE = "none"


GROUPS: Final = ("apiServer", "storage", "michelangelo")
"""Kubernetes' API server, which Ray's autoscaler and Spark's driver call; object stores
for data and artifacts; the Michelangelo API server."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What must stay reachable.

    Attributes:
        peers: Pods of the same namespace; `None` means that nobody said.
        groups: Servers, as the settings name them; one that is not there nobody named.
    """

    peers: Peers | None = None
    groups: Mapping[str, tuple[Destination, ...]] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the groups nobody spoke about, as the settings name them."""
        peers = ("peers",) if self.peers is None else ()
        return (*peers, *(name for name in GROUPS if name not in self.groups))

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """Return the servers of all groups."""
        return tuple(place for group in self.groups.values() for place in group)

    @property
    def text(self) -> str:
        """Return it as the setting writes it; `parse_baseline` reads it back."""
        peers = {} if self.peers is None else {"peers": str(self.peers)}
        groups = {k: [place.text for place in g] for k, g in self.groups.items()}
        return json.dumps(peers | groups)

    def among_pods(self) -> tuple[Rule, ...]:
        """Return the rule for pods of the same namespace."""
        if self.peers in (None, Peers.NONE):
            return ()
        pods = INJECTED if self.peers is Peers.INJECTED else EVERYTHING
        ports = tuple(Port(protocol) for protocol in Protocol)
        return (Rule((PodPeer(pods),), ports),)


def parse_baseline(text: str, origin: str) -> Baseline:
    """Read the setting: JSON with `peers`, `apiServer`, `storage`, `michelangelo`.

    Args:
        text: Such as `{"peers": "injected", "apiServer": ["kubernetes.default.svc"],
            "storage": ["s3.example.com"], "michelangelo": []}`; empty says nothing.
        origin: The setting, for messages.

    Raises:
        ValueError: It is something else; the message names the setting and the part.
    """
    try:
        raw = json.loads(text or "{}")
    except ValueError as error:
        raise ValueError(f"{origin} is no JSON: {error}") from error
    known = ("peers", *GROUPS)
    if not isinstance(raw, dict) or not raw.keys() <= set(known):
        message = f"{origin} must be an object with {', '.join(sorted(known))}"
        raise ValueError(message)
    peers = raw.get("peers")
    if peers is not None and peers not in list(Peers):
        message = f"{origin}: peers must be one of {', '.join(Peers)}"
        raise ValueError(message)
    return Baseline(
        None if peers is None else Peers(peers),
        {k: _group(raw[k], k, origin) for k in GROUPS if raw.get(k) is not None},
    )


def _group(listed: object, name: str, origin: str) -> tuple[Destination, ...]:
    if not isinstance(listed, list) or not all(isinstance(x, str) for x in listed):
        message = f"{origin}: {name} must be a list of HOST[:PORT] or CIDR[:PORT]"
        raise ValueError(message)
    return tuple(parse_extra(one, f"{origin}, {name}") for one in listed)
