"""Writes the pages of the reference that the code itself knows.

`.ci/run reference` runs it; a test compares the pages with what it would write.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import yaml

from webhook.cli.main import COMMANDS, cli
from webhook.egress.reasons import Reason as EgressReason
from webhook.injection.reasons import Reason, Rejection
from webhook.mirror.reasons import FindingReason, MirrorReason
from webhook.settings import CompanionSettings, Readable, Settings

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "tracking-injector"


def pages() -> dict[str, str]:
    """Each generated page by its file's name."""
    return {
        "cli.md": _command_line(),
        "reasons.md": _reasons(),
        "settings.md": _settings(),
        "values.md": _values((CHART / "values.yaml").read_text(encoding="utf-8")),
    }


def _command_line() -> str:
    group = click.Context(cli, info_name="tracking-injector", **cli.context_settings)
    sections = [f"## tracking-injector\n\n{_help(group, cli)}"]
    for name in COMMANDS:
        command = cli.get_command(group, name)
        if command is None:
            raise LookupError(name)
        context = click.Context(command, info_name=name, parent=group)
        sections.append(f"## {name}\n\n{_help(context, command)}")
    return (
        "# Command line\n\nWhat `--help` says, of each command. As "
        "`kubectl-tracking` on the path, the program is `kubectl tracking` as well.\n\n"
        + "\n".join(sections)
    )


def _help(context: click.Context, command: click.Command) -> str:
    context.max_content_width = context.terminal_width = 80
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"```text\n{text}\n```\n"


def _reasons() -> str:
    return f"""# Reasons

One vocabulary: a reason is the label of a metric, the field of a log line, the reason
of an Event and the word that the command line prints.

## Of a decision about a pod

{_table(Reason)}
## Of a body that is no review

The answer is a JSON error, and the pod is admitted by the webhook's failure policy.

{_table(Rejection)}
## Of a namespace's mirror

{_table(MirrorReason)}
## Of a key of a source

{_table(FindingReason)}
## Of a namespace's egress

{_table(EgressReason)}"""


def _table(
    reasons: Iterable[Reason | Rejection | MirrorReason | FindingReason | EgressReason],
) -> str:
    rows = [f"| `{reason}` | {reason.sentence} |" for reason in reasons]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows, ""])


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
        for row in settings.table()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _values(text: str) -> str:
    defaults = yaml.safe_load(text)
    rows = []
    for path, doc in _documented(text):
        default = defaults
        for name in path:
            default = default[name]
        rows.append(f"| `{'.'.join(path)}` | {_code(json.dumps(default))} | {doc} |")
    head = ["| value | default | meaning |", "|---|---|---|"]
    return (
        "# Values of the chart\n\nEvery value, as `values.yaml` documents it. The "
        "schema refuses any other, and combinations\nthat cannot work are refused in a "
        "sentence.\n\n" + "\n".join([*head, *rows, ""])
    )


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
