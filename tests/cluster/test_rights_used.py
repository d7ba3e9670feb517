"""Each right that the chart gives is used: the API server's audit log shows it.

The companion of each mode does its whole work under the chart's own rights; then every
verb of every rule has to have been asked for. A right that only makes a stolen token
worth more is found here.
"""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.rendering import BUNDLE, RELEASE, Chart, Rendered
from tests.chart.test_settings import environ
from tests.cluster.release import CHART, COMPANION, MIRROR, eventually
from tests.fakes.log import Lines
from tests.lab.api import ApiError, Object
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from webhook.cluster.config import load_kubeconfig
from webhook.cluster.resources import POD, RAY_CLUSTER, RAY_JOB
from webhook.companion.build import Outside, build_companion
from webhook.companion.pod_owners import MADE
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome
from webhook.egress.engines.detect import CONTROLS, MESH
from webhook.injection.names import (
    EGRESS_LABEL,
    FIELD_MANAGER,
    INJECT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RELEASE_LABEL,
)
from webhook.mirror.secret import MIRROR_TYPE
from webhook.settings import CompanionSettings

COMMAND: Final = Path(sys.executable).with_name("tracking-injector")
HOME: Final = "ml-tracking"
USER: Final = f"system:serviceaccount:{HOME}:{COMPANION}"
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
DENY: Final = {"podSelector": {}, "policyTypes": ["Egress"]}
TRACKING: Final = {"existingConfigMap": "uri", "existingSecret": "keys"}
GIVEN: Final = {"secretName": "pair", "caBundle": BUNDLE}
PAIR: Final = {"mode": "provided", "provided": GIVEN}
BOTH_CALICOS: Final = ("crd.projectcalico.org", "projectcalico.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb of one rule, for one name where the rule has names."""

    role: str
    verb: str
    group: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        """For a failing test's report."""
        return f"{self.role}: {self.verb} {self.resource}.{self.group} {self.name}"

    def allows(self, event: Object) -> bool:
        """Whether this right let a request through.

        What both roles give is counted for the narrower one, at home.
        """
        asked = event["objectRef"]
        verbs = {event["verb"]}
        # A server-side apply of what is not there asks for `create` besides.
        if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
            verbs.add("create")
        return (
            self.verb in verbs
            and self.group == asked.get("apiGroup", "")
            and self.resource == asked["resource"]
            and self.name in ("", asked.get("name", ""))
            and (asked.get("namespace") == HOME) is (self.role == "home")
        )


def rights(rendered: Rendered) -> Iterator[Right]:
    """Every right of the companion's roles; the uninstall's come with a hook."""
    roles = {
        "cluster": rendered.one("ClusterRole", COMPANION),
        "write": rendered.one("ClusterRole", f"{COMPANION}-write"),
        "home": rendered.one("Role", COMPANION),
    }
    for role, body in roles.items():
        yield from _rights(role, body)


def _rights(role: str, body: Object) -> Iterator[Right]:
    for rule in body["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames") or [""]:
                    for verb in rule["verbs"]:
                        yield Right(
                            role=role,
                            verb=verb,
                            group=group,
                            resource=resource,
                            name=name,
                        )


class World:
    """An API server that writes down what the companion asks, and who works there."""

    def __init__(self, toolbox: Toolbox, folder: Path) -> None:
        """Start it, with the kinds of other engines and of KubeRay."""
        self.log = folder / "audit.log"
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
        }
        written = folder / "policy.yaml"
        written.write_text(yaml.safe_dump(policy), "utf-8")
        flags = (f"--audit-policy-file={written}", f"--audit-log-path={self.log}")
        self.plane = ControlPlane.start(
            toolbox, folder, Options(api_server_flags=flags)
        )
        self.admin = self.plane.admin
        self.chart = Chart(toolbox.program("helm"))
        self.folder = folder
        self.plane.namespace(HOME)
        self.create(
            "configmaps", HOME, "uri", data={"TRACKING_URI": "https://t.example"}
        )
        self.key("one")
        self._resolv_conf = folder / "resolv.conf"
        self._resolv_conf.write_text("nameserver 10.0.0.10\n", "utf-8")

    def install(self, values: Mapping[str, Any]) -> Rendered:
        """Install the chart, or upgrade it, with these values."""
        # Nothing of ours injects here: the auditor is to find a pod that was missed.
        given = {"tracking": TRACKING, "injection": {"inTree": False}, **values}
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(given), "utf-8")
        words = ("--namespace", HOME, "--values", file, "--no-hooks")
        self.plane.helm("upgrade", "--install", RELEASE, CHART, *words)
        return self.chart.render(given, namespace=HOME)

    @contextmanager
    def companion(self, rendered: Rendered) -> Iterator[Lines]:
        """The built companion, with the chart's settings; DNS alone is invented."""
        settings = CompanionSettings.from_environ(
            environ(rendered, "companion") | {"MTI_WATCH_SECONDS": "3"}
        )
        account = self.plane.kubeconfig_for(HOME, COMPANION)
        log = Lines()
        built = build_companion(
            load_kubeconfig(manager=FIELD_MANAGER, path=account, context=None),
            settings,
            Outside(
                log=log,
                clock=lambda: datetime.now(UTC),  # noqa: TID251 - as its command does
                resolv_conf=self._resolv_conf,
                look_up=_look_up,
                probe=lambda *_: (),
            ),
        )
        manager = built.manager()
        manager.start()
        try:
            yield log
        finally:
            manager.end()

    def events(self, since: int) -> list[Object]:
        """What the companion was allowed after so many lines of the log.

        An Event that is there already is a conflict: the right was used all the same.
        """
        lines = self.log.read_text("utf-8").splitlines()[since:]
        found = [json.loads(line) for line in lines]
        return [
            one
            for one in found
            if one["user"]["username"] == USER and "objectRef" in one
            if (code := one["responseStatus"]["code"]) < 400 or code == 409
        ]

    def lines(self) -> int:
        """How much is written down so far."""
        return len(self.log.read_text("utf-8").splitlines()) if self.log.exists() else 0

    def create(self, plural: str, namespace: str, name: str, **parts: Any) -> Object:
        """Create an object by its plural, with its group where it has one."""
        group, _, last = plural.rpartition("/")
        root = f"/apis/{group}" if group else "/api/v1"
        where = f"/namespaces/{namespace}" if namespace else ""
        meta = {"name": name, **parts.pop("metadata", {})}
        path = f"{root}{where}/{last}"
        return self.admin.create(path, {"metadata": meta, **parts})

    def key(self, value: str) -> None:
        """Write the source's key."""
        path = f"/api/v1/namespaces/{HOME}/secrets"
        body: Object = {"data": {"K": base64.b64encode(value.encode()).decode()}}
        try:
            self.admin.patch(f"{path}/keys", body)
        except ApiError:
            self.admin.create(path, body | {"metadata": {"name": "keys"}})

    def compute(self, name: str, **labels: str) -> str:
        """A labeled namespace."""
        self.plane.namespace(name)
        self.label(name, **{INJECT_LABEL: "enabled"})
        return name

    def label(self, namespace: str, **labels: str | None) -> None:
        """Label a namespace."""
        body = {"metadata": {"labels": labels}}
        self.admin.patch(f"/api/v1/namespaces/{namespace}", body)

    def mirror(self, namespace: str) -> str | None:
        """The key in the mirror there; None without a mirror."""
        try:
            path = f"/api/v1/namespaces/{namespace}/secrets/{MIRROR}"
            return base64.b64decode(self.admin.get(path)["data"]["K"]).decode()
        except ApiError:
            return None

    def policies(self, namespace: str) -> list[Object]:
        """Policies of ours in a namespace."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
        found = self.admin.get(path)["items"]
        return [p for p in found if p["metadata"]["name"].startswith("mti-egress-")]

    def told(self, namespace: str, reason: str) -> bool:
        """Whether there is an Event of ours with that reason."""
        events = self.admin.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        return any(one["reason"] == reason for one in events)

    def teach(self, group: str, version: str, kind: str, plural: str) -> None:
        """Serve a kind of somebody else's, with whatever fields."""
        scope = "Namespaced"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": f"{plural}.{group}",
                # Groups of Kubernetes' own are protected.
                "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
            },
            "spec": {
                "group": group,
                "scope": scope,
                "names": {
                    "kind": kind,
                    "plural": plural,
                    "singular": kind.lower(),
                    "listKind": f"{kind}List",
                },
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": schema},
                    }
                ],
            },
        }
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.admin.create(definitions, crd)
        eventually(
            f"{plural} are served",
            lambda: self.admin.answers(f"/apis/{group}/{version}/{plural}"),
            every=0.2,
        )


