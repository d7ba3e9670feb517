"""Profiles are read strictly, and every mistake is named."""

import pytest

from webhook.mirror.profile import (
    ProfileError,
    Source,
    SourceKind,
    SourceRef,
    parse_ca_source,
    parse_profiles,
    refs,
)

ALL = (
    '{"default": [{"configMap": "c"}, {"secret": "s", "keys": ["A"], "prefix": "P_"}],'
    ' "gpu": [{"secret": "s"}]}'
)


def test_a_profile_is_its_sources_in_order() -> None:
    """With keys and prefix where given."""
    secret = SourceRef(SourceKind.SECRET, "s")
    profiles = parse_profiles(ALL)

    assert profiles["default"].sources == (
        Source(ref=SourceRef(SourceKind.CONFIG_MAP, "c")),
        Source(ref=secret, keys=("A",), prefix="P_"),
    )
    assert refs(profiles) == (SourceRef(SourceKind.CONFIG_MAP, "c"), secret)


def test_a_profile_may_say_more_than_its_sources() -> None:
    """Which tracker they lead to, and other names of keys."""
    text = '{"d": {"sources": [{"secret": "s"}], "preset": "mlflow", "aliases": %s}}'
    profile = parse_profiles(text % '{"A": "B"}')["d"]

    assert profile.sources == (Source(ref=SourceRef(SourceKind.SECRET, "s")),)
    assert (profile.preset, profile.aliases) == ("mlflow", {"A": "B"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "None"),
        ('{"configMap": "ca", "keys": ["ca.crt"]}', "ConfigMap/ca, key ca.crt"),
        ('{"secret": "ca", "keys": ["a.b"]}', "Secret/ca, key a.b"),
    ],
)
def test_the_cas_source_is_one_key_of_an_object(text: str, expected: str) -> None:
    """Or it is nowhere."""
    assert str(parse_ca_source(text)) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "the CA's source is not JSON"),
        ("[]", "the CA's source is not an object"),
        ('{"secret": "a"}', "the CA's source names one key, and no prefix"),
        ('{"secret": "a", "keys": ["b", "c"]}', "names one key"),
        ('{"secret": "a", "keys": ["b"], "prefix": "c"}', "and no prefix"),
    ],
)
def test_a_mistake_in_the_cas_source_is_named(text: str, problem: str) -> None:
    """Before anything runs."""
    with pytest.raises(ProfileError, match=problem):
        parse_ca_source(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "the profiles are not JSON"),
        ("[]", "the profiles are not an object"),
        ('{"d": {"sources": {}}}', "profile d has no list of sources"),
        ('{"d": {"source": []}}', "profile d has an unknown field source"),
        ('{"d": {"preset": "mlfow"}}', "preset is none of mlflow, comet, wandb"),
        ('{"d": {"aliases": []}}', "profile d: aliases is not a map of names"),
        ('{"d": {"aliases": {"A": 1}}}', "profile d: aliases is not a map of names"),
        ('{"d": [1]}', "profile d, source 1 is not an object"),
        ('{"d": [{}]}', "profile d, source 1 needs either secret or configMap"),
        (
            '{"d": [{"secret": "a", "configMap": "b"}]}',
            "profile d, source 1 needs either secret or configMap",
        ),
        ('{"d": [{"secret": ""}]}', "profile d, source 1 has no name in secret"),
        ('{"d": [{"secret": 1}]}', "profile d, source 1 has no name in secret"),
        (
            '{"d": [{"secret": "a"}, {"secret": "a", "key": []}]}',
            "profile d, source 2 has an unknown field key",
        ),
        ('{"d": [{"secret": "a", "keys": "A"}]}', "source 1: keys is not a list"),
        ('{"d": [{"secret": "a", "prefix": 1}]}', "source 1: prefix is not a text"),
    ],
)
def test_a_mistake_is_named(text: str, problem: str) -> None:
    """By profile, source and field."""
    with pytest.raises(ProfileError, match=problem):
        parse_profiles(text)
