"""Runs the probe in a compute namespace, where that can be had with the least.

In a task pod that runs, by its own Python; else in a container beside a task container;
else in a short Job.
"""

import inspect
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from webhook.cli import probe_script
from webhook.cli.doctor_objects import service_selector
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import JOB, POD, SERVICE
from webhook.companion.observation.model import Piece
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.facts import NamespaceFacts
from webhook.doctor.probe import (
    PROBE_LABELS,
    ProbeFacts,
    probe_container,
    probe_job,
    read_stages,
)
from webhook.injection.names import INJECTED_LABEL, INJECTED_TRUE
from webhook.injection.workload import recognize, task_containers

SCRIPT: Final = inspect.getsource(probe_script)
_COMMAND: Final = (
    *("python3", "-c"),
    # It is read, not given as an argument: that would be a part of the URL.
    f"import sys; exec(sys.stdin.read({len(SCRIPT)}))",
)
_NAME: Final = "tracking-doctor-probe"
_SECONDS: Final = 60.0
"""For the whole probe: each of its connections may take 5 s."""
_EVERY: Final = 1.0
_TRIED: Final = 3
"""Pods of a namespace whose own Python is tried: they are mostly of one image."""

Stages = Mapping[str, str]
_Way = tuple[str, Callable[[], Piece[Stages]]]
"""Where the probe would run, and what runs it there."""


class PodAccess(Protocol):
    """Reaches into pods."""

    def run(
        self,
        pod: tuple[str, str],
        container: str,
        command: tuple[str, ...],
        *,
        given: str,
        seconds: float,
    ) -> str:
        """Return what a program in a container prints."""


@dataclass(frozen=True, slots=True)
class Prober:
    """Probes compute namespaces.

    Attributes:
        client: of the cluster.
        pods: into its pods.
        image: of the product, which has Python.
    """

    client: KubeClient
    pods: PodAccess
    image: str

    def probe(self, facts: NamespaceFacts) -> ProbeFacts:
        """Return how far the server can be reached from a namespace."""
        where, stages = self._stages(facts.name)
        return ProbeFacts(
            namespace=facts.name,
            where=where,
            stages=stages,
            closed=facts.closed,
            words=facts.words,
        )

    def _stages(self, namespace: str) -> tuple[str, Piece[Stages]]:
        """Try each way until one tells something; else say what each one lacks."""
        hindrances = []
        for where, probe in self._ways(namespace):
            found = probe()
            if not isinstance(found, Unknown):
                return where, found
            hindrances.append(found.sentence)
        detail = " ".join(dict.fromkeys(hindrances))
        reason = UnknownReason.UNREADABLE
        return "", Unknown(reason=reason, what="the probe", detail=detail)

    def _ways(self, namespace: str) -> Iterator[_Way]:
        pods = self._task_pods(namespace)
        if isinstance(pods, Unknown):
            yield "pods", lambda: pods
        else:
            for pod in pods[:_TRIED]:
                yield f"pod/{_name(pod)}", partial(self._inside, pod)
            for pod in pods[:1]:
                where = f"a container beside the task of pod/{_name(pod)}"
                yield where, partial(self._beside, pod)
        # Policies that select Ray's or Spark's own labels do not see it.
        yield "a Job without the labels of Ray and Spark", partial(self._job, namespace)

    def _task_pods(self, namespace: str) -> Piece[list[Json]]:
        """Return the injected pods that run, those that are ready in front."""
        options = ListOptions(
            POD,
            namespace=namespace,
            labels=f"{INJECTED_LABEL}={INJECTED_TRUE}",
            fields="status.phase=Running",
        )
        try:
            found = self.client.list(options, _kept).items.values()
        except ClusterError as error:
            return Unknown.of(error, verb="list", what=f"pods in {namespace}")
        pods = [pod for _, pod in found if pod is not None]
        return sorted(pods, key=lambda pod: (not _is_ready(pod), _name(pod)))

    def _inside(self, pod: Json) -> Piece[Stages]:
        """Return what the Python of the task's own image finds."""
        key, what = metadata.key(pod), f"pods/exec in {metadata.key(pod).namespace}"
        try:
            said = self.pods.run(
                (key.namespace, key.name),
                _task(pod)["name"],
                _COMMAND,
                given=SCRIPT,
                seconds=_SECONDS,
            )
            return read_stages(said)
        except ClusterError as error:
            return Unknown.of(error, verb="get and create", what=what)
        except ValueError:
            detail = f"pod/{key.name} has no Python"
            return Unknown(reason=UnknownReason.UNREADABLE, what=what, detail=detail)

    def _beside(self, pod: Json) -> Piece[Stages]:
        """Return what an ephemeral container finds; it stays in the pod's list."""
        key = metadata.key(pod)
        what, name = f"pods/ephemeralcontainers in {key.namespace}", _unique()
        container = probe_container(name, self.image, SCRIPT, _task(pod))
        try:
            self.client.add_container(key.namespace, key.name, container)
        except ClusterError as error:
            return Unknown.of(error, verb="patch", what=what)

        def look() -> Iterator[Json]:
            status = self.client.get(POD, key.name, key.namespace).get("status") or {}
            found = status.get("ephemeralContainerStatuses") or ()
            yield from (one for one in found if one.get("name") == name)

        return _await(look, what)

    def _job(self, namespace: str) -> Piece[Stages]:
        what, name = f"jobs.batch in {namespace}", _unique()
        try:
            options = ListOptions(SERVICE, namespace=namespace)
            services = self.client.list(options, service_selector).items
        except ClusterError as error:
            return Unknown.of(error, verb="list", what=f"services in {namespace}")
        for key, (_, selector) in services.items():
            if selector and selector.items() <= PROBE_LABELS.items():
                detail = f"Service {key.name} would take the probe for its own"
                reason = UnknownReason.UNREADABLE
                return Unknown(reason=reason, what=what, detail=detail)
        try:
            body = probe_job(name, namespace, self.image, SCRIPT)
            self.client.create(JOB, body)
        except Forbidden as error:
            return Unknown.of(error, verb="create", what=what)
        except ClusterError as error:
            reason = UnknownReason.UNREACHABLE
            return Unknown(reason=reason, what=what, detail=str(error))
        try:
            options = ListOptions(POD, namespace=namespace, labels=f"job-name={name}")

            def look() -> Iterator[Json]:
                for _, found in self.client.list(options, _statuses).items.values():
                    yield from found

            return _await(look, what)
        finally:
            self._remove(namespace, name)

    def _remove(self, namespace: str, name: str) -> None:
        with suppress(ClusterError):  # its own time to live is over, or will be soon
            self.client.delete(JOB, name, namespace)


