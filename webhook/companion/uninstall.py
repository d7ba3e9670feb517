"""Takes every mirror away, for the chart's pre-delete hook.

The webhook's configuration goes first, or nothing does: a pod that still got a
reference would wait for its mirror forever. The companion still runs then, so its Lease
is seized next: whoever leads stops within seconds, nobody takes over, and nothing comes
back behind our back.
"""

from collections.abc import Callable
from typing import Final

from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.informer import Informer
from webhook.cluster.leader_election import LeaderElector
from webhook.cluster.resources import WEBHOOK_CONFIGURATION
from webhook.companion.means import Means
from webhook.companion.removal import remove
from webhook.companion.seen import MirrorSeen

HELD_SECONDS: Final = 60
"""How long nobody may lead; Helm deletes the Deployment within that."""
_LAST_WRITES: Final = 4.0
"""Seconds until a leader has noticed (it renews every 2 s) and its last write ended,
and until every API server has stopped asking the webhook."""
_ROUNDS: Final = 5
"""Lists at most; the second only confirms, later ones follow a failure."""


def remove_all(
    means: Means,
    mirrors: Informer[MirrorSeen],
    leadership: LeaderElector,
    *,
    configuration: str,
    wait: Callable[[float], object],
) -> dict[str, str]:
    """Removes every mirror of ours in any namespace, whether pods refer to it or not.

    Args:
        means: what it acts with.
        mirrors: the followed mirrors; it need not run.
        leadership: the Lease to seize.
        configuration: name of the webhook's configuration.
        wait: sleeps for so many seconds.

    Returns:
        What is left, by namespace, and why; empty when all is gone.

    Raises:
        ClusterError: the configuration cannot be removed, and so nothing was; or
            mirrors cannot even be listed.
    """
    asked = _disconnect(means, configuration)
    led = _seize(leadership, means)
    if asked or led:
        wait(_LAST_WRITES)
    left: dict[str, str] = {}
    for round_ in range(_ROUNDS):
        mirrors.refresh()
        failing = mirrors.health.failing
        if failing is not None:
            raise failing
        left = _round(means, mirrors)
        if not left and round_:
            return {}
        wait(1.0 if left else 0.2)
    return left


def _disconnect(means: Means, configuration: str) -> bool:
    """Whether there was a configuration, so that API servers asked the webhook."""
    try:
        means.resources.delete(WEBHOOK_CONFIGURATION, configuration)
    except NotFound:
        return False
    means.log.line("info", "webhook-disconnected", {"configuration": configuration})
    return True


def _seize(leadership: LeaderElector, means: Means) -> bool:
    try:
        leadership.take_over(HELD_SECONDS)
    except NotFound:
        return False  # nobody leads where there is no Lease
    except ClusterError as error:
        means.log.line("warning", "lease-not-seized", {"problem": str(error)})
    return True


def _round(means: Means, mirrors: Informer[MirrorSeen]) -> dict[str, str]:
    left = {}
    for key, mirror in mirrors.items().items():
        if not mirror.existing.owned:
            continue
        kept = remove(means, mirrors, key.namespace, mirror)
        if kept is not None:
            left[key.namespace] = kept.sentence
    return left
