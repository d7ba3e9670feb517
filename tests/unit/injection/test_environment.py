"""The kubelet's rule: who wins, for each way a variable can come."""

from typing import Any

import pytest

from tests.pods import CONFIG, MIRROR, container, first, injected, ray_head
from webhook.injection.environment import (
    LONGEST,
    NOTHING_KNOWN,
    Environment,
    KnownSources,
    VariableSource,
    decoded,
    environment,
    expand,
)
from webhook.injection.policy import InjectionPolicy, Precedence

KNOWN = KnownSources(
    secrets={
        "michelangelo-tracking": {"TRACKING_URI": "http://central", "TOKEN": "t"},
        "gone": None,
    },
    config_maps={"michelangelo-config": {"TRACKING_URI": "http://old", "S3": "s3"}},
)


def values(env: Environment) -> dict[str, str | None]:
    """Names and values."""
    return {name: variable.value for name, variable in env.variables.items()}


def of(sources: KnownSources = KNOWN, **fields: Any) -> Environment:
    """The environment of a container with these fields."""
    return environment(container("c", **fields), sources)


def secret_key(key: str, name: str = "michelangelo-tracking", **more: Any) -> Any:
    """`valueFrom` for one key of a Secret."""
    return {"secretKeyRef": {"name": name, "key": key, **more}}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)", "a"),
        ("x$(A)y$(A)z", "xayaz"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$A", "$A"),
        ("$", "$"),
        ("$(A", "$(A"),
        ("$(NONE)", "$(NONE)"),
        ("$()", "$()"),
        ("$(A$(A)", "$(A$(A)"),
        ("$(UNKNOWN)", None),
        ("$(KUBERNETES_SERVICE_HOST)", None),
        ("$(MLFLOW_PORT_5000_TCP)", None),
    ],
)
def test_references_are_expanded_as_the_kubelet_does(
    text: str, expanded: str | None
) -> None:
    """What has no value stays as written; what we cannot know stays unknown."""
    assert expanded == expand(text, {"A": "a", "UNKNOWN": None})


def test_a_missing_name_is_unknown_while_a_source_is() -> None:
    """Any name may come from a source whose content was not given."""
    assert expand("$(NONE)", {}, complete=False) is None


FILE = {"volumeName": "v", "path": "a.env", "key": "K"}


@pytest.mark.parametrize(
    ("value_from", "expected"),
    [
        ({"fileKeyRef": FILE}, ("file", "env[0] a.env of volume v key K", None)),
        (
            {"fileKeyRef": FILE | {"optional": True}},
            ("file", "env[0] a.env of volume v key K, if it is there", None),
        ),
        ({"fileKeyRef": {}}, ("field", "env[0]", None)),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, ("field", "env[0]", None)),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, ("field", "env[0]", None)),
        (secret_key("TOKEN"), ("tracking", "env[0] Secret {} key TOKEN", "t")),
        (secret_key("NONE"), None),
        (secret_key("NONE", optional=True), None),
        (secret_key("K", "other"), ("secret-key", "env[0] Secret other key K", None)),
        (
            secret_key("K", "other", optional=True),
            ("secret-key", "env[0] Secret other key K, if it is there", None),
        ),
        (secret_key("K", "gone"), None),
        (secret_key("K", "gone", optional=True), None),
        (
            {"configMapKeyRef": {"name": "michelangelo-config", "key": "S3"}},
            ("config-map-key", "env[0] ConfigMap michelangelo-config key S3", "s3"),
        ),
        ({"configMapKeyRef": {"name": "michelangelo-config", "key": "BINARY"}}, None),
        (
            {"configMapKeyRef": {"name": "other", "key": "K"}},
            ("config-map-key", "env[0] ConfigMap other key K", None),
        ),
    ],
)
def test_each_way_a_value_can_come(
    value_from: dict[str, Any], expected: tuple[str, str, str | None] | None
) -> None:
    """And whether the container waits for one that is known to be missing."""
    env = of(env=[{"name": "A", "valueFrom": value_from}])
    selector = next(iter(value_from.values()))
    found = env.variables.get("A")

    assert (found and (found.kind, found.source, found.value)) == (
        expected
        and (expected[0], expected[1].format("michelangelo-tracking"), expected[2])
    )
    assert bool(env.waits_for) == (expected is None and not selector.get("optional"))


def test_a_later_source_wins() -> None:
    """Of `envFrom` the later, and `env` over all of them."""
    env = of(
        envFrom=[MIRROR, CONFIG], env=[{"name": "S3", "value": "$(TRACKING_URI)/s3"}]
    )

    assert {
        "TRACKING_URI": "http://old",
        "TOKEN": "t",
        "S3": "http://old/s3",
    } == values(env)
    assert ("envFrom[0] Secret michelangelo-tracking",) == (
        env.variables["TRACKING_URI"].shadowed
    )


def test_of_duplicate_entries_the_last_wins() -> None:
    """And `$(NAME)` means the value that the name has at that point."""
    env = of(
        env=[
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)"},
            {"name": "A", "value": "2"},
        ]
    )

    assert {"A": "2", "B": "1"} == values(env)


def test_a_prefix_makes_other_names() -> None:
    """The source's own names are not there."""
    assert {"P_TRACKING_URI": "http://old", "P_S3": "s3"} == values(
        of(envFrom=[{"prefix": "P_", **CONFIG}])
    )


