"""The chart's ValidatingAdmissionPolicies, judged by an unmodified API server.

The companion is impersonated with an administrator's rights, so that nothing but a
policy can stand in its way.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chart.rendering import CHART, NAMESPACE, RELEASE
from tests.cluster.chart.conftest import audit_events, put_away
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for
from tests.lab.tools import LabError

COMPANION = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-companion"
COMPUTE = "chart-compute"
PLAIN = "chart-plain"
"""A namespace without the label."""
MIRROR = "michelangelo-tracking"
MIRROR_TYPE = "tracking.michelangelo-ai.org/keys"
OURS = {"app.kubernetes.io/managed-by": "tracking-injector"}
INJECTED = "tracking.michelangelo-ai.org/injected"
INJECT = "tracking.michelangelo-ai.org/inject"
OF_RELEASE = "tracking.michelangelo-ai.org/release"
QUOTED = """o'brien"the"third"""
"""A user whose name is text in no quotes of one kind."""


def impersonate(user: str) -> tuple[str, ...]:
    """Flags that make kubectl somebody, with an administrator's rights.

    Args:
        user: A name, with a group after a slash if any.
    """
    name, _, group = user.partition("/")
    groups = ["system:masters", *([group] if group else [])]
    return f"--as={name}", *(f"--as-group={one}" for one in groups)


