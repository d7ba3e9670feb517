"""Writes the pages of the reference that the code itself knows, and the chart's.

`.ci/run reference` runs it; a test compares the pages with what it would write.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise, takewhile
from pathlib import Path
from textwrap import fill
from types import ModuleType
from typing import Any, NamedTuple

import click
import msgspec
import yaml
from kubernetes.client import ApiClient, Configuration
from prometheus_client import CollectorRegistry

from tests.lab.versions import tried
from webhook import __version__
from webhook.cli.doctor_view import DoctorDocument
from webhook.cli.explain_document import ExplainedPod
from webhook.cli.explanation import ExplainReason
from webhook.cli.fleet import FleetDocument
from webhook.cli.main import cli
from webhook.cli.manifests import as_yaml
from webhook.cli.status_document import StatusDocument
from webhook.cli.version import VersionDocument
from webhook.cluster.config import ClusterConnection
from webhook.cluster.rest import RestClient
from webhook.companion.audit import AuditReason
from webhook.companion.build import Outside, build_companion
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.status import StatusReason
from webhook.companion.watches import WatchReason
from webhook.doctor.check import Check
from webhook.doctor.registry import CLUSTER, NAMESPACE, PREFLIGHT, PROBE
from webhook.egress.reasons import EgressReason
from webhook.injection import names
from webhook.injection.admission_policy.objects import constant_part
from webhook.injection.reasons import InjectionReason, Rejection
from webhook.jsonlog import JsonLog
from webhook.mirror import secret
from webhook.mirror.certificates import TrackingCaReason
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.reason import Reason
from webhook.server.metrics import ServerMetrics
from webhook.settings import PREFIX, CompanionSettings, Readable, Settings

HERE = Path(__file__).parent
KINDS = ("LABEL", "ANNOTATION", "SECRET", "MAP", "TYPE")
"""How the constants of names end that the page of labels shows."""
CHART = HERE.parents[1] / "charts" / "tracking-injector"
OCI_CHART = "oci://ghcr.io/michelangelo-ai/charts/tracking-injector"
"""Where a release puts the chart."""
DOCS = "https://github.com/michelangelo-ai/tracking-injector/blob/main/docs"


def pages() -> dict[str, str]:
    """Each generated page by its file's name."""
    return {
        "alerts.md": _alerts((CHART / "files" / "alerts.yaml").read_text("utf-8")),
        "checks.md": _checks(),
        "cli.md": _command_line(),
        "compatibility.md": _compatibility(),
        "doctor.schema.json": _schema(DoctorDocument),
        "explain.schema.json": _schema(list[ExplainedPod]),
        "fleet.schema.json": _schema(FleetDocument),
        "labels.md": _labels(),
        "metrics.md": _metrics(),
        "reasons.md": _reasons(),
        "report.schema.json": _schema(PublishedReport),
        "settings.md": _settings(),
        "status.schema.json": _schema(StatusDocument),
        "values.md": _values(_read(CHART / "values.yaml")),
        "../../charts/tracking-injector/README.md": _chart(
            _read(CHART / "values.yaml")
        ),
        "../../charts/tracking-injector/files/admission-policy.yaml": (
            _admission_policy()
        ),
        "../../charts/tracking-injector/Chart.yaml": _versions(
            _read(CHART / "Chart.yaml")
        ),
        "version.schema.json": _schema(VersionDocument),
    }


_LABEL_IN_TEXT = re.compile(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}")


