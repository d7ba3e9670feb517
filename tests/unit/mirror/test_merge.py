"""Sources become one content: later ones win, and one bad key harms no other."""

import base64
import errno
import pickle
import subprocess
from collections.abc import Mapping

import pytest

from webhook.mirror.merge import LIMIT, MergedKeys, MergeFailure, digest, merge
from webhook.mirror.profile import parse_profiles
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.mirror.secret import (
    desired_secret,
    fingerprint,
    fingerprint_of,
    is_owned,
    keys_removal,
)
from webhook.secret_bytes import SecretBytes


def merged(
    text: str, listed: tuple[str, ...] = (), **sources: Mapping[str, bytes]
) -> MergedKeys | MergeFailure:
    """The default profile of `text` over sources by name."""
    profile = parse_profiles(text)["default"]
    contents = {
        source.ref: {k: SecretBytes(v) for k, v in sources[source.ref.name].items()}
        for source in profile.sources
        if source.ref.name in sources
    }
    return merge(profile, contents, listed=listed)


def plain(result: MergedKeys | MergeFailure) -> dict[str, bytes]:
    """The merged content in plain text."""
    assert isinstance(result, MergedKeys)
    return {key: value.reveal() for key, value in result.data.items()}


def reasons(result: MergedKeys | MergeFailure) -> list[tuple[KeyReason, str]]:
    """What was found, about which key."""
    return [(finding.reason, finding.key) for finding in result.findings]


TWO = '{"default": [{"configMap": "a"}, {"secret": "b"}]}'
ONE = '{"default": [{"secret": "a"}]}'


def test_later_sources_win_and_each_conflict_is_reported() -> None:
    """The order of the profile decides."""
    result = merged(TWO, a={"X": b"1", "Y": b"1"}, b={"X": b"2"})

    assert plain(result) == {"X": b"2", "Y": b"1"}
    assert reasons(result) == [(KeyReason.KEY_CONFLICT, "X")]


def test_only_listed_keys_are_taken() -> None:
    """And a listed key that is not there is reported."""
    text = '{"default": [{"secret": "a", "keys": ["X", "Z"]}]}'
    result = merged(text, a={"X": b"1", "Y": b"1"})

    assert plain(result) == {"X": b"1"}
    assert reasons(result) == [(KeyReason.KEY_ABSENT, "Z")]


def test_a_prefix_goes_before_each_key() -> None:
    """The refusals look at the whole name."""
    text = '{"default": [{"secret": "a", "prefix": "MLFLOW_"}]}'

    assert plain(merged(text, a={"PATH": b"1"})) == {"MLFLOW_PATH": b"1"}


def test_a_missing_source_gives_nothing_rather_than_less() -> None:
    """Keys are never taken away because one source is gone."""
    result = merged(TWO, a={"X": b"1"})

    assert isinstance(result, MergeFailure)
    assert (result.reason, result.detail) == (MirrorReason.SOURCE_MISSING, "Secret/b")


def test_too_much_names_the_largest_key() -> None:
    """A Secret holds one MiB."""
    many = {f"K{number}": b"x" * (LIMIT // 10) for number in range(9)}
    result = merged(TWO, a={"SMALL": b"1"}, b=many | {"BIG": b"x" * 110_000})

    assert isinstance(result, MergeFailure)
    assert result.reason is MirrorReason.TOO_LARGE
    assert result.detail == ("1053850 bytes, of which key BIG of Secret/b has 110000")
    assert isinstance(merged(ONE, a=many), MergedKeys)


def test_nothing_usable_is_no_content() -> None:
    """An empty mirror would only hide that."""
    result = merged(ONE, a={"PATH": b"/bin"})

    assert isinstance(result, MergeFailure)
    assert result.reason is MirrorReason.NO_KEYS
    assert reasons(result) == [(KeyReason.KEY_RESERVED, "PATH")]


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "PYTHONPATH",
        "PYTHONHOME",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "KUBERNETES_PORT",
        "RAY_ADDRESS",
        "SPARK_HOME",
        "MA_ENV",
    ],
)
def test_names_that_would_break_a_container_are_left_out(name: str) -> None:
    """The others still come through."""
    result = merged(ONE, a={name: b"1", "OK": b"1"})

    assert plain(result) == {"OK": b"1"}
    assert reasons(result) == [(KeyReason.KEY_RESERVED, name)]


