"""Takes away what the companion made: for an uninstall, and where egress is off.

The webhook's configuration and the API server's policy go first, or nothing does: a pod
that still got a reference would wait for its mirror for ever. The companion still runs
then, so its Lease is taken over next: whoever leads stops within its fence, nobody else
takes over, and nothing comes back.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ListOptions, ObjectKey, Preconditions
from webhook.cluster.leader_election import FENCE_SECONDS, LeaderElector
from webhook.cluster.resources import (
    ADMISSION_POLICY,
    CONFIG_MAP,
    NETWORK_POLICY,
    WEBHOOK_CONFIGURATION,
)
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.certificate_mirror import delete_copy
from webhook.companion.controller import Context, Result
from webhook.companion.mirror_writer import MirrorWriter, meaning
from webhook.companion.projections import MirrorState
from webhook.egress.own_policy import is_own
from webhook.egress.reasons import EgressReason
from webhook.injection.names import CA_CONFIG_MAP, MANAGED_BY, MANAGED_BY_LABEL
from webhook.mirror.certificates import tracking_ca
from webhook.mirror.secret import is_of_release

HELD_SECONDS: Final = 60
"""How long nobody may lead; Helm deletes the Deployment within that."""
_LAST_WRITES: Final = FENCE_SECONDS + 2.0
"""Seconds until whoever led has stopped, and its last write ended; every API server has
stopped asking the webhook, and evaluating the policy, long before."""
_ROUNDS: Final = 5
"""Lists at most; the second only confirms, later ones follow a failure."""
_OURS: Final = ListOptions(NETWORK_POLICY, labels=f"{MANAGED_BY_LABEL}={MANAGED_BY}")
_KEY: Final = "policies"
_HELM_RELEASE: Final = "meta.helm.sh/release-name"


def is_helm_release(context: Context, report: ObjectKey, name: str) -> bool:
    """Return whether Helm itself installed the release that a report belongs to.

    Helm puts its annotation on what it installs, and not on what it renders. Whoever
    applies a render applies Helm's hooks as ordinary objects, at once and for good.

    Args:
        context: what all controllers share.
        report: the ConfigMap of the report, which the chart makes.
        name: of the release.

    Raises:
        ClusterError: the ConfigMap cannot be read, or is not there.
    """
    found = context.client.list(
        ListOptions(CONFIG_MAP, namespace=report.namespace, name=report.name),
        metadata.annotations,
    ).items
    if report not in found:
        raise NotFound(f"ConfigMap {report}: there is no such release")
    _, annotations = found[report]
    return annotations.get(_HELM_RELEASE) == name


def delete_mirrors(
    context: Context,
    mirrors: Informer[MirrorState],
    elector: LeaderElector,
    *,
    configuration: str,
    wait: Callable[[float], object],
) -> dict[str, str]:
    """Delete every mirror of ours in any namespace, whether pods refer to it or not.

    Args:
        context: what all controllers share.
        mirrors: knows the mirrors; it need not run.
        elector: takes the Lease over.
        configuration: name of the webhook's configuration, and of the policy.
        wait: sleeps for so many seconds.

    Returns:
        What is left, by namespace, and why; empty when all is gone.

    Raises:
        ClusterError: one of the two cannot be removed, and so no mirror was; or
            mirrors cannot even be listed.
    """
    asked = _disconnect(context, configuration)
    led = _take_over(context, elector)
    if asked or led:
        wait(_LAST_WRITES)
    left: dict[str, str] = {}
    for round_ in range(_ROUNDS):
        mirrors.refresh()
        failing = mirrors.health.failing
        if failing is not None:
            raise failing
        left = _delete_all(context, mirrors)
        if not left and round_:
            return {}
        wait(1.0 if left else 0.2)
    return left


def delete_certificates(context: Context) -> int:
    """Delete every copy of ours of the tracking server's CA; return how many.

    Raises:
        ClusterError: they cannot be listed, or one could not be deleted.
    """
    project = partial(tracking_ca, release=context.release)
    listing = context.client.list(ListOptions(CONFIG_MAP, name=CA_CONFIG_MAP), project)
    owned = {key: one for key, (_, one) in listing.items.items() if one.owned}
    for key, one in sorted(owned.items()):
        delete_copy(context, key.namespace, one)
    return len(owned)


def delete_policies(context: Context) -> int:
    """Delete every NetworkPolicy of ours; return how many there were.

    Raises:
        ClusterError: they cannot be listed, or one could not be deleted, in which case
            all others were.
    """
    listing = context.client.list(_OURS, dict)
    count, failed = 0, None
    for key, (_, body) in sorted(listing.items.items()):
        labels = metadata.labels(body)
        if not (is_own(labels, key.name) and is_of_release(labels, context.release)):
            continue
        count += 1
        only = Preconditions(uid=metadata.uid(body))
        fields = {"namespace": key.namespace, "name": key.name}
        try:
            context.client.delete(NETWORK_POLICY, key.name, key.namespace, only=only)
            context.log.line("info", "egress-policy-deleted", fields)
        except NotFound:
            continue  # it went by itself meanwhile
        except ClusterError as error:
            failed = failed or error
    if failed:
        raise failed
    return count


class PolicyCleanup:
    """Reconciles a single key where egress is off: takes an earlier mode's policies.

    A shadow left behind would go stale, and a namespace closed by `isolate` would stay
    closed. Nothing is watched for it: it lists once, and again after a failure.
    """

    name = "policy-cleanup"

    def __init__(self, context: Context, queue: WorkQueue) -> None:
        """Queue the one key there is."""
        self._context = context
        queue.add(_KEY)

    def reconcile(self, key: str, now: datetime) -> Result:
        """Delete what there is, once."""
        del key, now  # there is one key, and nothing to wait for
        if not self._context.is_leader():
            return Result(reason=EgressReason.SWITCHED_OFF, requeue_after=1.0)
        try:
            delete_policies(self._context)
        except Forbidden as error:
            # Without the right there is nothing to do but to say so.
            fields = {"problem": str(error)}
            self._context.log.line("warning", "egress-policies-unknown", fields)
            return Result(reason=EgressReason.SWITCHED_OFF, detail=str(error))
        return Result(reason=EgressReason.SWITCHED_OFF)

    def failure(self, key: str, error: Exception) -> Result:
        """Return that policies may be left; they are tried again."""
        del key
        return Result(reason=EgressReason.WRITE_REFUSED, error=error)


def _disconnect(context: Context, configuration: str) -> bool:
    """Return whether there was one of both, so that API servers gave keys to pods."""
    found = False
    for event, kind in (
        ("webhook-disconnected", WEBHOOK_CONFIGURATION),
        ("policy-deleted", ADMISSION_POLICY),
    ):
        try:
            context.client.delete(kind, configuration)
        except NotFound:
            continue
        context.log.line("info", event, {"configuration": configuration})
        found = True
    return found


def _take_over(context: Context, elector: LeaderElector) -> bool:
    """Return whether somebody may lead, whom it takes a while to stop."""
    try:
        elector.take_over(HELD_SECONDS)
    except NotFound:
        return False  # nobody leads where there is no Lease
    except ClusterError as error:
        context.log.line("warning", "lease-not-seized", {"problem": str(error)})
    return True


def _delete_all(context: Context, mirrors: Informer[MirrorState]) -> dict[str, str]:
    writer, left = MirrorWriter(context, mirrors), {}
    for key, mirror in mirrors.items().items():
        if not mirror.existing.owned:
            continue
        try:
            writer.delete(key.namespace, mirror)
        except ClusterError as error:
            left[key.namespace] = meaning(error).sentence
    return left
