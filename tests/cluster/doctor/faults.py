"""Faults, one at a time: what is broken, and which code doctor has to name for it.

Each is a generator: it breaks something, yields the namespaces to ask about, and mends
it again. The sentence is the row of `docs/reference/faults.md`.
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.cluster.doctor.world import (
    CONFIGURATION,
    CORE,
    DEPLOYMENTS,
    HOME,
    LEASE,
    READY,
    RELEASE,
    TEAMS,
    TRACKER,
    URI,
    World,
)
from tests.cluster.injector import COMPUTE, CONFIGURATIONS, bare_pod, task_pod
from tests.lab.api import ApiError, Object
from webhook.injection.names import INJECT_LABEL, MIRROR_SECRET, PROFILE_LABEL

Bring = Callable[[World], Iterator[tuple[str, ...]]]

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
COMPANION: Final = f"{RELEASE}-companion"
WEBHOOK_PODS: Final = {
    "app.kubernetes.io/name": "tracking-injector",
    "app.kubernetes.io/component": "webhook",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: what an operator or a cluster did.
        code: what doctor has to name as the first cause.
        bring: breaks it and mends it.
    """

    name: str
    code: str
    bring: Bring


FAULTS: Final[list[Fault]] = []


def fault(name: str, code: str) -> Callable[[Bring], Bring]:
    """Add a fault to the table."""

    def add(bring: Bring) -> Bring:
        FAULTS.append(Fault(name=name, code=code, bring=bring))
        return bring

    return add


# --- the release ---


@fault("A second installation is called for the same pods", "SecondInstallation")
def _second(world: World) -> Iterator[tuple[str, ...]]:
    other = bare(world.admin.get(CONFIGURATION))
    other["metadata"]["name"] = "tracking-injector-old"
    world.admin.create(CONFIGURATIONS, other)
    yield ()
    world.admin.delete(f"{CONFIGURATIONS}/tracking-injector-old")


@fault("Kustomize applied the chart's hooks as ordinary objects", "HooksApplied")
def _hooks(world: World) -> Iterator[tuple[str, ...]]:
    path, key = f"{CORE}/configmaps/{RELEASE}-status", "meta.helm.sh/release-name"
    world.admin.patch(path, {"metadata": {"annotations": {key: None}}})
    role = {"metadata": {"name": f"{RELEASE}-uninstall"}, "rules": []}
    world.admin.create(f"{RBAC}/clusterroles", role)
    yield ()
    world.admin.delete(f"{RBAC}/clusterroles/{RELEASE}-uninstall")
    world.admin.patch(path, {"metadata": {"annotations": {key: RELEASE}}})


@fault("The webhook configuration was deleted", "ConfigurationMissing")
def _no_configuration(world: World) -> Iterator[tuple[str, ...]]:
    with deleted(world, CONFIGURATION):
        yield ()


@fault("An entry's failurePolicy was set to Fail", "ConfigurationDrifted")
def _fail(world: World) -> Iterator[tuple[str, ...]]:
    with changed(world, CONFIGURATION, lambda o: set_all(o, "failurePolicy", "Fail")):
        yield ()


@fault("An entry's rules no longer have pods", "ConfigurationDrifted")
def _rules(world: World) -> Iterator[tuple[str, ...]]:
    def services(body: Object) -> None:
        body["webhooks"][0]["rules"][0]["resources"] = ["services"]

    with changed(world, CONFIGURATION, services):
        yield ()


@fault("A namespaceSelector asks for a label of its own", "NotSelected")
def _selector(world: World) -> Iterator[tuple[str, ...]]:
    def narrow(body: Object) -> None:
        expressions = body["webhooks"][1]["namespaceSelector"]["matchExpressions"]
        expressions.append({"key": "team", "operator": "Exists"})

    with changed(world, CONFIGURATION, narrow):
        yield ()


# --- the companion ---


@fault("The companion's ClusterRoleBinding was removed", "RightsMissing")
def _unbound(world: World) -> Iterator[tuple[str, ...]]:
    with deleted(world, f"{RBAC}/clusterrolebindings/{COMPANION}"):
        yield ()


