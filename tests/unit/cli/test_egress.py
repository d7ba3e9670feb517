"""`egress plan` and `egress check`, on manifests and on a cluster in memory."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.unit.companion.egress.egress_world import DENY, HOME, EgressWorld
from tests.unit.egress.sketch import ips
from webhook.cli import egress as command
from webhook.cli.egress import egress
from webhook.cluster.resources import CONFIG_MAP, NODE, POD, SECRET, SERVICE
from webhook.egress.baseline import parse_baseline
from webhook.egress.dns_cache import DnsLimits
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions

KEYS = """
kind: Secret
apiVersion: v1
metadata: {name: keys}
stringData: {TRACKING_URI: "https://u:hunter2@mlflow.example.com"}
"""
CLUSTER = """
kind: Namespace
metadata: {name: team-a}
---
kind: Namespace
metadata: {name: ml}
---
kind: NetworkPolicy
metadata: {name: deny, namespace: team-a, uid: u-1}
spec: {podSelector: {}, policyTypes: [Egress]}
---
kind: Pod
metadata:
  name: worker
  namespace: team-a
  labels: {tracking.michelangelo-ai.org/injected: "true"}
spec: {containers: [{name: ray}]}
status: {podIPs: [{ip: 10.244.0.9}]}
"""
TRACKER = """
kind: Service
metadata: {name: mlflow, namespace: ml}
spec:
  clusterIP: 10.0.0.20
  selector: {app: mlflow}
  ports: [{port: 80, targetPort: 5000}]
---
kind: NetworkPolicy
metadata: {name: closed, namespace: ml}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
DNS = "10.0.0.10/32"
FACTS = ["--address", "mlflow.example.com=203.0.113.7", "--nameserver", "10.0.0.10"]


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    """Runs a command on manifests."""
    return Run(tmp_path)


class Run:
    """The command, with files."""

    def __init__(self, folder: Path) -> None:
        """Files go there."""
        self._folder = folder

    def __call__(
        self, *words: str, cluster: str = CLUSTER, secret: str = KEYS
    ) -> Result:
        """Its result."""
        manifests, keys = self._folder / "cluster.yaml", self._folder / "keys.yaml"
        manifests.write_text(cluster)
        keys.write_text(secret)
        given = ["-f", str(manifests), "--secret", str(keys)]
        return CliRunner().invoke(egress, [*words, *given])


def test_a_plan_says_what_would_be_written_and_why(run: Run) -> None:
    """And repeats no credential."""
    result = run("plan", *FACTS)
    lines = result.stdout.splitlines()

    assert result.exit_code == 0
    assert lines[0] == "ml: NotIsolated"
    assert lines[1] == "team-a: EgressReady"
    assert lines[2].endswith(", on top of deny")
    assert [line.split("── ")[1] for line in lines[3:]] == [
        "10.0.0.10/32 (nameserver) TCP/53, UDP/53",
        "203.0.113.7/32 (mlflow.example.com) TCP/443",
    ]
    assert "hunter2" not in result.output


def test_a_plan_as_yaml_is_what_the_companion_would_write(run: Run) -> None:
    """It can be applied as it is."""
    result = run("plan", "-o", "yaml", *FACTS)
    (body,) = yaml.safe_load_all(result.stdout)

    assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert body["spec"]["policyTypes"] == ["Egress"]


def test_an_empty_plan_is_no_document(run: Run) -> None:
    """What was found goes to standard error."""
    result = run("plan", "-o", "yaml", "-n", "ml")

    assert result.stdout == ""
    assert "mlflow.example.com has no rule" in result.stderr


def test_a_check_says_what_is_closed_and_by_what(run: Run) -> None:
    """Before the companion wrote anything."""
    result = run("check", "worker", "-n", "team-a", *FACTS)

    assert result.exit_code == 1
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        f"{to} no isolated by deny; no rule permits it".split()
        for to in (f"{DNS} TCP/53", f"{DNS} UDP/53", "203.0.113.7/32 TCP/443")
    ]


def test_a_check_passes_with_what_the_plan_wrote(run: Run) -> None:
    """The two speak of the same thing."""
    planned = run("plan", "-o", "yaml", *FACTS).stdout
    after = f"{CLUSTER}---\n{planned}"
    result = run("check", "worker", "-n", "team-a", *FACTS, cluster=after)

    assert result.exit_code == 0
    assert "permitted by rule 1 of mti-egress-" in result.stdout


