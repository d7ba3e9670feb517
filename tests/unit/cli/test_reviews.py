"""What is captured of kube-apiserver can be handed to the commands as it is."""

import copy
import json

import jsonpatch
import pytest
from click.testing import CliRunner

from webhook.cli.main import cli
from webhook.injection.decision import decide
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason
from webhook.injection.review import parse
from webhook.samples import reviews


@pytest.mark.parametrize("name", reviews())
def test_a_review_is_printed_with_its_pod_as_it_would_be(name: str) -> None:
    """All else of the review is as it was."""
    body = reviews()[name]
    decision = decide(parse(body), InjectionPolicy())

    result = CliRunner().invoke(cli, "inject -f - -o json", input=body)

    expected = json.loads(body)
    expected["request"]["object"] = jsonpatch.apply_patch(
        copy.deepcopy(expected["request"]["object"]), list(decision.patch)
    )
    assert json.dumps(expected) == json.dumps(json.loads(result.stdout))


@pytest.mark.parametrize("name", reviews())
def test_operations_apply_to_the_document(name: str) -> None:
    """With --patch, what would be done to it is printed instead."""
    body = reviews()[name]

    printed = CliRunner().invoke(cli, "inject -f - -o json", input=body)
    patch = CliRunner().invoke(cli, "inject -f - --patch", input=body)

    applied = jsonpatch.apply_patch(json.loads(body), json.loads(patch.stdout))
    assert json.loads(printed.stdout) == applied


@pytest.mark.parametrize("name", reviews())
def test_a_second_pass_changes_nothing(name: str) -> None:
    """What was printed can be handed in again."""
    once = CliRunner().invoke(cli, "inject -f -", input=reviews()[name])

    assert (
        once.stdout == CliRunner().invoke(cli, "inject -f -", input=once.stdout).stdout
    )


@pytest.mark.parametrize("name", reviews())
def test_an_explanation_gives_the_decisions_reason(name: str) -> None:
    """The one vocabulary; containers in their order; what would be."""
    decision = decide(parse(reviews()[name]), InjectionPolicy())

    result = CliRunner().invoke(cli, "explain -f - -o json", input=reviews()[name])

    (explanation,) = json.loads(result.stdout)
    task = tuple(c["name"] for c in explanation["containers"] if c["task"])
    assert str(decision.reason) == explanation["reason"]
    assert decision.containers == task
    if decision.reason is InjectionReason.INJECTED:
        assert "would be given" in explanation["sentence"]
    else:
        assert decision.reason.sentence == explanation["sentence"]
