"""A cluster in memory with a companion's controllers in it, stepped by hand.

`World` holds the cluster, the time, the caches, and whatever controllers a test adds;
by itself it has the one for mirrors.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from webhook.cluster.errors import NotFound
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import Json, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP, EVENT, NAMESPACE, POD, SECRET
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Interests, build_caches
from webhook.companion.controller import Context, Controller, Reconciler, Result
from webhook.companion.mirror_controller import MirrorController, MirrorResult
from webhook.companion.profiles import ProfileStore
from webhook.injection.names import (
    INJECT_LABEL,
    MANAGED_BY,
    MIRROR_SECRET,
    PROFILE_LABEL,
)
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.profile import parse_profiles, refs
from webhook.mirror.reasons import MirrorReason

RELEASE = "release"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROFILES = '{"default": [{"configMap": "uri"}, {"secret": "keys"}]}'
CANARY = "canary-value-of-a-key"
BOTH = {"TRACKING_API_KEY": CANARY, "TRACKING_URI": "https://mlflow.example.org"}
"""What the default profile gives."""

R = TypeVar("R", bound=Result)


class World:
    """The cluster, the time, and the companion."""

    def __init__(
        self,
        profiles: str = PROFILES,
        namespaces: NamespaceFilter | None = None,
        *,
        enforced_keys: tuple[str, ...] = (),
        config_maps: tuple[str, ...] = (),
        egress: bool = False,
    ) -> None:
        """A release namespace with both sources, and no compute namespace yet."""
        self.now = START
        self.leads = True
        self.egress = egress
        self.config_maps = config_maps
        self.enforced_keys = enforced_keys
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.user = self.cluster.client("user")
        self.log = Lines()
        self.user.create(NAMESPACE, {"metadata": {"name": RELEASE}})
        self.config_map("uri", TRACKING_URI="https://mlflow.example.org")
        self.secret("keys", TRACKING_API_KEY=CANARY)
        self.restart(profiles, namespaces)

    def restart(
        self,
        profiles: str = PROFILES,
        namespaces: NamespaceFilter | None = None,
        *,
        release: str = MANAGED_BY,
    ) -> None:
        """A new companion, which remembers nothing."""
        parsed = parse_profiles(profiles)
        client = self.cluster.client()
        self.context = Context(
            client=client,
            log=self.log,
            recorder=EventRecorder(
                client, component="companion", instance="a", monotonic=self.seconds
            ),
            is_leader=lambda: self.leads,
            clock=lambda: self.now,
            release=release,
        )
        self.caches = build_caches(
            client,
            Interests(
                release_namespace=RELEASE,
                sources=refs(parsed),
                config_maps=self.config_maps,
                egress=self.egress,
                release=release,
            ),
        )
        self.profiles = ProfileStore(
            parsed, self.caches, allowed_keys=(), clock=lambda: self.now
        )
        self.filter = namespaces or NamespaceFilter(excluded=(RELEASE, "kube-system"))
        self.controllers: list[Controller[Any]] = []
        queue = self.queue("mirrors")
        self.mirrors: Controller[MirrorResult] = self.add(
            MirrorController(
                self.context,
                self.caches,
                self.profiles,
                queue,
                namespaces=self.filter,
                enforced_keys=self.enforced_keys,
            ),
            queue,
        )

    def queue(self, name: str) -> WorkQueue:
        """A work queue that lives by this world's time."""
        return WorkQueue(name, monotonic=self.seconds)

    def add(self, reconciler: Reconciler[R], queue: WorkQueue) -> Controller[R]:
        """Let a controller run in this world."""
        controller = Controller(
            reconciler=reconciler, queue=queue, context=self.context
        )
        self.controllers.append(controller)
        return controller

    def seconds(self) -> float:
        """The world's monotonic time."""
        return (self.now - START).total_seconds()

    def config_map(self, name: str, **data: str) -> None:
        """An operator applies a ConfigMap in the release namespace."""
        meta = {"name": name, "namespace": RELEASE}
        self.user.apply(CONFIG_MAP, {"metadata": meta, "data": data})

    def secret(self, name: str, namespace: str = RELEASE, **data: str) -> None:
        """An operator applies a Secret."""
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        meta = {"name": name, "namespace": namespace}
        self.user.apply(SECRET, {"metadata": meta, "type": "Opaque", "data": encoded})

    def label(self, name: str, *, on: bool = True, profile: str = "") -> None:
        """An operator switches a namespace on or off."""
        labels = {INJECT_LABEL: "enabled"} if on else {}
        if profile:
            labels[PROFILE_LABEL] = profile
        self.user.apply(NAMESPACE, {"metadata": {"name": name, "labels": labels}})

    def pod(self, namespace: str, name: str, **parts: Any) -> None:
        """Somebody runs a pod."""
        meta = {"name": name, "namespace": namespace, **parts.pop("metadata", {})}
        self.user.apply(POD, {"metadata": meta, **parts})

    def refresh(self) -> None:
        """The caches catch up."""
        for informer in self.caches.all():
            informer.refresh()

    def work(self) -> None:
        """Every key that is due is reconciled, and what that queues as well."""
        while any(controller.step() for controller in self.controllers):
            pass

    def step(self, seconds: float = 0.0) -> None:
        """Time passes, the caches catch up, and the controllers work."""
        self.now += timedelta(seconds=seconds)
        self.refresh()
        self.work()

    def mirror(self, namespace: str) -> Mapping[str, str] | None:
        """The mirror's content in plain text, or None."""
        try:
            body = self.user.get(SECRET, MIRROR_SECRET, namespace)
        except NotFound:
            return None
        data = body.get("data") or {}
        return {k: base64.b64decode(v).decode() for k, v in data.items()}

    def result(self, namespace: str) -> MirrorResult:
        """What is known of a namespace's mirror."""
        found = self.mirrors.results.get(namespace)
        assert found is not None
        return found

    def reason(self, namespace: str) -> MirrorReason:
        """What is said about a namespace."""
        return self.result(namespace).reason

    def events(self, namespace: str = "") -> list[str]:
        """Reasons of the Events there are."""
        self.context.recorder.flush()
        listing = self.user.list(
            ListOptions(EVENT, namespace=namespace), lambda body: body["reason"]
        )
        return [reason for _, reason in listing.items.values()]

    def writes(self) -> int:
        """How many writes the cluster got, Events apart."""
        verbs = ("apply", "create", "delete", "merge")
        calls = self.cluster.calls
        return sum(call.verb in verbs and call.kind != EVENT for call in calls)

    def everything(self) -> list[Json]:
        """All objects outside Secrets, as JSON."""
        kinds = (NAMESPACE, CONFIG_MAP, EVENT, POD)
        return [
            body
            for kind in kinds
            for _, body in self.user.list(ListOptions(kind), dict).items.values()
        ]


def key(namespace: str) -> ObjectKey:
    """The mirror's address."""
    return ObjectKey(namespace, MIRROR_SECRET)
