"""Every captured review under every choice of an operator, patch by patch.

A case is a folder: `policy.json` and, of each captured review, the expected patch. The
patched pod is compared as well: what jsonpatch makes of it must decide to nothing.
"""

import json
from pathlib import Path

import pytest
from msgspec import structs

from tests.pods import apply
from webhook import __version__
from webhook.injection.decision import decide
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence
from webhook.injection.review import parse
from webhook.samples import NOT_A_TASK, reviews

CASES = Path(__file__).parents[2] / "data" / "golden"


def policy_of(case: Path) -> InjectionPolicy:
    """Read the case's policy."""
    fields = json.loads((case / "policy.json").read_text())
    return InjectionPolicy(
        precedence=Precedence(fields["precedence"]),
        on_missing=OnMissing(fields["onMissing"]),
        enforced_keys=tuple(fields["enforcedKeys"]),
        tracking_ca=fields.get("trackingCa", False),
    )


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
@pytest.mark.parametrize("name", reviews())
def test_a_captured_review_gets_the_expected_patch(
    case: Path, name: str, pytestconfig: pytest.Config
) -> None:
    """The operations, their order and their reason."""
    policy = policy_of(case)
    review = parse(reviews()[name])

    decision = decide(review, policy)

    outcome = {"reason": decision.reason, "patch": decision.patch}
    # A new version must not touch every file.
    actual = json.dumps(outcome, indent=2).replace(__version__, "VERSION")
    file = case / f"{name}.json"
    if pytestconfig.getoption("update_golden"):
        file.write_text(actual)
    assert file.read_text() == actual
    after = apply(review.pod, decision)
    assert () == decide(structs.replace(review, pod=after), policy).patch
    assert (after == review.pod) is name.startswith(NOT_A_TASK)
