"""What the companion keeps of each object that it follows, and no more.

Pure: an object as the API server sends it in, a small frozen value out. Of ten thousand
pods this is a few megabytes; of a ConfigMap that might shadow keys only their names.
"""

import base64
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from webhook.cluster import metadata
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import Json
from webhook.cluster.resources import POD
from webhook.injection.decision import decide_pod
from webhook.injection.names import (
    DEFAULT_PROFILE,
    INJECT_LABEL,
    INJECTED_LABEL,
    INJECTED_TRUE,
    MIRROR_SECRET,
    PROFILE_LABEL,
)
from webhook.injection.patch import InjectionPolicy
from webhook.injection.reasons import InjectionReason
from webhook.injection.validate import is_pod
from webhook.injection.workload import recognize, task_containers
from webhook.mirror.decide import ExistingMirror, LabeledNamespace
from webhook.mirror.secret import fingerprint_of, is_owned
from webhook.secret_bytes import SecretBytes

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class NamespaceSeen:
    """A labeled namespace.

    Attributes:
        labeled: what mirrors care about.
        uid: its UID, for Events.
        since: when the label was last written, as the API server knows.
    """

    labeled: LabeledNamespace
    uid: str
    since: datetime | None

    @property
    def subject(self) -> ObjectReference:
        """What an Event about it refers to; it goes where its users look."""
        name = self.labeled.name
        return ObjectReference("v1", "Namespace", name, name, self.uid)


@dataclass(frozen=True, slots=True)
class MirrorSeen:
    """A Secret of the mirror's name, without values.

    Attributes:
        existing: what the plan compares.
        uid: with `version`, what a delete of exactly this object names.
        version: its resourceVersion.
        keys: names of the variables it holds.
        created: when it was created.
        changed: when its content last changed.
    """

    existing: ExistingMirror
    uid: str
    version: str
    keys: tuple[str, ...]
    created: datetime | None
    changed: datetime | None


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """A source's content, and when it last changed."""

    content: Mapping[str, SecretBytes]
    changed: datetime | None


@dataclass(frozen=True, slots=True)
class TaskPod:
    """A pod that is or looks like a task pod.

    Attributes:
        uid: its UID, for Events.
        created: when it was created.
        over: it has ended, well or not.
        stamped: the webhook handled it.
        reason: what the webhook would say about it now.
        started: when the first of its task containers last started, if it runs.
        owner: its controller, if any.
        config_maps: (prefix, name) of each ConfigMap in a task container's `envFrom`.
    """

    uid: str
    created: datetime | None
    over: bool
    stamped: bool
    reason: InjectionReason
    started: datetime | None
    owner: ObjectReference | None
    config_maps: tuple[tuple[str, str], ...]


def namespace_seen(body: Json) -> NamespaceSeen:
    """Keeps of a Namespace its profile, whether it goes, and when it was labeled."""
    address = metadata.key(body)
    return NamespaceSeen(
        LabeledNamespace(
            name=address.name,
            profile=metadata.labels(body).get(PROFILE_LABEL) or DEFAULT_PROFILE,
            terminating=bool(metadata.of(body).get("deletionTimestamp")),
        ),
        metadata.uid(body),
        metadata.last_write_time(body, "metadata", "labels", INJECT_LABEL),
    )


def mirror_seen(body: Json) -> MirrorSeen:
    """Keeps of a Secret of the mirror's name all but its values."""
    return MirrorSeen(
        ExistingMirror(is_owned(body), fingerprint_of(body)),
        metadata.uid(body),
        metadata.resource_version(body),
        tuple(sys.intern(key) for key in sorted(body.get("data") or ())),
        metadata.creation_time(body),
        metadata.last_write_time(body, "data") or metadata.creation_time(body),
    )


def secret_seen(body: Json) -> SourceSeen:
    """Keeps a source Secret's values, wrapped."""
    return _source(body, body.get("data") or {}, {})


