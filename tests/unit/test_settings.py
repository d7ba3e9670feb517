"""Settings come from a mapping, whole or not at all."""

import runpy
from pathlib import Path

import pytest

from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence
from webhook.settings import (
    CompanionSettings,
    LogFormat,
    LogLevel,
    Readable,
    SettingError,
    Settings,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "generate.py"
variables = runpy.run_path(str(REFERENCE))["variables"]


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
        log_level=LogLevel.INFO,
        log_format=LogFormat.JSON,
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
            "MTI_LOG_LEVEL": "error",
            "MTI_LOG_FORMAT": "text",
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
        log_level=LogLevel.ERROR,
        log_format=LogFormat.TEXT,
    )
    assert settings.policy() == InjectionPolicy(
        precedence=Precedence.OVERRIDE,
        enforced_keys=("A", "B"),
        on_missing=OnMissing.START,
        release_namespace="here",
    )


BIND = "it must be ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443."
MISTAKES = {
    "MTI_PRECEDENCE=mine": "is 'mine'; it must be one of fallback, override.",
    "MTI_BIND=8443": f"is '8443'; {BIND}",
    "MTI_BIND=:8443": f"is ':8443'; {BIND}",
    "MTI_BIND=0.0.0.0:": f"is '0.0.0.0:'; {BIND}",
    "MTI_BIND=0.0.0.0:65536": f"is '0.0.0.0:65536'; {BIND}",
    "MTI_BIND=0.0.0.0:-1": f"is '0.0.0.0:-1'; {BIND}",
    "MTI_BIND=:::8443": f"is ':::8443'; {BIND}",
    "MTI_BIND=[0.0.0.0]:8443": f"is '[0.0.0.0]:8443'; {BIND}",
    "MTI_HEALTH_BIND=unix:/tmp/x": f"is 'unix:/tmp/x'; {BIND}",
    "MTI_MAX_CONNECTIONS=many": "is 'many'; it must be a whole number.",
    "MTI_MAX_CONNECTIONS=1.5": "is '1.5'; it must be a whole number.",
    "MTI_MAX_CONNECTIONS=0": "is '0'; it must be from 1 to 100000.",
    "MTI_MAX_CONNECTIONS=-5": "is '-5'; it must be from 1 to 100000.",
    "MTI_DRAIN_SECONDS=": "is ''; it must be a number.",
    "MTI_DRAIN_SECONDS=nan": "is 'nan'; it must be from 0 to 3600.",
    "MTI_DRAIN_SECONDS=inf": "is 'inf'; it must be from 0 to 3600.",
    "MTI_DRAIN_SECONDS=-1": "is '-1'; it must be from 0 to 3600.",
    "MTI_ENFORCED_KEYS=A,B C": "has 'B C'; it must be a name that a variable may have.",
    "MTI_ENFORCED_KEYS=A=B": "has 'A=B'; it must be a name that a variable may have.",
    "MTI_RELEASE_NAMESPACE=My_Own": "is 'My_Own'; it must be the name of a namespace.",
}
COMPANION_MISTAKES = {
    "MTI_WATCH_SECONDS=nan": "is 'nan'; it must be from 1 to 3600.",
    "MTI_WATCH_SECONDS=0": "is '0'; it must be from 1 to 3600.",
    "MTI_EGRESS_GRACE_HOURS=-1": "is '-1'; it must be from 1 to 168.",
    "MTI_EGRESS_GRACE_HOURS=1e9": "is '1e9'; it must be from 1 to 168.",
    "MTI_EGRESS_ADDRESSES_PER_NAME=0": "is '0'; it must be from 1 to 8192.",
    "MTI_CERTIFICATE_DAYS=NaN": "is 'NaN'; it must be from 1 to 3650.",
    "MTI_CERTIFICATE_SKEW_SECONDS=-300": "is '-300'; it must be from 0 to 86400.",
    "MTI_HEALTH_BIND=localhost": f"is 'localhost'; {BIND}",
    "MTI_LEASE_NAME=": "is ''; it must be the name of an object.",
    "MTI_STATUS_CONFIGMAP=a/b": "is 'a/b'; it must be the name of an object.",
    "MTI_CLUSTER_DOMAIN=.": "is '.'; it must be a DNS domain.",
    "MTI_ALLOWED_NAMESPACES=team-*,Team": (
        "has 'Team'; it must be a namespace or a pattern."
    ),
    "MTI_AUDIT=yes": "is 'yes'; it must be one of on, off.",
    "MTI_LOG_LEVEL=debug": "is 'debug'; it must be one of info, warning, error.",
    "MTI_LOG_FORMAT=yaml": "is 'yaml'; it must be one of json, text.",
}


@pytest.mark.parametrize(
    ("settings", "line", "sentence"),
    [
        *((Settings, line, sentence) for line, sentence in MISTAKES.items()),
        *((CompanionSettings, *case) for case in COMPANION_MISTAKES.items()),
    ],
)
def test_a_mistake_is_named(settings: type[Readable], line: str, sentence: str) -> None:
    """With the variable, what it holds and what it may hold."""
    variable, _, value = line.partition("=")
    with pytest.raises(SettingError) as caught:
        settings.from_environ({variable: value})

    assert str(caught.value) == f"{variable} {sentence}"


def test_an_unknown_variable_is_named() -> None:
    """A typing mistake never passes for a default."""
    with pytest.raises(SettingError, match=r"MTI_PRECEDENSE is not a setting; known "):
        Settings.from_environ({"MTI_PRECEDENSE": "override"})


def test_what_a_list_names_twice_counts_once() -> None:
    """A key twice in `env` would be a second entry at every pass."""
    settings = Settings.from_environ({"MTI_ENFORCED_KEYS": "A,B,A, A"})

    assert settings.enforced_keys == ("A", "B")


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::]:8443", "[fd00::1]:65535"])
def test_an_address_of_either_family_can_be_bound(bind: str) -> None:
    """IPv6 in brackets, as in a URL."""
    assert Settings.from_environ({"MTI_BIND": bind}).bind == bind


@pytest.mark.parametrize("settings", [Settings, CompanionSettings])
def test_every_default_keeps_its_own_rule(settings: type[Readable]) -> None:
    """What the reference shows as a default can be written as a variable."""
    shown = {row.variable: row.default for row in variables(settings)}

    assert settings.from_environ(shown) == settings()


def test_the_table_has_a_row_for_every_setting() -> None:
    """With its variable, its default and its meaning."""
    rows = list(variables(Settings))

    assert "MTI_BIND" == rows[0].variable
    assert {True} == {bool(row.doc) for row in rows}
    assert {"MTI_PRECEDENCE": "fallback", "MTI_ENFORCED_KEYS": ""}.items() <= {
        row.variable: row.default for row in rows
    }.items()
