"""`egress plan` and `egress check` on manifests, without a cluster."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from webhook.cli.egress import egress

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
