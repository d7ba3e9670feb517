"""What `explain -o json` prints: a list with a member for each pod.

Its schema is published. A value leaves only when it is asked for.
"""

import msgspec

from webhook.cli.explanation import Explanation
from webhook.injection.environment import Variable


class ExplainedVariable(msgspec.Struct, frozen=True, kw_only=True):
    """One variable.

    Attributes:
        name: its name.
        kind: what it comes from: `tracking`, `literal`, `config-map` and so on.
        source: the place in the pod, and the object behind it.
        shadowed: sources that have it too and lose.
        value: only where it is asked for; null where it is not known.
    """

    name: str
    kind: str
    source: str
    shadowed: tuple[str, ...]
    value: str | msgspec.UnsetType | None = msgspec.UNSET


class ExplainedContainer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One container.

    Attributes:
        name: its name.
        task: whether it runs the task.
        variables: in the order in which it gets them.
        unresolved: sources whose keys are not known.
        waits_for: what has to be there before it starts.
        unfit: variables whose value no runtime takes, so that it does not start.
    """

    name: str
    task: bool
    variables: tuple[ExplainedVariable, ...]
    unresolved: tuple[str, ...]
    waits_for: tuple[str, ...]
    unfit: tuple[str, ...]


class ExplainedPod(msgspec.Struct, frozen=True, kw_only=True):
    """One pod.

    Attributes:
        document: where it was read.
        pod: which one it is.
        namespace: where it is, or would be.
        exists: it is explained as it is; otherwise as it would be.
        reason: why it has the keys, or has not.
        sentence: the same for people.
        workload: which kind of task pod; null for none.
        containers: in the pod's order.
        unread: what could not be read in the cluster.
    """

    document: str
    pod: str
    namespace: str
    exists: bool
    reason: str
    sentence: str
    workload: str | None
    containers: tuple[ExplainedContainer, ...]
    unread: tuple[str, ...]


def explained(explanation: Explanation, *, show_values: bool) -> ExplainedPod:
    """Return the document of one pod."""
    subject, workload = explanation.subject, explanation.decision.workload
    return ExplainedPod(
        document=subject.origin,
        pod=subject.title,
        namespace=subject.review.namespace,
        exists=subject.exists,
        reason=str(explanation.reason),
        sentence=explanation.sentence,
        workload=str(workload) if workload else None,
        containers=tuple(
            ExplainedContainer(
                name=name,
                task=name in explanation.tasks,
                variables=tuple(
                    _variable(one, show_values=show_values)
                    for one in env.variables.values()
                ),
                unresolved=tuple(env.unresolved),
                waits_for=tuple(env.waits_for),
                unfit=tuple(env.unfit),
            )
            for name, env in explanation.containers
        ),
        unread=explanation.unread,
    )


def _variable(variable: Variable, *, show_values: bool) -> ExplainedVariable:
    value = None if variable.value is None else printable(variable.value)
    return ExplainedVariable(
        name=variable.name,
        kind=str(variable.kind),
        source=variable.source,
        shadowed=tuple(variable.shadowed),
        value=value if show_values else msgspec.UNSET,
    )


def printable(value: str) -> str:
    """Return a value; a byte of it that is no text is shown by its number."""
    encoded = value.encode("utf-8", "surrogateescape")
    return encoded.decode("utf-8", "backslashreplace")
