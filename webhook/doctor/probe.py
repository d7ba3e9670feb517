"""Checks from inside of a pod: each stage of the way to the server by itself."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.companion.observation.model import Piece
from webhook.doctor.check import Check, Symptom, UnseenError, seen
from webhook.doctor.pods import NOBODY, UNPRIVILEGED
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    MIRROR_SECRET,
)

STAGES: Final = ("environment", "uri", "dns", "tcp", "tls", "http", "auth")
"""In order; without TLS, or by a proxy, some are left out."""
PROBE_LABELS: Final = {
    "app.kubernetes.io/name": "tracking-doctor-probe",
    INJECTED_LABEL: INJECTED_TRUE,
}
"""Of a pod that policies take for a task pod, and no Service for its own."""
TERMINATION_LOG: Final = "/dev/termination-log"
_UNPRIVILEGED: Final = {**UNPRIVILEGED, "readOnlyRootFilesystem": True}
_TOKENS: Final = "/var/run/secrets/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """What was seen from inside of a pod.

    Attributes:
        namespace: whose.
        where: the pod, or what ran in its place.
        stages: by name the code of each that was reached; empty means in order.
        closed: ways that policies close to task pods there.
        words: what placeholders of remedies stand for, as for the namespace's checks.
    """

    namespace: str
    where: str
    stages: Piece[Mapping[str, str]]
    closed: Piece[tuple[str, ...]]
    words: Mapping[str, str]


def read_stages(text: str) -> Mapping[str, str]:
    """Return the stages in what the probe printed.

    Raises:
        ValueError: it printed something else.
    """
    for line in reversed(text.strip().splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            return {name: str(found[name]) for name in STAGES if name in found}
    raise ValueError("the probe printed no result")


def probe_container(
    name: str, image: str, script: str, task: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an ephemeral container that runs the probe beside a task container.

    It has the same variables, read anew from where the task's came, and the same files,
    where a CA may be among. A variable that tells of the container's own resources, and
    a mount of a part of a volume, cannot be had there.

    Args:
        name: of the container; it stays in the pod's description.
        image: one with Python.
        script: the probe.
        task: the task container.
    """
    env = [
        one
        for one in task.get("env") or ()
        if "resourceFieldRef" not in (one.get("valueFrom") or {})
    ]
    mounts = [
        one | {"readOnly": True}
        for one in task.get("volumeMounts") or ()
        if not (one.get("subPath") or one.get("subPathExpr"))
        and not str(one.get("mountPath")).startswith(_TOKENS)
    ]
    return {
        "name": name,
        "image": image,
        "command": ["python", "-c", script, TERMINATION_LOG],
        "env": env,
        "envFrom": list(task.get("envFrom") or ()),
        "volumeMounts": mounts,
        "securityContext": {**_UNPRIVILEGED, **NOBODY},
    }


def probe_job(name: str, namespace: str, image: str, script: str) -> dict[str, Any]:
    """Return a Job that runs the probe as a task pod would."""
    container = {
        "name": "probe",
        "image": image,
        "command": ["python", "-c", script, TERMINATION_LOG],
        "envFrom": [{"secretRef": {"name": MIRROR_SECRET}}],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
        "securityContext": dict(_UNPRIVILEGED),
    }
    annotations = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": dict(NOBODY),
        "containers": [container],
    }
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 90,
            "ttlSecondsAfterFinished": 60,
            "template": {
                "metadata": {"labels": PROBE_LABELS, "annotations": annotations},
                "spec": spec,
            },
        },
    }


Judge = Callable[[ProbeFacts], Iterator[Symptom]]
_DNS_PORTS: Final = ("/53", "/5353")


def _at(stage: str, code: str) -> Judge:
    def judge(facts: ProbeFacts) -> Iterator[Symptom]:
        found = seen(facts.stages)
        if found.get(stage) == code:
            yield Symptom(facts.where, f"stage {stage}")
        elif stage not in found:
            failed = next((name for name, said in found.items() if said), "")
            if failed:
                raise UnseenError(f"stage {failed} failed")

    return judge


def _not_http(facts: ProbeFacts) -> Iterator[Symptom]:
    """The credential is sent by a request of its own, which may fail by itself."""
    found = seen(facts.stages)
    if found.get("auth") == "NotHttp":
        yield Symptom(facts.where, "stage auth")
    yield from _at("http", "NotHttp")(facts)


