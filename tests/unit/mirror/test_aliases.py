"""Other names of keys, and what each tracker's client wants."""

from collections.abc import Mapping

import pytest

from webhook.injection.environment import LONGEST
from webhook.mirror.merge import MergedKeys, merge
from webhook.mirror.presets import ALWAYS, PRESETS
from webhook.mirror.profile import Profile, Source, SourceKind, SourceRef
from webhook.mirror.reasons import KeyReason
from webhook.mirror.validate import rejection
from webhook.secret_bytes import SecretBytes

SOURCE = SourceRef(SourceKind.SECRET, "s")
URI = b"https://tracker.example.com"


def merged(
    content: Mapping[str, bytes],
    aliases: Mapping[str, str] | None = None,
    preset: str = "",
) -> MergedKeys:
    """What a profile of one source with that content gives."""
    profile = Profile(
        name="default",
        sources=(Source(ref=SOURCE),),
        aliases=aliases or {},
        preset=preset,
    )
    known = {key: SecretBytes(value) for key, value in content.items()}
    result = merge(profile, {SOURCE: known})
    assert isinstance(result, MergedKeys)
    return result


def plain(result: MergedKeys) -> dict[str, bytes]:
    """What a task would see."""
    return {key: value.reveal() for key, value in result.data.items()}


def found(result: MergedKeys) -> list[tuple[KeyReason, str]]:
    """What was found, about which key."""
    return [(finding.reason, finding.key) for finding in result.findings]


def test_an_alias_has_the_value_of_its_key() -> None:
    """Beside it, and with no finding."""
    result = merged({"TRACKING_URI": URI}, {"MLFLOW_TRACKING_URI": "TRACKING_URI"})

    assert plain(result) == {"TRACKING_URI": URI, "MLFLOW_TRACKING_URI": URI}
    assert found(result) == []


def test_an_alias_may_stand_for_another() -> None:
    """In whatever order they are written."""
    result = merged({"K": b"1"}, {"A": "B", "B": "C", "C": "K"})

    assert plain(result) == dict.fromkeys("ABCK", b"1")


def test_a_key_of_a_source_is_never_replaced() -> None:
    """And two names may stand for each other, whichever is there."""
    result = merged({"A": b"1", "B": b"2"}, {"A": "B", "B": "A"})

    assert plain(result) == {"A": b"1", "B": b"2"}
    assert plain(merged({"A": b"1"}, {"A": "B", "B": "A"})) == {"A": b"1", "B": b"1"}


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        ({"A": "NOWHERE"}, [(KeyReason.ALIAS_UNKNOWN, "A")]),
        ({"A": "A"}, [(KeyReason.ALIAS_CYCLE, "A")]),
        (
            {"A": "B", "B": "C", "C": "B"},
            [(KeyReason.ALIAS_CYCLE, name) for name in "ABC"],
        ),
        ({"PATH": "K"}, [(KeyReason.KEY_RESERVED, "PATH")]),
        ({"A=B": "K"}, [(KeyReason.KEY_NOT_A_VARIABLE, "A=B")]),
    ],
)
def test_a_useless_alias_is_a_finding_and_harms_no_other(
    aliases: Mapping[str, str], expected: list[tuple[KeyReason, str]]
) -> None:
    """It is left out."""
    result = merged({"K": b"1"}, {**aliases, "GOOD": "K"})

    assert plain(result) == {"K": b"1", "GOOD": b"1"}
    assert found(result) == expected


def test_a_finding_without_a_source_names_the_key_alone() -> None:
    """For people."""
    (finding,) = merged({"K": b"1"}, {"A": "B"}).findings

    assert str(finding).startswith("key A: The alias stands for a key that")


def test_a_value_that_fits_its_key_may_be_too_long_for_the_alias() -> None:
    """No container would start with it."""
    longest = b"x" * (LONGEST - len("K") - 2)
    result = merged({"K": longest}, {"LONGER": "K"})

    assert plain(result) == {"K": longest}
    assert found(result) == [(KeyReason.VALUE_TOO_LONG, "LONGER")]


def test_the_uri_alone_serves_the_guide_and_mlflows_client() -> None:
    """No API key is there, so no alias of it, and nobody asked for one."""
    result = merged({"TRACKING_URI": URI}, preset="mlflow")

    assert plain(result) == {"TRACKING_URI": URI, "MLFLOW_TRACKING_URI": URI}
    assert found(result) == []


@pytest.mark.parametrize(
    ("preset", "content", "missing"),
    [
        ("mlflow", {"X": b"1"}, ["MLFLOW_TRACKING_URI"]),
        (
            "mlflow",
            {"TRACKING_URI": URI, "MLFLOW_TRACKING_USERNAME": b"u"},
            ["MLFLOW_TRACKING_PASSWORD"],
        ),
        (
            "mlflow",
            {"TRACKING_URI": URI, "MLFLOW_TRACKING_PASSWORD": b"p"},
            ["MLFLOW_TRACKING_USERNAME"],
        ),
        ("comet", {"COMET_WORKSPACE": b"w"}, ["COMET_API_KEY"]),
        ("comet", {"TRACKING_API_KEY": b"k"}, []),
        ("wandb", {"TRACKING_URI": URI}, ["WANDB_API_KEY"]),
        ("databricks", {"TRACKING_URI": URI}, ["MLFLOW_TRACKING_URI"]),
        (
            "azureml",
            {"TRACKING_URI": URI, "AZURE_CLIENT_SECRET": b"s"},
            ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"],
        ),
        (
            "clearml",
            {"TRACKING_URI": URI},
            ["CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY"],
        ),
        ("neptune", {"NEPTUNE_PROJECT": b"p"}, ["NEPTUNE_API_TOKEN"]),
        ("aim", {"X": b"1"}, ["TRACKING_URI"]),
    ],
)
def test_what_a_trackers_client_lacks_is_told(
    preset: str, content: Mapping[str, bytes], missing: list[str]
) -> None:
    """The mirror is written all the same."""
    result = merged(content, preset=preset)

    assert found(result) == [(KeyReason.KEY_NEEDED, key) for key in missing]
    assert content.keys() <= plain(result).keys()


def test_a_profiles_own_alias_goes_before_its_presets() -> None:
    """An operator knows better which key holds the token."""
    result = merged(
        {"TRACKING_API_KEY": b"1", "TOKEN": b"2", "TRACKING_URI": URI},
        {"MLFLOW_TRACKING_TOKEN": "TOKEN"},
        preset="mlflow",
    )

    assert plain(result)["MLFLOW_TRACKING_TOKEN"] == b"2"


@pytest.mark.parametrize("name", PRESETS)
def test_every_variable_of_a_preset_may_be_mirrored(name: str) -> None:
    """None is reserved, and none of the needs is out of reach of the sources."""
    preset = PRESETS[name]
    owners = [key for key in preset.needs if key != ALWAYS]
    keys = [key for keys in preset.needs.values() for key in keys]

    for variable in (*preset.aliases, *owners, *keys, preset.certificate or "A"):
        assert rejection(variable, ()) is None