def test_a_platform_name_is_taken_when_it_is_listed() -> None:
    """But never one that breaks programs."""
    listed = ("RAY_TRACKING", "PATH")
    result = merged(ONE, listed, a={"RAY_TRACKING": b"1", "PATH": b"1"})

    assert plain(result) == {"RAY_TRACKING": b"1"}


@pytest.mark.parametrize("name", ["1ST", ".", "..", "..X", "", "A B", "A" * 254, "É"])
def test_names_that_no_kubelet_takes_are_left_out(name: str) -> None:
    """So that what is reported as mirrored is what a task sees."""
    result = merged(ONE, a={name: b"1", "OK": b"1"})

    assert plain(result) == {"OK": b"1"}
    assert reasons(result) == [(KeyReason.KEY_NOT_A_VARIABLE, name)]


@pytest.mark.parametrize("name", ["A", "a.b", "-", "_x", "A" * 253, "mlflow-uri"])
def test_names_that_every_kubelet_takes_are_mirrored(name: str) -> None:
    """As the kubelet's rule has it, not a shell's."""
    assert plain(merged(ONE, a={name: b"1"})) == {name: b"1"}


@pytest.mark.parametrize(
    ("name", "length"),
    [("A", 131_069), ("AB", 131_068), ("A" * 253, 130_817), ("ca-bundle.crt", 131_057)],
)
def test_a_value_as_long_as_linux_takes_is_mirrored_and_no_longer_one(
    name: str, length: int
) -> None:
    """What `execve` refuses, no container starts with; the program says which."""
    result = merged(ONE, a={name: b"x" * length, "OK": b"1"})
    longer = merged(ONE, a={name: b"x" * (length + 1), "OK": b"1"})

    assert len(plain(result)) == 2
    assert plain(longer) == {"OK": b"1"}
    assert reasons(longer) == [(KeyReason.VALUE_TOO_LONG, name)]
    for number, starts in ((length, True), (length + 1, False)):
        variables = {name: "x" * number}
        assert _starts(variables) == starts


def _starts(variables: dict[str, str]) -> bool:
    try:
        subprocess.run(["/bin/true"], env=variables, check=True)
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        return False
    return True


def test_all_that_is_mirrored_leaves_a_program_half_of_what_linux_passes_on() -> None:
    """Also where it is in a thousand small keys."""
    size = LIMIT // 4000 - 7 - 2 - 8
    full = {f"K{number:06}"[:7]: b"x" * size for number in range(4000)}
    result = merged(ONE, a=full)
    longer = merged(ONE, a={key: value + b"x" for key, value in full.items()})

    assert len(plain(result)) == 4000
    assert isinstance(longer, MergeFailure)
    assert longer.reason is MirrorReason.TOO_LARGE
    assert _starts({key: (value * 2).decode() for key, value in full.items()})


@pytest.mark.parametrize(
    ("name", "listed", "why"),
    [
        ("PATH", True, "programs and files are not found"),
        ("LD_PRELOAD", True, "every program loads other libraries"),
        ("GCONV_PATH", True, "every program loads other libraries"),
        ("BASH_ENV", True, "every shell runs something else first"),
        ("ENV", True, "every shell runs something else first"),
        ("PYTHONSTARTUP", True, "Python loads something else"),
        ("PYTHONUSERBASE", True, "Python loads something else"),
        ("PERL5OPT", True, "the interpreter loads something else"),
        ("RUBYOPT", True, "the interpreter loads something else"),
        ("JAVA_HOME", False, "Java starts otherwise"),
        ("JAVA_TOOL_OPTIONS", False, "Java starts otherwise"),
        ("_JAVA_OPTIONS", False, "Java starts otherwise"),
        ("JDK_JAVA_OPTIONS", False, "Java starts otherwise"),
        ("CLASSPATH", False, "Java starts otherwise"),
        ("PYSPARK_PYTHON", False, "Spark starts otherwise"),
        ("PYSPARK_DRIVER_PYTHON", False, "Spark starts otherwise"),
        ("HADOOP_CONF_DIR", False, "Spark starts otherwise"),
        ("SPARK_HOME", False, "it belongs to the platform underneath the task"),
        ("RAY_ADDRESS", False, "it belongs to the platform underneath the task"),
        ("NODE_OPTIONS", False, "Node starts otherwise"),
        ("VIRTUAL_ENV", False, "packages are found elsewhere"),
        (
            "CUDA_VISIBLE_DEVICES",
            False,
            "devices that the scheduler gave are hidden",
        ),
    ],
)
def test_a_name_that_redirects_a_runtime_is_left_out_and_says_why(
    name: str, listed: bool, why: str
) -> None:
    """One that only misleads a runtime may be asked for by name."""
    result = merged(ONE, a={name: b"x", "OK": b"1"})
    asked_for = merged(ONE, listed=(name,), a={name: b"x", "OK": b"1"})

    assert plain(result) == {"OK": b"1"}
    assert str(result.findings[0]).endswith(f"With it, {why}.")
    assert len(plain(asked_for)) == (1 if listed else 2)