def kubectl(
    plane: ControlPlane,
    *arguments: str,
    manifest: Object | None = None,
    user: str = COMPANION,
) -> str:
    """What kubectl, as `user` with every right, says on stdout and stderr."""
    done = subprocess.run(
        [plane.toolbox.program("kubectl"), *arguments, *impersonate(user)],
        env=plane.environ(),
        input=json.dumps(manifest) if manifest else "",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def apply(plane: ControlPlane, manifest: Object, user: str = COMPANION) -> str:
    """What a server-side dry-run apply says."""
    return kubectl(
        plane,
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server"),
        *("--field-manager=tracking-injector", "-f", "-"),
        manifest=manifest,
        user=user,
    )


@pytest.fixture(scope="module")
def installed(plane: ControlPlane) -> Iterator[ControlPlane]:
    """The chart installed, every policy on, with a labeled namespace."""
    values = [
        "policies.flagMissed={Warn,Audit}",
        # Pods without keys are what one of them flags.
        "injection.inTree=false",
        f"policies.namespaceLabel.allowedUsers={{alice,{QUOTED}}}",
        "policies.namespaceLabel.allowedGroups={ml-platform}",
    ]
    plane.namespace(COMPUTE, {INJECT: "enabled"})
    plane.namespace(PLAIN)
    plane.helm(
        *("install", RELEASE, CHART, "--namespace", NAMESPACE, "--create-namespace"),
        *(argument for value in values for argument in ("--set", value)),
    )
    # A policy holds a moment after it was made, when every part of the API server has
    # seen it.
    probe = secret("never-allowed")
    wait_for("the policies", lambda: "denied" in apply(plane, probe), seconds=30)
    yield plane
    plane.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks")
    put_away(plane, NAMESPACE, COMPUTE, PLAIN)


def secret(name: str = MIRROR, **changes: Any) -> Object:
    """A mirror as the companion writes it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": changes.get("type", MIRROR_TYPE),
        "metadata": {
            "name": name,
            "namespace": changes.get("namespace", COMPUTE),
            "labels": changes.get("labels", OURS),
            "annotations": changes.get("annotations", {}),
        },
    }


def test_the_companion_may_write_a_mirror(installed: ControlPlane) -> None:
    """What it is for passes."""
    assert "serverside-applied" in apply(installed, secret())


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (secret("other"), "no Secret but michelangelo-tracking"),
        (secret(namespace="kube-system"), "no Secret but michelangelo-tracking"),
        (secret(namespace=NAMESPACE), "no Secret but michelangelo-tracking"),
        (secret(namespace=PLAIN), "no Secret but michelangelo-tracking"),
        (secret(namespace="kube-public"), "no Secret but michelangelo-tracking"),
        (secret(labels=OURS | {OF_RELEASE: "a.b"}), "another release's mirror"),
        (
            secret(
                type="kubernetes.io/service-account-token",
                annotations={"kubernetes.io/service-account.name": "default"},
            ),
            "keys only",
        ),
        (secret(type="Opaque"), "keys only"),
    ],
    ids=[
        *("other-name", "kube-system", "own-namespace", "unlabeled", "kube-public"),
        *("of-another-release", "token", "opaque"),
    ],
)
def test_the_companion_may_write_no_other_secret(
    installed: ControlPlane, manifest: Object, sentence: str
) -> None:
    """Name, place and type are held by the API server itself."""
    assert sentence in apply(installed, manifest)


@contextmanager
def stored(plane: ControlPlane, manifest: Object, switched_on: bool) -> Iterator[None]:
    """A Secret that was there before the namespace was labeled, which then may be."""
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/secrets"
    plane.admin.create(path, manifest)
    label = ("label", "namespace", namespace, "--overwrite")
    if switched_on:
        kubectl(plane, *label, f"{INJECT}=enabled", user="alice")
    try:
        yield
    finally:
        kubectl(plane, *label, f"{INJECT}-", user="alice")
        plane.admin.delete(f"{path}/{name}")


def test_the_companion_may_not_take_over_a_foreign_secret(
    installed: ControlPlane,
) -> None:
    """A Secret of the mirror's name that is somebody else's stays as it is."""
    foreign = secret(type="Opaque", namespace=PLAIN)
    delete = ("delete", "secret", MIRROR, "-n", PLAIN, "--dry-run=server")
    with stored(installed, foreign, switched_on=True):
        changed, deleted = apply(installed, foreign), kubectl(installed, *delete)

    assert "keys only" in changed
    assert "keys only" in deleted


def test_the_companion_may_not_touch_another_releases_mirror(
    installed: ControlPlane,
) -> None:
    """Neither change nor delete it."""
    others = secret(namespace=PLAIN, labels=OURS | {OF_RELEASE: "a.b"})
    delete = ("delete", "secret", MIRROR, "-n", PLAIN, "--dry-run=server")
    with stored(installed, others, switched_on=True):
        changed = apply(installed, secret(namespace=PLAIN))
        deleted = kubectl(installed, *delete)

    assert "another release's mirror" in changed
    assert "another release's mirror" in deleted


def test_the_companion_may_take_its_mirror_from_a_namespace_that_was_switched_off(
    installed: ControlPlane,
) -> None:
    """It writes nothing more there."""
    delete = ("delete", "secret", MIRROR, "-n", PLAIN, "--dry-run=server")
    with stored(installed, secret(namespace=PLAIN), switched_on=False):
        changed = apply(installed, secret(namespace=PLAIN, annotations={"a": "b"}))
        deleted = kubectl(installed, *delete)

    assert "no Secret but michelangelo-tracking" in changed
    assert "deleted" in deleted


KEPT = "is kept by the companion"


@pytest.mark.parametrize("type_", [MIRROR_TYPE, "Opaque"])
@pytest.mark.parametrize("user", ["mallory", "system:admin", "alice/ml-platform"])
def test_nobody_but_the_companion_makes_a_mirror(
    installed: ControlPlane, user: str, type_: str
) -> None:
    """Not even an administrator, whom no right holds back."""
    assert KEPT in apply(installed, secret(type=type_), user=user)


def test_a_secret_of_the_mirrors_name_elsewhere_is_everybodys(
    installed: ControlPlane,
) -> None:
    """Where the label is off, and of another name."""
    assert "applied" in apply(installed, secret(namespace=PLAIN), user="bob")
    assert "applied" in apply(installed, secret("mine", type="Opaque"), user="bob")


@pytest.mark.parametrize(
    ("patch", "refused"),
    [
        ('{"data":{"TRACKING_URI":"ZXZpbA=="}}', True),
        ('{"stringData":{"TRACKING_URI":"evil"}}', True),
        ('{"data":null}', True),
        ('{"immutable":true}', True),
        (f'{{"metadata":{{"labels":{{"{OF_RELEASE}":"a.b"}}}}}}', True),
        ('{"metadata":{"labels":null}}', True),
        ('{"metadata":{"annotations":{"encrypted":"anew"}}}', False),
    ],
    ids=["data", "text", "no-data", "immutable", "release", "no-labels", "annotation"],
)
def test_nobody_but_the_companion_changes_a_mirror(
    installed: ControlPlane, patch: str, refused: bool
) -> None:
    """Its content and its labels; whoever stores it anew as it is, may."""
    mirror = secret(namespace=PLAIN) | {"data": {"TRACKING_URI": "aHR0cA=="}}
    command = ("patch", "secret", MIRROR, "-n", PLAIN, "--type=merge", f"-p={patch}")
    with stored(installed, mirror, switched_on=True):
        said = kubectl(installed, *command, "--dry-run=server", user="mallory")

    assert refused is (KEPT in said)
    assert refused is ("patched" not in said)


def test_anybody_with_the_right_may_delete_a_mirror(installed: ControlPlane) -> None:
    """A squatter is put away by its namespace's owner; the companion makes it anew."""
    command = ("delete", "secret", MIRROR, "-n", PLAIN, "--dry-run=server")
    with stored(installed, secret(namespace=PLAIN, type="Opaque"), switched_on=True):
        assert "deleted" in kubectl(installed, *command, user="bob")


def test_a_second_release_is_refused(installed: ControlPlane) -> None:
    """By the chart, where Helm talks to a cluster; the first may go on as it is."""
    mode = ("--dry-run=server", "--create-namespace")
    with pytest.raises(LabError, match=f"the release {RELEASE} in namespace"):
        installed.helm("install", "second", CHART, "--namespace", "second", *mode)
    with pytest.raises(LabError, match="a cluster has one release"):
        installed.helm("install", RELEASE, CHART, "--namespace", "second", *mode)

    own = ("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, "--dry-run=server")
    assert "has been upgraded" in installed.helm(*own)


def test_a_second_release_is_refused_beside_one_without_a_webhook(
    installed: ControlPlane,
) -> None:
    """As `webhook.replicas: 0` installs it, or an emergency left it."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    installed.admin.delete(f"{path}/{RELEASE}")
    second = ("install", "second", CHART, "--namespace", "second", "--dry-run=server")
    try:
        with pytest.raises(LabError, match="a cluster has one release"):
            installed.helm(*second, "--create-namespace")
    finally:
        again = ("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, "--reuse-values")
        installed.helm(*again)


def configuration(plane: ControlPlane) -> Object:
    """The webhook configuration, ready to be sent back."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    found = plane.admin.get(f"{path}/{RELEASE}")
    found["metadata"].pop("managedFields")
    return found


def replace(plane: ControlPlane, manifest: Object) -> str:
    """What a dry-run PUT says."""
    return kubectl(plane, "replace", "--dry-run=server", "-f", "-", manifest=manifest)


def test_the_companion_may_write_the_ca_bundle(installed: ControlPlane) -> None:
    """By server-side apply of that one field, as it does."""
    entries = configuration(installed)["webhooks"]
    bundle = base64.b64encode(installed.authority.certificate.read_bytes()).decode()
    manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": RELEASE},
        "webhooks": [
            {"name": one["name"], "clientConfig": {"caBundle": bundle}}
            for one in entries
        ],
    }

    assert "serverside-applied" in apply(installed, manifest)


def retarget(body: Object) -> None:
    """Send the reviews to another Service."""
    body["webhooks"][0]["clientConfig"]["service"]["name"] = "evil"


def by_url(body: Object) -> None:
    """Send the reviews out of the cluster."""
    body["webhooks"][0]["clientConfig"] = {"url": "https://evil.example/"}


def widen(body: Object) -> None:
    """Ask for Secrets as well."""
    body["webhooks"][0]["rules"][0]["resources"] = ["pods", "secrets"]


def fail_closed(body: Object) -> None:
    """Block pods."""
    body["webhooks"][1]["failurePolicy"] = "Fail"


def any_namespace(body: Object) -> None:
    """Drop the namespaces' consent."""
    del body["webhooks"][0]["namespaceSelector"]


def another_entry(body: Object) -> None:
    """Add a webhook."""
    body["webhooks"].append(body["webhooks"][0] | {"name": "evil.example.com"})


def one_entry_less(body: Object) -> None:
    """Remove a webhook."""
    del body["webhooks"][0]


def condition(body: Object) -> None:
    """Add a field that was absent."""
    body["webhooks"][0]["matchConditions"] = [{"name": "never", "expression": "false"}]


def relabel(body: Object) -> None:
    """Change the labels."""
    body["metadata"]["labels"]["evil"] = "true"


def annotate(body: Object) -> None:
    """Hand the bundle to cert-manager."""
    body["metadata"]["annotations"] |= {"cert-manager.io/inject-ca-from": "a/b"}


def orphan(body: Object) -> None:
    """Keep it from being deleted."""
    body["metadata"]["finalizers"] = ["example.com/evil"]


@pytest.mark.parametrize(
    "change",
    [
        *(retarget, by_url, widen, fail_closed, any_namespace, another_entry),
        *(one_entry_less, condition, relabel, annotate, orphan),
    ],
    ids=lambda change: change.__name__,
)
def test_the_companion_may_change_nothing_else_there(
    installed: ControlPlane, change: Callable[[Object], None]
) -> None:
    """Every other field of the webhook configuration is out of its reach."""
    body = configuration(installed)
    change(body)

    assert "nothing but caBundle" in replace(installed, body)


def test_the_companion_may_create_no_webhook_configuration(
    installed: ControlPlane,
) -> None:
    """Not even a copy of its own."""
    body = configuration(installed)
    body["metadata"] = {"name": "copy"}

    said = kubectl(installed, "create", "--dry-run=server", "-f", "-", manifest=body)

    assert "may not create webhook configurations" in said


def test_others_may_change_the_webhook_configuration(installed: ControlPlane) -> None:
    """The policy speaks of the companion alone."""
    body = configuration(installed)
    fail_closed(body)

    said = kubectl(
        installed,
        *("replace", "--dry-run=server", "-f", "-"),
        manifest=body,
        user="alice",
    )

    assert "replaced" in said


TO_DNS: Object = {
    "to": [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
    "ports": [{"protocol": "UDP", "port": 53}],
}


def network_policy(**changes: Any) -> Object:
    """An egress policy as the companion writes it."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": changes.get("name", "mti-egress-0"),
            "namespace": changes.get("namespace", COMPUTE),
            "labels": changes.get("labels", OURS),
        },
        "spec": {
            "podSelector": changes.get(
                "selector", {"matchLabels": {INJECTED: "true", "a": "b"}}
            ),
            "policyTypes": changes.get("types", ["Egress"]),
            "egress": changes.get("egress", [TO_DNS]),
        },
    }


def test_the_companion_may_write_egress_policies(installed: ControlPlane) -> None:
    """What it is for passes."""
    assert "serverside-applied" in apply(installed, network_policy())


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (network_policy(labels={}), "without its release's labels"),
        (network_policy(labels=OURS | {OF_RELEASE: "a.b"}), "its release's labels"),
        (network_policy(name="anything"), "begins with mti-egress-"),
        (network_policy(namespace=PLAIN), "compute namespaces only"),
        (network_policy(namespace="kube-system"), "compute namespaces only"),
        (network_policy(egress=[{}]), "permits every destination"),
        (network_policy(egress=[TO_DNS, {}]), "permits every destination"),
        (network_policy(egress=[{"ports": [{"port": 1}]}]), "every destination"),
        (network_policy(selector={}), "injected pods only"),
        (network_policy(types=["Ingress", "Egress"]), "injected pods only"),
    ],
    ids=[
        *("unlabeled", "of-another-release", "name", "unlabeled-namespace"),
        *("kube-system", "all", "also-all", "everywhere", "every-pod", "ingress"),
    ],
)
def test_the_companion_may_write_no_other_network_policy(
    installed: ControlPlane, manifest: Object, sentence: str
) -> None:
    """It cannot isolate pods that are not ours, and not their ingress."""
    assert sentence in apply(installed, manifest)


def pod(labels: dict[str, str], *references: str) -> Object:
    """A pod with Secret references in `envFrom`."""
    sources = [{"secretRef": {"name": name}} for name in references]
    container = {"name": "main", "image": "example.com/a:1", "envFrom": sources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "task", "namespace": COMPUTE, "labels": labels},
        "spec": {"containers": [container]},
    }


@pytest.mark.parametrize(
    ("manifest", "flagged"),
    [
        (pod({"ray.io/node-type": "head"}), True),
        (pod({"spark-role": "executor"}, "another"), True),
        (pod({"spark-role": "driver"}, "another", MIRROR), False),
        (pod({"ray.io/node-type": "redis-cleanup"}), False),
        (pod({"ray.io/node-type": "head", INJECT: "disabled"}), False),
        (pod({}), False),
        (pod({INJECT: "enabled"}), True),
        (pod({INJECT: "enabled"}, MIRROR), False),
        (pod({INJECT: "true"}), True),
        (pod({INJECT: "disabled"}), False),
    ],
    ids=[
        *("ray", "spark", "has-keys", "not-a-task", "OptedOut", "no-labels"),
        *("opted-in", "opted-in-has-keys", "mistyped", "left-alone"),
    ],
)
def test_a_task_pod_without_keys_is_flagged_and_admitted(
    installed: ControlPlane, manifest: Object, flagged: bool
) -> None:
    """The client is warned, with the webhook dead, and the pod is created."""
    said = apply(installed, manifest, user="bob")

    assert flagged is ("admitted without the tracking keys" in said)
    assert "serverside-applied" in said


def test_the_audit_log_names_a_task_pod_without_keys(installed: ControlPlane) -> None:
    """Whoever collects it finds the pod and the policy, whether the client listens."""
    name = "audited-task"
    manifest = pod({"ray.io/node-type": "worker"})
    manifest["metadata"]["name"] = name

    apply(installed, manifest, user="bob")

    def found() -> list[str]:
        key = "validation.policy.admission.k8s.io/validation_failure"
        events = audit_events(installed)
        return [
            one["annotations"][key]
            for one in events
            if one["objectRef"].get("name") == name
        ]

    wait_for("its line in the audit log", lambda: bool(found()), seconds=30)
    (failure,) = found()
    assert f"{RELEASE}-missed" in failure
    assert "admitted without the tracking keys" in failure


@pytest.mark.parametrize(
    ("user", "label", "allowed"),
    [
        ("alice", f"{INJECT}=enabled", True),
        (QUOTED, f"{INJECT}=enabled", True),
        ("anybody/ml-platform", f"{INJECT}=enabled", True),
        ("mallory", f"{INJECT}=enabled", False),
        ("mallory/ml-platforms", f"{INJECT}=enabled", False),
        ("mallory", "tracking.michelangelo-ai.org/profile=research", False),
        ("mallory", "tracking.michelangelo-ai.org/egress=off", False),
        ("mallory", "team=a", True),
    ],
)
def test_only_the_listed_may_label_a_namespace(
    installed: ControlPlane, user: str, label: str, allowed: bool
) -> None:
    """By name or by group; other labels stay everybody's."""
    command = ("label", "namespace", "default", label, "--dry-run=server")
    said = kubectl(installed, *command, user=user)

    assert allowed is ("labeled" in said)
    assert allowed is ("may not change which namespaces" not in said)


@pytest.mark.parametrize(("user", "allowed"), [("alice", True), ("mallory", False)])
@pytest.mark.parametrize("part", ["status", "finalize"])
def test_no_subresource_goes_around_the_label_policy(
    installed: ControlPlane, user: str, allowed: bool, part: str
) -> None:
    """Both take labels along."""
    body = installed.admin.get("/api/v1/namespaces/default")
    body["metadata"].setdefault("labels", {})[INJECT] = "enabled"
    path = f"/api/v1/namespaces/default/{part}?dryRun=All"
    command = ("replace", "--raw", path, "-f", "-")
    said = kubectl(installed, *command, manifest=body, user=user)

    assert allowed is ("may not change which namespaces" not in said)
    assert allowed is (f'"{INJECT}":"enabled"' in said)


@pytest.mark.parametrize(("user", "allowed"), [("alice", True), ("mallory", False)])
def test_only_the_listed_may_switch_a_namespace_off(
    installed: ControlPlane, user: str, allowed: bool
) -> None:
    """Or create one that is on, or give it another value."""
    label = ("label", "namespace", COMPUTE, "--overwrite", "--dry-run=server")
    created: Object = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "born-labeled", "labels": {INJECT: "enabled"}},
    }
    said = [
        kubectl(installed, *label, f"{INJECT}-", user=user),
        kubectl(installed, *label, f"{INJECT}=disabled", user=user),
        kubectl(
            installed,
            *("create", "--dry-run=server", "-f", "-"),
            manifest=created,
            user=user,
        ),
    ]

    assert [not allowed] * 3 == ["may not change which" in one for one in said]
