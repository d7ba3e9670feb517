"""Every combination of what can be known leads to one decision."""

from dataclasses import replace

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
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.mirror.secret import MirrorFingerprint, fingerprint
from webhook.secret_bytes import SecretBytes

GOOD = MergedKeys(data={"A": SecretBytes(b"1")}, digest="digest-1")
OTHER = MergedKeys(data={"A": SecretBytes(b"2")}, digest="digest-2")
PROBLEM = MergeFailure(reason=MirrorReason.SOURCE_MISSING, detail="Secret/s")

ON = LabeledNamespace(name="ray", profile="default", terminating=False)
GOING = LabeledNamespace(name="ray", profile="default", terminating=True)

OURS = ExistingMirror(owned=True, fingerprint=fingerprint(GOOD, "default"))
OLD = ExistingMirror(owned=True, fingerprint=fingerprint(OTHER, "default"))
FOREIGN = ExistingMirror(owned=False, fingerprint=fingerprint(GOOD, "default"))

EMPTY = MergedKeys(data={}, digest="digest-0")
OURS_EMPTY = ExistingMirror(owned=True, fingerprint=fingerprint(EMPTY, "default"))
OF_ANOTHER = ExistingMirror(owned=True, fingerprint=fingerprint(GOOD, "gpu"))
EDITED = ExistingMirror(
    owned=True, fingerprint=replace(OURS_EMPTY.fingerprint, digest="edited")
)
BARE = ExistingMirror(
    owned=True,
    fingerprint=MirrorFingerprint(type="t", digest="d", labels=(), annotations=()),
)

FRESH = ProfileContent(content=GOOD)
NO_SOURCE = ProfileContent(content=EMPTY)
STALE = ProfileContent(content=GOOD, problem=PROBLEM)
BROKEN = ProfileContent(problem=PROBLEM)
UNKNOWN = ProfileContent()

NOTHING, WRITE, REMOVE = Action.NOTHING, Action.WRITE, Action.REMOVE
R = MirrorReason


@pytest.mark.parametrize(
    ("namespace", "existing", "supply", "action", "reason"),
    [
        (None, None, None, NOTHING, R.LEAVING),
        (None, OURS, None, REMOVE, R.LEAVING),
        (None, FOREIGN, None, NOTHING, R.LEAVING),
        (GOING, None, FRESH, NOTHING, R.TERMINATING),
        (GOING, OURS, FRESH, NOTHING, R.TERMINATING),
        (ON, None, None, NOTHING, R.UNKNOWN_PROFILE),
        (ON, OURS, None, NOTHING, R.STALE),
        (ON, FOREIGN, None, NOTHING, R.FOREIGN_SECRET),
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
        (ON, None, NO_SOURCE, WRITE, R.PENDING),
        (ON, OURS_EMPTY, NO_SOURCE, NOTHING, R.NO_SOURCES),
        (ON, EDITED, NO_SOURCE, WRITE, R.PENDING),
        (ON, BARE, NO_SOURCE, WRITE, R.PENDING),
        (ON, OURS, NO_SOURCE, NOTHING, R.STALE),
        (ON, OF_ANOTHER, NO_SOURCE, WRITE, R.PENDING),
    ],
)
def test_a_decision(
    namespace: LabeledNamespace | None,
    existing: ExistingMirror | None,
    supply: ProfileContent | None,
    action: Action,
    reason: MirrorReason,
) -> None:
    """What to do, and why."""
    decision = decide(namespace, existing, supply, NamespaceFilter())

    assert (decision.action, decision.reason) == (action, reason)


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
    ("existing", "action"), [(None, NOTHING), (OURS, REMOVE), (FOREIGN, NOTHING)]
)
def test_a_namespace_that_may_not_have_keys_loses_them(
    existing: ExistingMirror | None, action: Action
) -> None:
    """As if it had been switched off, but never what is not ours."""
    decision = decide(ON, existing, FRESH, NamespaceFilter(allowed=("other",)))

    assert decision == MirrorDecision(action=action, reason=R.NOT_ALLOWED)


@pytest.mark.parametrize(
    ("enforced", "reason", "detail"),
    [
        (("A",), R.MIRRORED, ""),
        (("A", "TYPO", "PATH"), R.ENFORCED_KEY_MISSING, "TYPO, PATH"),
    ],
)
def test_an_enforced_key_that_the_mirror_lacks_is_named(
    enforced: tuple[str, ...], reason: MirrorReason, detail: str
) -> None:
    """No pod waits for it, so somebody has to say it."""
    decision = decide(ON, OURS, FRESH, NamespaceFilter(), enforced)

    assert (decision.action, decision.reason, decision.detail) == (
        NOTHING,
        reason,
        detail,
    )


@pytest.mark.parametrize("reason", [*MirrorReason, *KeyReason])
def test_every_reason_has_a_sentence(reason: MirrorReason | KeyReason) -> None:
    """For Events and tables."""
    assert reason.sentence.endswith((".", "?"))


def test_what_nobody_has_to_look_into_is_in_order() -> None:
    """Everything else makes `status` exit with 1."""
    assert {one for one in MirrorReason if one.is_in_order} == {
        R.MIRRORED,
        R.TERMINATING,
        R.LEAVING,
    }