def _alerts(text: str) -> str:
    """A section for each alert, under the name that its `runbook_url` ends with."""
    sections = []
    for alert in yaml.safe_load(text)["alerts"]:
        summary, description = (
            _LABEL_IN_TEXT.sub(lambda label: label[1].upper(), alert[part])
            for part in ("summary", "description")
        )
        severity = alert["severity"]
        lasting = f", after {alert['for']}" if "for" in alert else ""
        expression = re.sub(r"\$OWN(, )?", "", alert["expr"]).replace("{}", "")
        sections.append(
            f"## {alert['alert']}\n\n"
            f"{fill(f'**{summary}** ({severity}{lasting})', 118)}\n\n"
            f"{fill(description, 118)}\n\n```text\n{expression}\n```\n"
        )
    return (
        "# Alerts\n\nWhat `metrics.prometheusRule.enabled` installs, what each means "
        "and what to do. Expressions leave out the release's\nnamespace; words in "
        "capitals follow from the [values](values.md).\n\n" + "\n".join(sections)
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _admission_policy() -> str:
    return (
        "# What is the same in every release's MutatingAdmissionPolicy. Made by\n"
        "# `.ci/run reference` from webhook/injection/admission_policy.\n"
        + as_yaml([constant_part()])
    )


def _dedented(schema: Any) -> Any:
    """A schema with descriptions that every Python gives: 3.13 dedents docstrings."""
    if isinstance(schema, dict):
        found = {name: _dedented(inner) for name, inner in schema.items()}
        if isinstance(found.get("description"), str):
            found["description"] = inspect.cleandoc(found["description"])
        return found
    return [_dedented(one) for one in schema] if isinstance(schema, list) else schema


def _schema(document: Any) -> str:
    """The JSON Schema, draft 2020-12, of what a command prints with `-o json`."""
    text = json.dumps(_dedented(msgspec.json.schema(document)), indent=2)
    return f"{text}\n"


def _command_line() -> str:
    group = click.Context(cli, info_name="tracking-injector", **cli.context_settings)
    sections = [f"## tracking-injector\n\n{_help(group, cli)}", *_within(group, cli)]
    return (
        "# Command line\n\nWhat `--help` says, of each command. As "
        "`kubectl-tracking` on the path, the program is `kubectl tracking` as well.\n\n"
        "What `-o json` prints is described by JSON Schemas: of "
        "[`status`](status.schema.json) and the companion's\n"
        "[report](report.schema.json) in it, of "
        "[`status --all-contexts`](fleet.schema.json),\n"
        "[`doctor`](doctor.schema.json), [`explain`](explain.schema.json) and "
        "[`version`](version.schema.json). New fields\nmay come; none changes its "
        "meaning without a new `schema` number.\n\n" + "\n".join(sections)
    )


def _checks() -> str:
    sections = [
        f"## {title}\n\n"
        + "\n".join(_check(one) for checks in groups.values() for one in checks)
        for title, groups in (
            ("Before an install, `--pre`", PREFLIGHT),
            ("Of the installation", CLUSTER),
            ("Of each compute namespace", NAMESPACE),
            ("From inside of a pod, `--probe`", PROBE),
        )
    ]
    return (
        "# Checks\n\nWhat `kubectl tracking doctor` examines, in the order of causes: "
        "what comes first among the failures\nis what to mend first. The faults "
        "that it was tried on are in [their own table](faults.md), those of a\nnode "
        "[in another](faults-on-a-node.md).\n\n" + "\n".join(sections)
    )


def _compatibility() -> str:
    rows = [f"| {row.program} | {row.version} | {row.what} |" for row in tried()]
    head = ["| program | version | what is tried with it |", "|---|---|---|"]
    return (
        "# Compatibility\n\nWhat the tests run the product with. The chart asks for "
        "Kubernetes 1.30 or newer.\n\n"
        + "\n".join([*head, *rows, ""])
        + "\nThe Go module proxy does not serve KubeRay 1.7, so no test builds it: its "
        "pods bear the labels and\nthe start command of 1.6, by which they are "
        "recognized.\n"
    )


def _within(context: click.Context, group: click.Group) -> Iterator[str]:
    """Yield a section for each command of a group, and for those within it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            raise LookupError(name)
        inner = click.Context(command, info_name=name, parent=context)
        _, _, path = inner.command_path.partition(" ")
        level = "#" * len(inner.command_path.split())
        yield f"{level} {path}\n\n{_help(inner, command)}"
        if isinstance(command, click.Group):
            yield from _within(inner, command)


def _check(check: Check[Any]) -> str:
    """Return a check's section; its heading is what `see:` links to."""
    said = f"{check.outcome.symbol} {check.sentence}"
    holds = f"In order: {check.title}."
    if check.after:
        holds += f" Not examined after `{'`, `'.join(check.after)}`."
    paragraphs = "\n\n".join(textwrap.fill(one, 118) for one in (said, holds))
    return f"### {check.code}\n\n{paragraphs}\n\n```console\n{check.remedy}\n```\n"


def _help(context: click.Context, command: click.Command) -> str:
    context.max_content_width = context.terminal_width = 80
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"```text\n{text}\n```\n"


def _reasons() -> str:
    return f"""# Reasons

One vocabulary: a reason is the label of a metric, the field of a log line, the reason
of an Event and the word that the command line prints.

## Of a decision about a pod

{_table(InjectionReason)}
## Of a body that is no review

The answer is a JSON error, and the pod is admitted by the webhook's failure policy.

{_table(Rejection)}
## Of a namespace's mirror

{_table(MirrorReason)}
## Of the tracking server's CA in a namespace

{_table(TrackingCaReason)}
## Of a task pod, by the auditor

{_table(AuditReason)}
## Of a pod whose cluster `explain` cannot ask

{_table(ExplainReason)}
## Of a key of a source

{_table(KeyReason)}
## Of a namespace's egress

{_table(EgressReason)}
## Of the webhook's certificates

{_table(RotationReason)}
## Of an installation as a whole

What `status` and `doctor` say besides the reasons above.

{_table(InstallationReason)}
## Of a watch of the companion

{_table(WatchReason)}
## Of the companion's report

{_table(StatusReason)}"""


def _table(reasons: Iterable[Reason]) -> str:
    rows = [f"| `{reason}` | {reason.sentence} |" for reason in reasons]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows, ""])