@pytest.mark.parametrize(
    "name",
    [
        "TRACKING_URI",
        "PATHS",
        "MY_PATH",
        "HOMEPAGE",
        "JAVA_OPTS",
        "ENVIRONMENT",
        "MLFLOW_TRACKING_TOKEN",
        "WANDB_API_KEY",
        "HTTPS_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CONDA",
        "NODE_NAME",
        "PYTHONUNBUFFERED",
        "MAX_RUNS",
    ],
)
def test_a_name_that_only_looks_like_it_is_mirrored(name: str) -> None:
    """The list names what it means."""
    assert plain(merged(ONE, a={name: b"1"})) == {name: b"1"}


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"a\0b", b"\xc3", b"\xed\xa0\x80", b"\0", b"\xf8\x88\x80"]
)
def test_values_that_no_runtime_takes_are_left_out(value: bytes) -> None:
    """A container with such a variable never starts."""
    result = merged(ONE, a={"KEYSTORE": value, "OK": b"1"})

    assert plain(result) == {"OK": b"1"}
    assert reasons(result) == [(KeyReason.VALUE_NOT_TEXT, "KEYSTORE")]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TRACKING_URI", b"https://mlflow.example.org/path?x=1", []),
        ("TRACKING_URI", b"databricks", []),
        ("TRACKING_URI", b"databricks://profile", []),
        ("TRACKING_URI", b"postgresql+psycopg2://db/x", []),
        ("TRACKING_URI", b"https://a\n", [KeyReason.TRAILING_NEWLINE]),
        ("API_KEY", b"secret\n", [KeyReason.TRAILING_NEWLINE]),
        ("CERT", b"-----BEGIN\nEND-----\n", []),
        ("TRACKING_URI", b"https://a b", [KeyReason.URI_WITH_SPACE]),
        ("TRACKING_URI", b"htps://a", [KeyReason.URI_UNKNOWN_SCHEME]),
        ("X_URL", b"https://u:p@h/", [KeyReason.URI_WITH_CREDENTIALS]),
        (
            "X_ENDPOINT",
            b"https://[bad@",
            [KeyReason.URI_MALFORMED, KeyReason.URI_WITH_CREDENTIALS],
        ),
        ("TRACKING_URI", b"mlflow-tracking", [KeyReason.URI_WITHOUT_SCHEME]),
        ("MLFLOW_TRACKING_URI", b"mlflow:5000", [KeyReason.URI_WITHOUT_SCHEME]),
        ("TRACKING_URI", b"localhost:5000", [KeyReason.URI_WITHOUT_SCHEME]),
        ("TRACKING_URI", b"http://localhost:5000", [KeyReason.URI_OF_THE_POD]),
        ("TRACKING_URI", b"http://127.0.0.1", [KeyReason.URI_OF_THE_POD]),
        ("TRACKING_URI", b"http:/mlflow.ml", [KeyReason.URI_MALFORMED]),
        ("TRACKING_URI", b'"https://mlflow.ml"', [KeyReason.URI_MALFORMED]),
        ("TRACKING_URI", "\ufeffhttps://m.ml".encode(), [KeyReason.URI_MALFORMED]),
        ("TRACKING_URI", b"http://[fe80::1%25eth0]:80", [KeyReason.URI_MALFORMED]),
        ("TRACKING_URI", b"http://h:99999", [KeyReason.URI_MALFORMED]),
        ("TRACKING_URI", b"s3://bucket/x", [KeyReason.URI_UNKNOWN_SCHEME]),
        ("TRACKING_URI", b"dbfs:/x", [KeyReason.URI_WITHOUT_SCHEME]),
        ("TRACKING_URI", b"mlflow-artifacts://h/x", [KeyReason.URI_UNKNOWN_SCHEME]),
        ("MLFLOW_ARTIFACT_URI", b"mlflow-artifacts:/x", []),
        ("MLFLOW_ARTIFACT_URI", b"s3://bucket/x", []),
        ("TRACKING_URI", b"azureml://eu.api.azureml.ms/x", []),
        ("TRACKING_URI", b"file:///mnt/runs", []),
        ("TRACKING_URI", b"/mnt/runs", []),
        ("TRACKING_URI", b"./mlruns", []),
        ("TRACKING_URI", b"sqlite:///x.db", []),
        ("TRACKING_URI", b"HTTPS://MLFLOW.ML.", []),
        ("TRACKING_URI", b"postgresql://h/x?host=/var/run", []),
        (
            "TRACKING_URI",
            b"mysql://u:p@w#x@h/db",
            [KeyReason.URI_MALFORMED, KeyReason.URI_WITH_CREDENTIALS],
        ),
        (
            "TRACKING_URI",
            b"htps://u:p@h",
            [KeyReason.URI_UNKNOWN_SCHEME, KeyReason.URI_WITH_CREDENTIALS],
        ),
        ("API_KEY", b"htps://u:p@h x", []),
        ("TRACKING_URI", b"", []),
    ],
)
def test_doubtful_values_are_mirrored_and_reported(
    name: str, value: bytes, expected: list[KeyReason]
) -> None:
    """It is the operator's value; we only say what looks wrong."""
    result = merged(ONE, a={name: value})

    assert plain(result) == {name: value}
    assert [reason for reason, _ in reasons(result)] == expected