def test_keys_and_fields_are_told_apart() -> None:
    """Each kind of entry names its source; a field's value is the node's business."""
    env = of(
        env=[
            {"name": "A", "valueFrom": secret_key("TOKEN")},
            {
                "name": "B",
                "valueFrom": {
                    "configMapKeyRef": {"name": "michelangelo-config", "key": "S3"}
                },
            },
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "D", "value": ""},
            {"name": "E", "valueFrom": secret_key("k", "unknown")},
        ]
    )

    assert {"A": "t", "B": "s3", "C": None, "D": "", "E": None} == values(env)
    assert [
        VariableSource.TRACKING,
        VariableSource.CONFIG_MAP_KEY,
        VariableSource.FIELD,
        VariableSource.LITERAL,
        VariableSource.SECRET_KEY,
    ] == [variable.kind for variable in env.variables.values()]


def test_an_unknown_source_is_named() -> None:
    """What could be there is said, not guessed."""
    env = of(
        NOTHING_KNOWN,
        envFrom=[CONFIG],
        env=[{"name": "A", "value": "$(S3)"}, {"name": "B", "value": "b"}],
    )

    assert ("envFrom[0] ConfigMap michelangelo-config",) == env.unresolved
    assert {"A": None, "B": "b"} == values(env)


@pytest.mark.parametrize(
    ("fields", "waits_for"),
    [
        pytest.param(
            {"envFrom": [{"secretRef": {"name": "gone"}}]}, ("Secret gone",), id="all"
        ),
        pytest.param(
            {"envFrom": [{"secretRef": {"name": "gone", "optional": True}}]},
            (),
            id="optional",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": secret_key("k", "gone")}]},
            ("Secret gone key k",),
            id="a key of a missing Secret",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": secret_key("NOT_THERE")}]},
            ("Secret michelangelo-tracking key NOT_THERE",),
            id="a missing key",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": secret_key("NO", optional=True)}]},
            (),
            id="an optional missing key",
        ),
    ],
)
def test_a_required_missing_object_holds_the_container(
    fields: dict[str, Any], waits_for: tuple[str, ...]
) -> None:
    """An optional one is passed over."""
    env = of(**fields)

    assert (waits_for, {}) == (env.waits_for, values(env))


@pytest.mark.parametrize(
    ("value", "unfit"),
    [
        pytest.param(b"caf\xc3\xa9", (), id="UTF-8"),
        pytest.param(b"caf\xe9", ("A", "REFERS"), id="Latin-1"),
        pytest.param(b"\xff\xfe", ("A", "REFERS"), id="UTF-16's mark"),
        pytest.param(b"\xed\xa0\x80", ("A", "REFERS"), id="a surrogate"),
        pytest.param(b"a\0b", ("A", "REFERS"), id="NUL"),
        pytest.param(b"a" * (LONGEST - 3), ("REFERS",), id="the longest"),
        pytest.param(b"a" * (LONGEST - 2), ("A", "REFERS"), id="one byte more"),
        pytest.param("é".encode() * (LONGEST // 2), ("A", "REFERS"), id="by bytes"),
    ],
)
def test_a_value_that_nodes_may_refuse_is_named(
    value: bytes, unfit: tuple[str, ...]
) -> None:
    """And so is what refers to it; what another value hides does no harm."""
    known = KnownSources(secrets={"own": {"A": decoded(value)}}, config_maps={})
    source = {"secretRef": {"name": "own"}}
    refers = {"name": "REFERS", "value": "$(A)"}

    assert unfit == of(known, envFrom=[source], env=[refers]).unfit
    hides = {"name": "A", "value": "plain"}
    assert () == of(known, envFrom=[source], env=[hides]).unfit


def test_an_optional_missing_key_leaves_the_earlier_value() -> None:
    """The kubelet skips the entry; it does not empty the variable."""
    entry = {"name": "S3", "valueFrom": secret_key("NO", optional=True)}

    assert "s3" == values(of(envFrom=[CONFIG], env=[entry]))["S3"]


URI_BY_USER = [{"name": "TRACKING_URI", "value": "http://mine"}]


@pytest.mark.parametrize(
    ("policy", "env", "winner"),
    [
        pytest.param(
            InjectionPolicy(), [], "http://old", id="fallback: the config map"
        ),
        pytest.param(
            InjectionPolicy(), URI_BY_USER, "http://mine", id="fallback: the user"
        ),
        pytest.param(
            InjectionPolicy(precedence=Precedence.OVERRIDE),
            [],
            "http://central",
            id="override",
        ),
        pytest.param(
            InjectionPolicy(precedence=Precedence.OVERRIDE),
            URI_BY_USER,
            "http://mine",
            id="override: the user still wins",
        ),
        pytest.param(
            InjectionPolicy(enforced_keys=("TRACKING_URI",)),
            [*URI_BY_USER, {"name": "S3", "value": "x"}, *URI_BY_USER],
            "http://central",
            id="enforced: nobody else does",
        ),
    ],
)
def test_each_precedence_has_its_winner(
    policy: InjectionPolicy, env: list[dict[str, str]], winner: str
) -> None:
    """The same pod under each choice of an operator."""
    task = first(injected(ray_head(env=env, envFrom=[CONFIG]), policy))

    assert winner == values(environment(task, KNOWN))["TRACKING_URI"]


def test_an_enforced_key_holds_in_later_references() -> None:
    """`$(TRACKING_URI)` means the enforced value, not the config map's."""
    policy = InjectionPolicy(enforced_keys=("TRACKING_URI",))
    head = ray_head(env=[{"name": "A", "value": "$(TRACKING_URI)"}], envFrom=[CONFIG])

    assert (
        "http://central"
        == (values(environment(first(injected(head, policy)), KNOWN))["A"])
    )


def test_no_value_is_ever_shown() -> None:
    """Neither a variable nor the sources print what they hold."""
    env = of(envFrom=[MIRROR])

    assert "http://central" not in repr(env) + repr(KNOWN)