def _blocked(facts: ProbeFacts) -> Iterator[Symptom]:
    stages = seen(facts.stages)
    if stages.get("tcp") == "ConnectTimeout":
        yield from (Symptom(facts.where, way) for way in seen(facts.closed))
    elif stages.get("dns") == "NameUnresolved":
        for way in seen(facts.closed):
            if way.partition(": ")[0].endswith(_DNS_PORTS):
                yield Symptom(facts.where, way)


_ROWS: Final = (
    (
        "environment",
        "EnvironmentMissing",
        "the keys are in the environment",
        "The process does not have the tracking keys in its environment.",
        "kubectl tracking explain -n {namespace} pod/NAME",
    ),
    (
        "uri",
        "ServerUnreadable",
        "the URI names a server",
        "No server can be told from the URI in the environment.",
        "kubectl tracking status -o wide",
    ),
    (
        "dns",
        "NameUnresolved",
        "the server's name resolves",
        "The pod's resolver does not know the server's name.",
        "kubectl get pods -n kube-system -l k8s-app=kube-dns",
    ),
    (
        "tcp",
        "ConnectTimeout",
        "the server's port answers",
        "Nothing answers at the server's address: a firewall, or a policy of an "
        "engine that is not read here.",
        "kubectl tracking egress check POD -n {namespace}",
    ),
    (
        "tcp",
        "ConnectRefused",
        "the server accepts connections",
        "The server's address refuses connections: nothing listens at that port.",
        "kubectl get endpointslices -A",
    ),
    (
        "tls",
        "AuthorityUnknown",
        "the server's authority is known",
        "The server's certificate is signed by an authority that the pod does not "
        "know: a private CA.",
        "helm upgrade {release} CHART -n {home} --reset-then-reuse-values "
        "--set tracking.caBundle.existingConfigMap=NAME",
    ),
    (
        "tls",
        "ServerNameMismatch",
        "the server's certificate is for its name",
        "The server's certificate is for another name than the URI has.",
        "kubectl tracking status -o wide  # then use the certificate's name in the URI",
    ),
    (
        "tls",
        "ServerCertificateExpired",
        "the server's certificate is in date",
        "The server's certificate is not valid now.",
        "# ask whoever runs the tracking server for a new certificate",
    ),
    (
        "tls",
        "TlsFails",
        "the server speaks TLS",
        "The handshake fails: the server does not speak TLS at that port, or none "
        "that the pod speaks.",
        "kubectl tracking status -o wide  # http:// or https://?",
    ),
    (
        "http",
        "ProxyInTheWay",
        "no proxy keeps requests away",
        "A proxy in the pod's environment takes the request and does not bring an "
        "answer.",
        "kubectl get pods -n {namespace} -o yaml  # HTTPS_PROXY and NO_PROXY",
    ),
    (
        "http",
        "NotHttp",
        "the server speaks HTTP",
        "What listens there does not answer HTTP.",
        "kubectl tracking status -o wide  # the port",
    ),
    (
        "http",
        "ServerError",
        "the server is in order itself",
        "The tracking server answers with an error of its own (5xx).",
        "# ask whoever runs the tracking server for its log",
    ),
    (
        "auth",
        "CredentialRefused",
        "the server takes the credential",
        "The tracking server refuses the credential (401): it is missing, wrong or "
        "expired.",
        "kubectl edit secret -n {home}  # the source with the credential",
    ),
    (
        "auth",
        "CredentialForbidden",
        "the credential is permitted",
        "The tracking server knows the credential and does not permit the request "
        "(403).",
        "# ask whoever runs the tracking server for the permission",
    ),
)

_SILENT: Final = ("ConnectTimeout", "NameUnresolved")
"""What a policy in the way looks like from inside."""

PROBE: Final[Mapping[str, tuple[Check[ProbeFacts], ...]]] = {
    "probe": (
        Check(
            code="BlockedByPolicy",
            title="no policy is in the way",
            sentence="Nothing answers at the server's address, and NetworkPolicies "
            "isolate the pod without permitting the way.",
            remedy="kubectl tracking egress plan -n {namespace}",
            judge=_blocked,
        ),
        *(
            Check(
                code=code,
                title=title,
                sentence=sentence,
                remedy=remedy,
                judge=_not_http if code == "NotHttp" else _at(stage, code),
                after=("BlockedByPolicy",) if code in _SILENT else (),
            )
            for stage, code, title, sentence, remedy in _ROWS
        ),
    )
}
"""Of one compute namespace, with `--probe`."""
