"""`tracking-injector policy` prints what the chart installs."""

import json

import pytest
import yaml
from click.testing import CliRunner

from webhook.cli.main import cli


def run(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(cli, ["policy", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_it_prints_policy_and_binding() -> None:
    """As documents that kubectl applies."""
    policy, binding = yaml.safe_load_all(run("--name", "mine"))

    assert policy["kind"] == "MutatingAdmissionPolicy"
    assert binding["kind"] == "MutatingAdmissionPolicyBinding"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"] == "mine"


def test_every_option_is_heard() -> None:
    """Choices in variables, namespaces in selectors."""
    text = run(
        *("--precedence", "override", "--enforced-key", "K", "--on-missing", "start"),
        *("-n", "home", "--allowed-namespace", "a-*", "--excluded-namespace", "b"),
        *("-o", "json"),
    )
    spec = json.JSONDecoder().raw_decode(text)[0]["spec"]

    assert [one["expression"] for one in spec["variables"][1:4]] == [
        '"override"',
        '["K"]',
        "true",
    ]
    selector = spec["matchConstraints"]["namespaceSelector"]
    assert selector["matchExpressions"][1]["values"] == ["home", "b"]
    assert "a-.*" in spec["matchConditions"][-1]["expression"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--name", "A_"),
        ("-n", "a.b"),
        ("--allowed-namespace", "a') || true || ('"),
        ("--excluded-namespace", "[a]"),
    ],
)
def test_what_no_object_may_be_called_is_refused(option: str, value: str) -> None:
    """In a sentence that names the value; nothing reaches an expression."""
    done = CliRunner().invoke(cli, ["policy", option, value])

    assert done.exit_code == 2
    assert f"{value!r} is not" in done.output
