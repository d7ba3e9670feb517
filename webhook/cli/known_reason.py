"""An option's value that is one of the words for what may be wrong."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

import click

from webhook.companion.audit import AuditReason
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.watches import WatchReason
from webhook.doctor.registry import CLUSTER, NAMESPACE
from webhook.egress.reasons import EgressReason
from webhook.mirror.certificates import TrackingCaReason
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.reason import Reason

_VOCABULARIES: Final[tuple[type[Reason], ...]] = (
    AuditReason,
    EgressReason,
    InstallationReason,
    KeyReason,
    MirrorReason,
    RotationReason,
    TrackingCaReason,
    WatchReason,
)


class KnownReason(click.ParamType[str]):
    """One of the words that `status` and `doctor` have for what is wrong."""

    name = "reason"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return it as it is; of one that there is not, say which was meant."""
        known = set(_words())
        if value not in known:
            near = get_close_matches(str(value), known, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            self.fail(f"there is no reason {value!r}.{meant}", param, ctx)
        return str(value)


def _words() -> Iterator[str]:
    for vocabulary in _VOCABULARIES:
        yield from vocabulary
    for groups in (CLUSTER, NAMESPACE):
        for checks in groups.values():
            yield from (check.code for check in checks)
