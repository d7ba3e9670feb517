"""What the companion keeps of each object that it watches, and no more.

Pure: an object as the API server sends it in, a small frozen value out. Ten thousand
pods are a few megabytes; of a ConfigMap that may shadow keys only the names are kept.
A projection may raise on an object that it cannot read: the informer keeps what it had.
"""

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from webhook.cluster import metadata
from webhook.cluster.errors import Invalid
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import NAMESPACE, POD
from webhook.egress.network_policy import NetworkPolicy
from webhook.egress.rules import NAMESPACE_NAME_LABEL
from webhook.injection.decision import decide_pod
from webhook.injection.names import (
    DEFAULT_PROFILE,
    EGRESS_LABEL,
    INJECT_DISABLED,
    INJECT_LABEL,
    INJECTED_LABEL,
    INJECTED_TRUE,
    MANAGED_BY,
    MIRROR_SECRET,
    PROFILE_LABEL,
)
from webhook.injection.patch import refers_to_mirror
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason
from webhook.injection.stamp import InjectedBy, annotation, injected_by
from webhook.injection.validate import is_pod
from webhook.injection.workload import (
    RAY_LABEL,
    SPARK_LABEL,
    recognize,
    task_containers,
)
from webhook.mirror.decide import ExistingMirror, LabeledNamespace
from webhook.mirror.presets import TOKEN_AUTH, shows_pods_token
from webhook.mirror.secret import fingerprint_of, is_owned
from webhook.secret_bytes import SecretBytes

NOT_A_TASK: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        RAY_LABEL: ("redis-cleanup",),
        SPARK_LABEL: ("connect-server", "master", "worker"),
        INJECT_LABEL: (INJECT_DISABLED,),
    }
)
"""Values of the labels that mark task pods, which pods have that are known to run no
task. With any other value a pod is looked at, so that a wrong one is seen as well."""
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_HAVE_TOKEN: Final = (_ACCOUNT, f"{_ACCOUNT}/token")
"""Where clients look for their pod's token: the directory, or the file alone."""
_CONFIG_ERROR: Final = "CreateContainerConfigError"
_ENDED: Final = ("Succeeded", "Failed")
_HEARD: Final = timedelta(seconds=5)
"""Within this time after it was written, every API server knows a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeNamespace:
    """A labeled namespace.

    Attributes:
        name: its name.
        uid: its UID, for Events.
        profile: the profile that its label names.
        egress: the value of its egress label; None without one.
        labels: all of them: other namespaces' policies may ask for any.
        terminating: it is being deleted.
        enabled_at: when the label was last written, as the API server knows.
    """

    name: str
    uid: str
    profile: str
    egress: str | None
    labels: Mapping[str, str]
    terminating: bool
    enabled_at: datetime | None

    @property
    def labeled(self) -> LabeledNamespace:
        """Return what is decided about."""
        return LabeledNamespace(
            name=self.name, profile=self.profile, terminating=self.terminating
        )

    @property
    def reference(self) -> ObjectReference:
        """Return what an Event about it refers to; it goes where its users look."""
        key = ObjectKey(self.name, self.name)
        return ObjectReference.to(NAMESPACE, key, self.uid)

    def is_news(self, error: Exception, now: datetime) -> bool:
        """Return whether a refusal may mean that the API server has yet to hear of it.

        An API server may hear of a label later than we do, and until then the chart's
        policies refuse what we write there, naming no field.
        """
        at = self.enabled_at  # by the API server's clock, which may be ahead of ours
        fresh = at is not None and abs(now - at) <= _HEARD
        return fresh and isinstance(error, Invalid) and not error.fields


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorState:
    """A Secret of the mirror's name, without values.

    Attributes:
        existing: what the decision compares.
        uid: with `resource_version`, what a delete of exactly this object names.
        resource_version: as the server gave it.
        keys: names of the variables it holds.
        created: when it was created.
        changed: when its content last changed.
        wants_token: by what it holds, a task shows its pod's token to the server.
    """

    existing: ExistingMirror
    uid: str
    resource_version: str
    keys: tuple[str, ...]
    created: datetime | None
    changed: datetime | None
    wants_token: bool


@dataclass(frozen=True, slots=True)
class SourceContent:
    """A source's content, and when it last changed."""

    content: Mapping[str, SecretBytes]
    changed: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPod:
    """A pod that is or looks like a task pod.

    Attributes:
        uid: its UID, for Events.
        created: when it was created.
        over: it has ended, well or not.
        stamped: it bears the webhook's label, whoever wrote that.
        waiting: a task container of it waits for the mirror, or for a key of it.
        reason: what the webhook would say about it now.
        started: when the first of its task containers last started, if it runs.
        by: who gave it the keys, as its stamp says; None without one.
        owner: its controller, if any.
        environments: `environment_sources` of each of its task containers.
        has_token: its service account's token is mounted into each of them.
    """

    uid: str
    created: datetime | None
    over: bool
    stamped: bool
    waiting: bool
    reason: InjectionReason
    started: datetime | None
    by: InjectedBy | None
    owner: ObjectReference | None
    environments: tuple[str, ...]
    has_token: bool