def _labels() -> str:
    documented = [
        (value, " ".join(doc.split()))
        for module in (names, secret)
        for value, doc in _constants(module)
    ]
    rows = [f"| `{value}` | {doc} |" for value, doc in documented]
    return (
        "# Labels, annotations and other names\n\nEvery name of ours that a cluster "
        "sees; the chart's objects are named after the release.\n\n"
        + "\n".join(["| name | where, and what it says |", "|---|---|", *rows, ""])
    )


def _constants(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The value of each constant that is a name, and the text right below it.

    Constants one below the other share the text below the last.
    """
    waiting: list[str] = []
    for one in ast.parse(inspect.getsource(module)).body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            waiting.append(one.target.id)
        elif isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
            for name in waiting:
                if name.rpartition("_")[2] in KINDS:
                    yield getattr(module, name), str(one.value.value)
            waiting = []


def _metrics() -> str:
    webhook = CollectorRegistry()
    ServerMetrics(webhook)
    nowhere = ClusterConnection(RestClient(ApiClient(Configuration()), manager=""), "")
    clock = partial(datetime.min.replace, tzinfo=UTC)
    outside = Outside(log=JsonLog(len, clock), clock=clock)
    companion = build_companion(nowhere, CompanionSettings(), outside).registry
    return f"""# Metrics

What `/metrics` tells, of each process. A label's values are in
[reasons](reasons.md) where they are reasons.

## Of the webhook

{_families(webhook)}
## Of the companion

What is about the cluster comes from the replica that leads, and from no other.

{_families(companion)}"""


def _families(registry: CollectorRegistry) -> str:
    rows = []
    # The library tells the names of labels nowhere else while there are no samples.
    for collector in registry._collector_to_names:
        for one in collector.collect():
            labels = getattr(collector, "_labelnames", getattr(one, "_labelnames", ()))
            name = f"{one.name}_total" if one.type == "counter" else one.name
            named = ", ".join(f"`{label}`" for label in labels)
            rows.append(f"| `{name}` | {one.type} | {named} | {one.documentation} |")
    head = ["| metric | type | labels | what it tells |", "|---|---|---|---|"]
    return "\n".join([*head, *sorted(rows), ""])


def _settings() -> str:
    return f"""# Settings

Environment variables of the two processes. The chart sets them from its
[values](values.md); an unknown `MTI_*` variable is an error.

## Of the webhook, `tracking-injector serve`

{_variables(Settings)}
## Of the companion, `tracking-injector companion`

{_variables(CompanionSettings)}"""


def _variables(settings: type[Readable]) -> str:
    rows = [
        f"| `{row.variable}` | {_code(row.default)} | {row.doc} |"
        for row in variables(settings)
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


class Row(NamedTuple):
    """One setting as the reference shows it."""

    variable: str
    default: str
    doc: str


def variables(settings: type[Readable]) -> Iterator[Row]:
    """Return a row for each field, those that all settings share last.

    Its meaning is the text right below it.
    """
    shared = _documentation(Readable)
    docs = shared | _documentation(settings)
    for one in sorted(fields(settings), key=lambda each: each.name in shared):
        shown, constraint = one.default, one.metadata.get("constraint")
        must = f" Must be {constraint.wanted}." if constraint else ""
        yield Row(
            variable=PREFIX + one.name.upper(),
            default=",".join(shown) if isinstance(shown, tuple) else str(shown),
            doc=docs[one.name] + must,
        )


def _documentation(settings: type[Readable]) -> dict[str, str]:
    """The text below each field of a class."""
    (definition,) = ast.parse(inspect.getsource(settings)).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - narrows the type
    return {
        field.target.id: " ".join(ast.literal_eval(below.value).split())
        for field, below in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr)
    }


def _values(text: str) -> str:
    return (
        "# Values of the chart\n\nEvery value, as `values.yaml` documents it. The "
        "schema refuses any other, and combinations\nthat cannot work are refused in a "
        f"sentence.\n\n{_value_rows(text)}"
    )


def _chart(text: str) -> str:
    """The chart's own page, which Artifact Hub and `helm show readme` show."""
    metadata = yaml.safe_load(_read(CHART / "Chart.yaml"))
    presets = "\n".join(
        f"| `{path.name}` | {_first_sentence(_read(path))} |"
        for path in sorted((CHART / "presets").glob("*.yaml"))
    )
    return f"""# {metadata["name"]}

{metadata["description"]}
Label a namespace, and every Ray head, Ray worker, Spark driver and Spark executor
created there from then on has them in its environment.

```console
kubectl create namespace ml-tracking
helm install tracking-injector {OCI_CHART} \\
  --version {__version__} -n ml-tracking --set tracking.uri=https://mlflow.example.com
kubectl label namespace team-a tracking.michelangelo-ai.org/inject=enabled
```

Kubernetes `{metadata["kubeVersion"]}`, Helm 3 or 4. More: how to [install], use
[Argo CD or Flux], [upgrade] and [uninstall].

[install]: {DOCS}/how-to/install.md
[Argo CD or Flux]: {DOCS}/how-to/gitops.md
[upgrade]: {DOCS}/how-to/upgrade.md
[uninstall]: {DOCS}/how-to/uninstall.md

## Presets

Values files in the chart, for platforms that differ; they combine.

| preset | for |
|---|---|
{presets}

## Values

The schema refuses any other.

{_value_rows(text)}"""


def _first_sentence(text: str) -> str:
    """The first sentence of the comment that a file begins with."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    comment = " ".join(line.removeprefix("#").strip() for line in lines)
    return comment.split(". ")[0].split(": ")[0].rstrip(".") + "."


def _versions(text: str) -> str:
    """Chart.yaml with the product's version, wherever it says one."""
    places = r'^(version: |appVersion: "|.*/tracking-injector:)[0-9][-+.0-9A-Za-z]*'
    return re.sub(places, rf"\g<1>{__version__}", text, flags=re.MULTILINE)


def _value_rows(text: str) -> str:
    defaults = yaml.safe_load(text)
    rows = []
    for path, doc in _documented(text):
        default = defaults
        for name in path:
            default = default[name]
        rows.append(f"| `{'.'.join(path)}` | {_code(json.dumps(default))} | {doc} |")
    head = ["| value | default | meaning |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _documented(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key right below a comment that begins with `# --`, and that comment."""
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        said = line.strip()
        if said.startswith("# --"):
            comment = [said.removeprefix("# --").strip()]
        elif said.startswith("#") and comment:
            comment.append(said.removeprefix("#").strip())
        elif key := re.match(r"( *)(\w+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if comment:
                yield tuple(path), " ".join(comment)
            comment = []


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
