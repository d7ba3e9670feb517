"""Every combination of what can be seen has one verdict."""

import pytest

from webhook.mirror.decide import (
    Action,
    ExistingMirror,
    LabeledNamespace,
    MirrorDecision,
    NamespaceFilter,
    ProfileContent,
    decide,
)
from webhook.mirror.merge import MergedKeys, MergeFailure
from webhook.mirror.reasons import MirrorReason
from webhook.mirror.secret import fingerprint
from webhook.secret_bytes import SecretBytes

GOOD = MergedKeys({"A": SecretBytes(b"1")}, "digest-1", ())
OTHER = MergedKeys({"A": SecretBytes(b"2")}, "digest-2", ())
PROBLEM = MergeFailure(MirrorReason.SOURCE_MISSING, "Secret/s")

ON = LabeledNamespace("ray", "default", terminating=False)
GOING = LabeledNamespace("ray", "default", terminating=True)

OURS = ExistingMirror(owned=True, fingerprint=fingerprint(GOOD, "default"))
OLD = ExistingMirror(owned=True, fingerprint=fingerprint(OTHER, "default"))
FOREIGN = ExistingMirror(owned=False, fingerprint=fingerprint(GOOD, "default"))

FRESH = ProfileContent(GOOD, None)
STALE = ProfileContent(GOOD, PROBLEM)
BROKEN = ProfileContent(None, PROBLEM)
UNKNOWN = ProfileContent(None, None)

NOTHING, WRITE, REMOVE = Action.NOTHING, Action.WRITE, Action.REMOVE
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
    namespace: LabeledNamespace | None,
    existing: ExistingMirror | None,
    supply: ProfileContent | None,
    step: Action,
    reason: MirrorReason,
) -> None:
    """What to do, and why."""
    verdict = decide(namespace, existing, supply, NamespaceFilter())

    assert (verdict.step, verdict.reason) == (step, reason)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (NamespaceFilter(), None),
        (NamespaceFilter(allowed=("ray",)), None),
        (NamespaceFilter(allowed=("team-*", "r?y")), None),
        (NamespaceFilter(allowed=("team-*",)), R.NOT_ALLOWED),
        (NamespaceFilter(allowed=("RAY",)), R.NOT_ALLOWED),
        (NamespaceFilter(excluded=("ray",)), R.EXCLUDED_NAMESPACE),
        (NamespaceFilter(allowed=("ray",), excluded=("ray",)), R.EXCLUDED_NAMESPACE),
    ],
)
def test_label_and_list_must_agree(
    scope: NamespaceFilter, expected: MirrorReason | None
) -> None:
    """Names or patterns, in the letter's case; an exclusion beats both."""
    assert scope.exclusion("ray") is expected


@pytest.mark.parametrize(
    ("existing", "step"), [(None, NOTHING), (OURS, REMOVE), (FOREIGN, NOTHING)]
)
def test_a_namespace_that_may_not_have_keys_loses_them(
    existing: ExistingMirror | None, step: Action
) -> None:
    """As if it had been switched off, but never what is not ours."""
    verdict = decide(ON, existing, FRESH, NamespaceFilter(allowed=("other",)))

    assert verdict == MirrorDecision(step, R.NOT_ALLOWED)