def _await(look: Callable[[], Iterator[Json]], what: str) -> Piece[Stages]:
    """Return what the container leaves behind as its last message."""
    until = time.monotonic() + _SECONDS
    said = "the probe's container did not start in time"
    while time.monotonic() < until:
        try:
            for status in look():
                state = status.get("state") or {}
                if ended := state.get("terminated"):
                    return read_stages(str(ended.get("message") or ""))
                if reason := (state.get("waiting") or {}).get("reason"):
                    said = f"the probe's container waits: {reason}"
        except ClusterError as error:
            return Unknown.of(error, verb="get", what=what)
        except ValueError as error:
            said = str(error)
            break
        time.sleep(_EVERY)
    return Unknown(reason=UnknownReason.UNREADABLE, what=what, detail=said)


def _unique() -> str:
    """Return a name, so that no result is an earlier one's."""
    return f"{_NAME}-{secrets.token_hex(3)}"


def _kept(body: Json) -> Json | None:
    """Return a pod that has a task container; None otherwise."""
    return body if _tasks(body) else None


def _tasks(body: Json) -> list[Json]:
    workload = recognize(body)
    found = task_containers(body, workload) if workload else ()
    return [body["spec"]["containers"][number] for number in found]


def _task(body: Json) -> Json:
    return _tasks(body)[0]


def _name(body: Json) -> str:
    return metadata.key(body).name


def _is_ready(body: Json) -> bool:
    conditions: list[Any] = (body.get("status") or {}).get("conditions") or []
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def _statuses(body: Json) -> list[Json]:
    found: list[Json] = (body.get("status") or {}).get("containerStatuses") or []
    return found
