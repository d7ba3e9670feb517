"""The mode of a namespace."""

import pytest

from webhook.egress.mode import Mode, narrowed


@pytest.mark.parametrize(
    ("release", "label", "mode"),
    [
        (Mode.ADDITIVE, None, Mode.ADDITIVE),
        (Mode.ADDITIVE, "observe", Mode.OBSERVE),
        (Mode.ADDITIVE, "isolate", Mode.ADDITIVE),
        (Mode.ISOLATE, "additive", Mode.ADDITIVE),
        (Mode.OFF, "additive", Mode.OFF),
        (Mode.ADDITIVE, "aditive", Mode.OBSERVE),
    ],
)
def test_a_label_only_narrows(release: Mode, label: str | None, mode: Mode) -> None:
    """Isolation is the release's to ask for."""
    assert narrowed(release, label) is mode