def test_a_check_does_not_pass_where_a_name_has_no_address(run: Run) -> None:
    """DNS alone is not the tracking server."""
    open_ = CLUSTER.replace("policyTypes: [Egress]", "policyTypes: [Ingress]")
    result = run(
        "check", "worker", "-n", "team-a", "--nameserver", "10.0.0.10", cluster=open_
    )

    assert (result.exit_code, "has no rule" in result.stderr) == (1, True)
    assert " no " not in result.stdout


def test_nodes_among_manifests_are_known(run: Run) -> None:
    """A server on one is reported; elsewhere its address is permitted as well."""
    node = """
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 203.0.113.7}]}
"""
    result = run("plan", "-n", "team-a", *FACTS, cluster=f"{CLUSTER}---{node}")

    assert "NodeAddress: mlflow.example.com is on a node's address" in result.stdout


def test_a_check_tells_a_closed_door_from_a_closed_way(run: Run) -> None:
    """The tracking server's own namespace lets nobody in: that is not DNS."""
    secret = KEYS.replace("u:hunter2@mlflow.example.com", "mlflow.ml:80")
    open_ = CLUSTER.replace("policyTypes: [Egress]", "policyTypes: [Ingress]")
    result = run(
        "check", "worker", "-n", "team-a", cluster=f"{open_}---{TRACKER}", secret=secret
    )
    lines = [line.rstrip() for line in result.stdout.splitlines()]

    assert result.exit_code == 1
    assert lines[1].split(maxsplit=3)[2:] == ["yes", "nothing isolates the pod"]
    assert lines[2].endswith("no    DestinationIngressBlocked: closed in ml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nobody"], "There is no pod nobody in namespace default."),
        (["plan", "--address", "a=b"], "'b' is not an IP address."),
        (["plan", "--host", "a:b"], "--host: 'a:b' is not a destination"),
        (["plan", "--nameserver", "x"], "'x' is not an IP address."),
        (["plan", "--baseline", "x"], "--baseline is no JSON"),
        (["plan", "--mode", "x"], "'x' is not one of"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, words: list[str], message: str) -> None:
    """Exit code 2."""
    result = run(*words)

    assert result.exit_code == 2
    assert message in result.stderr


def test_an_object_that_cannot_be_read_is_named(run: Run) -> None:
    """By kind and name."""
    broken = "kind: Pod\nmetadata: {name: p}\nspec: {}\n"
    result = run("plan", cluster=broken)

    assert (result.exit_code, "Pod p cannot be read" in result.stderr) == (2, True)


def test_manifests_say_nothing_of_keys(tmp_path: Path) -> None:
    """A mirror's values are in no manifest."""
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER)
    result = CliRunner().invoke(egress, ["plan", "-f", str(file)])

    assert (result.exit_code, "Give --secret" in result.stderr) == (2, True)