@fault("The companion's Role at home was emptied", "RightsMissing")
def _no_role(world: World) -> Iterator[tuple[str, ...]]:
    path = f"{RBAC}/namespaces/{HOME}/roles/{COMPANION}"
    with changed(world, path, lambda role: role.update(rules=[])):
        yield ()


@fault("The companion's image cannot be pulled", "CompanionImagePull")
def _companion_pull(world: World) -> Iterator[tuple[str, ...]]:
    with companion_off(world, waiting("companion", "ImagePullBackOff")):
        yield ()


@fault("The companion crashes at its start", "CompanionCrashing")
def _companion_crash(world: World) -> Iterator[tuple[str, ...]]:
    with companion_off(world, waiting("companion", "CrashLoopBackOff")):
        yield ()


@fault("No node takes the companion's pods", "CompanionUnschedulable")
def _companion_pending(world: World) -> Iterator[tuple[str, ...]]:
    with companion_off(world, pending()):
        yield ()


@fault("The companion is scaled to 0", "CompanionMissing")
def _companion_zero(world: World) -> Iterator[tuple[str, ...]]:
    with scaled(world, COMPANION, 0):
        yield ()


@fault("The companion has been dead for two hours", "CompanionDown")
def _companion_dead(world: World) -> Iterator[tuple[str, ...]]:
    with companion_off(world, unready()):
        hold_lease(world, "companion-0", timedelta(hours=-2))
        yield ()


@fault("The Lease is held by a pod that is gone", "CompanionAsleep")
def _lease_stuck(world: World) -> Iterator[tuple[str, ...]]:
    with companion_off(world, fine(world, "companion")):
        hold_lease(world, "a-pod-that-is-gone", timedelta(minutes=-10))
        yield ()


@fault("The companion's clock is ten minutes ahead", "ClockDiffers")
def _clock(world: World) -> Iterator[tuple[str, ...]]:
    world.stop_companion()
    world.ahead = timedelta(minutes=10)
    world.start_companion()
    yield ()
    world.stop_companion()
    world.ahead = timedelta(0)
    free_lease(world)
    world.start_companion()


# --- certificates ---


@fault("The serving Secret was deleted", "CertificateSecretMissing")
def _no_pair(world: World) -> Iterator[tuple[str, ...]]:
    with deleted(world, f"{CORE}/secrets/{RELEASE}-tls"):
        yield ()


@fault("The state Secret was deleted", "CertificateSecretMissing")
def _no_state(world: World) -> Iterator[tuple[str, ...]]:
    with deleted(world, f"{CORE}/secrets/{RELEASE}-tls-state"):
        yield ()


@fault(
    "The serving Secret lost the label that says whose it is", "CertificatesHindered"
)
def _foreign_pair(world: World) -> Iterator[tuple[str, ...]]:
    path = f"{CORE}/secrets/{RELEASE}-tls"
    label = "tracking.michelangelo-ai.org/content"
    world.admin.patch(path, {"metadata": {"labels": {label: None}}})
    yield ()
    world.admin.patch(path, {"metadata": {"labels": {label: "tracking-injector"}}})


@fault(
    "A GitOps controller empties caBundle, and the companion may not", "TrustMissing"
)
def _stripped(world: World) -> Iterator[tuple[str, ...]]:
    with companion_held(world), changed(world, CONFIGURATION, lambda o: trust(o, "")):
        yield ()


@fault("caBundle is another authority's", "CaBundleMismatch")
def _wrong_bundle(world: World) -> Iterator[tuple[str, ...]]:
    pem = world.plane.authority.certificate.read_bytes()
    other = base64.b64encode(pem).decode()
    with (
        companion_held(world),
        changed(world, CONFIGURATION, lambda o: trust(o, other)),
    ):
        yield ()


@fault("Every certificate in caBundle has expired", "TrustExpired")
def _old_bundle(world: World) -> Iterator[tuple[str, ...]]:
    old = base64.b64encode(world.pair(days=-400).root.pem).decode()
    with companion_held(world), changed(world, CONFIGURATION, lambda o: trust(o, old)):
        yield ()


@fault("Replicas serve a certificate that has ended", "LeafExpired")
def _old_leaf(world: World) -> Iterator[tuple[str, ...]]:
    with companion_held(world), world.impostor(world.pair(days=-400)):
        yield ()


