"""What stays reachable in a namespace that is closed on purpose, as settings say it.

Isolation without a word on storage or the API server would break the first task, so
every group has to be spoken about: an empty one says *nothing of the kind*.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What must stay reachable; `None` means that nobody said.

    Attributes:
        peers: Pods of the same namespace.
        api_server: Of Kubernetes: Ray's autoscaler and Spark's driver call it.
        storage: Object stores for data and artifacts.
        michelangelo: The Michelangelo API server.
    """

    peers: Peers | None = None
    api_server: tuple[Destination, ...] | None = None
    storage: tuple[Destination, ...] | None = None
    michelangelo: tuple[Destination, ...] | None = None

    @property
    def groups(self) -> dict[str, tuple[Destination, ...] | None]:
        """Return the groups of servers, as the settings name them."""
        return {
            "apiServer": self.api_server,
            "storage": self.storage,
            "michelangelo": self.michelangelo,
        }

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the groups nobody spoke about, as the settings name them."""
        said = {"peers": self.peers, **self.groups}
        return tuple(name for name, group in said.items() if group is None)

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """Return the servers of all groups."""
        return tuple(place for group in self.groups.values() for place in group or ())

    @property
    def text(self) -> str:
        """Return it as the setting writes it; `parse_baseline` reads it back."""
        said = {} if self.peers is None else {"peers": str(self.peers)}
        groups = {
            name: [place.text for place in group]
            for name, group in self.groups.items()
            if group is not None
        }
        return json.dumps(said | groups)

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
    known = {"peers", "apiServer", "storage", "michelangelo"}
    if not isinstance(raw, dict) or raw.keys() - known:
        message = f"{origin} must be an object with {', '.join(sorted(known))}"
        raise ValueError(message)
    peers = raw.get("peers")
    if peers is not None and peers not in list(Peers):
        message = f"{origin}: peers must be one of {', '.join(Peers)}"
        raise ValueError(message)
    return Baseline(
        peers=None if peers is None else Peers(peers),
        api_server=_group(raw, "apiServer", origin),
        storage=_group(raw, "storage", origin),
        michelangelo=_group(raw, "michelangelo", origin),
    )


def _group(
    raw: dict[str, Any], name: str, origin: str
) -> tuple[Destination, ...] | None:
    listed = raw.get(name)
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(isinstance(x, str) for x in listed):
        message = f"{origin}: {name} must be a list of HOST[:PORT] or CIDR[:PORT]"
        raise ValueError(message)
    return tuple(parse_extra(one, f"{origin}, {name}") for one in listed)
