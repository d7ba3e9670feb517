"""Takes the webhook and every mirror away, for the chart's pre-delete hook.

The webhook goes first: a pod created while its mirror goes would wait for it for ever.
The companion still runs then. So its Lease is seized next: whoever leads stops within
seconds, nobody takes over, and nothing comes back behind our back.
"""

from collections.abc import Callable
from typing import Final

from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.follow import Follower
from webhook.cluster.kinds import WEBHOOK_CONFIGURATION
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
    webhook: str,
    mirrors: Follower[MirrorSeen],
    leadership: Leadership,
    *,
    wait: Callable[[float], object],
) -> dict[str, str]:
    """Removes the webhook, then every mirror, whether pods refer to it or not.

    Args:
        means: what it acts with.
        webhook: name of the MutatingWebhookConfiguration.
        mirrors: the followed mirrors; it need not run.
        leadership: the Lease to seize.
        wait: sleeps for so many seconds.

    Returns:
        What is left, by namespace, and why; empty when all is gone.

    Raises:
        ClusterError: mirrors cannot even be listed.
    """
    _unhook(means, webhook)
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


def _unhook(means: Means, webhook: str) -> None:
    try:
        means.resources.delete(WEBHOOK_CONFIGURATION, webhook)
    except NotFound:
        return
    except ClusterError as error:
        # Only the chart's hook has the right; mirrors are taken away all the same.
        fields = {"webhook": webhook, "problem": str(error)}
        means.log.line("warning", "webhook-not-removed", fields)
        return
    means.log.line("info", "webhook-removed", {"webhook": webhook})


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