@fault("Replicas serve a certificate for another name", "LeafNameMismatch")
def _other_name(world: World) -> Iterator[tuple[str, ...]]:
    with companion_held(world), world.impostor(world.pair(name="other.example.org")):
        yield ()


# --- the webhook ---


@fault("No node takes the webhook's pods", "WebhookUnschedulable")
def _pending(world: World) -> Iterator[tuple[str, ...]]:
    with sick(world, "webhook", pending()):
        yield ()


@fault("The webhook's image cannot be pulled", "WebhookImagePull")
def _pull(world: World) -> Iterator[tuple[str, ...]]:
    with sick(world, "webhook", waiting("webhook", "ErrImagePull")):
        yield ()


@fault("The webhook crashes at its start", "WebhookCrashing")
def _crash(world: World) -> Iterator[tuple[str, ...]]:
    with sick(world, "webhook", waiting("webhook", "CrashLoopBackOff")):
        yield ()


@fault("The webhook's pods do not get ready", "WebhookDown")
def _unready(world: World) -> Iterator[tuple[str, ...]]:
    with sick(world, "webhook", unready()):
        yield ()


@fault("The webhook is scaled to 0", "WebhookMissing")
def _zero(world: World) -> Iterator[tuple[str, ...]]:
    with scaled(world, RELEASE, 0):
        yield ()


@fault("A quota of the release namespace refuses its pods", "WebhookRefused")
def _home_quota(world: World) -> Iterator[tuple[str, ...]]:
    with scaled(world, RELEASE, 0, then=2, quota=world):
        yield ()


@fault("The Service's selector has a typo", "ServiceAstray")
def _service(world: World) -> Iterator[tuple[str, ...]]:
    def typo(body: Object) -> None:
        body["spec"]["selector"]["app.kubernetes.io/component"] = "webhok"

    with changed(world, f"{CORE}/services/{RELEASE}", typo):
        yield ()


@fault("The Service names a port that no pod has", "NoEndpoints")
def _no_port(world: World) -> Iterator[tuple[str, ...]]:
    def renamed(body: Object) -> None:
        body["spec"]["ports"][0]["targetPort"] = "htps"

    with changed(world, f"{CORE}/services/{RELEASE}", renamed):
        yield ()


@fault("A NetworkPolicy closes the webhook's port", "WebhookPortBlocked")
def _closed_port(world: World) -> Iterator[tuple[str, ...]]:
    spec = {"podSelector": {"matchLabels": WEBHOOK_PODS}, "policyTypes": ["Ingress"]}
    with policy(world, HOME, "deny-ingress", spec):
        yield ()


@fault("Nothing listens on the webhook's port", "ReplicaUnreachable")
def _deaf(world: World) -> Iterator[tuple[str, ...]]:
    with sick(world, "webhook", fine(world, "webhook")):
        world.stop_webhook()
        yield ()
        world.start_webhook()


# --- sources ---


@fault("A source Secret was deleted", "SourceMissing")
def _no_source(world: World) -> Iterator[tuple[str, ...]]:
    with deleted(world, f"{CORE}/secrets/keys"):
        yield ()


@fault("A source lacks the key that its profile lists", "KeyAbsent")
def _no_key(world: World) -> Iterator[tuple[str, ...]]:
    with source(world, {"TRACKING_URL": URI}):
        yield ()


@fault("The URI is in quotes", "UriMalformed")
def _quoted(world: World) -> Iterator[tuple[str, ...]]:
    with source(world, {"TRACKING_URI": f'"{URI}"'}):
        yield ()


@fault("The URI has no scheme", "UriWithoutScheme")
def _no_scheme(world: World) -> Iterator[tuple[str, ...]]:
    with source(world, {"TRACKING_URI": URI.removeprefix("http://")}):
        yield ()


@fault("The URI ends with a newline", "TrailingNewline")
def _newline(world: World) -> Iterator[tuple[str, ...]]:
    with source(world, {"TRACKING_URI": f"{URI}\n"}):
        yield ()


@fault("The URI has a space in it", "UriWithSpace")
def _space(world: World) -> Iterator[tuple[str, ...]]:
    with source(world, {"TRACKING_URI": URI.replace("server", "ser ver")}):
        yield ()


@fault("The URI is the pod itself", "UriOfThePod")
def _localhost(world: World) -> Iterator[tuple[str, ...]]:
    with source(world, {"TRACKING_URI": "http://localhost:5000"}):
        yield ()


