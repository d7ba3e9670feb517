"""Writes the pages of the reference that the code itself knows.

`.ci/run reference` runs it; a test compares the pages with what it would write.
"""

from collections.abc import Iterable
from pathlib import Path

import click

from webhook.cli.main import COMMANDS, cli
from webhook.injection.reasons import Reason, Rejection
from webhook.mirror.reasons import FindingReason, MirrorReason
from webhook.settings import PREFIX, Settings

HERE = Path(__file__).parent


def pages() -> dict[str, str]:
    """Each generated page by its file's name."""
    return {
        "cli.md": _command_line(),
        "reasons.md": _reasons(),
        "settings.md": _settings(),
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

{_table(FindingReason)}"""


def _settings() -> str:
    rows = [
        f"| `{row.variable}` | {_code(row.default)} | {row.doc} |"
        for row in Settings.table()
    ]
    table = "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])
    return f"""# Settings of the webhook

Environment variables of `tracking-injector serve`; options of the command beat them.
A name that begins with `{PREFIX}` and is not in the table is an error.

{table}
"""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(
    reasons: Iterable[Reason | Rejection | MirrorReason | FindingReason],
) -> str:
    rows = [f"| `{reason}` | {reason.sentence} |" for reason in reasons]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