@dataclass(frozen=True, slots=True)
class UnreadablePolicy:
    """A NetworkPolicy with a value that this version does not know."""

    problem: str
    uid: str = ""


def compute_namespace(body: Json) -> ComputeNamespace:
    """Keep of a Namespace its labels, whether it goes, and when it was labeled."""
    labels, name = metadata.labels(body), metadata.key(body).name
    return ComputeNamespace(
        name=name,
        uid=metadata.uid(body),
        profile=labels.get(PROFILE_LABEL) or DEFAULT_PROFILE,
        egress=labels.get(EGRESS_LABEL),
        labels={k: _interned(v) for k, v in labels.items()}
        | {NAMESPACE_NAME_LABEL: name},
        terminating=bool(metadata.of(body).get("deletionTimestamp")),
        enabled_at=metadata.last_write_time(body, "metadata", "labels", INJECT_LABEL),
    )


def mirror_state(body: Json, release: str = MANAGED_BY) -> MirrorState:
    """Keep of a Secret of the mirror's name all but its values.

    Of one that is not ours no key is asked for: anybody may write thousands.
    """
    created = metadata.creation_time(body)
    owned = is_owned(body, release)
    auth = (body.get("data") or {}).get(TOKEN_AUTH, "") if owned else ""
    keys = tuple(sorted(body.get("data") or ())) if owned else ()
    return MirrorState(
        existing=ExistingMirror(owned, fingerprint_of(body)),
        uid=metadata.uid(body),
        resource_version=metadata.resource_version(body),
        keys=_same(tuple(map(sys.intern, keys))) if len(keys) <= _SHARED else keys,
        created=created,
        changed=metadata.last_write_time(body, "data") or created,
        wants_token=shows_pods_token(base64.b64decode(auth)),
    )


def secret_source(body: Json) -> SourceContent:
    """Keep a source Secret's values, wrapped."""
    return _source(body, body.get("data") or {}, {})


def config_map_source(body: Json) -> SourceContent:
    """Keep a source ConfigMap's values, wrapped.

    As the kubelet does for `envFrom`, it reads none of the `binaryData`.
    """
    return _source(body, {}, body.get("data") or {})


def config_map_keys(body: Json) -> frozenset[str]:
    """Keep of a ConfigMap the names of what may become a variable, without values."""
    return frozenset(body.get("data") or ())


def network_policy(body: Json) -> NetworkPolicy | UnreadablePolicy:
    """Keep a NetworkPolicy, or why it cannot be read: that is said, not passed over."""
    try:
        return NetworkPolicy.parse(body)
    except ValueError as error:
        return UnreadablePolicy(str(error), metadata.uid(body))


def task_pod(body: Json) -> TaskPod:
    """Keep of a pod what the auditor asks about it."""
    status = body.get("status") or {}
    stamped = metadata.labels(body).get(INJECTED_LABEL) == INJECTED_TRUE
    tasks = _task_containers(body)
    names = {container["name"] for container in tasks}
    # Anybody may write the label: the reference is what gives the keys.
    injected = stamped and bool(tasks) and all(map(_refers, tasks))
    deleted = bool(metadata.of(body).get("deletionTimestamp"))
    return TaskPod(
        uid=metadata.uid(body),
        created=metadata.creation_time(body),
        over=status.get("phase") in _ENDED or deleted,
        stamped=stamped,
        waiting=any(map(_waits, _states(status, names))),
        reason=InjectionReason.ALREADY_INJECTED if injected else _decided(body),
        started=_started(status, names),
        by=injected_by(annotation(metadata.of(body))) if injected else None,
        owner=controller_of(body),
        environments=tuple(map(environment_sources, tasks)),
        has_token=all(map(_mounts_token, tasks)),
    )