@fault("A key's value is no text", "ValueNotText")
def _binary(world: World) -> Iterator[tuple[str, ...]]:
    path = f"{CORE}/secrets/keys"
    with changed(world, path, lambda o: o["data"].update(TRACKING_API_KEY="/v8A")):
        yield ()


@fault("The API key ends with a newline", "TrailingNewline")
def _key_newline(world: World) -> Iterator[tuple[str, ...]]:
    world.key("a-key\n")
    yield ()
    world.key("a-key")


@fault("enforcedKeys has a typo", "EnforcedKeyMissing")
def _enforced(world: World) -> Iterator[tuple[str, ...]]:
    with settings(world, MTI_ENFORCED_KEYS="TRACKING_URL"):
        yield ()


# --- namespaces ---


@fault("The label's key has a typo", "LabelMistyped")
def _typo(world: World) -> Iterator[tuple[str, ...]]:
    name = world.plane.namespace(
        "mistyped", {"tracking.michelangelo-ai.org/injct": "enabled"}
    )
    yield ()
    world.remove(name)


@fault("The label's value is `true`", "LabelUnknown")
def _value(world: World) -> Iterator[tuple[str, ...]]:
    name = world.plane.namespace("mislabeled", {INJECT_LABEL: "true"})
    yield ()
    world.remove(name)


@fault("The namespace was never labeled", "NotLabeled")
def _unlabeled(world: World) -> Iterator[tuple[str, ...]]:
    yield (TRACKER,)


@fault("There is no namespace of that name", "NamespaceMissing")
def _no_namespace(world: World) -> Iterator[tuple[str, ...]]:
    yield ("team-z",)


@fault("The allow list does not have the namespace", "NotAllowed")
def _not_allowed(world: World) -> Iterator[tuple[str, ...]]:
    with settings(world, MTI_ALLOWED_NAMESPACES="team-a"):
        yield ()


@fault("The profile label names no profile", "UnknownProfile")
def _profile(world: World) -> Iterator[tuple[str, ...]]:
    path = f"/api/v1/namespaces/{TEAMS[0]}"
    world.admin.patch(path, {"metadata": {"labels": {PROFILE_LABEL: "reserch"}}})
    yield ()
    world.admin.patch(path, {"metadata": {"labels": {PROFILE_LABEL: None}}})


@fault("A foreign Secret has the mirror's name", "ForeignSecret")
def _foreign(world: World) -> Iterator[tuple[str, ...]]:
    name = world.plane.namespace("squatted")
    body = {"metadata": {"name": MIRROR_SECRET}, "data": {"THEIRS": "eA=="}}
    world.admin.create(f"/api/v1/namespaces/{name}/secrets", body)
    world.admin.patch(
        f"/api/v1/namespaces/{name}", {"metadata": {"labels": dict(COMPUTE)}}
    )
    yield ()
    world.remove(name)


@fault("A quota leaves no room for the mirror", "QuotaExceeded")
def _secret_quota(world: World) -> Iterator[tuple[str, ...]]:
    name = world.plane.namespace("full")
    add_quota(world, name, {"count/secrets": "0"})
    world.admin.patch(
        f"/api/v1/namespaces/{name}", {"metadata": {"labels": dict(COMPUTE)}}
    )
    yield ()
    world.remove(name)


@fault("A quota leaves no room for a pod", "QuotaRefuses")
def _pod_quota(world: World) -> Iterator[tuple[str, ...]]:
    add_quota(world, TEAMS[0], {"pods": "0"})
    yield ()
    world.admin.delete(f"/api/v1/namespaces/{TEAMS[0]}/resourcequotas/full")


@fault("An admission policy refuses the mirror", "Refused")
def _mirror_refused(world: World) -> Iterator[tuple[str, ...]]:
    with denied(world, ("", "secrets"), "object.metadata.name == 'x'"):
        name = world.namespace("refused")
        yield ()
    world.remove(name)


@fault("An admission policy refuses task pods", "AdmissionRefuses")
def _pods_refused(world: World) -> Iterator[tuple[str, ...]]:
    rule = "!has(object.metadata.labels) || !('spark-role' in object.metadata.labels)"
    with denied(world, ("", "pods"), rule):
        yield ()


