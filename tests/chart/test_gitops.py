"""A GitOps controller that renders the chart again and again finds peace."""

import re

from tests.chart.rendering import CHART, EVERY_VALUES, Chart


def test_two_renders_are_byte_identical(chart: Chart) -> None:
    """A GitOps controller that renders again finds no difference."""
    for file in EVERY_VALUES:
        files = [file] if file else []

        assert chart.render(files=files).text == chart.render(files=files).text


def test_no_template_asks_the_cluster_the_clock_or_chance() -> None:
    """So `helm template` on a laptop renders what `helm install` does."""
    impure = re.compile(
        r"\b(lookup|gen[A-Z]\w+|rand[A-Z]\w+|now|uuidv4|getHostByName|env|expandenv"
        r"|htpasswd|bcrypt|derivePassword|\.Release\.(IsInstall|IsUpgrade|Revision))\b"
    )
    actions = {
        path.name: re.findall(r"\{\{-?(.*?)-?\}\}", path.read_text("utf-8"), re.DOTALL)
        for path in (CHART / "templates").rglob("*")
        if path.is_file()
    }

    found = [
        (name, action)
        for name, found in actions.items()
        for action in found
        if not action.strip().startswith("/*") and impure.search(action)
    ]

    assert found == []


def test_lint_has_nothing_to_say(chart: Chart) -> None:
    """`helm lint --strict`, with every values file."""
    for file in EVERY_VALUES:
        values = ("--values", file) if file else ()
        said = chart.run("lint", "--strict", "--kube-version", "1.36.3", *values, CHART)

        assert "0 chart(s) failed" in said
