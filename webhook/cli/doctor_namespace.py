"""Reads what doctor's checks of a compute namespace look at."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import click

from webhook.cli.doctor_objects import by_sparks_webhook, is_own_right, refusal
from webhook.cli.doctor_rights import WORKERS
from webhook.cli.egress_check import trace
from webhook.cli.egress_input import EgressInput, Flags, from_cluster
from webhook.cluster import metadata
from webhook.cluster.errors import (
    ClusterError,
    Forbidden,
    QuotaExceeded,
    Rejected,
    Terminating,
    Unavailable,
)
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import (
    NAMESPACE,
    POD,
    RAY_CLUSTER,
    SPARK_APPLICATION,
    ResourceType,
)
from webhook.companion.observation.model import Piece
from webhook.companion.observation.observe import PieceReader
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.check import mapped
from webhook.doctor.facts import (
    Attempt,
    AttemptResult,
    ClusterFacts,
    NamespaceFacts,
)
from webhook.doctor.namespaces import looks_mistyped
from webhook.doctor.pods import IMAGE, KINDS, has_keys, hidden_keys, task_pod
from webhook.egress.network_policy import Pod
from webhook.injection.names import (
    INJECT_ENABLED,
    INJECT_LABEL,
    INJECTED_LABEL,
    INJECTED_TRUE,
)

_ACTED: Final = timedelta(minutes=1)
"""Within which an operator says something about what it found."""
_POD_SECURITY: Final = "violates PodSecurity"
_FOR_TASKS: Final = (RAY_CLUSTER, SPARK_APPLICATION)


@dataclass(slots=True)
class NamespaceReader:
    """Reads compute namespaces, each list of the cluster once for all of them.

    Attributes:
        client: of the cluster.
        cluster: what was seen of the installation.
        now: the API server's time.
        kinds: of which a task pod is created in a dry run.
    """

    client: KubeClient
    cluster: ClusterFacts
    now: datetime
    kinds: Sequence[str] = tuple(KINDS)
    _labels: Mapping[str, Json] | None = None
    _egress: Piece[EgressInput] | None = None
    _ignored: dict[str, list[str]] = field(default_factory=dict)
    _lost: dict[str, list[str]] = field(default_factory=dict)

    def read(self, asked: Sequence[str]) -> tuple[NamespaceFacts, ...]:
        """Return the facts of namespaces, in order; of all that matter without any."""
        self._list()
        names = list(dict.fromkeys(asked)) or self._found()
        self._see_operators(names)
        self._egress = self._read_egress()
        attempts = self._attempts(names)
        return tuple(
            self._facts(name, attempts[name], asked=bool(asked)) for name in names
        )

    def _list(self) -> None:
        """List every namespace, where that is permitted."""
        with suppress(ClusterError):  # then each is asked for by its name
            items = self.client.list(ListOptions(NAMESPACE), dict).items
            self._labels = {key.name: body for key, (_, body) in items.items()}

    def _found(self) -> list[str]:
        """Return the namespaces that are labeled, or look as if they were meant to."""
        report = self.cluster.report
        reported = () if isinstance(report, Unknown) else tuple(report.namespaces)
        if self._labels is None:
            return sorted(reported)
        return sorted(
            name
            for name, body in self._labels.items()
            if INJECT_LABEL in metadata.labels(body)
            or name in reported
            or looks_mistyped(metadata.labels(body))
        )

    def _facts(
        self, name: str, attempts: Piece[tuple[Attempt, ...]], *, asked: bool
    ) -> NamespaceFacts:
        body = self._body(name)
        seen = {} if isinstance(body, Unknown) else body
        return NamespaceFacts(
            name=name,
            asked=asked,
            labels=mapped(metadata.labels, body),
            terminating=bool(metadata.of(seen).get("deletionTimestamp")),
            cluster=self.cluster,
            attempts=attempts,
            closed=self._closed(name),
            ignored=tuple(self._ignored.get(name, ())),
            lost=self._lost_of(name),
        )

    def _body(self, name: str) -> Piece[Json]:
        if self._labels is not None:
            absent = Unknown(reason=UnknownReason.ABSENT, what=f"namespaces {name}")
            return self._labels.get(name, absent)
        return PieceReader(self.client).ask(
            lambda: self.client.get(NAMESPACE, name), "get", f"namespaces {name}"
        )

    # --- dry runs ---

    def _attempts(
        self, names: Sequence[str]
    ) -> Mapping[str, Piece[tuple[Attempt, ...]]]:
        """Return by namespace what came of pods of all kinds; of none if unlabeled."""
        reader, bodies = PieceReader(self.client), {n: self._body(n) for n in names}

        def attempt(name: str, kind: str) -> Piece[Attempt]:
            what = f"pods in {name}"
            return reader.ask(lambda: self._attempt(name, kind), "create", what)

        with ThreadPoolExecutor(WORKERS) as pool:
            tried = {
                name: [pool.submit(attempt, name, kind) for kind in self.kinds]
                for name, body in bodies.items()
                if not isinstance(body, Unknown)
                if metadata.labels(body).get(INJECT_LABEL) == INJECT_ENABLED
            }
        return {
            name: mapped(
                lambda _, *found: found,
                body,
                *(future.result() for future in tried.get(name, ())),
            )
            for name, body in bodies.items()
        }

    def _keys(self, namespace: str) -> Collection[str]:
        """Return the names of a namespace's keys, as far as they are reported."""
        report = self.cluster.report
        if isinstance(report, Unknown) or namespace not in report.namespaces:
            return ()
        profile = report.profiles.get(report.namespaces[namespace].profile)
        return profile.keys if profile else ()

    def _attempt(self, namespace: str, kind: str) -> Attempt:
        """Create a pod in a dry run.

        Raises:
            ClusterError: it could not be tried.
        """
        webhook = self.cluster.seen.webhook
        image = IMAGE if isinstance(webhook, Unknown) else webhook.image or IMAGE
        pod = task_pod(kind, namespace, image)
        try:
            made = self.client.create(POD, pod, dry_run=True)
        except (Rejected, Unavailable) as error:
            if is_own_right(error):
                raise
            return Attempt(kind=kind, result=_refused(error), said=refusal(error))
        if not has_keys(made, kind):
            return Attempt(kind=kind, result=AttemptResult.PLAIN)
        hidden = hidden_keys(made, kind, self._keys(namespace))
        return Attempt(kind=kind, result=AttemptResult.INJECTED, hidden=hidden)

    # --- policies ---

    def _read_egress(self) -> Piece[EgressInput]:
        release = self.cluster.seen.release
        if isinstance(self.cluster.report, Unknown):
            return self.cluster.report
        try:
            return from_cluster(self.client, Flags(release=str(release)))
        except ClusterError as error:
            return Unknown.of(error, verb="list", what="what policies depend on")
        except click.ClickException as error:
            what, reason = "the plan of egress", UnknownReason.UNREADABLE
            return Unknown(reason=reason, what=what, detail=error.message)

    def _closed(self, name: str) -> Piece[tuple[str, ...]]:
        """Return the ways to the server that policies close to a new task pod."""
        given = self._egress
        if given is None or isinstance(given, Unknown):
            return () if given is None else given
        if name not in given.namespaces:
            return ()
        reader = PieceReader(self.client)
        return reader.ask(
            lambda: tuple(dict.fromkeys(_walk(given, name))), "read", f"policies {name}"
        )

    # --- operators ---

    def _see_operators(self, names: Iterable[str]) -> None:
        """Find what operators should have acted on, and what one cannot act on."""
        wanted = set(names)
        for kind in _FOR_TASKS:
            for key, made in self._made(kind):
                if key.namespace not in wanted:
                    continue
                said = f"{kind.name.lower()}/{key.name}"
                if made.unacted is not None and self.now - made.unacted > _ACTED:
                    self._ignored.setdefault(key.namespace, []).append(said)
                if kind is SPARK_APPLICATION and made.by_webhook:
                    lost = f"{said}: {', '.join(made.by_webhook)}"
                    self._lost.setdefault(key.namespace, []).append(lost)

    def _made(self, kind: ResourceType) -> list[tuple[ObjectKey, "_ForTasks"]]:
        try:
            found = self.client.list(ListOptions(kind), _for_tasks)
        except ClusterError:  # not served, or not to be seen
            return []
        return sorted((key, made) for key, (_, made) in found.items.items())

    def _lost_of(self, name: str) -> Piece[tuple[str, ...]]:
        lost, webhook = self._lost.get(name, ()), self.cluster.spark_webhook
        if lost and isinstance(webhook, Unknown):
            return webhook
        return () if webhook else tuple(lost)