@fault("A sidecar of somebody else's violates Pod Security", "PodSecurityRefuses")
def _pod_security(world: World) -> Iterator[tuple[str, ...]]:
    enforce = "pod-security.kubernetes.io/enforce"
    path = f"/api/v1/namespaces/{TEAMS[0]}"
    world.admin.patch(path, {"metadata": {"labels": {enforce: "restricted"}}})
    with mutated(world, "pods", "Object{spec: Object.spec{hostNetwork: true}}"):
        yield ()
    world.admin.patch(path, {"metadata": {"labels": {enforce: None}}})


@fault("Another controller rewrites the mirror", "Contested")
def _contested(world: World) -> Iterator[tuple[str, ...]]:
    path = "/data/TRACKING_URI"
    change = f'[JSONPatch{{op: "replace", path: "{path}", value: "eA=="}}]'
    with mutated(world, "secrets", change, kind="JSONPatch"):
        world.key("b-key")
        yield ()
    world.key("a-key")


@fault("The namespace is being deleted and does not end", "Terminating")
def _terminating(world: World) -> Iterator[tuple[str, ...]]:
    name = world.namespace("ending")
    kept: Object = {"metadata": {"name": "kept", "finalizers": ["example.org/kept"]}}
    path = f"/api/v1/namespaces/{name}"
    world.admin.create(f"{path}/configmaps", kept)
    world.admin.delete(path)
    yield ()
    world.admin.patch(f"{path}/configmaps/kept", {"metadata": {"finalizers": None}})
    world.remove(name)


# --- pods ---


@fault("A pod was created while the webhook was away", "Missed")
def _missed(world: World) -> Iterator[tuple[str, ...]]:
    with deleted(world, CONFIGURATION):
        world.unconfigured()
        name = add_pod(world, TEAMS[0])
    yield ()
    remove_pod(world, TEAMS[0], name)


@fault("A pod opted out", "OptedOut")
def _opted_out(world: World) -> Iterator[tuple[str, ...]]:
    name = add_pod(world, TEAMS[0], **{INJECT_LABEL: "disabled"})
    yield ()
    remove_pod(world, TEAMS[0], name)


@fault("A pod template's ray.io/node-type has a value of its own", "WrongLabels")
def _wrong_labels(world: World) -> Iterator[tuple[str, ...]]:
    name = add_pod(world, TEAMS[0], **{"ray.io/node-type": "Head"})
    yield ()
    remove_pod(world, TEAMS[0], name)


@fault("A notebook's own label asks for the keys by another word", "WrongLabels")
def _opted_in_wrongly(world: World) -> Iterator[tuple[str, ...]]:
    name = create(world, TEAMS[0], bare_pod({INJECT_LABEL: "enable"}, "notebook"))
    yield ()
    remove_pod(world, TEAMS[0], name)


@fault("Tasks show their pod's token, and a pod mounts none", "TokenMissing")
def _no_token(world: World) -> Iterator[tuple[str, ...]]:
    auth = base64.b64encode(b"kubernetes").decode()
    keys = f"{CORE}/secrets/keys"
    with changed(world, keys, lambda o: o["data"].update(MLFLOW_TRACKING_AUTH=auth)):
        pod = task_pod()
        pod["spec"]["automountServiceAccountToken"] = False
        name = create(world, TEAMS[0], pod)
        yield ()
        remove_pod(world, TEAMS[0], name)


@fault("A pod is older than its namespace's label", "CreatedBeforeLabel")
def _older(world: World) -> Iterator[tuple[str, ...]]:
    name = world.plane.namespace("late")
    add_pod(world, name)
    world.wait(1.1)  # an API server's times have whole seconds
    world.admin.patch(
        f"/api/v1/namespaces/{name}", {"metadata": {"labels": dict(COMPUTE)}}
    )
    yield ()
    world.remove(name)


@fault("A pod waits for the tracking Secret", "PodsWaiting")
def _waiting(world: World) -> Iterator[tuple[str, ...]]:
    name = add_pod(world, TEAMS[0])
    said = f'secret "{MIRROR_SECRET}" not found'
    status = waiting("ray-head", "CreateContainerConfigError", said)()
    set_status(world, TEAMS[0], name, status)
    yield ()
    remove_pod(world, TEAMS[0], name)


