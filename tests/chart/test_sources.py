"""How the sources in the values reach the companion."""

import json

from tests.chart.rendering import RELEASE, Chart, Rendered


def test_the_short_forms_make_the_default_profile(chart: Chart) -> None:
    """Address, ConfigMap, Secret: later ones win."""
    rendered = chart.render(
        {
            "tracking": {
                "uri": "https://tracker.example",
                "existingConfigMap": "a",
                "existingSecret": "b",
            }
        }
    )
    source = rendered.one("ConfigMap", f"{RELEASE}-uri")

    assert {"TRACKING_URI": "https://tracker.example"} == source["data"]
    assert {
        "default": [
            {"configMap": f"{RELEASE}-uri"},
            {"configMap": "a"},
            {"secret": "b"},
        ]
    } == json.loads(setting(rendered, "MTI_PROFILES"))


def setting(rendered: Rendered, name: str) -> str:
    """A setting of the companion."""
    (container,) = rendered.deployment("companion")["spec"]["template"]["spec"][
        "containers"
    ]
    (found,) = [one["value"] for one in container["env"] if one["name"] == name]
    return str(found)
