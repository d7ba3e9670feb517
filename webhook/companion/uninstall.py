"""Takes every mirror away, for the chart's pre-delete hook.

The companion still runs then. So its Lease is seized first: whoever leads stops within
seconds, nobody takes over, and nothing comes back behind our back.
"""

from collections.abc import Callable
from typing import Final

from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.follow import Follower
from webhook.cluster.lease import Leadership
from webhook.companion.means import Means
from webhook.companion.removal import remove
from webhook.companion.seen import MirrorSeen

HELD_SECONDS: Final = 60
"""How long nobody may lead; Helm deletes the Deployment within that."""
_LAST_WRITES: Final = 4.0
"""Seconds until a leader has noticed (it renews every 2 s) and its last write ended."""
_ROUNDS: Final = 5
"""Lists at most; the second only confirms, later ones follow a failure."""


def remove_all(
    means: Means,
    mirrors: Follower[MirrorSeen],
    leadership: Leadership,
    *,
    wait: Callable[[float], object],
) -> dict[str, str]:
    """Removes every mirror of ours in any namespace, whether pods refer to it or not.

    Args:
        means: what it acts with.
        mirrors: the followed mirrors; it need not run.
        leadership: the Lease to seize.
        wait: sleeps for so many seconds.

    Returns:
        What is left, by namespace, and why; empty when all is gone.

    Raises:
        ClusterError: mirrors cannot even be listed.
    """
    if _seize(leadership, means):
        wait(_LAST_WRITES)
    left: dict[str, str] = {}
    for round_ in range(_ROUNDS):
        mirrors.refresh()
        failing = mirrors.standing.failing
        if failing is not None:
            raise failing
        left = _round(means, mirrors)
        if not left and round_:
            return {}
        wait(1.0 if left else 0.2)
    return left


def _seize(leadership: Leadership, means: Means) -> bool:
    try:
        leadership.seize(HELD_SECONDS)
    except NotFound:
        return False  # nobody leads where there is no Lease
    except ClusterError as error:
        means.log.line("warning", "lease-not-seized", {"problem": str(error)})
    return True


def _round(means: Means, mirrors: Follower[MirrorSeen]) -> dict[str, str]:
    left = {}
    for key, mirror in mirrors.snapshot().items():
        if not mirror.existing.owned:
            continue
        kept = remove(means, mirrors, key.namespace, mirror)
        if kept is not None:
            left[key.namespace] = kept.sentence
    return left
