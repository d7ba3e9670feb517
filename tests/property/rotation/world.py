"""A small cluster in which time, lag and tampering are ours to choose.

It holds the objects of the API, the API servers that learn of a bundle late and the
webhook replicas that learn of a pair late, and checks the invariants whenever anything
changes or time passes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from certs import bundle
from certs.codec import decode_pair
from certs.model import Generation, Material
from certs.validate import CertificateReason
from tests.property.rotation.parties import Replica, Server
from tests.property.rotation.timeline import START, Timeline
from webhook.companion.certificates.objects import ObjectNames
from webhook.injection.names import CONTENT_LABEL, MANAGED_BY, ROTATE_ANNOTATION

if TYPE_CHECKING:
    import random

    from certs.policy import CertificatePolicy
    from webhook.cluster.interface import Json

PLACE = ObjectNames(
    namespace="system",
    service="injector",
    configuration="injector",
    state_secret="injector-tls-state",  # noqa: S106 - a name
    pair_secret="injector-tls",  # noqa: S106 - a name
)
BUNDLE_LAG = 200.0
MOUNT_LAG = 120.0


Inspect = Callable[[Material], Generation | CertificateReason]


class World(Timeline):
    """The objects of the API, and everybody who learns of them."""

    def __init__(
        self, rng: random.Random, inspect: Inspect, policy: CertificatePolicy
    ) -> None:
        """An empty cluster; `rng` decides every lag."""
        super().__init__()
        self.rng = rng
        self.inspect = inspect
        self.policy = policy
        self.configuration: Json | None = None
        self.secrets: dict[str, Json] = {}
        self.replicas: list[Replica] = []
        self.servers: list[Server] = []
        self.listeners: list[Callable[[], None]] = []
        self.server_offset = timedelta(0)
        self.tampered = False
        self.excused_until = START
        self._since: dict[str, datetime] = {}
        self._written: set[str] = set()
        self.watchdogs.append(self.check)

    # --- setting up ---

    def install(self, *, replicas: int, servers: int) -> None:
        """What the chart leaves: empty Secrets, a configuration without bundles."""
        self.create_secret(PLACE.state_secret)
        self.create_secret(PLACE.pair_secret)
        self.configuration = {
            "metadata": {
                "name": PLACE.configuration,
                "uid": "c0",
                "generation": 1,
                "resourceVersion": self._version(),
            },
            "webhooks": [
                {"name": name, "clientConfig": {"service": {"name": "injector"}}}
                for name in ("ray", "spark")
            ],
        }
        self.servers = [Server(f"server{n}") for n in range(servers)]
        skew = self.policy.skew
        self.server_offset = self.rng.choice((-skew, timedelta(0), skew))
        self.replicas = [Replica(f"10.0.0.{n + 1}") for n in range(replicas)]

    def create_secret(self, name: str) -> None:
        """What `helm upgrade` does for a Secret that is gone."""
        if name in self.secrets:
            return
        version = self._version()
        self.secrets[name] = {
            "metadata": {
                "name": name,
                "namespace": PLACE.namespace,
                "uid": f"u{version}",
                "resourceVersion": version,
                "labels": {CONTENT_LABEL: MANAGED_BY},
            }
        }

    # --- invariants ---

    def check(self, occasion: str) -> None:
        """I1: whoever serves is trusted everywhere, by clocks within the skew."""
        if self.tampered or self.now <= self.excused_until:
            return
        for replica in self.replicas:
            leaf = replica.loaded
            if leaf is None:
                continue
            skew = self.policy.skew
            if not leaf.not_before + skew <= self.now <= leaf.not_after - skew:
                self.fail(f"I1 validity of {leaf.fingerprint} after {occasion}")
            for server in self.servers:
                if leaf.root.fingerprint not in server.sees:
                    self.fail(
                        f"I1 trust: {server.name} sees {sorted(server.sees)}, "
                        f"{replica.name} serves {leaf.fingerprint} after {occasion}"
                    )

    def pems(self) -> list[bytes]:
        """The bundle of each entry."""
        entries = self.configuration["webhooks"] if self.configuration else ()
        return [pem_of(entry) for entry in entries]

    def live_roots(self) -> frozenset[str]:
        """Fingerprints in every entry's bundle."""
        if self.configuration is None:
            return frozenset()
        each = [{root.fingerprint for root in bundle.parse(pem)} for pem in self.pems()]
        return frozenset(set.intersection(*each))

    # --- the API ---

    def put_bundles(self, pems: list[bytes], by: str) -> None:
        """The stored bundles change; API servers hear of it, each in its own time."""
        assert self.configuration is not None
        before = self.live_roots()
        for entry, pem in zip(self.configuration["webhooks"], pems, strict=True):
            text = base64.b64encode(pem).decode()
            entry["clientConfig"] = entry["clientConfig"] | {"caBundle": text}
        meta = self.configuration["metadata"]
        meta["generation"] += 1
        meta["resourceVersion"] = self._version()
        after = self.live_roots()
        self._since = {root: self._since.get(root, self.now) for root in after}
        self.note(f"{by} writes bundle {sorted(after)}")
        if by.startswith("c"):
            self._check_prune(before - after)
        for server in self.servers:
            self._deliver(server, BUNDLE_LAG, partial(self._learn, server, after))
        self._settle()

    def _check_prune(self, dropped: frozenset[str]) -> None:
        """I3: no replica still serves what a companion drops, unless it expired."""
        if self.tampered:
            return
        for replica in self.replicas:
            leaf = replica.loaded
            if leaf and leaf.root.fingerprint in dropped and self.now < leaf.not_after:
                self.fail(
                    f"I3 {leaf.root.fingerprint} dropped, {replica.name} needs it"
                )

    def _deliver(
        self, to: Server | Replica, lag: float, event: Callable[[], None]
    ) -> None:
        """In order: never before what was sent earlier."""
        lagged = self.now + timedelta(seconds=self.rng.random() * lag)
        to.up_to = max(to.up_to, lagged)
        self.at((to.up_to - self.now).total_seconds(), event)

    def _learn(self, server: Server, roots: frozenset[str]) -> None:
        server.sees = roots
        self.check(f"{server.name} learned of {sorted(roots)}")

    def put_data(self, name: str, data: dict[str, str], by: str) -> None:
        """A Secret's data changes; mounts follow, each in its own time."""
        secret = self.secrets[name]
        secret["data"] = data
        secret["metadata"]["resourceVersion"] = self._version()
        self.note(f"{by} writes {name} {sorted(data)}")
        if name != PLACE.pair_secret:
            return
        found = self.pair()
        if by.startswith("c"):
            self._check_order(found)
        if found is None:
            return
        for replica in self.replicas:
            self._deliver(replica, MOUNT_LAG, partial(self._load, replica, found))

    def _check_order(self, found: Generation | None) -> None:
        """I2: what is served was trusted for the dwell before; I5: it is a pair."""
        if found is None:
            self.fail("I5 a companion wrote something that is no pair")
        if not any(replica.loaded for replica in self.replicas):
            # A first installation, or all replicas are new and wait for a pair: nothing
            # is in service that waiting could protect.
            self.excused_until = self.now + timedelta(seconds=BUNDLE_LAG + 1)
        again = found.fingerprint in self._written
        self._written.add(found.fingerprint)
        if again or self.tampered or self.now <= self.excused_until:
            return
        since = self._since.get(found.root.fingerprint)
        if since is None or self.now - since < self.policy.bundle_dwell:
            self.fail(f"I2 {found.fingerprint} written, trusted since {since}")

    def _load(self, replica: Replica, found: Generation) -> None:
        replica.loaded = found
        self.note(f"{replica.name} loads {found.fingerprint}")
        self._settle()
        self.check(f"{replica.name} loaded {found.fingerprint}")

    def pair(self) -> Generation | None:
        """What the serving Secret holds."""
        secret = self.secrets.get(PLACE.pair_secret, {})
        found = self.inspect(decode_pair(secret.get("data")))
        return found if isinstance(found, Generation) else None

    def restart(self, replica: Replica) -> None:
        """A new pod mounts what the Secret holds; without a pair it is not ready."""
        replica.loaded = self.pair()
        self.note(f"{replica.name} restarts with {replica.loaded and 'a pair'}")
        self._settle()
        self.check(f"{replica.name} restarted")

    # --- tampering ---

    def tamper(self, pems: list[bytes]) -> None:
        """Somebody writes the configuration: what replicas serve may be untrusted."""
        if self.configuration is None:
            return
        self.tampered = True
        self.put_bundles(pems, "somebody")
        self._changed()

    def _settle(self) -> None:
        """The repair window ends when all that serves is in every bundle again."""
        if not self.tampered:
            return
        served = [replica.loaded for replica in self.replicas] + [self.pair()]
        needed = {leaf.root.fingerprint for leaf in served if leaf}
        if needed and needed <= self.live_roots():
            self.tampered = False
            self.excused_until = self.now + timedelta(seconds=BUNDLE_LAG + 1)

    def touch_secret(self, name: str, data: dict[str, str] | None) -> None:
        """Somebody empties or damages a Secret, or deletes it (None)."""
        if name not in self.secrets:
            return
        if data is None:
            del self.secrets[name]
            self.note(f"somebody deletes {name}")
            self.at(
                self.rng.choice((10, 3600, 86400)), lambda: self.create_secret(name)
            )
        else:
            self.put_data(name, data, "somebody")
        self._changed()

    def disown(self, name: str) -> None:
        """The label that makes a Secret ours is gone."""
        self._label(name, {})
        self.note(f"somebody disowns {name}")

    def own(self, name: str) -> None:
        """The label is back."""
        self._label(name, {CONTENT_LABEL: MANAGED_BY})

    def _label(self, name: str, labels: dict[str, str]) -> None:
        if name in self.secrets:
            meta = self.secrets[name]["metadata"]
            meta |= {"labels": labels, "resourceVersion": self._version()}

    def request_rotation(self) -> None:
        """What `tracking-injector certs rotate --now` does."""
        secret = self.secrets.get(PLACE.state_secret)
        if secret is None:
            return
        secret["metadata"]["annotations"] = {ROTATE_ANNOTATION: str(self.now)}
        secret["metadata"]["resourceVersion"] = self._version()
        self.note("somebody asks for a rotation")
        self._changed()

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()

    def _version(self) -> str:
        return str(self.number())


def pem_of(entry: Json) -> bytes:
    """The bundle of one webhook entry."""
    return base64.b64decode(entry["clientConfig"].get("caBundle", ""))