def _refused(error: ClusterError) -> AttemptResult:
    if isinstance(error, Terminating):
        return AttemptResult.TERMINATING
    if isinstance(error, QuotaExceeded):
        return AttemptResult.QUOTA
    secure = isinstance(error, Forbidden) and _POD_SECURITY in str(error)
    return AttemptResult.POD_SECURITY if secure else AttemptResult.REFUSED


class _ForTasks(NamedTuple):
    """What an operator makes task pods of.

    Attributes:
        unacted: since when it has been there without a word of its operator.
        by_webhook: what of it needs spark-operator's webhook.
    """

    unacted: datetime | None
    by_webhook: tuple[str, ...]


def _for_tasks(body: Json) -> _ForTasks:
    unacted = None if body.get("status") else metadata.creation_time(body)
    return _ForTasks(unacted, by_sparks_webhook(body))


def _walk(given: EgressInput, name: str) -> Iterable[str]:
    """Yield each way that is closed, for a new pod of each kind."""
    about = given.of(name)
    rules = given.rules(about).rules
    policies = [one for there in given.world.policies.values() for one in there]
    for labels, _ in KINDS.values():
        pod = Pod(
            namespace=name,
            name="new",
            labels={**labels, INJECTED_LABEL: INJECTED_TRUE},
            namespace_labels=about.labels,
        )
        for hop in trace(policies, (), pod, rules):
            if not hop.is_open:
                yield f"{hop.to}: {hop.why}"
