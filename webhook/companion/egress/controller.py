"""Keeps the egress policies of labeled namespaces as planned; the key is a namespace.

A change costs the namespaces that it concerns:

- one of a namespace, its policies, its profile or its names' addresses: that namespace;
- of a Service, an endpoint or a node: the key `RULES`, which compares the rules of the
  few distinct sets of destinations and queues the namespaces whose rules changed;
- of a policy in a namespace where a server stands: `RULES` too, which queues that
  server's callers if a policy there that restricts ingress changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import ObjectKey
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches, EgressCaches
from webhook.companion.controller import SOON, Context, Notice, Result
from webhook.companion.egress.applier import Applied, Applier, NotLeadingError
from webhook.companion.egress.planner import EgressSources, Planner
from webhook.companion.projections import ComputeNamespace
from webhook.egress.mode import EgressMode, narrowed
from webhook.egress.options import EgressOptions
from webhook.egress.plan import NamespacePlan
from webhook.egress.reasons import EgressReason, Finding
from webhook.mirror.decide import NamespaceFilter

RULES: Final = ""
"""The key of what namespaces have in common; no namespace is named so."""
_GATHER: Final = 0.1
"""Seconds in which changes of Services and endpoints are gathered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressResult(Result):
    """How egress of a namespace stands.

    Attributes:
        reason: the word for it.
        mode: how far egress goes there.
        policies: of ours that should be there; under `observe`, that would be.
        orphans: shadows left there that no policy justifies.
        findings: sorted.
        waiting: names are still to be looked up.
    """

    reason: EgressReason
    mode: EgressMode
    policies: int = 0
    orphans: int = 0
    findings: tuple[Finding, ...] = ()
    waiting: bool = False


