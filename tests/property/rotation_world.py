"""A small cluster in which time, lag, faults and rivals are ours to choose.

The companion's own code runs here unchanged, against a port that can fail, stall or
die at every call. What is abstract is the material: the mint's certificates are names
with dates, so that a history of a hundred days costs milliseconds. A separate test runs
histories with real certificates.

Between two calls of one companion anything can happen: a stall lets time pass, and with
it the other companions' turns, deliveries to API servers and mounts, and tampering.
"""

from __future__ import annotations

import base64
import heapq
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from certs import bundle
from certs.assess import Reason, Verdict
from certs.material import Generation, Material, PrivateKey, Root
from certs.policy import Policy
from certs.state import Phase, Served
from webhook.cluster.errors import (
    ClusterError,
    Conflict,
    NotFound,
    Throttled,
    Unavailable,
)
from webhook.cluster.kinds import SECRET, WEBHOOK_CONFIGURATION, Kind
from webhook.cluster.ports import Json, Key, Listing, Selection
from webhook.companion.certificates.concern import Certificates
from webhook.companion.certificates.handshake import Address
from webhook.companion.certificates.words import (
    ROTATE_ANNOTATION,
    Clocks,
    Outcome,
    Place,
)
from webhook.injection.names import MANAGED_BY, MANAGED_BY_LABEL

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = Place(
    namespace="system",
    service="injector",
    configuration="injector",
    state_secret="injector-tls-state",  # noqa: S106 - a name
    pair_secret="injector-tls",  # noqa: S106 - a name
)
POLICY = Policy(names=("injector.system.svc",))
BUNDLE_LAG = 200.0
MOUNT_LAG = 120.0
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\n\w+\n-----END CERTIFICATE-----\n")


class CrashError(BaseException):
    """The companion's process died. No code under test may catch it."""


class Violation(AssertionError):  # noqa: N818 - a finding, not an error
    """An invariant did not hold; the message names it and the moment."""


class Mint:
    """Issues certificates that are only names with dates, and knows them again."""

    def __init__(self) -> None:
        self.roots: dict[bytes, Root] = {}
        self.generations: dict[Material, Generation] = {}

    def issue(self, policy: Policy, now: datetime) -> Generation:
        number = len(self.roots)
        span = now - policy.backdate, now + policy.life
        root = self.root(f"root{number}", span)
        found = Generation(
            root,
            f"leaf{number}".encode(),
            PrivateKey(f"key{number}".encode()),
            f"leaf{number}",
            *span,
            frozenset(policy.names),
        )
        self.generations[found.material] = found
        return found

    def root(self, name: str, span: tuple[datetime, datetime]) -> Root:
        text = f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"
        root = Root(text.encode(), name, *span)
        self.roots[root.pem] = root
        return root

    def inspect(self, material: Material) -> Generation | Verdict:
        missing = Verdict(Reason.MISSING, "nothing of the mint's")
        return self.generations.get(material, missing)

    def parse(self, pem: bytes) -> tuple[Root, ...]:
        return bundle.union(
            self.roots[block] for block in _BLOCK.findall(pem) if block in self.roots
        )


@contextmanager
def abstract_material(mint: Mint) -> Iterator[None]:
    """Lets the code under test read the mint's certificates instead of X.509."""
    with (
        patch("certs.codec.inspect", mint.inspect),
        patch("webhook.companion.certificates.look.inspect", mint.inspect),
        patch("certs.bundle.parse", mint.parse),
    ):
        yield


@dataclass(slots=True, kw_only=True)
class Faults:
    """How rough a history is: probabilities for each call or each chance."""

    error: float = 0.0
    crash: float = 0.0
    stall: float = 0.0
    probe: float = 0.0


@dataclass(slots=True)
class Replica:
    """A webhook process: keeps the last good pair its mount showed."""

    name: str
    loaded: Generation | None = None


