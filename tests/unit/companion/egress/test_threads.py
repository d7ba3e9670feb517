"""The egress controllers in threads, against changes from all sides at once."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from tests.unit.companion.egress.egress_world import DENY, WORKERS, EgressWorld
from webhook.cluster.errors import NotFound
from webhook.cluster.resources import NAMESPACE, SERVICE
from webhook.companion.controller import Controller

TEAMS = [f"team-{number}" for number in range(12)]
HOSTS = [f"t{number}.example.org" for number in range(3)]


CLOSED = "{podSelector: {}, policyTypes: [Ingress]}"


@contextmanager
def running(world: EgressWorld) -> Iterator[None]:
    """Run informers and controllers in threads, with four workers for egress."""
    stop = threading.Event()
    egress = [
        Controller(
            reconciler=world.egress,
            queue=world.egress_controller.queue,
            context=world.context,
            results=world.egress_controller.results,
        )
        for _ in range(4)
    ]
    runs: list[Callable[[threading.Event], None]] = [
        *(informer.run for informer in world.caches.all()),
        *(one.run for one in egress),
        world.dns_results.run,
        world.engine_results.run,
    ]
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)


def change(world: EgressWorld, chance: random.Random) -> None:
    """Let somebody do something."""
    team, host = chance.choice(TEAMS), chance.choice(HOSTS)
    number = chance.randrange(1, 250)
    acts: list[Callable[[], object]] = [
        lambda: world.label(team, on=chance.random() < 0.8, profile=f"p{number % 3}"),
        lambda: world.policy(DENY, "deny", team),
        lambda: world.policy(WORKERS, "deny", team),
        lambda: world.delete("deny", team),
        lambda: world.endpoints("mlflow", "ml", "10.1.0.1", port=80 + number % 2),
        lambda: world.policy(CLOSED, "closed", "ml"),
        lambda: world.delete("closed", "ml"),
        lambda: world.zone.records.update({host: (f"203.0.113.{number}",)}),
        lambda: world.keys.set(f"p{number % 3}", TRACKING_URI=f"http://{host}"),
        lambda: world.keys.set(f"p{number % 3}", TRACKING_URI="http://mlflow.ml"),
    ]
    with suppress(NotFound):
        chance.choice(acts)()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_meanwhile_the_last_state_is_planned(seed: int) -> None:
    """What is there, and what is said, is what one calm pass would come to."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    world = EgressWorld()
    world.user.apply(NAMESPACE, {"metadata": {"name": "ml"}})
    spec = "{clusterIP: 10.0.7.7, selector: {app: mlflow}, ports: [{port: 80}]}"
    world.apply(SERVICE, "mlflow", spec, "ml")
    world.zone.records = dict.fromkeys(HOSTS, ("203.0.113.1",))
    world.zone.ttl = 0.0
    for number, host in enumerate(HOSTS):
        world.keys.set(f"p{number}", TRACKING_URI=f"http://{host}")
    for team in TEAMS:
        world.label(team)
    world.hurry()
    with running(world):
        for _ in range(200):
            change(world, chance)
            time.sleep(chance.random() * 0.01)
        until_quiet(world)
    calm = {
        team: replace(result, requeue_after=None)
        for team, result in world.egress_controller.results.items().items()
    }
    # Whatever is cached is built anew.
    world.apply(SERVICE, "another", "{clusterIP: 10.0.7.8}", "ml")
    world.refresh()
    before = world.writes()
    for team in TEAMS:
        result = world.egress.reconcile(team, world.context.clock())
        result = result and replace(result, requeue_after=None)
        assert result == calm.get(team)
    assert world.writes() == before


def until_quiet(world: EgressWorld) -> None:
    """Wait until nothing was written or queued for a while."""
    seen, since = (-1, -1), time.monotonic()
    while time.monotonic() - since < 2.0:
        now = world.writes(), len(world.egress_controller.queue)
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.02)