def environment_sources(container: Json) -> str:
    """Return a container's `env` and `envFrom` as JSON, without any literal.

    So it holds no value, and pods of one template share one text.
    """
    kept = [
        {field: entry[field] for field in ("name", "valueFrom") if entry.get(field)}
        for entry in container.get("env") or ()
    ]
    sources = {"envFrom": container.get("envFrom") or [], "env": kept}
    return sys.intern(json.dumps(sources, sort_keys=True))


def is_candidate(body: Json) -> bool:
    """Return whether a pod's labels make it one that is followed."""
    labels = metadata.labels(body)
    return any(
        label in labels and labels[label] not in values
        for label, values in NOT_A_TASK.items()
    )


def needs_mirror(body: Json) -> bool:
    """Return whether a pod that has not ended needs the mirror to stay.

    Any reference counts, whoever wrote it and wherever: a container that restarts
    without its Secret does not come back.
    """
    if (body.get("status") or {}).get("phase") in _ENDED:
        return False
    return _mentions((body.get("spec") or {}), MIRROR_SECRET)


def controller_of(body: Json) -> ObjectReference | None:
    """Return who made the object and keeps it, as its `ownerReferences` say."""
    owner = metadata.controller(body)
    if owner is None:
        return None
    return ObjectReference(
        api_version=_interned(owner.get("apiVersion")),
        kind=_interned(owner.get("kind")),
        namespace=_interned(metadata.key(body).namespace),
        name=_interned(owner.get("name")),
        uid=_interned(owner.get("uid")),
    )


_SHARED: Final = 100
"""Keys at most of mirrors that share them: a tenant may write Secrets of 90 000, one
after the other, and each would be remembered."""


@lru_cache(maxsize=32)
def _same(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return one of all equal tuples: all mirrors of a profile have the same keys."""
    return keys


def _interned(value: object) -> str:
    return sys.intern(value) if isinstance(value, str) else ""


def pod_reference(namespace: str, name: str, pod: TaskPod) -> ObjectReference:
    """Return what an Event about the pod refers to."""
    return ObjectReference.to(POD, ObjectKey(namespace, name), pod.uid)


def _source(
    body: Json, encoded: Mapping[str, str], plain: Mapping[str, str]
) -> SourceContent:
    content = {k: SecretBytes(base64.b64decode(text)) for k, text in encoded.items()}
    content |= {k: SecretBytes(text.encode()) for k, text in plain.items()}
    changed = metadata.last_write_time(body) or metadata.creation_time(body)
    return SourceContent(content, changed)


def _mentions(value: object, name: str) -> bool:
    if isinstance(value, dict):
        return any(
            (key in ("name", "secretName") and child == name) or _mentions(child, name)
            for key, child in value.items()
        )
    return isinstance(value, list) and any(_mentions(child, name) for child in value)


def _decided(body: Json) -> InjectionReason:
    if not is_pod(body):
        return InjectionReason.MALFORMED_POD
    return decide_pod(body, InjectionPolicy()).reason


def _task_containers(body: Json) -> list[Json]:
    workload = recognize(body) if is_pod(body) else None
    if workload is None:
        return []
    containers = body["spec"]["containers"]
    return [containers[index] for index in task_containers(body, workload)]


def _refers(container: Json) -> bool:
    return any(map(refers_to_mirror, container.get("envFrom") or ()))


def _mounts_token(container: Json) -> bool:
    mounts = container.get("volumeMounts") or ()
    return any(one["mountPath"].rstrip("/") in _HAVE_TOKEN for one in mounts)


def _started(status: Json, tasks: set[str]) -> datetime | None:
    times = [
        metadata.parse_time(running.get("startedAt"))
        for state in _states(status, tasks)
        if (running := state.get("running"))
    ]
    return min((time for time in times if time), default=None)


def _waits(state: Json) -> bool:
    """Return whether a container waits for the mirror, as the kubelet words it."""
    waiting = state.get("waiting") or {}
    named = MIRROR_SECRET in (waiting.get("message") or "")
    return waiting.get("reason") == _CONFIG_ERROR and named


def _states(status: Json, tasks: set[str]) -> Iterator[Json]:
    for container in status.get("containerStatuses") or ():
        if container.get("name") in tasks:
            yield container.get("state") or {}