CILIUM = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deny-all, namespace: team-a}
spec: {egress: []}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: istio-system}
spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}
"""


def test_a_plan_says_what_another_engine_restricts(run: Run) -> None:
    """With the command that prints what to add."""
    result = run("plan", "-n", "team-a", *FACTS, cluster=f"{CLUSTER}---{CILIUM}")

    assert (
        "OtherEgressControls: CiliumNetworkPolicy team-a/deny-all may restrict egress;"
        " its owner adds what `tracking-injector egress plan -n team-a --engine cilium`"
        " prints"
    ) in result.stdout


def test_a_plan_for_another_engine_is_its_own_object(run: Run) -> None:
    """By name where it resolves names, by address where it does not."""
    cilium = run("plan", "-n", "team-a", "--engine", "cilium", *FACTS)
    calico = run("plan", "-n", "team-a", "--engine", "calico", *FACTS)
    (policy,) = yaml.safe_load_all(cilium.stdout)
    hosts = [rule["toFQDNs"] for rule in policy["spec"]["egress"] if "toFQDNs" in rule]

    assert hosts == [[{"matchName": "mlflow.example.com"}]]
    assert "mlflow.example.com" not in calico.stdout
    assert "203.0.113.7/32" in calico.stdout
    assert "hunter2" not in cilium.output + calico.output


def test_advice_for_nothing_is_no_document(run: Run) -> None:
    """Istio needs no entry for an address."""
    secret = KEYS.replace("u:hunter2@mlflow.example.com", "203.0.113.9")
    result = run("plan", "-n", "team-a", "--engine", "istio", secret=secret)

    assert (result.exit_code, result.stdout) == (0, "")


LABELED = CLUSTER.replace(
    "metadata: {name: team-a}",
    "metadata: {name: team-a, labels: {tracking.michelangelo-ai.org/inject: enabled}}",
)


def test_a_plan_is_about_the_labeled_namespaces(run: Run) -> None:
    """The others get nothing from anybody."""
    result = run("plan", *FACTS, cluster=LABELED)

    assert [line for line in result.stdout.splitlines() if line[0].isalpha()] == [
        "team-a: EgressReady"
    ]


def test_a_namespace_may_be_switched_off(run: Run) -> None:
    """By its label."""
    off = LABELED.replace(
        "inject: enabled", "inject: enabled, tracking.michelangelo-ai.org/egress: 'off'"
    )
    result = run("plan", *FACTS, cluster=off)

    assert result.stdout == "team-a: SwitchedOff\n"


def test_a_plan_says_who_closes_the_servers_door(run: Run) -> None:
    """Before any pod has tried it."""
    secret = KEYS.replace("u:hunter2@mlflow.example.com", "mlflow.ml:80")
    result = run("plan", cluster=f"{CLUSTER}---{TRACKER}", secret=secret)

    assert "DestinationIngressBlocked: no rule of closed in namespace ml" in (
        result.stdout
    )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> EgressWorld:
    """A cluster in memory, which the command connects to."""
    made = EgressWorld()
    made.label("team-a")
    made.policy(DENY)
    made.step()
    data = {"TRACKING_URI": base64.b64encode(b"https://mlflow.example.org").decode()}
    meta = {"name": "michelangelo-tracking", "namespace": "team-a"}
    made.user.apply(SECRET, {"metadata": meta, "data": data})
    access = SimpleNamespace(resources=made.user, namespace="team-a")
    monkeypatch.setattr(command, "connect", lambda *_, **__: access)
    publish(made)
    return made


def publish(
    world: EgressWorld,
    options: EgressOptions | None = None,
    release: str = "tracking-injector",
    profiles: tuple[str, ...] = ("default",),
    **changed: str,
) -> None:
    """The companion's status, as the chart labels it."""
    options = options or EgressOptions(
        nameservers=ips("10.0.0.10"), excluded=("release",)
    )
    report = {
        "schema": 1,
        "profiles": {name: {} for name in profiles},
        "settings": {"egress": options.to_json() | changed},
    }
    meta = {
        "name": f"{release}-status",
        "namespace": HOME.namespace,
        "labels": {
            "app.kubernetes.io/name": "tracking-injector",
            "app.kubernetes.io/component": "companion",
        },
    }
    data = {"status.json": json.dumps(report)}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": data})


def ask(*words: str) -> Result:
    """The command on the cluster."""
    return CliRunner().invoke(egress, list(words))


def test_on_a_cluster_keys_and_addresses_are_found(world: EgressWorld) -> None:
    """The mirror has the ones, the companion's memory the others."""
    planned = yaml.safe_load(ask("plan", "-o", "yaml").stdout)

    assert planned["spec"] == world.ours()[0]["spec"]


@pytest.mark.parametrize("text", ["[]", '{"mlflow.example.org": {}}'])
def test_a_memory_that_cannot_be_read_is_none(world: EgressWorld, text: str) -> None:
    """Names then have no addresses, which is said."""
    meta = {"name": HOME.name, "namespace": HOME.namespace}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": {"addresses.json": text}})

    result = ask("plan")

    assert "team-a: Unresolved" in result.stdout
    assert "mlflow.example.org has no rule" in result.stdout
    assert "Addresses of names are not known" in result.stderr


def test_a_namespace_without_a_mirror_is_not_planned_yet(world: EgressWorld) -> None:
    """No keys, and so no server that is known."""
    world.label("team-b")

    assert "team-b: KeysUnknown" in ask("plan").stdout