@dataclass(slots=True)
class Companion:
    """A companion process with clocks of its own; a crash loses its memory."""

    name: str
    offset: timedelta
    once: bool
    concern: Certificates | None = None
    busy: bool = False
    asleep_until: datetime = START
    frozen: timedelta = timedelta(0)
    frozen_at: datetime | None = None
    step: timedelta = timedelta(0)
    outcome: Outcome | None = None


@dataclass(slots=True)
class World:
    """True time, the objects of the API, and everybody who reads or writes them."""

    rng: random.Random
    mint: Mint
    faults: Faults
    issue: Callable[[Policy, datetime], Generation]
    policy: Policy = POLICY
    now: datetime = START
    configuration: Json | None = None
    secrets: dict[str, Json] = field(default_factory=dict)
    replicas: list[Replica] = field(default_factory=list)
    companions: list[Companion] = field(default_factory=list)
    views: list[frozenset[str]] = field(default_factory=list)
    writes: int = 0
    log: list[str] = field(default_factory=list)
    causes: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    tampered: bool = False
    excused_until: datetime = START
    since: dict[str, datetime] = field(default_factory=dict)
    _versions: int = 0
    _events: list[tuple[datetime, int, Callable[[], None]]] = field(
        default_factory=list
    )
    _delivery: list[datetime] = field(default_factory=list)
    _mounted: list[datetime] = field(default_factory=list)

    # --- setting up ---

    def install(self, *, companions: int, replicas: int, servers: int) -> None:
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
        self.views = [frozenset()] * servers
        self._delivery = [START] * servers
        self.replicas = [Replica(f"10.0.0.{n + 1}") for n in range(replicas)]
        self._mounted = [START] * replicas
        for number in range(companions):
            skew = self.policy.skew.total_seconds()
            offset = timedelta(seconds=self.rng.choice((-skew, 0, skew)))
            self.companions.append(Companion(f"c{number}", offset, once=False))

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
                "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            }
        }

    # --- time ---

    def at(self, delay: float, event: Callable[[], None]) -> datetime:
        """Lets something happen `delay` seconds from now."""
        when = self.now + timedelta(seconds=delay)
        self._versions += 1
        heapq.heappush(self._events, (when, self._versions, event))
        return when

    def advance(self, to: datetime) -> None:
        """Lets time pass and everything happen that is due by then."""
        while self._events and self._events[0][0] <= to:
            when, _, event = heapq.heappop(self._events)
            if when > self.now:
                self.now = when
                self.check("time passed")
            event()
        self.now = max(self.now, to)

    def note(self, text: str) -> None:
        """One line of the history, printed when it fails."""
        self.log.append(f"{self.now - START} {text}")

    def fail(self, invariant: str) -> None:
        """The history ends here."""
        raise Violation(f"{invariant} at {self.now - START}\n" + "\n".join(self.log))

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
            for server, view in enumerate(self.views):
                if leaf.root.fingerprint not in view:
                    self.fail(
                        f"I1 trust: server {server} sees {sorted(view)}, "
                        f"{replica.name} serves {leaf.fingerprint} after {occasion}"
                    )

    def live_roots(self) -> frozenset[str]:
        """Fingerprints in every entry's bundle."""
        if self.configuration is None:
            return frozenset()
        each = [
            {root.fingerprint for root in bundle.parse(_pem(entry))}
            for entry in self.configuration["webhooks"]
        ]
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
        self.since = {root: self.since.get(root, self.now) for root in after}
        self.note(f"{by} writes bundle {sorted(after)}")
        if by.startswith("c"):
            self._check_prune(before - after)
        for server in range(len(self.views)):
            # A watch delivers in order: never before what was written earlier.
            lag = self.rng.random() * BUNDLE_LAG
            when = max(self._delivery[server], self.now + timedelta(seconds=lag))
            self._delivery[server] = when
            self.at((when - self.now).total_seconds(), self._deliverer(server, after))
        self._settle()

    def _check_prune(self, dropped: frozenset[str]) -> None:
        """I3: no replica still serves what a companion drops, unless it expired."""
        if self.tampered:
            return
        for replica in self.replicas:
            leaf = replica.loaded
            if leaf and leaf.root.fingerprint in dropped and self.now < leaf.not_after:
                self.fail(f"I3 {leaf.root.fingerprint} dropped, {replica.name} needs it")

    def _deliverer(self, server: int, roots: frozenset[str]) -> Callable[[], None]:
        def deliver() -> None:
            self.views[server] = roots
            self.check(f"server {server} learned of {sorted(roots)}")

        return deliver

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
        for number, replica in enumerate(self.replicas):
            lag = self.rng.random() * MOUNT_LAG
            when = max(self._mounted[number], self.now + timedelta(seconds=lag))
            self._mounted[number] = when
            self.at((when - self.now).total_seconds(), self._loader(replica, found))

    def _check_order(self, found: Generation | None) -> None:
        """I2: what is served was trusted for the dwell before; I5: it is a pair."""
        if found is None:
            self.fail("I5 a companion wrote something that is no pair")
            return
        if not any(replica.loaded for replica in self.replicas):
            # A first installation, or all replicas are new and wait for a pair: nothing
            # is in service that waiting could protect.
            self.excused_until = self.now + timedelta(seconds=BUNDLE_LAG + 1)
        again = found.fingerprint in self.written
        self.written.add(found.fingerprint)
        if again or self.tampered or self.now <= self.excused_until:
            return
        since = self.since.get(found.root.fingerprint)
        if since is None or self.now - since < self.policy.bundle_dwell:
            self.fail(f"I2 {found.fingerprint} written, trusted since {since}")

    def _loader(self, replica: Replica, found: Generation) -> Callable[[], None]:
        def load() -> None:
            replica.loaded = found
            self.note(f"{replica.name} loads {found.fingerprint}")
            self._settle()
            self.check(f"{replica.name} loaded {found.fingerprint}")

        return load

    def pair(self) -> Generation | None:
        """What the serving Secret holds."""
        from certs.codec import decode_pair, inspect  # noqa: PLC0415 - as patched

        secret = self.secrets.get(PLACE.pair_secret, {})
        found = inspect(decode_pair(secret.get("data")))
        return found if isinstance(found, Generation) else None

    def restart_replica(self, replica: Replica) -> None:
        """A new pod mounts what the Secret holds now; without a pair it is not ready."""
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
        self._wake_all()

    def _settle(self) -> None:
        """The repair window ends when all that serves is in every bundle again."""
        if not self.tampered:
            return
        served = [replica.loaded for replica in self.replicas] + [self.pair()]
        needed = {leaf.root.fingerprint for leaf in served if leaf}
        if needed <= self.live_roots():
            self.tampered = False
            self.excused_until = self.now + timedelta(seconds=BUNDLE_LAG + 1)

    def touch_secret(self, name: str, data: dict[str, str] | None) -> None:
        """Somebody empties or damages a Secret, or deletes it (None)."""
        if name not in self.secrets:
            return
        if data is None:
            del self.secrets[name]
            self.note(f"somebody deletes {name}")
            self.at(self.rng.choice((10, 3600, 86400)), lambda: self.create_secret(name))
        else:
            self.put_data(name, data, "somebody")
        self._wake_all()

    def request_rotation(self) -> None:
        """What `tracking-injector certs rotate --now` does."""
        secret = self.secrets.get(PLACE.state_secret)
        if secret is None:
            return
        secret["metadata"]["annotations"] = {ROTATE_ANNOTATION: str(self.now)}
        secret["metadata"]["resourceVersion"] = self._version()
        self.note("somebody asks for a rotation")
        self._wake_all()

    # --- the companions ---

    def _wake_all(self) -> None:
        """Watches deliver within two seconds, unless one is just broken."""
        for companion in self.companions:
            if self.rng.random() < 0.9:
                self.at(self.rng.random() * 2, self._turn_of(companion))

    def schedule(self, companion: Companion) -> None:
        """The next turn: days away when all is in order, else seconds to minutes."""
        outcome = companion.outcome
        if outcome is not None and outcome.in_order:
            delay = self.rng.choice((6 * 3600.0, 86400.0, 2 * 86400.0, 4 * 86400.0))
        elif outcome is not None and outcome.complaints:
            delay = self.rng.choice((60.0, 1800.0, 7200.0))
        else:
            delay = self.rng.choice((5.0, 60.0, 150.0, 240.0, 400.0))
        self.at(delay, lambda: (self.turn(companion), self.schedule(companion))[0])

    def _turn_of(self, companion: Companion) -> Callable[[], None]:
        return lambda: self.turn(companion)

    def turn(self, companion: Companion) -> None:
        """One step of one companion; whatever kills it takes its memory."""
        if companion.busy or self.now < companion.asleep_until:
            return
        if companion.concern is None:
            companion.concern = self._start(companion)
        companion.busy = True
        companion.outcome = None
        try:
            companion.outcome = companion.concern.step()
            self.causes |= {str(cause) for cause in companion.outcome.done}
        except CrashError:
            companion.concern = None
            self.note(f"{companion.name} crashes")
        except ClusterError as error:
            self.note(f"{companion.name} gives up: {type(error).__name__}")
        finally:
            companion.busy = False
            if companion.once:
                companion.concern = None

    def _start(self, companion: Companion) -> Certificates:
        def steady() -> float:
            now = companion.frozen_at or self.now
            return (now - START - companion.frozen).total_seconds()

        return Certificates(
            Port(self, companion),
            PLACE,
            self.policy,
            Clocks(
                wall=lambda: self.now + companion.offset + companion.step,
                steady=None if companion.once else steady,
            ),
            probe=lambda replicas, pem: self._probe(companion, replicas, pem),
            issue=self.issue,
        )

    def _probe(
        self, companion: Companion, replicas: tuple[Address, ...], pem: bytes
    ) -> tuple[Served, ...]:
        roots = {root.fingerprint for root in bundle.parse(pem)}
        clock = self.now + companion.offset + companion.step
        by_host = {replica.name: replica.loaded for replica in self.replicas}
        served = []
        for address in replicas:
            leaf = by_host[address.host]
            if leaf is None or self.rng.random() < self.faults.probe:
                served.append(Served(replica=address.host, leaf="", trusted=False))
                continue
            valid = leaf.not_before <= clock <= leaf.not_after
            trusted = leaf.root.fingerprint in roots and valid
            served.append(
                Served(replica=address.host, leaf=leaf.fingerprint, trusted=trusted)
            )
        return tuple(served)

    def _version(self) -> str:
        self._versions += 1
        return str(self._versions)

    # --- the end of a history ---

    def calm_down(self) -> None:
        """No more faults for three hours at most, all clocks as they were set up."""
        self.note("calm")
        self.faults = Faults()
        self.create_secret(PLACE.state_secret)
        self.create_secret(PLACE.pair_secret)
        for companion in self.companions:
            companion.asleep_until = START
            companion.step = timedelta(0)
            companion.frozen_at = None
        for _ in range(40):
            self.advance(self.now + timedelta(minutes=5))
            for companion in self.companions:
                self.turn(companion)
            if all(one.outcome and one.outcome.in_order for one in self.companions):
                return

    def check_end(self) -> None:
        """I4, I8 and I9: the right bundle, no write without a cause, steady again."""
        roots = self.live_roots()
        for companion in self.companions:
            before = self.writes
            self.turn(companion)
            outcome = companion.outcome
            if outcome is None or outcome.phase is not Phase.STEADY:
                self.fail(f"I9 {companion.name} is not steady: {outcome}")
                return
            if self.writes != before:
                self.fail(f"I8 {companion.name} writes without a cause")
            required = {
                root.fingerprint
                for root in outcome.state.required(self.policy, self.now)
            }
            if roots != required or len(roots) > 3:
                self.fail(f"I4 bundle {sorted(roots)}, required {sorted(required)}")


