"""What people reported of their clusters, as small inputs, and what they are told."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.cli.on_files import OnFiles

DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-egress, namespace: team-a}
spec: {podSelector: {}, policyTypes: [Egress]}
"""
WORKER = """
apiVersion: v1
kind: Pod
metadata:
  name: w0
  namespace: team-a
  labels: {ray.io/node-type: worker, tracking.michelangelo-ai.org/injected: "true"}
spec: {containers: [{name: ray-worker, image: ray}]}
"""
KNOWN = ["--address", "mlflow.example.com=203.0.113.7"]
SERVER = ["--nameserver", "10.96.0.10"]
HTTPS = {"TRACKING_URI": "https://mlflow.example.com"}


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    """Runs commands on files."""
    return Run(tmp_path)


class Run(OnFiles):
    """With the commands of `egress`, given keys."""

    def secret(self, keys: dict[str, str]) -> str:
        """A Secret of these keys."""
        body = {"kind": "Secret", "metadata": {"name": "a"}, "stringData": keys}
        return self.file("secret", json.dumps(body))

    def egress(
        self, command: str, world: str, keys: dict[str, str], *more: str
    ) -> Result:
        """A command of `egress` about `team-a`."""
        given = ("-f", self.file("world", world), "--secret", self.secret(keys))
        return self.run("egress", *command.split(), "-n", "team-a", *given, *more)


@pytest.mark.parametrize(
    "keys",
    [
        {"TRACKING_URI": "mysql://mlflow:Red@hat321#@db.example.com:3306/mlflow"},
        {"TRACKING_URI": "postgresql://mlflow:1234#abc@db.example.com/mlflow"},
        {"TRACKING_URI": "postgresql://mlflow:S3cret@vault9?x@db.example.com/mlflow"},
        {"TRACKING_URI": "http://mlflow:31/x@db.example.com"},
        {"WANDB_BASE_URL": "https://mlflow:31?x@db.example.com"},
        {"HTTPS_PROXY": "http://svc:31#1@proxy.example.com:3128"},
        {"all_proxy": "svc:31#1@proxy.example.com:3128"},
    ],
)
def test_an_unencoded_password_is_no_host(run: Run, keys: dict[str, str]) -> None:
    """Nothing of the value is told."""
    result = run.egress("plan", DENY, keys, *SERVER)

    assert "MalformedUri" in result.stdout
    for piece in (
        "hat3",
        "321",
        "mlflow",
        "1234",
        "vault",
        "S3c",
        "svc",
        "proxy.",
        "db.",
    ):
        assert piece not in result.output


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("host=10.1.2.3&port=5433", ["10.1.2.3/32 TCP/5433", "DatabaseUri"]),
        ("host=/cloudsql/proj:region:inst", ["NoNetworkNeeded"]),
        (
            "host=db-0.example.com:5432&host=db-1.example.com:5432",
            ["Unresolved: db-0.example.com", "Unresolved: db-1.example.com"],
        ),
    ],
)
def test_a_database_may_have_its_host_in_the_query(
    run: Run, query: str, expected: list[str]
) -> None:
    """A path is a socket, and several hosts are all of them."""
    keys = {"TRACKING_URI": f"postgresql+psycopg2://mlflow:pw@/mlflow?{query}"}
    result = run.egress("plan", DENY, keys, *SERVER)

    assert all(text in result.stdout for text in expected)
    assert "MalformedUri" not in result.stdout


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("openshift-dns", "dns-default"),
        ("kube-system", "rke2-coredns-rke2-coredns"),
        ("kube-system", "coredns"),
        ("elsewhere", "dns"),
    ],
)
def test_dns_is_found_or_its_absence_is_said(
    run: Run, namespace: str, name: str
) -> None:
    """A way whose name cannot be looked up is not open."""
    dns = f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: 10.43.0.10, ports: [{{port: 53, protocol: UDP}}]}}
"""
    allowed = """---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: tracking, namespace: team-a}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 203.0.113.7/32}}], ports: [{port: 443}]}]
"""
    world = f"{DENY}{allowed}{dns}---{WORKER}"
    checked = run.egress("check w0", world, HTTPS, *KNOWN)
    planned = run.egress("plan", world, HTTPS, *KNOWN)

    assert checked.exit_code == 1
    if namespace == "elsewhere":
        assert "nameserver that is not known" in checked.stderr
        assert planned.stdout.startswith("team-a: Unresolved")
    else:
        assert "10.43.0.10/32 UDP/53" in checked.stdout
        assert "10.43.0.10/32" in planned.stdout


@pytest.mark.parametrize(
    ("api", "spec", "engine"),
    [
        (
            "crd.antrea.io/v1beta1",
            "{appliedTo: [{podSelector: {}}], egress: [{action: Drop}]}",
            "antrea",
        ),
        (
            "crd.projectcalico.org/v1",
            "{types: [Egress], egress: [{action: Deny}]}",
            "calico",
        ),
        (
            "projectcalico.org/v3",
            "{types: [Egress], egress: [{action: Deny}]}",
            "calico",
        ),
    ],
)
def test_a_policy_of_another_engine_permits_nothing(
    run: Run, api: str, spec: str, engine: str
) -> None:
    """It is named, and its owner is told what to add."""
    foreign = f"{{apiVersion: {api}, kind: NetworkPolicy, metadata: {{name: drop,"
    world = f"{foreign} namespace: team-a}}, spec: {spec}}}\n---{WORKER}"
    result = run.egress("check w0", world, HTTPS, *KNOWN, *SERVER)

    assert "OtherEgressControls: NetworkPolicy team-a/drop" in result.stderr
    assert f"--engine {engine}" in result.stderr
    assert "permitted by rule" not in result.stdout


def test_a_pod_of_a_headless_service_is_reached(run: Run) -> None:
    """By the pods that the Service selects."""
    world = f"""{DENY}---
