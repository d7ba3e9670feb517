"""Whoever renders the chart, and however often, gets the same."""

import json
import re

from tests.chart.rendering import CHART, EVERY_VALUES, KUBERNETES, Chart, Rendered
from tests.lab.build import Toolbox


def test_two_renders_are_byte_identical(by_each_helm: Chart) -> None:
    """A GitOps controller that renders again finds no difference."""
    for file in EVERY_VALUES:
        files = [file] if file else []
        once, again = (by_each_helm.render(files=files).text for _ in range(2))

        assert once == again


def test_both_helms_render_the_same_objects(toolbox: Toolbox) -> None:
    """Helm 4 puts a blank line between documents and the Lease elsewhere."""
    three, four = (Chart(toolbox.program(name)) for name in ("helm", "helm-4"))
    for file in EVERY_VALUES:
        files = [file] if file else []

        assert objects(three.render(files=files)) == objects(four.render(files=files))


def objects(rendered: Rendered) -> list[str]:
    """Every object, with its fields in order; the order of objects does not matter."""
    return sorted(json.dumps(one, sort_keys=True) for one in rendered.manifests)


def test_no_template_asks_the_cluster_the_clock_or_chance() -> None:
    """So `helm template` on a laptop renders what `helm install` does.

    One look at the cluster only refuses: at a second release.
    """
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

    refusal = 'range (lookup "rbac.authorization.k8s.io/v1"'
    assert [(name, refusal in action) for name, action in found] == [
        ("_validate.tpl", True)
    ]


def test_lint_has_nothing_to_say(by_each_helm: Chart) -> None:
    """`helm lint --strict`, with every values file."""
    for file in EVERY_VALUES:
        values = ("--values", file) if file else ()
        command = ("lint", "--strict", "--kube-version", KUBERNETES)
        said = by_each_helm.run(*command, *values, CHART)

        assert "0 chart(s) failed" in said
