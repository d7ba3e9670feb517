"""The mode of a namespace."""

import pytest

from webhook.egress.mode import EgressMode, narrowed


@pytest.mark.parametrize(
    ("release", "label", "mode"),
    [
        (EgressMode.ADDITIVE, None, EgressMode.ADDITIVE),
        (EgressMode.ADDITIVE, "observe", EgressMode.OBSERVE),
        (EgressMode.ADDITIVE, "isolate", EgressMode.ADDITIVE),
        (EgressMode.ISOLATE, "additive", EgressMode.ADDITIVE),
        (EgressMode.OFF, "additive", EgressMode.OFF),
        (EgressMode.ADDITIVE, "aditive", EgressMode.OBSERVE),
    ],
)
def test_a_label_only_narrows(
    release: EgressMode, label: str | None, mode: EgressMode
) -> None:
    """Isolation is the release's to ask for."""
    assert narrowed(release, label) is mode
