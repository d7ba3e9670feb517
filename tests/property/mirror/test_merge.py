"""What holds for every profile over every content of its sources."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from webhook.injection.environment import LONGEST
from webhook.mirror.merge import LIMIT, Content, MergedKeys, MergeFailure, merge
from webhook.mirror.profile import Profile, Source, SourceKind, SourceRef
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.mirror.secret import desired_secret, fingerprint, fingerprint_of
from webhook.secret_bytes import SecretBytes

Plain: TypeAlias = Mapping[str, bytes]
Case: TypeAlias = tuple[Profile, Sequence[Plain]]
"""A profile, and what each of its sources holds."""

# The API's own rule for a variable, as its oldest validation has it.
VARIABLE = re.compile(r"\A[-._a-zA-Z][-._a-zA-Z0-9]*\Z")
BREAKING = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME")
RESERVED = ("LD_", "KUBERNETES_", "RAY_", "SPARK_", "MA_")
OURS = {
    KeyReason.KEY_ABSENT,
    KeyReason.KEY_NOT_A_VARIABLE,
    KeyReason.KEY_RESERVED,
    KeyReason.VALUE_NOT_TEXT,
}
"""Why a key is left out."""

# Few names, so that sources disagree about them.
NAMES = st.sampled_from(
    ["A", "B", "TRACKING_URI", "a.b", *BREAKING, "LD_X", "RAY_X"]
) | st.text("aA1._-\n é", max_size=4)
VALUES = st.binary(max_size=6) | st.sampled_from([b"https://u:p@h", b"x\n", b"a\0"])
CONTENTS = st.dictionaries(NAMES, VALUES, max_size=5)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to three sources, some with a list of keys, some with a prefix."""
    contents = draw(st.lists(CONTENTS, min_size=1, max_size=3))
    sources = tuple(
        Source(
            ref=SourceRef(draw(st.sampled_from(SourceKind)), f"s{number}"),
            keys=draw(st.none() | st.lists(NAMES, max_size=3, unique=True).map(tuple)),
            prefix=draw(st.sampled_from(["", "", "A", "RAY_"])),
        )
        for number in range(len(contents))
    )
    return Profile(name="default", sources=sources), contents


def merged(case: Case) -> MergedKeys | MergeFailure:
    """The merge."""
    profile, contents = case
    return merge(
        profile,
        {
            source.ref: {key: SecretBytes(value) for key, value in content.items()}
            for source, content in zip(profile.sources, contents, strict=True)
        },
    )


def plain(result: MergedKeys | MergeFailure) -> dict[str, bytes]:
    """What a task would see; nothing where there is no mirror."""
    if isinstance(result, MergeFailure):
        assert result.reason is MirrorReason.NO_KEYS
        return {}
    return {name: value.reveal() for name, value in result.data.items()}


def offers(case: Case) -> list[tuple[str, bytes]]:
    """Every variable that a source gives, in the order of the profile."""
    profile, contents = case
    return [
        (source.prefix + key, value)
        for source, content in zip(profile.sources, contents, strict=True)
        for key, value in content.items()
        if source.keys is None or key in source.keys
    ]


def is_fit(name: str, value: bytes) -> bool:
    """Whether a container may have it, by the rules as the documentation words them."""
    if not VARIABLE.match(name) or name.startswith("..") or name == ".":
        return False
    if name in BREAKING or name.startswith(RESERVED):
        return False
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


@given(cases())
def test_the_last_source_that_may_give_a_key_gives_it(case: Case) -> None:
    """Nothing else is there, and nothing that is fit is missing."""
    expected = dict(offer for offer in offers(case) if is_fit(*offer))

    assert expected == plain(merged(case))


@given(cases())
def test_each_conflict_is_reported_once_for_each_loser(case: Case) -> None:
    """So that nobody wonders where a value went."""
    fit = [name for name, value in offers(case) if is_fit(name, value)]
    expected = sorted(name for number, name in enumerate(fit) if name in fit[:number])
    reported = [
        finding.key
        for finding in merged(case).findings
        if finding.reason is KeyReason.KEY_CONFLICT
    ]

    assert expected == sorted(reported)