def test_a_profile_that_the_companion_lacks_has_no_keys(world: EgressWorld) -> None:
    """What an earlier one mirrored is not what is planned for."""
    publish(world, profiles=("other",))

    assert ask("plan").stdout == "team-a: KeysUnknown\n"


def test_published_settings_hold(world: EgressWorld) -> None:
    """Hosts, mode, baseline, domain, allowed and excluded names; whatever the names."""
    world.label("team-b")
    world.label("lab")
    cache = world.user.get(CONFIG_MAP, HOME.name, HOME.namespace)
    meta = {"name": "mine-addresses", "namespace": HOME.namespace}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": cache["data"]})
    world.user.delete(CONFIG_MAP, HOME.name, HOME.namespace)
    world.user.delete(CONFIG_MAP, "tracking-injector-status", HOME.namespace)
    baseline = '{"peers": "none", "apiServer": [], "storage": [], "michelangelo": []}'
    options = EgressOptions(
        mode=EgressMode.ISOLATE,
        baseline=parse_baseline(baseline, "b"),
        nameservers=ips("10.0.0.99"),
        limits=DnsLimits(),
        dns_cache="mine-addresses",
        allowed=("team-*",),
        excluded=("team-b",),
    )
    publish(world, options, release="mine")

    assert ask("plan").stdout.splitlines() == [
        "team-a: EgressReady",
        "└── mti-egress-isolate, of tracking-injector, which closes injected pods to"
        " all else",
        "    ├── 10.0.0.99/32 (nameserver) TCP/53, UDP/53",
        "    └── 203.0.113.7/32 (mlflow.example.org) TCP/443",
    ]


def test_settings_of_another_version_are_one_sentence(world: EgressWorld) -> None:
    """They are not guessed at."""
    publish(world, mode="sometimes")
    result = ask("plan")

    assert (result.exit_code, result.stderr) == (
        1,
        "Error: 'sometimes' is not a valid EgressMode: use the command of the installed"
        " version.\n",
    )


def test_a_mode_that_only_looks_on_writes_nothing(world: EgressWorld) -> None:
    """What would be written is shown, and not printed to be applied."""
    publish(world, EgressOptions(mode=EgressMode.OBSERVE, nameservers=ips("10.0.0.10")))
    shown, printed = ask("plan"), ask("plan", "-o", "yaml")

    assert "on top of deny" in shown.stdout
    assert "Mode observe writes none of them; --mode additive would." in shown.stdout
    assert printed.stdout == ""
    assert ask("plan", "-o", "yaml", "--mode", "additive").stdout != ""


def test_flags_take_the_place_of_settings(world: EgressWorld) -> None:
    """A baseline given closes what the release leaves open; a host comes on top."""
    baseline = (
        '{"peers": "namespace", "apiServer": [], "storage": [], "michelangelo": []}'
    )
    words = ["--mode", "isolate", "--baseline", baseline, "--host", "192.0.2.0/24"]
    result = ask("plan", *words, "--domain", "example.org")

    assert "└── mti-egress-isolate" in result.stdout
    assert "pods * SCTP/*, TCP/*, UDP/*" in result.stdout


def test_without_a_companion_defaults_hold_and_it_is_said(world: EgressWorld) -> None:
    """A name that nobody looked up has no address, then."""
    world.user.delete(CONFIG_MAP, "tracking-injector-status", HOME.namespace)
    result = ask("plan", "-n", "team-a")

    assert "mlflow.example.org has no rule" in result.stdout
    assert "No companion publishes its settings" in result.stderr


def test_a_release_may_be_named(world: EgressWorld) -> None:
    """One that is not there is an error; a status that is no JSON is none."""
    status = {"name": "odd-status", "namespace": HOME.namespace}
    world.user.apply(CONFIG_MAP, {"metadata": status, "data": {"status.json": "{"}})
    missing = ask("plan", "--release", "elsewhere")

    assert (missing.exit_code, "No release in elsewhere" in missing.stderr) == (2, True)
    assert "No companion" not in ask("plan", "--release", "release").stderr
    assert "No companion" in ask("plan", "--release", "release/odd").stderr
    assert "No companion" in ask("plan", "--release", "release/none").stderr