apiVersion: v1
kind: Service
metadata: {{name: mlflow-headless, namespace: mlops}}
spec: {{clusterIP: None, selector: {{app: mlflow}}, ports: [{{port: 5000}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: x, namespace: mlops, labels:
  {{kubernetes.io/service-name: mlflow-headless}}}}
addressType: IPv4
ports: [{{port: 5000, protocol: TCP}}]
endpoints: [{{addresses: [10.0.1.5], hostname: mlflow-0}}]
"""
    uri = "http://mlflow-0.mlflow-headless.mlops.svc.cluster.local:5000"
    result = run.egress("plan", world, {"TRACKING_URI": uri}, *SERVER)

    assert result.stdout.startswith("team-a: EgressReady")
    assert (
        "pods app=mlflow, kubernetes.io/metadata.name=mlops TCP/5000" in result.stdout
    )
    assert "Unresolved" not in result.stdout


@pytest.mark.parametrize(("length", "kept"), [(131_057, True), (131_058, False)])
def test_what_no_exec_takes_is_left_out(run: Run, length: int, kept: bool) -> None:
    """And the others reach the task."""
    keys = HTTPS | {"ca-bundle.crt": "A" * length}
    result = run.explain(WORKER, "--source", run.secret(keys))

    assert ("ca-bundle.crt  " in result.stdout) == kept
    assert ("key ca-bundle.crt: The name and the value" in result.stderr) != kept
    assert "TRACKING_URI" in result.stdout


@pytest.mark.parametrize("uri", ["mlflow-tracking", "mlflow.mlops.svc:5000"])
def test_a_uri_without_a_scheme_is_told_where_it_is_first_seen(
    run: Run, uri: str
) -> None:
    """It is mirrored all the same."""
    keys = {"TRACKING_URI": uri}
    explained = run.explain(WORKER, "--source", run.secret(keys))
    planned = run.egress("plan", DENY, keys, *SERVER)

    assert "key TRACKING_URI: The URI has no scheme" in explained.stderr
    assert "TRACKING_URI   " in explained.stdout
    assert "it has no scheme" in planned.stdout
    assert uri not in planned.output


def test_wandb_needs_its_store_too(run: Run) -> None:
    """Metrics alone are not a run."""
    hosts = ("api.wandb.ai", "api.forge.coreweave.com", "storage.googleapis.com")
    named = [
        w for n, h in enumerate(hosts) for w in ("--address", f"{h}=203.0.113.{n}")
    ]
    keys = {"WANDB_API_KEY": "x"}
    without = run.egress("plan", DENY, keys, *SERVER, *named[:4])
    with_all = run.egress("plan", DENY, keys, *SERVER, *named)

    assert without.stdout.startswith("team-a: Unresolved")
    assert with_all.stdout.startswith("team-a: EgressReady")


CRON = """
apiVersion: ray.io/v1
kind: RayCronJob
metadata: {name: nightly, namespace: team-a}
spec: {jobTemplate: {rayClusterSpec: {headGroupSpec:
  {template: {spec: {containers: [{name: head}]}}}}}}
"""
CONNECT = """
apiVersion: sparkoperator.k8s.io/v1alpha1
kind: SparkConnect
metadata: {name: sc, namespace: team-a}
spec: {sparkVersion: 4.0.1, server: {cores: 1}, executor: {instances: 1}}
"""

APACHE = """
apiVersion: spark.apache.org/v1
kind: SparkApplication
metadata: {name: pi, namespace: team-a}
spec: {pyFiles: "local:///pi.py", runtimeVersions: {sparkVersion: 4.2.0}}
"""


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (CRON, {"head": "Injected", "submitter": "NotATaskPod"}),
        (CONNECT, {"server": "NotATaskPod", "executor": "Injected"}),
        (APACHE, {"driver": "Injected", "executor": "Injected"}),
    ],
)
def test_what_leads_to_task_pods_is_followed(
    run: Run, text: str, reasons: dict[str, str]
) -> None:
    """And what does not is left alone."""
    found = json.loads(run.explain(text, "-o", "json").stdout)

    assert {one["pod"].rpartition(", ")[2]: one["reason"] for one in found} == reasons
