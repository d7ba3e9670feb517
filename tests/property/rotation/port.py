"""One companion's access to the API: fails, stalls and dies as its weather says.

Between two calls of one companion anything can happen: a stall lets time pass, and with
it the other companions' turns, deliveries to API servers and mounts, and tampering.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.property.rotation.world import World, pem_of
from webhook.cluster.errors import Conflict, NotFound, Throttled, Unavailable
from webhook.cluster.interface import Json, ListOptions, ObjectKey, ObjectList
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION, ResourceType
from webhook.injection.names import CONTENT_LABEL, MANAGED_BY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


class CrashError(BaseException):
    """The companion's process died. No code under test may catch it."""


@dataclass(slots=True, kw_only=True)
class Weather:
    """How rough a history is: probabilities for each call, or each handshake."""

    error: float = 0.0
    crash: float = 0.0
    stall: float = 0.0
    probe: float = 0.0


class Port:
    """One companion's access to the API: fails, stalls and dies as the world says."""

    def __init__(self, world: World, weather: Weather, name: str) -> None:
        """Writes are made in the name of `name`."""
        self.writes = 0
        self._said: datetime | None = None
        self._world = world
        self._weather = weather
        self._name = name

    def server_time(self) -> datetime | None:
        """By the API server's own clock, in whole seconds."""
        return self._said and self._said.replace(microsecond=0)

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json:
        """One of the three objects."""
        with self._call("get"):
            if kind == WEBHOOK_CONFIGURATION:
                found = self._world.configuration
            else:
                found = self._world.secrets.get(name)
            if found is None:
                raise NotFound(name)
            return _copy(found)

    def list(
        self, selection: ListOptions, project: Callable[[Json], Any]
    ) -> ObjectList[Any]:
        """The endpoints: replicas that have a pair are ready."""
        with self._call("listing"):
            body = {
                "ports": [{"port": 8443}],
                "endpoints": [
                    {"addresses": [replica.name], "conditions": {"ready": True}}
                    for replica in self._world.replicas
                    if replica.loaded is not None
                ],
            }
            return ObjectList(
                {ObjectKey("system", "injector-1"): (1, project(body))}, "1"
            )

    def apply(self, kind: ResourceType, body: Json, *, force: bool = True) -> Json:
        """Stores what is applied, if the object is still as it was read."""
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
            self.writes += 1
            if kind == SECRET:
                self._apply_secret(stored, body)
            else:
                self._apply_configuration(stored, body)
            return _copy(stored)

    def _apply_secret(self, stored: Json, body: Json) -> None:
        labels = stored["metadata"].get("labels", {})
        if labels.get(CONTENT_LABEL) != MANAGED_BY:
            self._world.fail("I10 a foreign Secret was written")
        name = stored["metadata"]["name"]
        self._world.put_data(name, body["data"], self._name)

    def _apply_configuration(self, stored: Json, body: Json) -> None:
        """I6: the same entries in the same order, and nothing but bundles."""
        names = [entry["name"] for entry in stored["webhooks"]]
        if [entry["name"] for entry in body["webhooks"]] != names or any(
            set(entry) != {"name", "clientConfig"}
            or set(entry["clientConfig"]) != {"caBundle"}
            for entry in body["webhooks"]
        ):
            self._world.fail("I6 more than bundles was written")
        pems = [pem_of(entry) for entry in body["webhooks"]]
        self._world.put_bundles(pems, self._name)

    @contextmanager
    def _call(self, verb: str) -> Iterator[None]:
        """A fault may come before the effect or, worse, after it."""
        world, rng = self._world, self._world.rng
        weather = self._weather
        if weather.stall and rng.random() < weather.stall:
            world.advance(
                world.now + timedelta(seconds=rng.choice((0.1, 2, 20, 200, 900)))
            )
        if rng.random() < weather.error:
            raise rng.choice(
                (Unavailable("500"), Throttled("429", retry_after=1), Conflict("409"))
            )
        if rng.random() < weather.crash:
            raise CrashError
        yield
        self._said = world.now + world.server_offset
        if rng.random() < weather.error / 2:
            raise Unavailable("timeout")
        if rng.random() < weather.crash:
            raise CrashError

    # The rest of the port is of no use to this concern.

    def watch(self, *_: object, **__: object) -> Any:
        """Not used."""
        raise NotImplementedError

    def patch(self, kind: ResourceType, body: Json) -> Json:
        """Not used."""
        raise NotImplementedError

    def create(self, kind: ResourceType, body: Json, *, dry_run: bool = False) -> Json:
        """Not used."""
        raise NotImplementedError

    def delete(self, *_: object, **__: object) -> None:
        """Not used."""
        raise NotImplementedError

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Not used."""
        raise NotImplementedError

    def version(self) -> str:
        """Not used."""
        raise NotImplementedError

    def logs(self, namespace: str, pod: str, *, lines: int) -> str:
        """Not used."""
        raise NotImplementedError

    def samples(self, metric: str) -> tuple[str, ...]:
        """Not used."""
        raise NotImplementedError

    def add_container(self, namespace: str, pod: str, container: Json) -> None:
        """Not used."""
        raise NotImplementedError


def _copy(body: Json) -> Json:
    """Deep enough: nobody changes what lies deeper in place."""
    copied = dict(body)
    copied["metadata"] = dict(body["metadata"])
    if "webhooks" in body:
        copied["webhooks"] = [dict(entry) for entry in body["webhooks"]]
    return copied
