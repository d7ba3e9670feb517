"""Keeps the egress policies of every labeled namespace as they should be.

One step judges, writes, tells, and looks for other engines, in that order: a shadow
that has lost its policy must not wait for an Event.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from webhook.companion.egress.elsewhere import Elsewhere
from webhook.companion.egress.judge import EgressReport, Judge
from webhook.companion.egress.seen import Watched
from webhook.companion.egress.telling import Telling, section
from webhook.companion.egress.writer import Writer
from webhook.companion.means import Means
from webhook.mirror.decide import ProfileContent

_WAITING: Final = 1.0
"""Seconds until it looks again whether all was listed and looked up."""


class Egress:
    """The concern."""

    name = "egress"

    def __init__(
        self,
        means: Means,
        watched: Watched,
        judge: Judge,
        elsewhere: Elsewhere,
        supplies: Callable[[], Mapping[str, ProfileContent]],
    ) -> None:
        """Prepares; the followers run already or will.

        Args:
            means: What it acts with.
            watched: What is followed.
            judge: Decides what should be.
            elsewhere: Knows of other engines.
            supplies: What each profile gives, as the mirrors last saw it.
        """
        self._watched, self._judge, self._elsewhere = watched, judge, elsewhere
        self._supplies = supplies
        self._telling = Telling(means, watched, judge.home)
        self.writer = Writer(means, watched)
        self.report: Mapping[str, EgressReport] = {}
        """By namespace, as of the last step; replaced as a whole."""
        self.is_waiting = True
        """Whether something is still to be listed or looked up before it can decide."""

    def step(self, now: datetime) -> float | None:
        """Judges every namespace; deletes, writes, tells, and looks around."""
        supplies = self._supplies()
        if not self._watched.is_ready() or not supplies:
            return _WAITING
        verdicts = self._judge.judge(supplies, now)
        self.report, self.is_waiting = verdicts.report, verdicts.waiting
        applied = self.writer.apply(verdicts.wanted, verdicts.is_leader, now)
        self._telling.tell(verdicts.report, now)
        if applied.failure is not None:
            raise applied.failure
        pauses = [applied.pause, verdicts.pause, _WAITING if self.is_waiting else None]
        # What was found now is judged in the next step.
        pauses += [0.0] if self._elsewhere.look(now) else []
        return min((p for p in pauses if p is not None), default=None)

    def section(self) -> dict[str, Any]:
        """For the status."""
        return section(self.report, self._elsewhere.others)