def test_an_object_of_a_cluster_that_cannot_be_read_is_passed_over(
    world: EgressWorld,
) -> None:
    """As the companion passes it over; a policy is told of by its own reason."""
    meta = {"name": "odd", "namespace": "team-a"}
    world.user.apply(SERVICE, {"metadata": meta, "spec": {"ports": [{"name": "x"}]}})
    world.policy("{policyTypes: [Sideways]}", "odd")
    result = ask("plan")

    assert "Service odd cannot be read" in result.stderr
    assert "team-a: SelectorUnreadable" in result.stdout
    assert "Sideways" in result.stdout


def test_nodes_that_may_not_be_listed_are_not_known(world: EgressWorld) -> None:
    """Any endpoint may be on one, then."""
    world.cluster.forbid(lambda call: call.kind is NODE)

    assert ask("plan").exit_code == 0


def test_a_check_asks_for_no_address_that_is_but_a_precaution(run: Run) -> None:
    """Where no node is given, a plan permits endpoints' addresses as well."""
    endpoints = """
kind: EndpointSlice
metadata: {name: x, namespace: ml, labels: {kubernetes.io/service-name: mlflow}}
endpoints: [{addresses: [10.244.0.5]}]
ports: [{port: 5000}]
"""
    allowed = CLUSTER.replace(
        "policyTypes: [Egress]}",
        "policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}},"
        " {ipBlock: {cidr: 10.0.0.20/32}}]}]}",
    )
    server = TRACKER.split("---", maxsplit=1)[0]
    secret = KEYS.replace("u:hunter2@mlflow.example.com", "mlflow.ml:80")
    cluster = f"{allowed}---{server}---{endpoints}"
    words = "-n", "team-a", "--nameserver", "10.0.0.20"
    planned = run("plan", *words, cluster=cluster, secret=secret)

    assert "10.244.0.5/32 TCP/5000" in planned.stdout
    assert run("check", "worker", *words, cluster=cluster, secret=secret).exit_code == 0


def test_a_check_judges_by_the_pod_that_is_there(run: Run) -> None:
    """It may have labels that no Service asks for, and a policy for them."""
    server = """
kind: Pod
metadata: {name: mlflow, namespace: ml, labels: {app: mlflow, tier: inner}}
spec: {containers: [{name: x, ports: [{containerPort: 5000}]}]}
status: {podIPs: [{ip: 10.244.0.5}, {ip: odd}]}
"""
    secret = KEYS.replace("u:hunter2@mlflow.example.com", "mlflow.ml:80")
    inner = TRACKER.replace(
        "podSelector: {}", "podSelector: {matchLabels: {tier: inner}}"
    )
    open_ = CLUSTER.replace("policyTypes: [Egress]", "policyTypes: [Ingress]")
    words = ["check", "worker", "-n", "team-a", "--nameserver", "10.0.0.10"]
    described = run(*words, cluster=f"{open_}---{inner}", secret=secret)
    found = run(*words, cluster=f"{open_}---{inner}---{server}", secret=secret)

    assert (described.exit_code, found.exit_code) == (0, 1)
    assert "closed in ml" in found.stdout


def test_a_check_reads_the_clusters_pods(world: EgressWorld) -> None:
    """And finds the way that the companion opened."""
    labels = {"tracking.michelangelo-ai.org/injected": "true"}
    meta = {"name": "worker", "namespace": "team-a", "labels": labels}
    world.user.apply(POD, {"metadata": meta, "spec": {"containers": [{"name": "r"}]}})

    assert ask("check", "worker", "-n", "team-a").exit_code == 0


def test_a_check_looks_in_the_contexts_namespace(world: EgressWorld) -> None:
    """As kubectl does, and `explain`."""
    result = ask("check", "nobody")

    assert "There is no pod nobody in namespace team-a." in result.stderr


def test_what_may_not_be_listed_of_another_engine_is_said(world: EgressWorld) -> None:
    """It is there, and nothing more is known."""
    world.cluster.served.add("k8s.ovn.org")
    world.cluster.forbid(lambda call: call.kind.group == "k8s.ovn.org")

    assert ask("plan").stderr == (
        "ovn is here; its egressfirewalls.k8s.ovn.org may not be listed.\n"
    )


def test_a_cluster_that_does_not_answer_is_one_sentence(world: EgressWorld) -> None:
    """Exit code 2: no access."""
    world.cluster.outage = True
    result = ask("plan")

    assert (result.exit_code, "nobody answers" in result.stderr) == (2, True)
