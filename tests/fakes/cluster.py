"""A cluster in memory, with versions, watches, conflicts and rights.

What its client answers is held to a real API server by `tests.contracts.kube_client`.
Faults are switched on by name: `forbid`, `fail`, `hang`, `outage`, `compact`, `stall`,
`throttle`, `full`, and `put` stores what no API server would take.
"""

import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from tests.fakes import ownership
from tests.fakes.ownership import copied
from tests.fakes.selectors import selected
from webhook.cluster import metadata
from webhook.cluster.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    Terminating,
    Throttled,
    Unavailable,
)
from webhook.cluster.interface import (
    ANYTHING,
    Json,
    ListOptions,
    ObjectKey,
    ObjectList,
    Preconditions,
    WatchEvent,
    WatchEventType,
)
from webhook.cluster.resources import (
    NAMESPACE,
    POD,
    SECRET,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the cluster got, watches apart."""

    verb: str
    kind: ResourceType
    key: ObjectKey


Rule = Callable[[Call], bool]

_PATIENCE: Final = 10.0
"""Seconds after which a client gives up on a call that hangs."""


class FakeCluster:
    """The state and its faults; `client` gives the port."""

    def __init__(self, *, clock: Callable[[], datetime] | None = None) -> None:
        """An empty cluster whose objects carry the clock's time."""
        self._clock = clock or (lambda: datetime.now(UTC))  # noqa: TID251 - a test's own
        self._changed = threading.Condition()
        self._objects: dict[ResourceType, dict[ObjectKey, Json]] = {}
        self._owned: dict[tuple[ResourceType, str], dict[str, set[ownership.Path]]] = {}
        self._history: dict[ResourceType, list[tuple[int, WatchEventType, Json]]] = {}
        self._version = 100
        self._oldest = 0
        self._forbidden: list[Rule] = []
        self._failing: list[tuple[Rule, Exception]] = []
        self._hanging: list[tuple[Rule, threading.Event]] = []
        self._counter = 0
        self._meanwhile: tuple[str, Callable[[], object]] | None = None
        self.calls: list[Call] = []
        self.outage = False
        """Whether nobody answers."""
        self.stall = False
        """Whether watches stay open and say nothing."""
        self.throttle = 0
        """How many requests from now on get a 429."""
        self.retry_after = 0.01
        """Seconds that a 429 asks to stay away."""
        self.admission: Callable[[Json], object] | None = None
        """What a mutating webhook does to every Secret that is written."""
        self.full: set[str] = set()
        """Namespaces whose quota for Secrets is used up."""
        self.served: set[str] = set()
        """API groups without an object yet."""
        self.metrics: tuple[str, ...] = ()
        """The API server's own samples, as lines of text."""
        self.logs: dict[ObjectKey, str] = {}
        """What pods have written."""

    def client(self, manager: str = "tracking-injector") -> "FakeKubeClient":
        """The port, writing in this manager's name."""
        return FakeKubeClient(self, manager)

    def forbid(self, rule: Rule) -> None:
        """From now on a call for which the rule holds is refused."""
        self._forbidden.append(rule)

    def fail(self, rule: Rule, error: Exception) -> None:
        """From now on a call for which the rule holds fails with this error."""
        self._failing.append((rule, error))

    def hang(self, rule: Rule) -> threading.Event:
        """From now on a call for which the rule holds waits for this event, and fails.

        Others go on meanwhile.
        """
        until = threading.Event()
        self._hanging.append((rule, until))
        return until

    def allow_all(self) -> None:
        """Gives every right back, and ends what `fail` and `hang` began."""
        self._forbidden.clear()
        self._failing.clear()
        for _, until in self._hanging:
            until.set()
        self._hanging.clear()

    def put(self, kind: ResourceType, body: Json) -> ObjectKey:
        """Stores a body as it is, whatever it holds; returns its address."""
        with self._changed:
            self._version += 1
            odd = copied(body)
            if isinstance(odd.get("metadata"), dict):
                odd["metadata"].setdefault("resourceVersion", str(self._version))
            key = metadata.key(odd)
            self._objects.setdefault(kind, {})[key] = odd
            self._owned.pop((kind, metadata.uid(odd)), None)
            self._tell(kind, WatchEventType.UPSERT, odd)
            return key

    def stored(self, kind: ResourceType, key: ObjectKey) -> Json | None:
        """An object itself, not to be changed; None where there is none."""
        with self._changed:
            return self._objects.get(kind, {}).get(key)

    def among(self, kind: ResourceType, namespace: str) -> list[Json]:
        """The objects of a namespace themselves, not to be changed."""
        with self._changed:
            found = self._objects.get(kind, {}).items()
            return [body for key, body in found if key.namespace == namespace]

    def drop(self, kind: ResourceType, key: ObjectKey) -> None:
        """Takes an object away, whatever it holds."""
        with self._changed:
            self._version += 1
            odd = self._objects[kind].pop(key)
            if isinstance(odd.get("metadata"), dict):
                odd["metadata"]["resourceVersion"] = str(self._version)
            self._tell(kind, WatchEventType.DELETED, odd)

    def compact(self) -> None:
        """Forgets the past: a watch from an older version gets 410."""
        with self._changed:
            self._oldest = self._version
            self._history.clear()
            self._changed.notify_all()

    def meanwhile(self, verb: str, act: Callable[[], object]) -> None:
        """Just before the next call of that verb is served, somebody else acts."""
        self._meanwhile = verb, act

    def terminate(self, namespace: str) -> None:
        """A namespace begins to go away."""
        body = copied(self._objects[NAMESPACE][ObjectKey("", namespace)])
        body["metadata"]["deletionTimestamp"] = _stamp(self._clock())
        body["status"] = {"phase": "Terminating"}
        with self._changed:
            self._store(NAMESPACE, body)

    def counts(self) -> Counter[str]:
        """How many calls of each verb it got."""
        return Counter(call.verb for call in self.calls)

    # What follows serves FakeKubeClient, under its lock.

    def wait(self, call: Call) -> None:
        """Keeps a call waiting that is to hang; nobody else's lock is held."""
        for rule, until in tuple(self._hanging):
            if rule(call):
                self.calls.append(call)
                until.wait(_PATIENCE)
                raise Unavailable(f"{call.verb} {call.kind.plural}: no answer in time")

    def admit(self, call: Call) -> None:
        """Records the call, or fails it as the faults say."""
        verb, kind, key = call.verb, call.kind, call.key
        if verb != "watch":
            self.calls.append(call)
        if self._meanwhile and self._meanwhile[0] == verb:
            _, act = self._meanwhile
            self._meanwhile = None
            act()
        if self.outage:
            raise Unavailable(f"{verb} {kind.plural}: nobody answers")
        if self.throttle:
            self.throttle -= 1
            raise Throttled(
                f"{verb} {kind.plural}: too many", retry_after=self.retry_after
            )
        if any(rule(call) for rule in self._forbidden):
            raise Forbidden(f"{verb} {kind.plural} {key}: a right is missing")
        for rule, error in self._failing:
            if rule(call):
                raise error

    def find(self, kind: ResourceType, key: ObjectKey) -> Json:
        """The object itself, not a copy."""
        try:
            return self._objects[kind][key]
        except KeyError:
            raise NotFound(f"{kind.plural} {key}") from None

    def select(self, selection: ListOptions) -> Iterator[Json]:
        """The selected objects themselves."""
        for body in self._objects.get(selection.kind, {}).values():
            if selected(selection, body):
                yield body

    def _store(self, kind: ResourceType, body: Json) -> Json:
        if self.admission is not None and kind == SECRET:
            self.admission(body)
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        if kind == WEBHOOK_CONFIGURATION:
            self._generate(body)
        self._objects.setdefault(kind, {})[metadata.key(body)] = body
        self._tell(kind, WatchEventType.UPSERT, body)
        return copied(body)

    def _generate(self, body: Json) -> None:
        """`generation` counts changes of the content, whatever happens to a label."""
        before = self._objects.get(WEBHOOK_CONFIGURATION, {}).get(
            metadata.key(body), {}
        )
        same = before.get("webhooks") == body.get("webhooks")
        counted = metadata.of(before).get("generation")
        known = counted if isinstance(counted, int) else 0  # one may have put it there
        body["metadata"]["generation"] = known if same else known + 1

    def _tell(self, kind: ResourceType, happening: WatchEventType, body: Json) -> None:
        history = self._history.setdefault(kind, [])
        history.append((self._version, happening, copied(body)))
        self._changed.notify_all()

    def _check_new(self, kind: ResourceType, key: ObjectKey) -> None:
        if not kind.namespaced:
            return
        home = self.find(NAMESPACE, ObjectKey("", key.namespace))
        if "deletionTimestamp" in home["metadata"]:
            raise Terminating(f"{kind.plural} {key}: the namespace goes away")
        if kind == SECRET and key.namespace in self.full:
            raise QuotaExceeded(f"{kind.plural} {key}: exceeded quota")

    def _make(self, kind: ResourceType, body: Json) -> Json:
        key = metadata.key(body)
        self._check_new(kind, key)
        self._counter += 1
        made = copied(body)
        made |= {"apiVersion": kind.api_version, "kind": kind.name}
        made["metadata"] |= {
            "uid": f"uid-{self._counter}",
            "creationTimestamp": _stamp(self._clock()),
        }
        if kind == SECRET:
            made.setdefault("type", "Opaque")
        return made

    def create(self, kind: ResourceType, body: Json, manager: str) -> Json:
        """As the port's, in the manager's name."""
        key = metadata.key(body)
        if key in self._objects.get(kind, {}):
            raise AlreadyExists(f"{kind.plural} {key}")
        made = self._make(kind, body)
        self._own(kind, made, {f"{manager}/Update": ownership.paths(body)})
        return self._store(kind, made)

    def apply(
        self, kind: ResourceType, body: Json, manager: str, *, force: bool
    ) -> Json:
        """As the port's, in the manager's name."""
        key = metadata.key(body)
        applied = copied(body)
        wanted = applied["metadata"].pop("resourceVersion", "")
        current = self._objects.get(kind, {}).get(key)
        me = f"{manager}/Apply"
        mine = ownership.paths(applied)
        if current is None:
            made = self._make(kind, applied)
            self._own(kind, made, {me: mine})
            return self._store(kind, made)
        if wanted and wanted != metadata.resource_version(current):
            raise Conflict(f"{kind.plural} {key}: written in between")
        owned = self._owned.get((kind, metadata.uid(current)), {})
        theirs = {m: p for m, p in owned.items() if m != me}
        shared = {p for paths in theirs.values() for p in paths}
        gone = owned.get(me, set()) - mine - shared
        try:
            changes = {
                p
                for p in mine
                if ownership.read(current, p) != ownership.read(applied, p)
            }
            result = ownership.patch(current, applied, gone)
        except (TypeError, AttributeError, KeyError):
            # No API server could have stored it, so none says how to merge with it.
            raise Invalid(f"{kind.plural} {key}: what is there is odd") from None
        taken = shared & changes
        if taken and not force:
            raise Conflict(f"{kind.plural} {key}: another manager owns {sorted(taken)}")
        if kind == SECRET and result.get("type") != current.get("type"):
            raise Invalid(f"{kind.plural} {key}: type", fields=("type",))
        _check_immutable(kind, current, result)
        owners = {m: p - taken for m, p in theirs.items()} | {me: mine}
        if not changes and not gone and owners == owned:
            return copied(current)
        self._own(kind, result, owners)
        return self._store(kind, result)

    def patch(self, kind: ResourceType, body: Json, manager: str) -> Json:
        """As the port's, in the manager's name."""
        key = metadata.key(body)
        current = self.find(kind, key)
        wanted = metadata.resource_version(body)
        if wanted and wanted != metadata.resource_version(current):
            raise Conflict(f"{kind.plural} {key}: written in between")
        given = ownership.paths(body)
        gone = {path for path in given if ownership.read(body, path) is None}
        result = ownership.patched(current, body)
        if result == current:
            return copied(current)
        _check_immutable(kind, current, result)
        me = f"{manager}/Update"
        before = self._owned.get((kind, metadata.uid(current)), {})
        owners = {m: p - given for m, p in before.items()}
        owners[me] = owners.pop(me, set()) | (given - gone)
        self._own(kind, result, {m: p for m, p in owners.items() if p})
        return self._store(kind, result)

    def _own(
        self, kind: ResourceType, body: Json, owners: dict[str, set[ownership.Path]]
    ) -> None:
        uid = metadata.uid(body)
        before = self._owned.get((kind, uid), {})
        # Of what was only `put`, nobody's fields are known.
        known = body["metadata"].get("managedFields") if before else None
        times = {
            (e.get("manager"), e.get("operation")): e.get("time")
            for e in (known if isinstance(known, list) else ())
            if isinstance(e, dict)
        }
        now = _stamp(self._clock())
        entries: list[dict[str, Any]] = []
        writer = list(owners)[-1]
        for owner, owned in owners.items():
            manager, operation = owner.rsplit("/", 1)
            same = owned == before.get(owner) and owner != writer
            time_ = times.get((manager, operation), now) if same else now
            entries.append(
                {
                    "manager": manager,
                    "operation": operation,
                    "time": time_,
                    "fieldsV1": ownership.tree(owned),
                }
            )
        body["metadata"]["managedFields"] = entries
        self._owned[kind, uid] = owners

    def delete(self, kind: ResourceType, key: ObjectKey, only: Preconditions) -> None:
        """As the port's."""
        body = self.find(kind, key)
        if only.uid and only.uid != metadata.uid(body):
            raise Conflict(f"{kind.plural} {key}: another object by now")
        if only.version and only.version != metadata.resource_version(body):
            raise Conflict(f"{kind.plural} {key}: written in between")
        del self._objects[kind][key]
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self._tell(kind, WatchEventType.DELETED, body)


def _check_immutable(kind: ResourceType, before: Json, after: Json) -> None:
    """Of a Secret that is `immutable`, neither that nor the data ever changes."""
    if kind != SECRET or not before.get("immutable"):
        return
    changed = [
        name for name in ("immutable", "data") if before.get(name) != after.get(name)
    ]
    if changed:
        raise Invalid(f"{kind.plural}: immutable", fields=tuple(changed))


class FakeKubeClient:
    """Implements `webhook.cluster.interface.KubeClient` on a `FakeCluster`."""

    api: Any = None
    """What tunnels into pods are made of; there are none here."""

    def __init__(self, cluster: FakeCluster, manager: str) -> None:
        """Acts in the manager's name."""
        self._cluster = cluster
        self._manager = manager
        self._lock = cluster._changed

    @contextmanager
    def _admitted(
        self, verb: str, kind: ResourceType, key: ObjectKey
    ) -> Iterator[None]:
        """Hold the lock for a call that the faults let through."""
        call = Call(verb, kind, key)
        self._cluster.wait(call)
        with self._lock:
            self._cluster.admit(call)
            yield

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The groups of everything stored, and those of `served`."""
        with self._admitted("groups", NAMESPACE, ObjectKey("", "")):
            found: dict[str, tuple[str, ...]] = {}
            for kind in self._cluster._objects:
                known = found.get(kind.group, ())
                found[kind.group] = tuple(dict.fromkeys((*known, kind.version)))
            found.pop("", None)
            for group in self._cluster.served:
                found.setdefault(group, ("v1",))
            return found

    def version(self) -> str:
        """What the lab's newest API server says."""
        with self._admitted("version", NAMESPACE, ObjectKey("", "")):
            return "v1.36.3"

    def samples(self, metric: str) -> tuple[str, ...]:
        """Those of `metrics`."""
        with self._admitted("samples", NAMESPACE, ObjectKey("", metric)):
            named = (f"{metric}{{", f"{metric} ")
            return tuple(
                line for line in self._cluster.metrics if line.startswith(named)
            )

    def logs(self, namespace: str, pod: str, *, lines: int) -> str:
        """Those of `logs`; a pod that has none has not started."""
        key = ObjectKey(namespace, pod)
        with self._admitted("logs", POD, key):
            self._cluster.find(POD, key)
            written = self._cluster.logs.get(key, "").splitlines(keepends=True)
            return "".join(written[-lines:])

    def add_container(self, namespace: str, pod: str, container: Json) -> None:
        """Stores it in the pod; nothing runs it."""
        key = ObjectKey(namespace, pod)
        with self._admitted("add_container", POD, key):
            body = copied(self._cluster.find(POD, key))
            added = body["spec"].setdefault("ephemeralContainers", [])
            if container["name"] in {one["name"] for one in added}:
                raise Invalid(f"pods {key}", fields=("spec.ephemeralContainers",))
            added.append(copied(container))
            self._cluster._store(POD, body)

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json:
        """A copy of the object."""
        key = ObjectKey(namespace, name)
        with self._admitted("get", kind, key):
            return copied(self._cluster.find(kind, key))

    def server_time(self) -> datetime:
        """The cluster's own clock."""
        return self._cluster._clock()

    def list(
        self, selection: ListOptions, project: Callable[[Json], T]
    ) -> ObjectList[T]:
        """The selected objects' projections."""
        key = ObjectKey(selection.namespace, selection.name)
        with self._admitted("list", selection.kind, key):
            items = {
                metadata.key(body): (
                    metadata.revision(body),
                    project(copied(body)),
                )
                for body in self._cluster.select(selection)
            }
            return ObjectList(items, str(self._cluster._version))

    def watch(
        self, selection: ListOptions, version: str, *, seconds: float
    ) -> Iterator[WatchEvent]:
        """What happens after `version`, as it happens."""
        key = ObjectKey(selection.namespace, selection.name)
        with self._admitted("watch", selection.kind, key):
            until = time.monotonic() + seconds
        return self._changes(selection, int(version), until)

    def _changes(
        self, selection: ListOptions, after: int, until: float
    ) -> Iterator[WatchEvent]:
        cluster = self._cluster
        while True:
            with self._lock:
                if after < cluster._oldest:
                    raise Gone(f"watch {selection}: the version is too old")
                if cluster.outage:
                    raise Unavailable(f"watch {selection}: the connection broke")
                left = until - time.monotonic()
                news = [] if cluster.stall else self._news(selection, after)
                latest = cluster._version
                if not news and left > 0:
                    self._lock.wait(min(left, 0.05))
            yield from news
            if not cluster.stall:
                after = latest if news else after
            if left <= 0:
                if cluster.stall:
                    raise Unavailable(f"watch {selection}: silent for too long")
                yield _bookmark(latest)
                return

    def _news(self, selection: ListOptions, after: int) -> Sequence[WatchEvent]:
        """What left the selection is told as deleted, also when it still exists."""
        history = self._cluster._history.get(selection.kind, [])
        news = []
        for _, happening, body in history[bisect_right(history, after, key=_version) :]:
            if selection.namespace not in ("", metadata.key(body).namespace):
                continue
            told = happening if selected(selection, body) else WatchEventType.DELETED
            news.append(WatchEvent(told, copied(body)))
        return news

    def apply(self, kind: ResourceType, body: Json, *, force: bool = True) -> Json:
        """Creates or changes, by the model in `tests.fakes.ownership`."""
        with self._admitted("apply", kind, metadata.key(body)):
            return self._cluster.apply(kind, body, self._manager, force=force)

    def patch(self, kind: ResourceType, body: Json) -> Json:
        """Merges into what is there."""
        with self._admitted("merge", kind, metadata.key(body)):
            return self._cluster.patch(kind, body, self._manager)

    def create(self, kind: ResourceType, body: Json, *, dry_run: bool = False) -> Json:
        """Creates, exclusively; in a dry run, only says what it would be."""
        with self._admitted("create", kind, metadata.key(body)):
            if dry_run:
                return copied(body)
            if kind.group == "authorization.k8s.io":  # a question, which nobody keeps
                return copied(body) | {"status": {"allowed": True}}
            return self._cluster.create(kind, body, self._manager)

    def delete(
        self,
        kind: ResourceType,
        name: str,
        namespace: str = "",
        *,
        only: Preconditions = ANYTHING,
    ) -> None:
        """Deletes at once; there are no finalizers here."""
        key = ObjectKey(namespace, name)
        with self._admitted("delete", kind, key):
            self._cluster.delete(kind, key, only)


def _version(entry: tuple[int, WatchEventType, Json]) -> int:
    return entry[0]


def _bookmark(version: int) -> WatchEvent:
    return WatchEvent(
        WatchEventType.BOOKMARK, {"metadata": {"resourceVersion": str(version)}}
    )


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
