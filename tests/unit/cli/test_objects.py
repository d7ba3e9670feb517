"""Manifests are read by group, version and kind; what cannot be read is named."""

import time
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.cli.on_files import OnFiles

SOURCE = "{kind: Secret, metadata: {name: tracking}, stringData: {TRACKING_URI: '%s'}}"
DENY = "spec: {podSelector: {}, policyTypes: [Egress]}"
POLICY = f"metadata: {{name: deny, namespace: team-a}}, {DENY}"
POD = "metadata: {name: w0, namespace: team-a}, spec: {containers: [{name: a}]}"
NAMES = ["--address", "mlflow.example.com=203.0.113.7", "--nameserver", "10.96.0.10"]
SHADOWED, OPEN = "team-a: EgressReady", "team-a: NotIsolated"


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    """Runs commands on files."""
    return Run(tmp_path)


class Run(OnFiles):
    """With the plan of one namespace."""

    def plan(
        self, text: str, secret: str = SOURCE % "https://mlflow.example.com"
    ) -> Result:
        """The plan for `team-a`."""
        world = ("-f", self.file("a.yaml", text))
        keys = ("--secret", self.file("s.yaml", secret))
        return self.run("egress", "plan", "-n", "team-a", *world, *keys, *NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, {POLICY}}}",
            SHADOWED,
        ),
        (f"{{kind: NetworkPolicy, {POLICY}}}", SHADOWED),
        (f"{{apiVersion: crd.antrea.io/v1beta1, kind: NetworkPolicy, {POLICY}}}", OPEN),
        (f"{{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, {POLICY}}}", OPEN),
        (f"{{apiVersion: extensions/v1beta1, kind: NetworkPolicy, {POLICY}}}", OPEN),
        (f"{{apiVersion: v1, kind: NetworkPolicy, {POLICY}}}", OPEN),
        (
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList,"
            f" items: [{{{POLICY}}}]}}",
            SHADOWED,
        ),
        (
            "{apiVersion: crd.antrea.io/v1beta1, kind: NetworkPolicyList,"
            f" items: [{{{POLICY}}}]}}",
            OPEN,
        ),
        (
            "{apiVersion: v1, kind: List, items: [{apiVersion: networking.k8s.io/v1,"
            f" kind: NetworkPolicy, {POLICY}}}]}}",
            SHADOWED,
        ),
        (
            "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items:"
            " [{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList,"
            f" items: [{{{POLICY}}}]}}]}}]}}",
            SHADOWED,
        ),
        ("{apiVersion: v1, kind: List, items: null}", OPEN),
        ("{apiVersion: v1, kind: List, items: []}", OPEN),
        (
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, items: null}",
            OPEN,
        ),
        ("{apiVersion: example.com/v1, kind: AllowList, spec: {items: 7}}", OPEN),
        ("{apiVersion: example.com/v1, kind: Odd, metadata: null}", OPEN),
        (
            "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: x}}",
            OPEN,
        ),
        ("{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: null}", OPEN),
    ],
)
def test_an_object_is_told_by_its_group_and_kind(
    run: Run, text: str, expected: str
) -> None:
    """Also where only the list around it says what it is."""
    result = run.plan(text)

    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f"{{apiVersion: networking.k8s.io/v1beta1, kind: NetworkPolicy, {POLICY}}}",
            "apiVersion is not read here; networking.k8s.io/v1 is.",
        ),
        (
            "{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice,"
            " metadata: {name: x}}",
            "apiVersion is not read here; discovery.k8s.io/v1 is.",
        ),
        (
            "{apiVersion: v1, kind: Service, metadata: null}",
            "metadata.name is missing.",
        ),
        ("{apiVersion: v1, kind: Service}", "metadata.name is missing."),
        ("{apiVersion: v1, kind: Service, metadata: []}", "metadata is not a map."),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: 7}}",
            "metadata.name is not a string.",
        ),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: 7}}",
            "metadata.namespace is not a string.",
        ),
        (
            "{apiVersion: v1, kind: ServiceList, items: [{metadata: {}}]}",
            "items[0].metadata.name is missing.",
        ),
        ("{apiVersion: v1, kind: List, items: 7}", "items is not a list."),
        ("{apiVersion: v1, kind: List, items: {}}", "items is not a list."),
        ("{apiVersion: v1, kind: List, items: [null]}", "items[0] is missing."),
        ("{apiVersion: v1, kind: List, items: [7]}", "items[0] is not a map."),
        ("{apiVersion: v1, kind: List, items: [{}]}", "items[0].kind is missing."),
        (
            "{apiVersion: v1, kind: List, items: [{kind: List, items: [{kind: 7}]}]}",
            "items[0].items[0].kind is not a string.",
        ),
        ("{apiVersion: 7, kind: Service}", "apiVersion is not a string."),
    ],
)
def test_what_cannot_be_read_is_named(run: Run, text: str, sentence: str) -> None:
    """The document, the item and the field; and no traceback."""
    result = run.plan(text)

    assert result.exit_code == 2
    assert result.stderr.endswith(f", document 1: {sentence}\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{{apiVersion: v1, kind: PodList, items: [{{{POD}}}]}}", 1),
        (f"{{kind: PodList, items: [{{{POD}}}, {{{POD}}}]}}", 2),
        (
            "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: PodList,"
            f" items: [{{{POD}}}]}}]}}",
            1,
        ),
        (
            "{apiVersion: ray.io/v1, kind: RayClusterList, items: [{metadata:"
            " {name: r}, spec: {headGroupSpec: {template:"
            " {spec: {containers: [{name: h}]}}}}}]}",
            1,
        ),
        (f"{{apiVersion: example.com/v1, kind: Pod, {POD}}}", 0),
        (f"{{apiVersion: example.com/v1, kind: PodList, items: [{{{POD}}}]}}", 0),
        ("{apiVersion: v1, kind: PodList, items: null}", 0),
        ("{apiVersion: other.io/v1, kind: RayCluster, metadata: {name: r}}", 0),
    ],
)
def test_the_pods_of_a_list_are_found(run: Run, text: str, found: int) -> None:
    """By the one reader."""
    result = run.explain(text, "-o", "json")

    assert result.stdout.count('"pod":') == found
    assert result.exit_code == (0 if found else 2)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SOURCE % "https://t", "TRACKING_URI"),
        (
            "{apiVersion: v1, kind: SecretList, items: [{metadata: {name: a}, data: {K:"
            " eA==}}]}",
            "K ",
        ),
        (
            "{kind: List, items: [{kind: List, items: [{kind: ConfigMap,"
            " metadata: {name: a}, data: {K: x}}]}]}",
            "K ",
        ),
        ("{apiVersion: example.com/v1, kind: Secret, metadata: {name: a}}", None),
        ("{kind: Secret, metadata: null}", None),
        (
            "{kind: ConfigMap, metadata: {name: a}, data: {K: x},"
            " binaryData: {B: eA==}}",
            "K ",
        ),
        ("{kind: ConfigMap, metadata: {name: a}, binaryData: {B: eA==}}", None),
    ],
)
def test_sources_are_read_by_group_and_kind_too(
    run: Run, source: str, expected: str | None
) -> None:
    """And no variable comes from `binaryData`, as for the kubelet."""
    pod = (
        "{apiVersion: v1, kind: Pod, metadata: {name: w, labels: {ray.io/node-type:"
        " worker}}, spec: {containers: [{name: a}]}}"
    )
    result = run.explain(pod, "--source", run.file("s", source))

    assert result.exit_code == (2 if expected is None else 0)
    assert expected is None or f"\n  {expected}" in result.stdout
    assert "\n  B " not in result.stdout