class EgressController:
    """The reconciler; several workers may run it."""

    name = "egress"

    def __init__(
        self,
        context: Context,
        caches: Caches,
        queue: WorkQueue,
        sources: EgressSources,
        options: EgressOptions,
    ) -> None:
        """Subscribe to everything that namespaces are planned from.

        Args:
            context: what all controllers share.
            caches: the informers; those of egress among them.
            queue: of this controller.
            sources: what else namespaces are planned from.
            options: what the settings say.
        """
        if caches.egress is None:
            raise ValueError("egress needs its caches")
        self._context, self._caches, self._queue = context, caches, queue
        self._egress: EgressCaches = caches.egress
        self._sources, self._options = sources, options
        self._filter = NamespaceFilter(options.allowed, options.excluded)
        self._planner = Planner(self._egress, sources, options)
        self.applier = Applier(context, self._egress.policies)
        self._was_synced = False
        self._subscribe()

    def reconcile(self, key: str, now: datetime) -> EgressResult | None:
        """Plan one namespace and apply the plan; or compare the rules of all."""
        if not self._is_synced():
            return None  # half a picture would permit less; all are queued later
        if key == RULES:
            for name in self._planner.changed(now):
                self._queue.add(name)
            return None
        namespace = self._caches.namespace(key)
        if namespace is None or self._filter.exclusion(key) is not None:
            return self._leave(key, now, hold=False)
        if namespace.terminating:
            return self._leave(key, now, hold=True)
        plan = self._planner.plan(namespace, now)
        applied = self.applier.apply(key, plan.desired, now, hold=plan.hold)
        return self._result(namespace, plan, applied, now)

    def failure(self, key: str, error: Exception) -> EgressResult:
        """Return the error as the namespace's; nothing is ready there."""
        namespace = self._caches.namespace(key)
        label = namespace.egress if namespace else None
        return EgressResult(
            reason=EgressReason.WRITE_REFUSED,
            mode=narrowed(self._options.mode, label),
            error=error,
            notices=tuple(self._refused(key, error)) if key != RULES else (),
        )

    def _subscribe(self) -> None:
        self._caches.namespaces.subscribe(self._namespace_changed, self._health_changed)
        self._egress.policies.subscribe(self._policy_changed, self._health_changed)
        for informer in (self._egress.services, self._egress.slices):
            informer.subscribe(lambda _: None, self._health_changed)
        self._egress.nodes.subscribe(lambda _: None, self._health_changed)
        self._sources.profiles.subscribe(self._profile_changed)
        self._sources.index.subscribe(partial(self._queue.add_after, RULES, _GATHER))
        self._sources.dns.subscribe(self._queue.add)
        self._sources.engines.subscribe(self._queue_all)

    def _namespace_changed(self, key: ObjectKey) -> None:
        self._queue.add(key.name, urgent=True)

    def _policy_changed(self, key: ObjectKey) -> None:
        if self.applier.is_writing:
            return  # it is as planned
        # What isolates by mistake must not wait for a thousand rewrites.
        self._queue.add(key.namespace, urgent=True)
        if self._planner.has_servers(key.namespace):
            self._queue.add_after(RULES, _GATHER)

    def _profile_changed(self, profile: str) -> None:
        for key, namespace in self._caches.namespaces.items().items():
            if namespace.profile == profile:
                self._queue.add(key.name)

    def _health_changed(self) -> None:
        if not self._was_synced and self._is_synced():
            self._was_synced = True
            self._queue_all()

    def _queue_all(self) -> None:
        """Queue labeled namespaces, and those where a policy of ours may be left."""
        names = {key.name for key in self._caches.namespaces.items()}
        for name in names.union(self._planner.policies):
            self._queue.add(name)

    def _is_synced(self) -> bool:
        return self._caches.namespaces.health.synced and self._egress.is_synced()

    def _leave(self, key: str, now: datetime, *, hold: bool) -> EgressResult | None:
        """Take ours away where egress is no business of ours any more."""
        self._planner.forget(key)
        applied = self.applier.apply(key, (), now, hold=hold)
        self.applier.forget(key)
        return self.failure(key, applied.error) if applied.error else None

    def _result(
        self,
        namespace: ComputeNamespace,
        plan: NamespacePlan,
        applied: Applied,
        now: datetime,
    ) -> EgressResult:
        reason = plan.reason
        if applied.error is not None and namespace.is_news(applied.error, now):
            applied = replace(applied, paced=SOON, error=None)
        if applied.error is not None:
            reason = EgressReason.WRITE_REFUSED
        elif applied.paced is not None:
            reason = EgressReason.PENDING
        expires = self._planner.expires_in(namespace, now)
        pauses = [p for p in (applied.paced, expires) if p is not None]
        notices = list(self._noticed(namespace, plan))
        if applied.error is not None:
            notices += self._refused(namespace.name, applied.error)
        return EgressResult(
            reason=reason,
            requeue_after=min(pauses, default=None),
            error=applied.error,
            notices=tuple(notices),
            mode=plan.mode,
            policies=len(plan.policies),
            orphans=applied.orphans,
            findings=plan.findings,
            waiting=plan.waiting,
        )

    def _noticed(
        self, namespace: ComputeNamespace, plan: NamespacePlan
    ) -> Iterator[Notice]:
        """Return a Notice for each finding, at what it is about.

        Those that namespaces share are noticed at one object, and so only once.
        """
        for finding in plan.findings:
            if finding.reason is EgressReason.NO_NETWORK_NEEDED:
                continue  # nothing to warn of
            shared = finding in plan.shared
            about = self._sources.dns.reference if shared else namespace.reference
            message = f"{finding.message[:1].upper()}{finding.message[1:]}."
            yield Notice(about=about, reason=finding.reason, message=message)

    def _refused(self, name: str, error: Exception) -> Iterator[Notice]:
        """Return the Notice of an error, unless another replica leads now."""
        if isinstance(error, NotLeadingError):
            return
        # The text of an error of ours might quote a value.
        said = str(error) if isinstance(error, ClusterError) else type(error).__name__
        message = f"Egress policies are not as planned: {said}."
        about, reason = self._caches.reference(name), EgressReason.WRITE_REFUSED
        yield Notice(about=about, reason=reason, message=message)
