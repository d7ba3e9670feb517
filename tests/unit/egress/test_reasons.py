"""The vocabulary of egress."""

import pytest

from webhook.egress.reasons import Reason


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    """For the table of the reference."""
    assert reason.sentence.endswith(".")
