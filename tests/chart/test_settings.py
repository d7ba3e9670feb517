"""What the Deployments set is what the processes read."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.chart.rendering import CI_VALUES, NAMESPACE, RELEASE, Chart, Rendered
from webhook.companion.observation.release import ReleaseName
from webhook.mirror.presets import PRESETS
from webhook.mirror.profile import parse_ca_source, parse_profiles
from webhook.settings import CompanionSettings, Settings


def environ(rendered: Rendered, component: str) -> dict[str, str]:
    """The environment of a Deployment's container."""
    pod = rendered.deployment(component)["spec"]["template"]["spec"]
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


def test_the_charts_defaults_are_the_webhooks_own(default: Rendered) -> None:
    """Whoever runs the image without the chart gets the same behavior."""
    settings = Settings.from_environ(environ(default, "webhook"))

    assert Settings(release_namespace=NAMESPACE) == settings


def test_the_charts_defaults_are_the_companions_own(default: Rendered) -> None:
    """But for the ConfigMap that Michelangelo's own operators use."""
    settings = CompanionSettings.from_environ(environ(default, "companion"))
    own = CompanionSettings(
        release_namespace=NAMESPACE, release=f"{NAMESPACE}.{RELEASE}"
    )

    assert replace(own, profiles='{"default":[]}') == replace(
        settings, shadowing_config_maps=()
    )
    assert json.loads(own.profiles) == json.loads(settings.profiles)


def test_the_webhook_reads_whatever_the_chart_sets(serving: Rendered) -> None:
    """An unknown variable, or a value of the wrong shape, would stop it."""
    assert Settings.from_environ(environ(serving, "webhook"))


def test_the_companion_reads_whatever_the_chart_sets(rendered: Rendered) -> None:
    """The same, without a webhook too."""
    companion = CompanionSettings.from_environ(environ(rendered, "companion"))

    assert "default" in parse_profiles(companion.profiles)


def test_the_longest_names_make_a_release_that_both_can_say(chart: Chart) -> None:
    """Cut to a label's length, which may end in the middle of a name."""
    namespace, release = "n" * 59, "a--b"
    rendered = chart.render(release=release, namespace=namespace)
    companion = CompanionSettings.from_environ(environ(rendered, "companion"))

    assert f"{namespace}.a" == companion.release
    known = ReleaseName(namespace=namespace, name=release, instance=release)
    assert known.label == companion.release


def test_every_option_reaches_a_process(chart: Chart, default: Rendered) -> None:
    """With every value changed, every variable changes but the fixed paths."""
    changed = chart.render(files=[CI_VALUES[0]])
    for component in ("webhook", "companion"):
        before, after = environ(default, component), environ(changed, component)

        same = {name for name in before if before[name] == after[name]}
        assert same <= {"MTI_CERT_DIR", "MTI_RELEASE_NAMESPACE", "MTI_RELEASE"}


def test_a_profile_is_what_the_companion_reads(chart: Chart) -> None:
    """Keys and prefix included."""
    values: dict[str, Any] = {
        "tracking": {
            "existingSecret": "credentials",
            "profiles": {
                "research": [{"configMap": "c", "keys": ["A"], "prefix": "R_"}]
            },
        }
    }
    rendered = chart.render(values)

    profiles = parse_profiles(environ(rendered, "companion")["MTI_PROFILES"])
    (source,) = profiles["research"].sources
    assert ("ConfigMap/c", ("A",), "R_") == (
        str(source.ref),
        source.keys,
        source.prefix,
    )
    assert ["Secret/credentials"] == [
        str(source.ref) for source in profiles["default"].sources
    ]


def test_preset_and_aliases_belong_to_the_default_profile(chart: Chart) -> None:
    """And to any other that says so itself."""
    values: dict[str, Any] = {
        "tracking": {
            "uri": "https://mlflow.example.com",
            "preset": "mlflow",
            "aliases": {"MY_URI": "TRACKING_URI"},
            "profiles": {
                "research": {"sources": [{"secret": "c"}], "preset": "comet"},
            },
        }
    }
    rendered = chart.render(values)

    profiles = parse_profiles(environ(rendered, "companion")["MTI_PROFILES"])
    assert profiles["default"].preset == "mlflow"
    assert profiles["default"].aliases == {"MY_URI": "TRACKING_URI"}
    assert profiles["research"].preset == "comet"


def test_the_presets_are_those_that_the_companion_knows(chart: Chart) -> None:
    """Each renders, and is read."""
    for preset in PRESETS:
        values = {"tracking": {"existingSecret": "s", "preset": preset}}
        rendered = chart.render(values)

        profiles = parse_profiles(environ(rendered, "companion")["MTI_PROFILES"])
        assert profiles["default"].preset == preset


@pytest.mark.parametrize(
    ("ca", "expected"),
    [
        ({}, None),
        ({"existingConfigMap": "c", "key": "k"}, "ConfigMap/c, key k"),
        ({"existingSecret": "s"}, "Secret/s, key ca.crt"),
        (
            {"pem": "-----BEGIN CERTIFICATE-----"},
            "ConfigMap/tracking-injector-ca, key ca.crt",
        ),
    ],
)
def test_the_tracking_ca_is_where_the_values_say(
    chart: Chart, ca: dict[str, str], expected: str | None
) -> None:
    """Both processes know, and the companion may read it."""
    rendered = chart.render({"tracking": {"caBundle": ca}})

    source = parse_ca_source(environ(rendered, "companion")["MTI_TRACKING_CA_SOURCE"])
    mounts = environ(rendered, "webhook")["MTI_TRACKING_CA"]
    assert (source and str(source)) == expected
    assert mounts == ("off" if expected is None else "on")
    name = "" if source is None else f"[{json.dumps(source.ref.name)}]"
    assert f"resourceNames: {name}" in rendered.text
