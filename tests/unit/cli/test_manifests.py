"""Scalars mean what they mean to kubectl, and keep their meaning when written."""

import io
from typing import Any

import pytest

from webhook.cli.manifests import as_json, as_yaml, read

SCALARS: dict[str, Any] = {
    "y": True,
    "No": False,
    "off": False,
    "'y'": "y",
    "~": None,
    "": None,
    "0x10": 16,
    "0644": 420,
    "0o17": 15,
    "1_000": 1000,
    "-5": -5,
    "09": 9.0,
    "1e3": 1000.0,
    ".5": 0.5,
    "1.": 1.0,
    "12:30": "12:30",
    "2026-01-01": "2026-01-01",
    "2026-01-01T00:00:00Z": "2026-01-01T00:00:00Z",
    "1.2.3": "1.2.3",
    "5000m": "5000m",
    "=": "=",
}


def read_text(text: str) -> list[dict[str, Any]]:
    """The contents of a file's documents."""
    return [document.content for document in read(io.BytesIO(text.encode()))]


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_a_scalar_is_what_kubectl_takes_it_for(text: str, value: Any) -> None:
    """As go-yaml resolves it; checked against sigs.k8s.io/yaml 1.6."""
    (content,) = read_text(f"kind: A\nvalue: {text}")

    assert (value, type(value)) == (content["value"], type(content["value"]))


def test_keys_are_text_and_merged_maps_are_copies() -> None:
    """What JSON cannot express is gone before anything is decided."""
    (content,) = read_text("kind: A\nbase: &b {5: x}\nother: {<<: *b, on: y}")

    content["base"]["5"] = "changed"
    assert {"5": "x", "true": True} == content["other"]


def test_concatenated_json_is_as_many_documents() -> None:
    """As `jq` prints it, with blanks around."""
    assert [{"kind": "A"}, {"kind": "B"}] == read_text(
        '\n{"kind":"A"}\n\n{"kind":"B"} '
    )


def test_a_flow_map_is_yaml() -> None:
    """It begins with a brace, as JSON does."""
    assert [{"kind": "A", "b": [1]}] == read_text("{kind: A, b: [1]}")


def test_text_that_looks_like_something_else_is_quoted() -> None:
    """For readers of YAML 1.1, of 1.2 and for go-yaml alike."""
    values = [
        "1e3",
        "y",
        "No",
        "0o17",
        "12:30",
        "2026-01-01",
        "~",
        "",
        "<<",
        "a",
        "1_0",
    ]

    text = as_yaml([{"values": values}])

    quoted = [line.startswith("- '") for line in text.splitlines()[1:]]
    assert [value != "a" for value in values] == quoted


def test_lines_stay_lines_and_order_stays_order() -> None:
    """A script in a ConfigMap can still be read."""
    assert "b: |\n  1\n  2\na: []\n" == as_yaml([{"b": "1\n2\n", "a": []}])
    assert '{\n  "b": 1,\n  "a": "é"\n}\n' == as_json([{"b": 1, "a": "é"}])