def test_no_finding_repeats_a_value() -> None:
    """Neither a finding's text nor anything's repr."""
    result = merged(ONE, a={"X_URI": b"htps://user:canary@host\n"})

    assert "canary" not in repr(result) + "".join(map(str, result.findings))


def test_the_digest_is_of_names_and_values_only() -> None:
    """Order and source do not matter; every byte does."""
    one, two = SecretBytes(b"1"), SecretBytes(b"2")

    assert digest({"a": one, "b": two}) == digest({"b": two, "a": one})
    assert digest({"a": one, "b": two}) != digest({"a": two, "b": one})
    assert digest({"ab": one}) != digest({"a": one})


def test_a_mirror_is_recognized_by_what_it_holds() -> None:
    """What was applied has the fingerprint that was wanted."""
    result = merged(ONE, a={"X": b"1"})
    assert isinstance(result, MergedKeys)
    body = desired_secret("ray", result, "default")

    assert fingerprint_of(body) == fingerprint(result, "default")
    assert fingerprint_of(body) != fingerprint(result, "other")
    body["data"]["X"] = base64.b64encode(b"2").decode()
    assert fingerprint_of(body) != fingerprint(result, "default")
    assert is_owned(body)
    assert not is_owned(body | {"type": "Opaque"})


def test_a_sensitive_value_never_shows_itself() -> None:
    """Whatever prints, formats or serializes it."""
    value = SecretBytes(b"canary")

    assert f"{value} {value!r} {value:>10} {[value]}" == "*** *** *** [***]"
    assert len(value) == 6
    assert value == SecretBytes(b"canary")
    assert value != b"canary"
    assert hash(value) == hash(SecretBytes(b"canary"))
    with pytest.raises(TypeError):
        pickle.dumps(value)


@pytest.mark.parametrize("one", [*MirrorReason, *KeyReason])
def test_every_reason_has_a_sentence(one: MirrorReason | KeyReason) -> None:
    """That ends with a full stop and fits a table."""
    assert one.sentence[-1] in ".?"
    assert len(one.sentence) < 130


def test_a_profile_without_a_source_gives_nothing_in_order() -> None:
    """Its mirror is empty, so that no pod waits for what never comes."""
    result = merged('{"default": []}')

    assert isinstance(result, MergedKeys)
    assert (dict(result.data), result.digest) == ({}, digest({}))


def test_what_others_added_is_taken_out_by_a_merge_patch() -> None:
    """Null takes a key away, whoever owns it."""
    assert keys_removal("ray", ["A"]) == {
        "metadata": {"name": "michelangelo-tracking", "namespace": "ray"},
        "data": {"A": None},
    }