def _look_up(name: str, now: datetime) -> DnsAnswer:
    del name
    found = (ip_address("203.0.113.7"),)
    return DnsAnswer(now, DnsOutcome.NOERROR, found, timedelta(seconds=60))


@pytest.fixture(name="world", scope="module")
def _world(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    world = World(toolbox, tmp_path_factory.mktemp("rights"))
    yield world
    world.plane.stop()


def mirrors(world: World, phase: str) -> str:
    """A mirror is made, follows its source and goes; a squatter is told of."""
    name = world.compute(f"{phase}-ray")
    eventually("a mirror", lambda: world.mirror(name))
    world.key(phase)
    eventually("the new key", lambda: world.mirror(name) == phase)
    squatted = f"{phase}-squatted"
    world.plane.namespace(squatted)
    world.create("secrets", squatted, MIRROR, data={"K": "eA=="})
    world.label(squatted, **{INJECT_LABEL: "enabled"})
    eventually("an Event", lambda: world.told(squatted, "ForeignSecret"))
    return name


def leaving(world: World, phase: str) -> None:
    """A namespace that is switched off loses its mirror, since no pod needs it."""
    name = world.compute(f"{phase}-leaving")
    eventually("a mirror", lambda: world.mirror(name))
    world.label(name, **{INJECT_LABEL: None})
    eventually("its end", lambda: world.mirror(name) is None, seconds=90)


def immutable(world: World, phase: str) -> None:
    """A mirror of ours that cannot be changed is deleted and made again."""
    name = f"{phase}-immutable"
    world.plane.namespace(name)
    labels = {MANAGED_BY_LABEL: MANAGED_BY, RELEASE_LABEL: f"{HOME}.{RELEASE}"}
    world.create(
        "secrets",
        name,
        MIRROR,
        metadata={"labels": labels},
        data={"K": "eA=="},
        type=MIRROR_TYPE,
        immutable=True,
    )
    world.label(name, **{INJECT_LABEL: "enabled"})
    eventually("another mirror", lambda: world.mirror(name) == phase)


def forget(world: World) -> None:
    """Certificates and addresses are gone, so that they are written anew.

    And the tracker has a name again that only DNS knows.
    """
    world.admin.patch(
        f"/api/v1/namespaces/{HOME}/configmaps/uri",
        {"data": {"TRACKING_URI": "https://t.example"}},
    )
    home = f"/api/v1/namespaces/{HOME}"
    for path in (
        f"{home}/secrets/{RELEASE}-tls",
        f"{home}/secrets/{RELEASE}-tls-state",
        f"{home}/configmaps/{RELEASE}-addresses",
    ):
        world.admin.patch(path, {"data": None})


def failing_watch(world: World) -> None:
    """Without its cluster-wide rights for a while, it says so at home."""
    path = f"{RBAC}/clusterrolebindings"
    binding = world.admin.get(f"{path}/{COMPANION}")
    world.admin.delete(f"/api/v1/namespaces/{HOME}/events")  # of an earlier phase
    world.admin.delete(f"{path}/{COMPANION}")
    eventually("an Event at home", lambda: world.told(HOME, "WatchFailed"))
    kept = {k: binding[k] for k in ("roleRef", "subjects")}
    meta = {k: binding["metadata"][k] for k in ("name", "labels", "annotations")}
    world.admin.create(path, {"metadata": meta, **kept})


def shadows(world: World, name: str) -> None:
    """A shadow comes, changes and goes."""
    world.create("networking.k8s.io/v1/networkpolicies", name, "deny", spec=DENY)
    eventually("a shadow", lambda: world.policies(name))
    before = world.policies(name)[0]["metadata"]["generation"]
    ports = [{"port": 443}]
    spec = {"selector": {"a": "b"}, "ports": ports}
    body = {"data": {"TRACKING_URI": f"https://t.{name}.svc:443"}}
    world.create("services", name, "t", spec=spec)
    world.admin.patch(f"/api/v1/namespaces/{HOME}/configmaps/uri", body)
    eventually(
        "its change",
        lambda: world.policies(name)[0]["metadata"]["generation"] > before,
    )


def missed_pods(world: World, name: str) -> None:
    """A pod without keys of each kind of owner, which is asked who made it."""
    time.sleep(1.1)  # they have to be younger than the label, whose time is in seconds
    labels = {"ray.io/node-type": "head"}
    spec: Object = {"containers": [{"name": "ray-head", "image": "none"}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    copies = {"selector": {"matchLabels": labels}, "template": template}
    once = {"metadata": {"labels": labels}, "spec": {**spec, "restartPolicy": "Never"}}
    controlled = {  # their controllers make the pod, and let go of any other
        "ReplicaSet": copies,
        "StatefulSet": {**copies, "serviceName": "s"},
        "Job": {"template": once},
    }
    for kind in MADE.values():
        typed = {"apiVersion": kind.api_version, "kind": kind.name}
        path = f"{kind.api_version}/{kind.plural}" if kind.group else kind.plural
        if kind.name in controlled:
            world.create(path, name, kind.plural, **typed, spec=controlled[kind.name])
            continue
        body = {"spec": spec} if kind is POD else {}
        made = world.create(path, name, "owner", **typed, **body)
        uid = made["metadata"]["uid"]
        owner = {**typed, "name": "owner", "uid": uid, "controller": True}
        meta = {"labels": labels, "ownerReferences": [owner]}
        world.create("pods", name, f"of-{kind.plural}", metadata=meta, spec=spec)
    eventually("an Event", lambda: world.told(name, "Missed"))


def unused(world: World, given: Iterable[Right], since: int) -> list[str]:
    """Rights that nothing asked for; what comes late is waited for."""
    wanted = list(given)

    def left() -> list[Right]:
        events = world.events(since)
        return [one for one in wanted if not any(map(one.allows, events))]

    try:
        eventually("all are used", lambda: not left(), seconds=90, every=1)
    except AssertionError:
        return [str(one) for one in left()]
    return []


def additive(world: World) -> None:
    """With other engines' policies to be read, as many rights as there can be."""
    served = {(c.group, c.kind, c.plural) for c in CONTROLS}
    of_calico = {one for one in served if one[0] == BOTH_CALICOS[0]}
    for group, kind, plural in served - of_calico:
        world.teach(group, "v1", kind, plural)
    for one in (RAY_CLUSTER, RAY_JOB):
        world.teach(one.group, one.version, one.name, one.plural)
    world.plane.namespace(MESH[0])
    world.create("configmaps", *MESH, data={"mesh": ""})
    since = world.lines()
    rendered = world.install({"egress": {"readOtherEngines": True}})
    with world.companion(rendered):
        name = mirrors(world, "additive")
        leaving(world, "additive")
        shadows(world, name)
        missed_pods(world, name)
        failing_watch(world)
        world.label(name, **{EGRESS_LABEL: "off"})
        eventually("the shadow's end", lambda: not world.policies(name))
        world.compute("kept")
        world.create("networking.k8s.io/v1/networkpolicies", "kept", "deny", spec=DENY)
        eventually("a shadow", lambda: world.policies("kept"))
    for group, kind, plural in of_calico:
        world.teach(group, "v1", kind, plural)
    with world.companion(rendered):
        assert unused(world, rights(rendered), since) == []


def observe(world: World) -> None:
    """It takes away what `additive` wrote."""
    since = world.lines()
    rendered = world.install({"egress": {"mode": "observe"}})
    forget(world)
    with world.companion(rendered):
        name = mirrors(world, "observe")
        leaving(world, "observe")
        missed_pods(world, name)
        failing_watch(world)
        assert unused(world, rights(rendered), since) == []
        assert not world.policies("kept")


def most_is_off(world: World) -> None:
    """Neither egress nor audit nor certificates."""
    since = world.lines()
    labels = {MANAGED_BY_LABEL: MANAGED_BY, RELEASE_LABEL: f"{HOME}.{RELEASE}"}
    path = "networking.k8s.io/v1/networkpolicies"
    world.compute("off-kept")
    left = {"labels": labels}
    world.create(path, "off-kept", "mti-egress-left", metadata=left, spec=DENY)
    off = {"egress": {"mode": "off"}, "audit": {"enabled": False}}
    rendered = world.install({**off, "certificates": PAIR})
    with world.companion(rendered):
        mirrors(world, "off")
        immutable(world, "off")
        failing_watch(world)
        assert unused(world, rights(rendered), since) == []


def uninstall(world: World) -> None:
    """It comes with the hook, and goes with it."""
    since = world.lines()
    rendered = world.install({"injection": {"inTree": True}})
    role = rendered.one("ClusterRole", f"{RELEASE}-uninstall")
    hooks = [role, rendered.one("ClusterRoleBinding", f"{RELEASE}-uninstall")]
    world.plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(hooks))
    done = subprocess.run(
        [COMMAND, "companion", "--remove-all", "--helm-release", RELEASE],
        env=environ(rendered, "companion")
        | world.plane.environ(world.plane.kubeconfig_for(HOME, COMPANION)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr

    assert unused(world, _rights("write", role), since) == []


def test_every_right_is_used(world: World) -> None:
    """In the order of a release's life: each mode begins with what another left."""
    for life in (additive, observe, most_is_off, uninstall):
        life(world)