class Port:
    """One companion's access to the API: fails, stalls and dies as the world says."""

    def __init__(self, world: World, companion: Companion) -> None:
        self._world = world
        self._companion = companion

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        with self._call("get"):
            if kind == WEBHOOK_CONFIGURATION:
                found = self._world.configuration
            else:
                found = self._world.secrets.get(name)
            if found is None:
                raise NotFound(name)
            return _copy(found)

    def list(self, selection: Selection, project: Callable[[Json], Any]) -> Listing[Any]:
        with self._call("list"):
            body = {
                "ports": [{"port": 8443}],
                "endpoints": [
                    {"addresses": [replica.name], "conditions": {"ready": True}}
                    for replica in self._world.replicas
                    if replica.loaded is not None
                ],
            }
            return Listing({Key("system", "injector-1"): (1, project(body))}, "1")

    def apply(self, kind: Kind, body: Json, *, force: bool = True) -> Json:
        with self._call("apply"):
            world = self._world
            name = body["metadata"]["name"]
            stored = (
                world.configuration
                if kind == WEBHOOK_CONFIGURATION
                else world.secrets.get(name)
            )
            if stored is None:
                raise NotFound(name)
            wanted = body["metadata"]["resourceVersion"]
            if stored["metadata"]["resourceVersion"] != wanted:
                raise Conflict(name)
            world.writes += 1
            if kind == SECRET:
                self._apply_secret(stored, body)
            else:
                self._apply_configuration(stored, body)
            return _copy(stored)

    def _apply_secret(self, stored: Json, body: Json) -> None:
        labels = stored["metadata"].get("labels", {})
        if labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
            self._world.fail("I10 a foreign Secret was written")
        name = stored["metadata"]["name"]
        self._world.put_data(name, body["data"], self._companion.name)

    def _apply_configuration(self, stored: Json, body: Json) -> None:
        """I6: the same entries in the same order, and nothing but bundles."""
        names = [entry["name"] for entry in stored["webhooks"]]
        if [entry["name"] for entry in body["webhooks"]] != names or any(
            set(entry) != {"name", "clientConfig"}
            or set(entry["clientConfig"]) != {"caBundle"}
            for entry in body["webhooks"]
        ):
            self._world.fail("I6 more than bundles was written")
        pems = [_pem(entry) for entry in body["webhooks"]]
        self._world.put_bundles(pems, self._companion.name)

    @contextmanager
    def _call(self, verb: str) -> Iterator[None]:
        """A fault may come before the effect or, worse, after it."""
        world, rng = self._world, self._world.rng
        faults = world.faults
        if rng.random() < faults.stall:
            world.advance(
                world.now + timedelta(seconds=rng.choice((0.1, 2, 20, 200, 900)))
            )
        if rng.random() < faults.error:
            raise rng.choice(
                (Unavailable("500"), Throttled("429", retry_after=1), Conflict("409"))
            )
        if rng.random() < faults.crash:
            raise CrashError
        yield
        if rng.random() < faults.error / 2:
            raise Unavailable("timeout")
        if rng.random() < faults.crash:
            raise CrashError

    # The rest of the port is of no use to this concern.

    def watch(self, *_: object, **__: object) -> Any:
        raise NotImplementedError

    def create(self, kind: Kind, body: Json) -> Json:
        raise NotImplementedError

    def delete(self, *_: object, **__: object) -> None:
        raise NotImplementedError


def _pem(entry: Json) -> bytes:
    return base64.b64decode(entry["clientConfig"].get("caBundle", ""))


def _copy(body: Json) -> Json:
    """Deep enough: nobody changes what lies deeper in place."""
    copied = dict(body)
    copied["metadata"] = dict(body["metadata"])
    if "webhooks" in body:
        copied["webhooks"] = [dict(entry) for entry in body["webhooks"]]
    return copied
