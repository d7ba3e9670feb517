"""Every combination of what can be seen has one verdict."""

import pytest

from webhook.mirror.desired import fingerprint
from webhook.mirror.merge import Merged, Unmergeable
from webhook.mirror.plan import Existing, Labeled, Scope, Step, Supply, Verdict, judge
from webhook.mirror.reasons import MirrorReason
from webhook.secret_bytes import SecretBytes

GOOD = Merged({"A": SecretBytes(b"1")}, "digest-1", ())
OTHER = Merged({"A": SecretBytes(b"2")}, "digest-2", ())
PROBLEM = Unmergeable(MirrorReason.SOURCE_MISSING, "Secret/s")

ON = Labeled("ray", "default", terminating=False)
GOING = Labeled("ray", "default", terminating=True)

OURS = Existing(owned=True, fingerprint=fingerprint(GOOD, "default"))
OLD = Existing(owned=True, fingerprint=fingerprint(OTHER, "default"))
FOREIGN = Existing(owned=False, fingerprint=fingerprint(GOOD, "default"))

FRESH = Supply(GOOD, None)
STALE = Supply(GOOD, PROBLEM)
BROKEN = Supply(None, PROBLEM)
UNKNOWN = Supply(None, None)

NOTHING, WRITE, REMOVE = Step.NOTHING, Step.WRITE, Step.REMOVE
R = MirrorReason


@pytest.mark.parametrize(
    ("namespace", "existing", "supply", "step", "reason"),
    [
        (None, None, None, NOTHING, R.LEAVING),
        (None, OURS, None, REMOVE, R.LEAVING),
        (None, FOREIGN, None, NOTHING, R.LEAVING),
        (GOING, None, FRESH, NOTHING, R.TERMINATING),
        (GOING, OURS, FRESH, NOTHING, R.TERMINATING),
        (ON, None, None, NOTHING, R.UNKNOWN_PROFILE),
        (ON, OURS, None, REMOVE, R.UNKNOWN_PROFILE),
        (ON, FOREIGN, None, NOTHING, R.UNKNOWN_PROFILE),
        (ON, None, FRESH, WRITE, R.PENDING),
        (ON, OLD, FRESH, WRITE, R.PENDING),
        (ON, OURS, FRESH, NOTHING, R.MIRRORED),
        (ON, FOREIGN, FRESH, NOTHING, R.FOREIGN_SECRET),
        (ON, None, STALE, WRITE, R.PENDING),
        (ON, OLD, STALE, WRITE, R.PENDING),
        (ON, OURS, STALE, NOTHING, R.STALE),
        (ON, None, BROKEN, NOTHING, R.SOURCE_MISSING),
        (ON, OLD, BROKEN, NOTHING, R.STALE),
        (ON, FOREIGN, BROKEN, NOTHING, R.FOREIGN_SECRET),
        (ON, None, UNKNOWN, NOTHING, R.PENDING),
    ],
)
def test_a_verdict(
    namespace: Labeled | None,
    existing: Existing | None,
    supply: Supply | None,
    step: Step,
    reason: MirrorReason,
) -> None:
    """What to do, and why."""
    verdict = judge(namespace, existing, supply, Scope())

    assert (verdict.step, verdict.reason) == (step, reason)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(), None),
        (Scope(allowed=("ray",)), None),
        (Scope(allowed=("team-*", "r?y")), None),
        (Scope(allowed=("team-*",)), R.NOT_ALLOWED),
        (Scope(allowed=("RAY",)), R.NOT_ALLOWED),
        (Scope(excluded=("ray",)), R.EXCLUDED_NAMESPACE),
        (Scope(allowed=("ray",), excluded=("ray",)), R.EXCLUDED_NAMESPACE),
    ],
)
def test_label_and_list_must_agree(scope: Scope, expected: MirrorReason | None) -> None:
    """Names or patterns, in the letter's case; an exclusion beats both."""
    assert scope.objection("ray") is expected


@pytest.mark.parametrize(
    ("existing", "step"), [(None, NOTHING), (OURS, REMOVE), (FOREIGN, NOTHING)]
)
def test_a_namespace_that_may_not_have_keys_loses_them(
    existing: Existing | None, step: Step
) -> None:
    """As if it had been switched off, but never what is not ours."""
    verdict = judge(ON, existing, FRESH, Scope(allowed=("other",)))

    assert verdict == Verdict(step, R.NOT_ALLOWED)