@fault("A pod runs with the keys of last week", "PodsOutdated")
def _stale(world: World) -> Iterator[tuple[str, ...]]:
    name = add_pod(world, TEAMS[0])
    last_week = stamp(timedelta(days=-7))
    running = {"state": {"running": {"startedAt": last_week}}, "ready": True}
    status = {
        "phase": "Running",
        "containerStatuses": [container("ray-head") | running],
    }
    set_status(world, TEAMS[0], name, status)
    yield ()
    remove_pod(world, TEAMS[0], name)


# --- the way to the server ---


@fault("DNS does not know the server's name", "Unresolved")
def _unresolved(world: World) -> Iterator[tuple[str, ...]]:
    with (
        policy(world, TEAMS[0], "deny", {"podSelector": {}, "policyTypes": ["Egress"]}),
        source(world, {"TRACKING_URI": "https://mlflow.example.org"}),
    ):
        yield ()


@fault("The server's namespace lets no task pod in", "DestinationIngressBlocked")
def _ingress(world: World) -> Iterator[tuple[str, ...]]:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    with policy(world, TRACKER, "deny-ingress", spec):
        yield ()


@fault("Task pods are isolated, and egress only observes", "PolicyBlocks")
def _observed(world: World) -> Iterator[tuple[str, ...]]:
    with (
        settings(world, MTI_EGRESS_MODE="observe"),
        policy(world, TEAMS[0], "deny", {"podSelector": {}, "policyTypes": ["Egress"]}),
    ):
        yield ()


@fault("An admission policy refuses our NetworkPolicies", "WriteRefused")
def _policy_refused(world: World) -> Iterator[tuple[str, ...]]:
    ours = "!object.metadata.name.startsWith('mti-egress-')"
    with (
        denied(world, ("networking.k8s.io", "networkpolicies"), ours),
        policy(world, TEAMS[0], "deny", {"podSelector": {}, "policyTypes": ["Egress"]}),
    ):
        yield ()


# --- operators ---


@fault(
    "spark-operator runs without its webhook, and an application has variables",
    "OperatorWebhookOff",
)
def _spark_webhook(world: World) -> Iterator[tuple[str, ...]]:
    with custom(world, "sparkoperator.k8s.io", "v1beta2", "SparkApplication"):
        env = [{"name": "EPOCHS", "value": "3"}]
        path = f"/apis/sparkoperator.k8s.io/v1beta2/namespaces/{TEAMS[0]}"
        world.admin.create(
            f"{path}/sparkapplications",
            {
                "apiVersion": "sparkoperator.k8s.io/v1beta2",
                "kind": "SparkApplication",
                "metadata": {"name": "nightly"},
                "spec": {"driver": {"env": env}},
            },
        )
        yield ()


@fault("KubeRay watches another namespace", "OperatorIgnores")
def _kuberay(world: World) -> Iterator[tuple[str, ...]]:
    path = f"/api/v1/namespaces/{world.ray}"
    world.admin.patch(path, {"metadata": {"labels": dict(COMPUTE)}})
    world.outlast_operators()
    yield ()
    world.admin.patch(path, {"metadata": {"labels": {INJECT_LABEL: None}}})


# --- how it is done ---


def bare(body: Object) -> Object:
    """Return an object as somebody would write it."""
    meta = {
        key: value
        for key, value in body["metadata"].items()
        if key in ("name", "namespace", "labels", "annotations")
    }
    return {**{k: v for k, v in body.items() if k != "status"}, "metadata": meta}


@contextmanager
def deleted(world: World, path: str) -> Iterator[None]:
    """An object that is gone, and comes back."""
    body = bare(world.admin.get(path))
    world.admin.delete(path)
    yield
    world.admin.create(path.rpartition("/")[0], body)


@contextmanager
def changed(
    world: World, path: str, change: Callable[[Object], object]
) -> Iterator[None]:
    """An object that somebody edits, and puts right again."""
    before = world.admin.get(path)
    edit(world, path, change)
    yield
    kept = {k: v for k, v in before.items() if k not in ("metadata", "status")}
    edit(world, path, lambda body: body.update(kept))


