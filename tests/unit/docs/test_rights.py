"""What the pages say of rights, and of what is left in namespaces, is all of it."""

import re
from typing import Final

import pytest

from tests.documentation import ROOT, blocks, lines
from webhook.injection.names import RELEASE_LABEL

TEMPLATES: Final = ROOT / "charts" / "tracking-injector" / "templates"
MODEL: Final = (ROOT / "docs/explanation/threat-model.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["companion-rbac.yaml", "uninstall.yaml"])
def test_every_right_is_told(name: str) -> None:
    """Each resource in a role of the chart is in the view of all rights."""
    view = MODEL.partition("## Rights, in one view")[2].partition("## ")[0].lower()
    template = (TEMPLATES / name).read_text("utf-8")
    # What other engines have is told by the value that gives the right to see it.
    template = re.sub(r"(?s)readOtherEngines }}.*?{{- end }}", "", template)
    text = re.sub(r"{{.*?}}", "", template)
    lists = re.findall(r"resources: \[(.*?)\]", text)
    words = {one.strip() for line in lists for one in line.split(",") if one.strip()}

    assert len(words) > 1
    assert [one for one in sorted(words) if re.sub("i?e?s$", "", one) not in view] == []


def test_what_the_companion_leaves_is_taken_away_by_one_line() -> None:
    """Every kind that it creates in compute namespaces, Events apart, by its label."""
    template = (TEMPLATES / "companion-rbac.yaml").read_text("utf-8")
    written = template.partition("-write\n")[2].partition("{{- if eq .Values.rbac")[0]
    made = re.findall(r"resources: \[(\w+)\]\n +verbs: \[[^\]\n]*create", written)
    page = ROOT / "docs/how-to/uninstall.md"
    removals = [
        line.split()
        for block in blocks(page, "console")
        for line in lines(block)
        if RELEASE_LABEL in line
    ]

    assert len(removals) == 2  # without Helm, and without its hooks
    for words in removals:
        assert words[:2] == ["kubectl", "delete"]
        assert set(words[2].split(",")) == set(made) - {"events"}
