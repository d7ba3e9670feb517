"""The vocabulary of egress."""

import pytest

from webhook.egress.reasons import EgressReason


@pytest.mark.parametrize("reason", EgressReason)
def test_every_reason_has_a_sentence(reason: EgressReason) -> None:
    """For the table of the reference."""
    assert reason.sentence.endswith(".")