@pytest.mark.parametrize(
    "value",
    [
        "!QZJ7XVK9",
        "!!QZJ7XVK9",
        "!<QZJ7XVK9>",
        "!QZJ7XVK9 x",
        "!x!QZJ7XVK9",
        "*QZJ7XVK9",
        "&QZJ7XVK9 &b x",
        "[QZJ7XVK9",
        "{QZJ7XVK9: ",
        "'QZJ7XVK9",
        "@QZJ7XVK9",
        "`QZJ7XVK9",
        "%QZJ7XVK9",
        "? QZJ7XVK9",
        "{[QZJ7XVK9]: x}",
        "!!int QZJ7XVK9",
        "!!binary QZJ7XVK9=!",
        "!!timestamp QZJ7XVK9",
        "x: QZJ7XVK9",
        "|QZJ7XVK9",
    ],
)
def test_no_value_that_yaml_reads_as_something_else_is_printed(
    run: Run, value: str
) -> None:
    """An API key may begin with any character."""
    secret = f"kind: Secret\nmetadata: {{name: a}}\nstringData:\n  URI: {value}\n"
    result = run.plan("{kind: List, items: []}", secret)

    assert result.exit_code in (0, 2)
    assert "QZJ" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


LAUGHS = "\n".join(
    [f"a0: &a0 [{', '.join(['lol'] * 10)}]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)


@pytest.mark.parametrize(
    ("text", "is_bomb"),
    [
        (f"kind: A\n{LAUGHS}", True),
        ("kind: A\na: &a " + "x" * 100_000 + "\nb: [" + "*a, " * 1000 + "]", True),
        ("kind: A\na: &a {b: &b " + "x" * 9000 + ", c: [" + "*b, " * 200 + "]}", True),
        ("kind: A\na: &a [x]\nb: [*a, *a, *a]", False),
        ("kind: A\na: &a {x: y}\nb: {<<: *a, z: 1}", False),
        ("kind: A\na: " + "x" * 3_000_000, False),
    ],
    ids=range(6),
)
def test_aliases_are_bounded(run: Run, text: str, is_bomb: bool) -> None:
    """Before a copy is made."""
    started = time.monotonic()
    result = run.explain(text)

    assert ("its aliases repeat too much" in result.stderr) == is_bomb
    assert time.monotonic() - started < 20
