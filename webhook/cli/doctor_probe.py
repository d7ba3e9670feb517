"""Runs the probe in a compute namespace: in a task pod there, else in a short Job."""

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from webhook.cli import probe_script
from webhook.cli.doctor_objects import service_selector
from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import JOB, POD, SERVICE
from webhook.companion.observation.model import Piece
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.facts import NamespaceFacts
from webhook.doctor.probe import PROBE_LABELS, ProbeFacts, probe_job, read_stages
from webhook.injection.names import INJECTED_LABEL, INJECTED_TRUE
from webhook.injection.workload import recognize, task_containers

SCRIPT: Final = inspect.getsource(probe_script)
_JOB: Final = "tracking-doctor-probe"
_SECONDS: Final = 60.0
"""For the whole probe: each of its connections may take 5 s."""
_EVERY: Final = 1.0


class Runs(Protocol):
    """Runs a program in a container."""

    def run(
        self,
        pod: tuple[str, str],
        container: str,
        command: list[str],
        *,
        seconds: float,
    ) -> str:
        """Return what it prints."""


@dataclass(frozen=True, slots=True)
class Prober:
    """Probes compute namespaces.

    Attributes:
        client: of the cluster.
        tunnel: into its pods.
        image: for the Job; it has Python.
    """

    client: KubeClient
    tunnel: Runs
    image: str

    def probe(self, facts: NamespaceFacts) -> ProbeFacts:
        """Return how far the server can be reached from a namespace."""
        where, stages = self._stages(facts.name)
        return ProbeFacts(
            namespace=facts.name,
            where=where,
            stages=stages,
            closed=facts.closed,
            home=facts.cluster.seen.release.namespace,
        )

    def _stages(self, namespace: str) -> tuple[str, Piece[Mapping[str, str]]]:
        try:
            pods = self.client.list(
                ListOptions(
                    POD,
                    namespace=namespace,
                    labels=f"{INJECTED_LABEL}={INJECTED_TRUE}",
                    fields="status.phase=Running",
                ),
                _task,
            ).items
        except ClusterError as error:
            what = f"pods in {namespace}"
            return "pods", Unknown.of(error, verb="list", what=what)
        for key, (_, container) in sorted(pods.items()):
            found = self._exec((key.namespace, key.name), container)
            if found is not None:
                return f"pod/{key.name}", found
        return f"job/{_JOB}", self._job(namespace)

    def _exec(self, pod: tuple[str, str], container: str) -> Mapping[str, str] | None:
        """Return what a pod's own Python finds; None where that cannot be had."""
        if not container:
            return None
        command = ["python3", "-c", SCRIPT]
        try:
            said = self.tunnel.run(pod, container, command, seconds=_SECONDS)
            return read_stages(said)
        except (ClusterError, ValueError):
            return None  # another pod may do, or the Job

    def _job(self, namespace: str) -> Piece[Mapping[str, str]]:
        what = f"jobs.batch in {namespace}"
        try:
            services = self.client.list(
                ListOptions(SERVICE, namespace=namespace), service_selector
            ).items
            for key, (_, selector) in services.items():
                if selector and selector.items() <= PROBE_LABELS.items():
                    detail = f"Service {key.name} would take the probe for its own"
                    reason = UnknownReason.UNREADABLE
                    return Unknown(reason=reason, what=what, detail=detail)
            self.client.create(JOB, probe_job(_JOB, namespace, self.image, SCRIPT))
        except ClusterError as error:
            return Unknown.of(error, verb="create", what=what)
        try:
            return self._await(namespace)
        except ClusterError as error:
            return Unknown.of(error, verb="get", what=f"pods in {namespace}")
        finally:
            self._remove(namespace)

    def _await(self, namespace: str) -> Piece[Mapping[str, str]]:
        until = time.monotonic() + _SECONDS
        said = "its pod did not start in time"
        while time.monotonic() < until:
            options = ListOptions(POD, namespace=namespace, labels=f"job-name={_JOB}")
            for _, message in self.client.list(options, _message).items.values():
                if message is None:
                    continue
                try:
                    return read_stages(message)
                except ValueError as error:
                    said = str(error)
            time.sleep(_EVERY)
        reason = UnknownReason.UNREADABLE
        return Unknown(reason=reason, what=f"job/{_JOB}", detail=said)

    def _remove(self, namespace: str) -> None:
        try:
            self.client.delete(JOB, _JOB, namespace)
        except NotFound:
            return  # its own time to live was over
        except ClusterError:
            return  # the same


def _task(body: Json) -> str:
    """Return the name of a pod's task container; empty where it has none."""
    workload = recognize(body)
    containers = body["spec"]["containers"]
    found = task_containers(body, workload) if workload else ()
    return str(containers[found[0]]["name"]) if found else ""


def _message(body: Json) -> str | None:
    """Return what the probe left behind; None while it runs."""
    statuses: list[Any] = (body.get("status") or {}).get("containerStatuses") or []
    for one in statuses:
        ended = (one.get("state") or {}).get("terminated")
        if ended is not None:
            return str(ended.get("message") or "")
    return None
