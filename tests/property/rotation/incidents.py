"""What happens to a cluster besides bad weather."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from tests.property.rotation.world import PLACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.property.rotation.histories import History

HOUR = 3600.0
DAY = 24 * HOUR
SECRETS = (
    (PLACE.state_secret,),
    (PLACE.pair_secret,),
    (PLACE.state_secret, PLACE.pair_secret),
)


def empty_bundle(history: History) -> None:
    """As a Helm release does whose template holds an empty `caBundle`."""
    now = history.bundle()
    history.world.tamper(history.rng.choice(([b"", b""], [b"", now], [now, b""])))


def replace_bundle(history: History) -> None:
    """As another controller does that believes the configuration its own."""
    pem = history.foreign_root()
    history.world.tamper([pem, pem])


def add_foreign_root(history: History) -> None:
    """Harmless, but not to stay."""
    pem = history.bundle() + history.foreign_root()
    history.world.put_bundles([pem, pem], "somebody")


def delete_secrets(history: History) -> None:
    """An installer brings them back, empty, some time later."""
    for name in history.rng.choice(SECRETS):
        history.world.touch_secret(name, None)


def empty_secrets(history: History) -> None:
    """As a Helm release does whose template holds empty data."""
    for name in history.rng.choice(SECRETS):
        history.world.touch_secret(name, {})


def damage_secret(history: History) -> None:
    """One key is truncated, replaced or no base64."""
    name = history.rng.choice((PLACE.state_secret, PLACE.pair_secret))
    data = dict(history.world.secrets.get(name, {}).get("data") or {})
    if data:
        key = history.rng.choice(sorted(data))
        data[key] = history.rng.choice(("", "AAAA", "%"))
        history.world.touch_secret(name, data)


def disown_secrets(history: History) -> None:
    """The label goes, so they are no longer ours to write; it is back a day later."""
    for name in history.rng.choice(SECRETS):
        history.world.disown(name)
        history.world.at(DAY, partial(history.world.own, name))


def freeze_steady_clock(history: History) -> None:
    """As on a machine whose monotonic clock does not count."""
    companion = history.rng.choice(history.companions)
    companion.freeze()
    history.world.at(40 * DAY, companion.thaw)


def sleep(history: History) -> None:
    """One of several sleeps: what a lone sleeper misses nobody can repair."""
    if len(history.companions) > 1:
        sleeper = history.companions[0]
        sleeper.asleep_until = history.world.now + timedelta(days=40)
        history.world.note(f"{sleeper.name} sleeps")


def restart_replica(history: History) -> None:
    """A new pod mounts what the Secret holds now."""
    history.world.restart(history.rng.choice(history.world.replicas))


def set_clock_back(history: History) -> None:
    """An hour back, and right again after minutes, an hour or a day."""
    _set_clock(history, timedelta(hours=-1))


def set_clock_ahead(history: History) -> None:
    """A year ahead, as by a broken time server: every certificate looks expired."""
    _set_clock(history, timedelta(days=365))


def _set_clock(history: History, by: timedelta) -> None:
    companion = history.rng.choice(history.companions)
    right = companion.offset
    if abs(right) > timedelta(minutes=30):
        return
    companion.offset += by
    history.world.note(f"{companion.name}'s clock is set by {by}")

    def correct() -> None:
        companion.offset = right
        history.world.note(f"{companion.name}'s clock is right again")

    history.world.at(history.rng.choice((100.0, HOUR, DAY)), correct)


INCIDENTS: tuple[Callable[[History], None], ...] = (
    empty_bundle,
    replace_bundle,
    add_foreign_root,
    delete_secrets,
    empty_secrets,
    damage_secret,
    disown_secrets,
    freeze_steady_clock,
    sleep,
    restart_replica,
    set_clock_ahead,
    set_clock_back,
)
