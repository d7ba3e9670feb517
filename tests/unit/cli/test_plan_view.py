"""A plan loses nothing in a pipe, and says what stands behind each address."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from webhook.cli.main import cli

LONG = "a-very-long-label-key.example.com/" + "x" * 63
WORKERS = "deny-workers-" + "y" * 60
WORLD = f"""
{{apiVersion: v1, kind: Service,
 metadata: {{name: dns-default, namespace: openshift-dns}},
 spec: {{clusterIP: 172.30.0.10, selector: {{{LONG}: default}},
  ports: [{{name: dns, port: 53, protocol: UDP, targetPort: 5353}}]}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: mlflow, namespace: mlops}},
 spec: {{clusterIP: 172.30.0.20, selector: {{app: mlflow}}, ports: [{{port: 80}}]}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: w0, namespace: team-a, labels:
  {{tracking.michelangelo-ai.org/injected: "true", ray.io/node-type: worker}}}},
 spec: {{containers: [{{name: a}}]}}}}
---
{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,
 metadata: {{name: deny-heads, namespace: team-a}},
 spec: {{policyTypes: [Egress],
  podSelector: {{matchLabels: {{ray.io/node-type: head}}}}}}}}
---
{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,
 metadata: {{name: {WORKERS}, namespace: team-a}},
 spec: {{policyTypes: [Egress],
  podSelector: {{matchLabels: {{ray.io/node-type: worker}}}}}}}}
"""
KEYS = """
{kind: Secret, metadata: {name: a}, stringData: {MLFLOW_TRACKING_URI: "http://mlflow.mlops",
 MLFLOW_S3_ENDPOINT_URL: "https://s3.example.com", AWS_ENDPOINT_URL: "https://b.example"}}
"""
ADDRESSES = ["s3.example.com=203.0.113.6", "b.example=203.0.113.7"]


@pytest.fixture
def result(tmp_path: Path, request: pytest.FixtureRequest) -> Result:
    """What a command prints, in a window as wide as asked."""
    command, columns = request.param
    (tmp_path / "world").write_text(WORLD)
    (tmp_path / "keys").write_text(KEYS)
    given = ["-f", str(tmp_path / "world"), "--secret", str(tmp_path / "keys")]
    named = [word for pair in ADDRESSES for word in ("--address", pair)]
    words = ["egress", *command.split(), "-n", "team-a", *given, *named]
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(cli, words)


@pytest.mark.parametrize(
    ("result", "pattern"),
    [
        (("plan", columns), pattern)
        for columns in (20, 80, 400)
        for pattern in (
            r"^team-a: EgressReady$",
            r"^[├└]── mti-egress-\w+, of tracking-injector, on top of deny-heads$",
            rf"^[├└]── mti-egress-\w+, of tracking-injector, on top of {WORKERS}$",
            rf"pods {LONG}=default, kubernetes.*.name=openshift-dns UDP/5353$",
            r"172.30.0.10/32 \(Service openshift-dns/dns-default, nameserver\) TCP/53",
            r"172.30.0.20/32 \(Service mlops/mlflow\) TCP/80$",
            r"203.0.113.6/31 \(b.example, s3.example.com\) TCP/443$",
            r"^│   ├── ",
            r"^│   └── ",
            r"^    └── ",
        )
    ],
    indirect=["result"],
)
def test_a_plan_is_whole_whatever_the_width(result: Result, pattern: str) -> None:
    """The default width of a pipe is 80."""
    assert re.search(pattern, result.stdout, re.MULTILINE), result.stdout


@pytest.mark.parametrize("result", [("check w0", 20), ("check w0", 80)], indirect=True)
def test_a_check_is_whole_whatever_the_width(result: Result) -> None:
    """One line for each way."""
    lines = result.stdout.splitlines()

    assert lines[0].split() == ["TO", "OPEN", "WHY"]
    pods = f"pods {LONG}=default in openshift-dns"
    why = f"isolated by {WORKERS}; no rule permits it"
    assert any(line.startswith(pods) for line in lines)
    assert all(line.endswith(why) for line in lines[1:])
    assert result.exit_code == 1