@given(cases())
def test_every_key_is_mirrored_or_reported(case: Case) -> None:
    """None is lost without a word."""
    result = merged(case)
    left_out = {one.key for one in result.findings if one.reason in OURS}

    assert {name for name, _ in offers(case)} <= plain(result).keys() | left_out


@given(cases(), st.randoms())
def test_the_order_of_keys_changes_nothing(case: Case, rng: random.Random) -> None:
    """Two companions write the same, whatever order the API server sends."""
    profile, contents = case
    shuffled = [dict(rng.sample(sorted(one.items()), len(one))) for one in contents]

    assert merged(case) == merged((profile, shuffled))


@given(cases())
def test_what_is_written_is_recognized(case: Case) -> None:
    """A companion that reads its own mirror has nothing to do."""
    result = merged(case)
    if isinstance(result, MergedKeys):
        body = desired_secret("ray", result, "default")

        assert fingerprint(result, "default") == fingerprint_of(body)


@given(cases(), st.data())
def test_a_missing_source_gives_nothing_rather_than_less(
    case: Case, data: st.DataObject
) -> None:
    """The first that is missing is named, and why."""
    profile, contents = case
    lost = data.draw(st.integers(0, len(contents) - 1))
    gone = profile.sources[lost]
    known: dict[SourceRef, Content | MirrorReason] = {
        source.ref: {key: SecretBytes(value) for key, value in content.items()}
        for source, content in zip(profile.sources, contents, strict=True)
    }
    known[gone.ref] = MirrorReason.SOURCE_UNREADABLE

    assert merge(profile, known) == MergeFailure(
        reason=MirrorReason.SOURCE_UNREADABLE, detail=str(gone.ref)
    )


@given(st.lists(st.integers(0, LONGEST - 4), min_size=1, max_size=12))
def test_the_limit_is_kubernetes_own_and_names_the_largest_key(
    sizes: list[int],
) -> None:
    """To the byte."""
    source = Source(ref=SourceRef(SourceKind.SECRET, "s"))
    content = {f"K{n:x}": SecretBytes(b"x" * size) for n, size in enumerate(sizes)}
    result = merge(Profile(name="default", sources=(source,)), {source.ref: content})

    if sum(size + 12 for size in sizes) <= LIMIT:
        assert isinstance(result, MergedKeys)
        return
    assert isinstance(result, MergeFailure)
    assert result.reason is MirrorReason.TOO_LARGE
    assert f"key K{sizes.index(max(sizes)):x} of Secret/s has {max(sizes)}" in str(
        result.detail
    )


@given(cases())
def test_no_value_is_told(case: Case) -> None:
    """Neither by the result's text nor by any finding's."""
    profile, contents = case
    canary = b"canary-value"
    marked = [{key: value + canary for key, value in one.items()} for one in contents]
    result = merged((profile, marked))

    assert canary.decode() not in repr(result) + "".join(map(str, result.findings))


@given(cases(), st.dictionaries(NAMES, NAMES, max_size=5))
def test_aliases_only_add_and_each_is_there_or_reported(
    case: Case, aliases: dict[str, str]
) -> None:
    """What the sources give stays as it is; an alias has a source's value or a reason.

    A chain of two is followed one by one here, which is what a person would do.
    """
    profile, contents = case
    without = plain(merged(case))
    result = merged((replace(profile, aliases=aliases), contents))
    both = plain(result)
    reported = {finding.key for finding in result.findings if finding.key in aliases}

    assert without.items() <= both.items()
    assert both.keys() - without.keys() <= aliases.keys()
    assert aliases.keys() <= both.keys() | reported
    for name in both.keys() - without.keys():
        key = name
        for _ in aliases:
            key = key if key in without else aliases[key]
        assert both[name] == without[key]
