"""What a person wants to know of a pod's environment, as tables and as single lines.

A value leaves only when it is asked for.
"""

import json
from collections.abc import Iterator, Sequence

import msgspec
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from webhook.cli.explain_document import explained, printable
from webhook.cli.explanation import Explanation
from webhook.cli.output import rendered
from webhook.injection.environment import Environment, Variable, VariableSource
from webhook.injection.names import MIRROR_SECRET

_MIRROR = f"Secret {MIRROR_SECRET}"
_WORDS = {
    VariableSource.LITERAL: "literal",
    VariableSource.FIELD: "field of the pod",
    VariableSource.TRACKING: "tracking keys",
}
"""Kinds with a better word in a table than the source's own text."""


_GIVE = (
    "Give the Secret or ConfigMap of the tracking keys by --source FILE to see each "
    "key."
)
_NAME_WIDTH = 36
"""A longer name is folded; KubeRay's longest takes 35 columns."""


def as_tables(
    explanations: Sequence[Explanation], console: Console, *, show_values: bool
) -> str:
    """A table for each container, in the console's width and, on a terminal, color.

    Args:
        explanations: In their order.
        console: Where the text will go.
        show_values: Whether the tables have a column for values.

    Returns:
        The text, without blanks at the ends of lines.
    """
    shown = [
        part
        for explanation, more in _alike(explanations, show_values=show_values)
        for part in _parts(explanation, show_values=show_values, more=more)
    ]
    offline = [one for one in explanations if not one.unread]
    if any(_hides_keys(env) for one in offline for _, env in one.containers):
        shown.append(_GIVE)
    return rendered(console, *shown)


def _alike(
    explanations: Sequence[Explanation], *, show_values: bool
) -> Iterator[tuple[Explanation, int]]:
    """Yield one of each sort of pods, and how many more are explained alike.

    Workers of a group differ by their names alone.
    """
    sorts: dict[bytes, list[Explanation]] = {}
    for one in explanations:
        data = explained(one, show_values=show_values)
        if one.subject.exists:
            data = msgspec.structs.replace(data, pod="")
        sorts.setdefault(msgspec.json.encode(data), []).append(one)
    for members in sorts.values():
        yield members[0], len(members) - 1


def _parts(
    explanation: Explanation, *, show_values: bool, more: int
) -> Iterator[RenderableType]:
    subject, decision = explanation.subject, explanation.decision
    others = f", and {more} more like it" if more else ""
    yield Text(f"{subject.title} ({subject.origin}){others}", style="bold")
    outcome = f"{decision.workload or 'no task pod'}, {explanation.reason}"
    yield Text(f"{outcome}: {explanation.sentence}")
    for name, env in explanation.containers:
        role = "runs the task" if name in explanation.tasks else "is left alone"
        yield Padding(Text(f"Container {name} {role}."), (1, 0, 0, 2))
        yield Padding(_table(env, show_values=show_values), (0, 0, 0, 2))
        for what in env.waits_for:
            yield Text(f"  It does not start before {what} is there.")
        for key in env.unfit:
            said = f"It may not start: not every node takes the value of {key}."
            yield Text(f"  {said}")
    for line in explanation.unread:
        yield Text(f"Not known: {line}", style="yellow")
    yield ""


def key_lines(explanation: Explanation, key: str, *, show_values: bool) -> list[str]:
    """Return one line for each task container: where it has one key from, or why not.

    Args:
        explanation: Of one pod.
        key: A variable's name.
        show_values: Whether the value is told.
    """
    title, lines = explanation.subject.title, []
    would = "" if explanation.subject.exists else "would come "
    for name, env in explanation.containers:
        if name not in explanation.tasks:
            continue
        variable = env.variables.get(key)
        if variable is not None:
            said = f"{would or 'comes '}from {variable.source}"
            if variable.shadowed:
                said += f", over {', '.join(variable.shadowed)}"
            if show_values:
                said += f": {_value(variable).plain}"
        elif env.unresolved:
            said = f"may come from {', '.join(env.unresolved)}, not known here"
        else:
            said = f"is not set. {explanation.reason}: {explanation.sentence}"
        lines.append(f"{title}, container {name}: {key} {said}")
    if not lines:
        said = f"is not set. {explanation.reason}: {explanation.sentence}"
        lines.append(f"{title}: {key} {said}")
    return lines


def _table(env: Environment, *, show_values: bool) -> Table | Text:
    if not env.variables and not env.unresolved:
        return Text("It has no variables of its own.")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    longest = max(map(len, env.variables), default=0)
    table.add_column("variable", overflow="fold", no_wrap=longest <= _NAME_WIDTH)
    table.add_column("comes from", overflow="fold")
    if show_values:
        table.add_column("value", overflow="fold")
    for place in env.unresolved:
        unknown = [Text("not given", style="dim")] if show_values else []
        table.add_row("(all its keys)", _source(place), *unknown)
    for variable in env.variables.values():
        places = [_source(variable.source, variable.kind)]
        places += [Text("over ").append(_source(lost)) for lost in variable.shadowed]
        values = [_value(variable)] if show_values else []
        table.add_row(Text(variable.name), Text("\n").join(places), *values)
    return table


def _source(source: str, kind: VariableSource | None = None) -> Text:
    """Shorten `envFrom[0] Secret a` to what a table needs."""
    place, _, what = source.partition(" ")
    if what == _MIRROR:
        kind = VariableSource.TRACKING
    word = _WORDS.get(kind, what) if kind else what
    style = "green" if kind is VariableSource.TRACKING else ""
    return Text(f"{place} {word}".rstrip(), style=style)


def _value(variable: Variable) -> Text:
    if variable.value is None:
        later = variable.kind in (VariableSource.FIELD, VariableSource.FILE)
        return Text("set at start" if later else "not known", style="dim")
    value = printable(variable.value)
    # A terminal would obey a control character.
    return Text(value if value.isprintable() else json.dumps(value, ensure_ascii=False))


def _hides_keys(env: Environment) -> bool:
    return any(place.endswith(f" {_MIRROR}") for place in env.unresolved)
