"""Runs the certificate controller in the companion's loop."""

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from webhook.cluster.errors import ClusterError
from webhook.companion.certificates.controller import KEY, CertificateController
from webhook.companion.controller import Context

if TYPE_CHECKING:
    from webhook.companion.certificates.result import CertificateResult


class CertificateKeeper:
    """Takes the loop's steps, and keeps the last result for metrics and status."""

    name = "certificates"

    def __init__(self, controller: CertificateController, context: Context) -> None:
        """Prepare; nothing is read yet."""
        self._controller = controller
        self._context = context
        self.outcome: CertificateResult | None = None

    @property
    def writes(self) -> Counter[str]:
        """Return the writes by cause."""
        return Counter(self.outcome.writes if self.outcome else {})

    def step(self, now: datetime) -> float | None:
        """Reconcile; return the seconds until the next step."""
        try:
            result = self._controller.reconcile(KEY, now)
        except ClusterError as error:
            result = self._controller.failure(KEY, error)
        self.outcome = result
        for one in result.notices:
            self._context.recorder.event(
                one.about, one.reason, one.message, now=now, type_=one.type
            )
        return result.requeue_after

    def is_in_order(self) -> bool:
        """Return whether the last step found everything in order."""
        return self.outcome is not None and self.outcome.in_order

    def problems(self) -> tuple[str, ...]:
        """Return one sentence for each thing that is in the way."""
        if self.outcome is None:
            return ("the certificates have not been looked at yet",)
        found = tuple(one.detail for one in self.outcome.conditions)
        if found or self.outcome.in_order:
            return found
        return (f"the rotation is under way ({self.outcome.phase.value})",)

    def rotating_since(self) -> datetime | None:
        """Return when the rotation under way began."""
        return self.outcome.rotating_since if self.outcome else None

    def section(self) -> dict[str, Any]:
        """Return the section of the status."""
        return self.outcome.section() if self.outcome else {"line": "not looked at yet"}
