"""`egress plan` and `egress check`, on manifests and on a cluster in memory."""

import base64
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.unit.companion.egress.world import DENY, HOME, World
from webhook.cli import egress_question
from webhook.cli.egress import egress
from webhook.cluster.resources import CONFIG_MAP, SECRET

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
        "10.0.0.10/32 TCP/53, UDP/53",
        "203.0.113.7/32 TCP/443",
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
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster in memory, which the command connects to."""
    made = World()
    made.label("team-a")
    made.policy(DENY)
    made.step()
    data = {"TRACKING_URI": base64.b64encode(b"https://mlflow.example.org").decode()}
    meta = {"name": "michelangelo-tracking", "namespace": "team-a"}
    made.user.apply(SECRET, {"metadata": meta, "data": data})
    access = SimpleNamespace(resources=made.user, namespace="default")
    monkeypatch.setattr(egress_question, "connect", lambda *_, **__: access)
    return made


def ask(*words: str) -> Result:
    """The command on the cluster."""
    return CliRunner().invoke(egress, list(words))


def test_on_a_cluster_keys_and_addresses_are_found(world: World) -> None:
    """The mirror has the ones, the companion's memory the others."""
    planned = yaml.safe_load(ask("plan", "-o", "yaml").stdout)

    assert planned["spec"] == world.ours()[0]["spec"]


@pytest.mark.parametrize("text", ["[]", '{"mlflow.example.org": {}}'])
def test_a_memory_that_cannot_be_read_is_none(world: World, text: str) -> None:
    """Names then have no addresses, which is said."""
    meta = {"name": HOME.name, "namespace": HOME.namespace}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": {"addresses.json": text}})

    assert "mlflow.example.org has no rule" in ask("plan").stdout


def test_a_namespace_without_a_mirror_needs_nothing_yet(world: World) -> None:
    """No keys, no server."""
    world.label("team-b")

    assert "team-b: NotIsolated" in ask("plan").stdout


def test_what_may_not_be_listed_of_another_engine_is_said(world: World) -> None:
    """It is there, and nothing more is known."""
    world.cluster.served.add("k8s.ovn.org")
    world.cluster.forbid(lambda call: call.kind.group == "k8s.ovn.org")

    assert ask("plan").stderr == (
        "ovn is here; its egressfirewalls.k8s.ovn.org may not be listed.\n"
    )


def test_a_cluster_that_does_not_answer_is_one_sentence(world: World) -> None:
    """Exit code 1."""
    world.cluster.outage = True
    result = ask("plan")

    assert (result.exit_code, "nobody answers" in result.stderr) == (1, True)
