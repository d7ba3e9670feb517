"""The built companion with real threads, clock and listener, on the fake cluster."""

import base64
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from tests.unit.companion.built import DENY, HEAD, HOME, NAME, Built
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    SECRET,
    ResourceType,
)
from webhook.companion.health_server import HealthServer, pages
from webhook.companion.manager import Manager
from webhook.companion.report import FIELD
from webhook.injection.names import INJECT_LABEL, MIRROR_SECRET, PROFILE_LABEL

PROMISED: Final = 1.0
"""Seconds within which a namespace converges on a machine that has time for it."""
BEARABLE: Final = 5.0
"""Seconds that are asserted: these machines are shared, and one core may be gone."""


class Live(Built):
    """A cluster, and a companion in this very process that runs until `end`."""

    manager: Manager
    server: HealthServer

    @property
    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)  # noqa: TID251 - the threads wait for real

    @now.setter
    def now(self, value: datetime) -> None:
        del value

    def settle(self, seconds: float = 0.0) -> None:
        """Nothing: the threads do what is due."""

    def _seconds(self) -> float:
        return time.monotonic()

    def run(self, **settings: Any) -> None:
        """Build the companion and start its threads."""
        self.start(alone=False, **settings)
        self.manager = self.companion.manager()
        answers = pages(
            self.companion.registry,
            is_alive=self.manager.is_alive,
            is_ready=self.manager.is_ready,
        )
        self.server = HealthServer("127.0.0.1:0", answers, self.log)
        self.server.start()
        self.manager.start()

    def end(self) -> None:
        """Stop every thread; a watch hears of it when its connection breaks."""
        self.cluster.allow_all()
        self.manager.end()
        self.cluster.outage = True
        self.server.close()
        for thread in threading.enumerate():
            if thread.daemon and thread is not threading.current_thread():
                thread.join(BEARABLE)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of what the listener answers."""
        url = f"http://127.0.0.1:{self.server.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=BEARABLE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def check_alive(self) -> None:
        """No thread died, no watch fails, and the listener says so."""
        died = [fields for event, fields in self.log.lines if event == "thread-died"]
        assert died == []
        failing = {
            str(one.options): one.health.failing
            for one in self.companion.caches.all()
            if one.health.failing is not None
        }
        assert failing == {}
        assert [one.health.handler_errors for one in self.companion.caches.all()] == [
            0 for _ in self.companion.caches.all()
        ]
        assert self.ask("/healthz")[0] == 200

    def compute(self, name: str, profile: str = "") -> None:
        """A labeled namespace."""
        labels = {INJECT_LABEL: "enabled"}
        labels |= {PROFILE_LABEL: profile} if profile else {}
        self.user.apply(NAMESPACE, {"metadata": {"name": name, "labels": labels}})

    def stored(self, kind: ResourceType, key: ObjectKey) -> Json | None:
        """An object as it is now; not to be changed."""
        return self.cluster.stored(kind, key)

    def holds(self, namespace: str, name: str, value: str) -> bool:
        """Whether the mirror there has this key."""
        mirror = self.stored(SECRET, ObjectKey(namespace, MIRROR_SECRET))
        data = (mirror or {}).get("data") or {}
        return bool(data.get(name) == base64.b64encode(value.encode()).decode())

    def isolate(self, namespace: str, name: str) -> None:
        """A policy isolates every pod there, so that a shadow is needed."""
        meta = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"}
        spec = yaml.safe_load(DENY)
        self.cluster.put(NETWORK_POLICY, {"metadata": meta, "spec": spec})

    def shadows(self, namespace: str, owner: str) -> bool:
        """Whether there is a policy of ours that a policy of this name owns."""
        there = self.cluster.among(NETWORK_POLICY, namespace)
        return any(
            one.get("name") == owner
            for body in there
            for one in body["metadata"].get("ownerReferences") or ()
        )

    def miss(self, namespace: str, name: str, **more: Any) -> None:
        """A task pod that the webhook did not see."""
        meta = {"name": name, "namespace": namespace, "labels": HEAD} | more
        meta["uid"] = f"{namespace}-{name}"
        body = {
            "metadata": meta | {"creationTimestamp": "2099-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "ray-head", "image": "i"}]},
            "status": {"phase": "Running"},
        }
        self.cluster.put(POD, body)

    def told(self, namespace: str, name: str, reason: str = "") -> bool:
        """Whether there is an Event about an object."""
        return any(
            body["involvedObject"]["name"] == name and reason in ("", body["reason"])
            for body in self.cluster.among(EVENT, namespace)
        )

    def published(self) -> str:
        """The report that is published; empty before the first."""
        body = self.stored(CONFIG_MAP, ObjectKey(HOME, f"{NAME}-status"))
        return str(((body or {}).get("data") or {}).get(FIELD, ""))


@contextmanager
def live(folder: Path, names: tuple[str, ...], **settings: Any) -> Iterator[Live]:
    """A companion at work that keeps a mirror in each of these namespaces."""
    one = Live(folder)
    # Where Events go that are about objects without a namespace.
    for name in ("default", *names):
        one.compute(name) if name in names else one.create(NAMESPACE, name, "")
    one.run(**settings)
    try:
        until(
            "every namespace has its mirror",
            lambda: all(
                one.stored(SECRET, ObjectKey(name, MIRROR_SECRET)) for name in names
            ),
            seconds=60,
        )
        yield one
    finally:
        one.end()


def until(what: str, holds: Callable[[], object], seconds: float = BEARABLE) -> float:
    """Wait until it holds, and return how long that took."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)
    return time.monotonic() - started


def tell(what: str, figure: float) -> None:
    """Say a measured figure to whoever runs the tests with `-s`."""
    late = "" if figure <= PROMISED else f", more than {PROMISED} s: is it idle?"
    sys.stdout.write(f"\n{what}: {figure:.3f} s at worst{late}\n")
