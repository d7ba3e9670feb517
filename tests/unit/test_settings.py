"""Settings come from a mapping, whole or not at all."""

from pathlib import Path

import pytest

from webhook.injection.patch import InjectionPolicy, OnMissing, Precedence
from webhook.settings import SettingError, Settings


def test_every_default() -> None:
    """What an operator gets without setting anything."""
    assert Settings.from_environ({}) == Settings(
        bind="0.0.0.0:8443",
        health_bind="0.0.0.0:8080",
        cert_dir=Path("/etc/tracking-injector/tls"),
        precedence=Precedence.FALLBACK,
        enforced_keys=(),
        on_missing=OnMissing.WAIT,
        release_namespace="",
        max_connections=1000,
        drain_seconds=10.0,
    )


def test_every_setting_is_read() -> None:
    """Each by its variable, as its own type."""
    settings = Settings.from_environ(
        {
            "PATH": "/bin",
            "MTI_BIND": "127.0.0.1:1",
            "MTI_HEALTH_BIND": "127.0.0.1:2",
            "MTI_CERT_DIR": "/x",
            "MTI_PRECEDENCE": "override",
            "MTI_ENFORCED_KEYS": "A, B,",
            "MTI_ON_MISSING": "start",
            "MTI_RELEASE_NAMESPACE": "here",
            "MTI_MAX_CONNECTIONS": "5",
            "MTI_DRAIN_SECONDS": "1.5",
        }
    )

    assert settings == Settings(
        bind="127.0.0.1:1",
        health_bind="127.0.0.1:2",
        cert_dir=Path("/x"),
        precedence=Precedence.OVERRIDE,
        enforced_keys=("A", "B"),
        on_missing=OnMissing.START,
        release_namespace="here",
        max_connections=5,
        drain_seconds=1.5,
    )
    assert settings.policy() == InjectionPolicy(
        precedence=Precedence.OVERRIDE,
        enforced_keys=("A", "B"),
        on_missing=OnMissing.START,
        release_namespace="here",
    )


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("MTI_PRECEDENSE", "override", "MTI_PRECEDENSE is not a setting; known are "),
        (
            "MTI_PRECEDENCE",
            "mine",
            "MTI_PRECEDENCE is 'mine'; it must be one of fallback, override.",
        ),
        (
            "MTI_MAX_CONNECTIONS",
            "many",
            "MTI_MAX_CONNECTIONS is 'many'; it must be a number.",
        ),
    ],
)
def test_a_mistake_is_named(variable: str, value: str, sentence: str) -> None:
    """With the variable, what it holds and what it may hold."""
    with pytest.raises(SettingError) as caught:
        Settings.from_environ({variable: value})

    assert str(caught.value).startswith(sentence)


def test_the_table_has_a_row_for_every_setting() -> None:
    """With its variable, its default and its meaning."""
    rows = list(Settings.table())

    assert "MTI_BIND" == rows[0].variable
    assert {True} == {bool(row.doc) for row in rows}
    assert {"MTI_PRECEDENCE": "fallback", "MTI_ENFORCED_KEYS": ""}.items() <= {
        row.variable: row.default for row in rows
    }.items()
