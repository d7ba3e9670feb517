"""Whatever is wrong with the input is one sentence, exit code 2, and no traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from webhook.cli.main import cli

RAY = "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: a}\n"
SPARK = "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\n"
REVIEW = "kind: AdmissionReview\napiVersion: admission.k8s.io/v1\n"
CREATION = f"{REVIEW}request: {{uid: a, operation: CREATE, kind: {{kind: Pod}}}}"
HEAD = "spec: {headGroupSpec: {template: {spec: {containers: [%s]}}}}"
POD = "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, %s}]}"

CASES = {
    "": "standard input holds no document.",
    "# nothing\n": "standard input holds no document.",
    "a: [": "standard input, line 2, column 1: did not find expected node content.",
    '{"kind": "Pod"} x': (
        "standard input, line 1, column 17: did not find expected <document start>."
    ),
    "a: !!python/name:os.system": (
        "standard input, line 1, column 4: it has a tag, a key or a number that JSON "
        "cannot hold."
    ),
    "[" * 100_000: "standard input: it is nested deeper than 100 levels.",
    '{"a":' * 100_000: "standard input: it is nested deeper than 100 levels.",
    f'{{"kind": "A", "a": {"[" * 200 + "]" * 200}}}': (
        "standard input, document 1: it is nested deeper than 100 levels."
    ),
    "kind: A\na: .nan": (
        "standard input, document 1: it holds a value JSON cannot hold."
    ),
    "kind: A\na: &a [*a]": (
        "standard input, document 1: it holds a value JSON cannot hold."
    ),
    "kind: A\n---\n- a": "standard input, document 2: it is not a map.",
    "kind: A\n---\na: b": "standard input, document 2: kind is missing.",
    "kind: 5": "standard input, document 1: kind is not a string.",
    "kind: Pod": "standard input, document 1: metadata is not a map.",
    POD % "env: [{name: PORT, value: 8080}]": (
        "standard input, document 1: spec.containers[0].env[0].value is not a string."
    ),
    POD % "env: [{name: A, valueFrom: b}]": (
        "standard input, document 1: spec.containers[0].env[0].valueFrom is not a map."
    ),
    POD % "env: [{name: A, valueFrom: {secretKeyRef: {key: 5}}}]": (
        "standard input, document 1: "
        "spec.containers[0].env[0].valueFrom.secretKeyRef.key is not a string."
    ),
    POD % "envFrom: [{configMapRef: a}]": (
        "standard input, document 1: spec.containers[0].envFrom[0].configMapRef is "
        "not a map."
    ),
    "kind: List\nitems: [{kind: Pod, metadata: {labels: {a: 1}}}]": (
        "standard input, document 1: items[0].metadata.labels is not a map of strings."
    ),
    "kind: List\nitems: 5": "standard input, document 1: items is not a list.",
    "kind: AdmissionReview": (
        "standard input, document 1: The AdmissionReview's apiVersion is not "
        "admission.k8s.io/v1."
    ),
    CREATION: "standard input, document 1: request.object is missing.",
    f"{REVIEW}request: {{uid: a, n: {2**64}}}": (
        "standard input, document 1: it holds a number beyond 64 bits."
    ),
    f"{RAY}spec: {{}}": "standard input, document 1: spec.headGroupSpec is missing.",
    f"{RAY}{HEAD % ''}": (
        "standard input, document 1: "
        "spec.headGroupSpec.template.spec.containers is missing."
    ),
    f"{RAY}{HEAD % '{name: a, env: [{name: A, value: 1}]}'}": (
        "standard input, document 1: (head).spec.containers[0].env[0].value is not a "
        "string."
    ),
    f"{SPARK}metadata: {{name: a}}\nspec: {{driver: {{envFrom: 5}}}}": (
        "standard input, document 1: spec.driver.envFrom is not a list."
    ),
    f"{SPARK}spec: {{}}": "standard input, document 1: metadata is missing.",
}


def run(arguments: str, text: str = "") -> Result:
    """Run a command on standard input."""
    return CliRunner().invoke(cli, arguments, input=text)


@pytest.mark.parametrize("command", ["inject", "explain"])
@pytest.mark.parametrize(("text", "sentence"), CASES.items(), ids=range(len(CASES)))
def test_bad_input_is_one_sentence(command: str, text: str, sentence: str) -> None:
    """It names the file, the document and the field."""
    result = run(f"{command} -f -", text)

    assert (2, f"Error: {sentence}\n", "") == (
        result.exit_code,
        result.stderr,
        result.stdout,
    )


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A binary file is no manifest."""
    file = tmp_path / "image"
    file.write_bytes(b"\x89PNG\xff")

    result = run(f"inject -f '{file}'")

    assert (2, f"Error: {file} is not text in UTF-8.\n") == (
        result.exit_code,
        result.stderr,
    )


def test_a_file_that_is_not_there_is_named() -> None:
    """Click's own message; the exit code is the same."""
    result = run("inject -f no-such-file.yaml")

    assert 2 == result.exit_code
    assert "'no-such-file.yaml': No such file or directory" in result.stderr


def test_nothing_to_explain_is_said() -> None:
    """A manifest without any pod is no success."""
    result = run("explain -f -", "kind: ConfigMap\n---\nkind: Service")

    sentence = (
        "standard input, document 1, standard input, document 2: no pod, and nothing "
        "that leads to one; the pod template of a Job and its like opts in by the "
        "label tracking.michelangelo-ai.org/inject=enabled."
    )
    assert (2, f"Error: {sentence}\n") == (result.exit_code, result.stderr)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: ConfigMap", "kind is not Secret."),
        ("kind: Secret\nmetadata: {}", "metadata.name is missing."),
        (
            "kind: Secret\nmetadata: {name: a}\ndata: {K: '***'}",
            "data.K is not base64.",
        ),
        ("kind: Secret\nmetadata: {name: a}\ndata: {K: 5}", "data.K is not a string."),
        (
            "kind: Secret\nmetadata: {name: a}\nstringData: 5",
            "stringData is not a map.",
        ),
    ],
)
def test_a_bad_secret_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """It names the key, and never the value."""
    file = tmp_path / "secret.yaml"
    file.write_text(text)

    result = run(f"explain -f - --secret '{file}'", POD % "env: []")

    assert (2, f"Error: {file}, document 1: {sentence}\n") == (
        result.exit_code,
        result.stderr,
    )
