"""Writes the pages of the reference that the code itself knows.

`.ci/run reference` runs it; a test compares the pages with what it would write.
"""

from pathlib import Path

from webhook.injection.reasons import Reason, Rejection

HERE = Path(__file__).parent


def pages() -> dict[str, str]:
    """Each generated page by its file's name."""
    return {"reasons.md": _reasons()}


def _reasons() -> str:
    return f"""# Reasons

One vocabulary: a reason is the label of a metric, the field of a log line, the reason
of an Event and the word that the command line prints.

## Of a decision about a pod

{_table(Reason)}
## Of a body that is no review

The answer is a JSON error, and the pod is admitted by the webhook's failure policy.

{_table(Rejection)}"""


def _table(reasons: type[Reason] | type[Rejection]) -> str:
    rows = [f"| `{reason}` | {reason.sentence} |" for reason in reasons]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text)
