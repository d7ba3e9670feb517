"""A cluster in memory with a companion in it, stepped by hand."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.cluster import FakeCluster
from webhook.cluster.errors import NotFound
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import Json, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP, EVENT, NAMESPACE, POD, SECRET
from webhook.companion.means import Means
from webhook.companion.mirrors import Mirrors
from webhook.companion.observed import Interests, Wakes, observe
from webhook.companion.supply import Supplies
from webhook.injection.names import INJECT_LABEL, MIRROR_SECRET, PROFILE_LABEL
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.profile import parse_profiles, refs
from webhook.mirror.reasons import MirrorReason

RELEASE = "release"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROFILES = '{"default": [{"configMap": "uri"}, {"secret": "keys"}]}'
CANARY = "canary-value-of-a-key"


class Lines:
    """A log in memory."""

    def __init__(self) -> None:
        """Empty."""
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Keep it."""
        self.lines.append((event, fields))

    def events(self) -> list[str]:
        """What happened, in order."""
        return [event for event, _ in self.lines]


class World:
    """The cluster, the time, and the concern under test."""

    def __init__(
        self,
        profiles: str = PROFILES,
        scope: NamespaceFilter | None = None,
        config_maps: tuple[str, ...] = (),
    ) -> None:
        """A release namespace with both sources, and no compute namespace yet."""
        self.now = START
        self.config_maps = config_maps
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.user = self.cluster.client("user")
        self.log = Lines()
        self.user.create(NAMESPACE, {"metadata": {"name": RELEASE}})
        self.config_map("uri", TRACKING_URI="https://mlflow.example.org")
        self.secret("keys", TRACKING_API_KEY=CANARY)
        self.restart(profiles, scope)

    def restart(
        self, profiles: str = PROFILES, scope: NamespaceFilter | None = None
    ) -> None:
        """A new companion, which remembers nothing."""
        parsed = parse_profiles(profiles)
        port = self.cluster.client()
        interests = Interests(
            release_namespace=RELEASE,
            sources=refs(parsed),
            config_maps=self.config_maps,
        )
        nobody = Wakes(mirrors=lambda: None, pods=lambda: None)
        self.means = Means(
            resources=port,
            announcer=EventRecorder(port, component="companion", instance="a"),
            log=self.log,
        )
        self.observed = observe(port, interests, nobody)
        self.supplies = Supplies(parsed, listed=())
        self.mirrors = Mirrors(
            self.means,
            self.observed,
            self.supplies,
            scope=scope or NamespaceFilter(excluded=(RELEASE, "kube-system")),
        )

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

    def step(self, seconds: float = 0.0) -> float | None:
        """Time passes, the followers catch up, and the concern takes its steps."""
        self.now += timedelta(seconds=seconds)
        pause: float | None = 0.0
        while pause == 0.0:
            for follower in self.observed.all():
                follower.refresh()
            pause = self.mirrors.step(self.now)
        return pause

    def mirror(self, namespace: str) -> Mapping[str, str] | None:
        """The mirror's content in plain text, or None."""
        try:
            body = self.user.get(SECRET, MIRROR_SECRET, namespace)
        except NotFound:
            return None
        return {k: base64.b64decode(v).decode() for k, v in body["data"].items()}

    def reason(self, namespace: str) -> MirrorReason:
        """What is reported about a namespace."""
        return self.mirrors.report[namespace].reason

    def events(self) -> list[str]:
        """Reasons of the Events there are."""
        self.means.announcer.flush()
        listing = self.user.list(ListOptions(EVENT), lambda body: body["reason"])
        return [reason for _, reason in listing.items.values()]

    def writes(self) -> int:
        """How many writes the cluster got, Events apart."""
        verbs = ("apply", "create", "delete")
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