def config_map_seen(body: Json) -> SourceSeen:
    """Keeps a source ConfigMap's values, wrapped."""
    return _source(body, body.get("binaryData") or {}, body.get("data") or {})


def key_names(body: Json) -> frozenset[str]:
    """Keeps of a ConfigMap the names of its keys; values are nobody's business here."""
    return frozenset(body.get("data") or ()) | frozenset(body.get("binaryData") or ())


def task_pod(body: Json) -> TaskPod:
    """Keeps of a pod what the auditor asks about it."""
    meta = metadata.of(body)
    status = body.get("status") or {}
    stamped = metadata.labels(body).get(INJECTED_LABEL) == INJECTED_TRUE
    tasks = _task_containers(body)
    return TaskPod(
        uid=metadata.uid(body),
        created=metadata.creation_time(body),
        over=status.get("phase") in _OVER or bool(meta.get("deletionTimestamp")),
        stamped=stamped,
        reason=InjectionReason.ALREADY_INJECTED if stamped else _verdict(body),
        started=_started(status, {container["name"] for container in tasks}),
        owner=controller(body),
        config_maps=tuple(
            (sys.intern(source.get("prefix") or ""), sys.intern(name))
            for container in tasks
            for source in container.get("envFrom") or ()
            if (name := (source.get("configMapRef") or {}).get("name"))
        ),
    )


def refers_to_mirror(body: Json) -> bool:
    """Whether a pod that has not ended needs the mirror to stay.

    Any reference counts, whoever wrote it and wherever: a container that restarts
    without its Secret does not come back.
    """
    if (body.get("status") or {}).get("phase") in _OVER:
        return False
    return _mentions((body.get("spec") or {}), MIRROR_SECRET)


def controller(body: Json) -> ObjectReference | None:
    """Whoever made the object and keeps it, as its `ownerReferences` say."""
    for owner in metadata.of(body).get("ownerReferences") or ():
        if owner.get("controller"):
            return ObjectReference(
                sys.intern(owner["apiVersion"]),
                sys.intern(owner["kind"]),
                sys.intern(metadata.key(body).namespace),
                sys.intern(owner["name"]),
                sys.intern(owner["uid"]),
            )
    return None


def pod_subject(namespace: str, name: str, pod: TaskPod) -> ObjectReference:
    """What an Event about the pod refers to."""
    return ObjectReference(POD.api_version, POD.name, namespace, name, pod.uid)


def _source(
    body: Json, encoded: Mapping[str, str], plain: Mapping[str, str]
) -> SourceSeen:
    content = {
        key: SecretBytes(base64.b64decode(text)) for key, text in encoded.items()
    }
    content |= {key: SecretBytes(text.encode()) for key, text in plain.items()}
    return SourceSeen(
        content, metadata.last_write_time(body) or metadata.creation_time(body)
    )


def _mentions(value: object, name: str) -> bool:
    if isinstance(value, dict):
        return any(
            (key in ("name", "secretName") and child == name) or _mentions(child, name)
            for key, child in value.items()
        )
    return isinstance(value, list) and any(_mentions(child, name) for child in value)


def _verdict(body: Json) -> InjectionReason:
    if not is_pod(body):
        return InjectionReason.MALFORMED_POD
    return decide_pod(body, InjectionPolicy()).reason


def _task_containers(body: Json) -> list[Json]:
    workload = recognize(body) if is_pod(body) else None
    if workload is None:
        return []
    containers = body["spec"]["containers"]
    return [containers[index] for index in task_containers(containers, workload)]


def _started(status: Json, tasks: set[str]) -> datetime | None:
    times = [
        metadata.parse_time(running.get("startedAt"))
        for container in status.get("containerStatuses") or ()
        if container.get("name") in tasks
        if (running := (container.get("state") or {}).get("running"))
    ]
    return min((time for time in times if time), default=None)