def edit(world: World, path: str, change: Callable[[Object], object]) -> None:
    """Edit an object once."""
    while True:
        body = world.admin.get(path)
        change(body)
        try:
            world.admin.replace(path, body)
        except ApiError as error:
            if error.code != 409:  # somebody wrote in between
                raise
        else:
            return


def set_all(body: Object, field: str, value: Any) -> None:
    """Set a field of every entry."""
    for entry in body["webhooks"]:
        entry[field] = value


def trust(body: Object, bundle: str) -> None:
    """Set every entry's caBundle."""
    for entry in body["webhooks"]:
        entry["clientConfig"]["caBundle"] = bundle


@contextmanager
def sick(world: World, component: str, status: Callable[[], Object]) -> Iterator[None]:
    """A component whose pods have another status than the truth."""
    world.sick[component] = status
    yield
    del world.sick[component]


@contextmanager
def companion_off(world: World, status: Callable[[], Object]) -> Iterator[None]:
    """A companion that does not run, with this status of its pods."""
    with sick(world, "companion", status):
        world.stop_companion()
        yield
    free_lease(world)
    world.start_companion()


@contextmanager
def companion_held(world: World) -> Iterator[None]:
    """A companion that issues nothing: somebody else issues the certificates."""
    path = f"{CONFIGURATION}"
    key = "tracking.michelangelo-ai.org/certificates"
    world.stop_companion()
    world.start_companion(MTI_CERTIFICATES="provided")
    world.admin.patch(path, {"metadata": {"annotations": {key: "provided"}}})
    yield
    world.admin.patch(path, {"metadata": {"annotations": {key: "companion"}}})
    world.stop_companion()
    world.start_companion()


@contextmanager
def settings(world: World, **changed_settings: str) -> Iterator[None]:
    """A companion with other settings."""
    world.stop_companion()
    world.start_companion(**changed_settings)
    yield
    world.stop_companion()
    world.start_companion()


@contextmanager
def scaled(
    world: World, name: str, replicas: int, *, then: int = 2, quota: World | None = None
) -> Iterator[None]:
    """A Deployment of another size; with a quota, one that cannot come back."""
    path = f"{DEPLOYMENTS}/{name}"
    world.admin.patch(path, {"spec": {"replicas": replicas}})
    if quota is not None:
        add_quota(world, HOME, {"pods": "0"})
        world.wait_for_pods("webhook", 0)
        world.admin.patch(path, {"spec": {"replicas": then}})
    yield
    if quota is not None:
        world.admin.delete(f"{CORE}/resourcequotas/full")
        world.admin.patch(path, {"spec": {"replicas": 0}})
    world.admin.patch(path, {"spec": {"replicas": then}})


@contextmanager
def source(world: World, data: dict[str, str]) -> Iterator[None]:
    """A source with other content."""
    world.source("uri", data)
    yield
    world.source("uri", {"TRACKING_URI": URI})


@contextmanager
def policy(world: World, namespace: str, name: str, spec: Object) -> Iterator[None]:
    """A NetworkPolicy."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    world.admin.create(path, {"metadata": {"name": name}, "spec": spec})
    yield
    world.admin.delete(f"{path}/{name}")


@contextmanager
def denied(world: World, what: tuple[str, str], rule: str) -> Iterator[None]:
    """A ValidatingAdmissionPolicy of somebody else's, in labeled namespaces."""
    group, resource = what
    base = f"{ADMISSION}/validatingadmissionpolicies"
    meta = {"metadata": {"name": "strict.example.org"}}
    constraints = matched(group, resource)
    spec = {"matchConstraints": constraints, "validations": [{"expression": rule}]}
    world.admin.create(base, meta | {"spec": spec | {"failurePolicy": "Fail"}})
    binding = {"policyName": "strict.example.org", "validationActions": ["Deny"]}
    bindings = f"{ADMISSION}/validatingadmissionpolicybindings"
    world.admin.create(bindings, meta | {"spec": binding})
    world.wait(1.5)  # API servers read policies once a second
    yield
    world.admin.delete(f"{bindings}/strict.example.org")
    world.admin.delete(f"{base}/strict.example.org")


_MUTATIONS: Final = {
    "ApplyConfiguration": "applyConfiguration",
    "JSONPatch": "jsonPatch",
}


@contextmanager
def mutated(
    world: World, resource: str, change: str, *, kind: str = "ApplyConfiguration"
) -> Iterator[None]:
    """A MutatingAdmissionPolicy of somebody else's, in labeled namespaces."""
    base = f"{ADMISSION}/mutatingadmissionpolicies"
    meta = {"metadata": {"name": "changes.example.org"}}
    spec = {
        "matchConstraints": matched("", resource),
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": kind, _MUTATIONS[kind]: {"expression": change}}],
    }
    world.admin.create(base, meta | {"spec": spec})
    binding = {"policyName": "changes.example.org"}
    bindings = f"{ADMISSION}/mutatingadmissionpolicybindings"
    world.admin.create(bindings, meta | {"spec": binding})
    world.wait(1.5)
    yield
    world.admin.delete(f"{bindings}/changes.example.org")
    world.admin.delete(f"{base}/changes.example.org")


def matched(group: str, resource: str) -> Object:
    """What a policy is about: objects of a kind in labeled namespaces."""
    return {
        "namespaceSelector": {"matchLabels": dict(COMPUTE)},
        "resourceRules": [
            {
                "apiGroups": [group],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE"],
                "resources": [resource],
            }
        ],
    }


@contextmanager
def custom(world: World, group: str, version: str, kind: str) -> Iterator[None]:
    """A kind of another operator's."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = world.teach(group, version, kind)
    yield
    world.admin.delete(f"{path}/{made}")


def add_quota(world: World, namespace: str, hard: dict[str, str]) -> None:
    """Add a ResourceQuota called `full`, and return once it counts."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    body = {"metadata": {"name": "full"}, "spec": {"hard": hard}}
    world.admin.create(path, body)
    world.wait_until(
        "the quota counts",
        lambda: world.admin.get(f"{path}/full")["status"].get("used"),
    )


def add_pod(world: World, namespace: str, **labels: str) -> str:
    """Create a task pod, for real."""
    return create(world, namespace, task_pod(**labels))


def create(world: World, namespace: str, pod: Object) -> str:
    """Create a pod, and return its name."""
    made = world.admin.create(f"/api/v1/namespaces/{namespace}/pods", pod)
    return str(made["metadata"]["name"])


def remove_pod(world: World, namespace: str, name: str) -> None:
    """Delete a pod at once."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    world.admin.delete(path, gracePeriodSeconds="0")


def set_status(world: World, namespace: str, name: str, status: Object) -> None:
    """Say what a kubelet would."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
    world.admin.patch(path, {"status": status})


def container(name: str) -> Object:
    """A container's status, without its state."""
    return {
        "name": name,
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
    }


def waiting(name: str, reason: str, said: str = "") -> Callable[[], Object]:
    """A pod whose container waits for a reason."""
    state = {"waiting": {"reason": reason, "message": said or f"{reason} of it"}}
    return lambda: {
        "phase": "Pending",
        "conditions": [READY | {"status": "False"}],
        "containerStatuses": [container(name) | {"state": state}],
    }


def pending() -> Callable[[], Object]:
    """A pod that no node takes."""
    said = "0/3 nodes are available: 3 Insufficient memory."
    return lambda: {
        "phase": "Pending",
        "conditions": [
            READY | {"status": "False"},
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": said,
            },
        ],
    }


def unready() -> Callable[[], Object]:
    """A pod that runs and is not ready."""
    return lambda: {"phase": "Running", "conditions": [READY | {"status": "False"}]}


def fine(world: World, component: str) -> Callable[[], Object]:
    """A pod that is ready, as far as anybody can see."""
    address = world.address if component == "webhook" else "10.1.0.1"
    return lambda: {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [dict(READY)],
    }


def hold_lease(world: World, holder: str, when: timedelta) -> None:
    """Let the Lease say who leads, and since when."""
    spec = {"holderIdentity": holder, "renewTime": stamp(when)}
    world.admin.patch(LEASE, {"spec": spec})


def free_lease(world: World) -> None:
    """Let the next companion lead at once."""
    world.admin.patch(LEASE, {"spec": {"holderIdentity": "", "renewTime": None}})


def stamp(when: timedelta) -> str:
    """Return a time as Kubernetes writes it."""
    now = datetime.now(UTC)  # noqa: TID251 - the lab's edge
    return (now + when).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
