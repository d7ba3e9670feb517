"""`inject`: manifests as the webhook would leave them."""

from collections.abc import Sequence
from typing import IO

import click
import jsonpatch

from webhook.cli.manifests import WRITERS, read
from webhook.cli.options import filenames, namespace, with_policy
from webhook.cli.output import emit, say, with_output
from webhook.cli.pods import PodInManifest, subjects
from webhook.injection.decision import Decision, decide
from webhook.injection.patch import Operation
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason


@click.command()
@filenames
@namespace
@with_policy
@click.option(
    "--patch",
    "as_patch",
    is_flag=True,
    help="Print the RFC 6902 operations on each document, not the documents.",
)
@with_output(
    "yaml",
    "json",
    default=None,
    help="Default: yaml for manifests, json for operations.",
)
def inject(
    *,
    files: tuple[IO[bytes], ...],
    namespace: str,
    policy: InjectionPolicy,
    as_patch: bool,
    output: str | None,
) -> None:
    """Print manifests as the webhook would leave them.

    Changes each Pod, be it on its own, in a List or in an AdmissionReview, and the
    pod template of a Job, CronJob, Deployment and their like that opts in. Every
    other document passes through, in its place and with its fields in their order.
    A RayCluster, RayJob, SparkApplication and their like pass through as well: the
    webhook acts on the pods that their operators create. What happens to each
    pod, and what would happen to theirs, is said on standard error.

    \b
    Examples:
      tracking-injector inject -f pod.yaml
      tracking-injector inject -f pod.yaml --patch
      helm template chart | tracking-injector inject -f - | kubectl apply -f -
      tracking-injector inject -f ray-cluster.yaml >/dev/null

    \b
    Exit codes:
      0  printed, whether or not a pod was changed
      2  bad arguments, or input that is no manifest
    """  # noqa: D301 - \b is the character that click looks for
    documents = [document for file in files for document in read(file)]
    results = []
    for document in documents:
        operations: list[Operation] = []
        for subject in subjects(document, namespace):
            decision = decide(subject.review, policy)
            say(note(subject, decision), err=True)
            operations += operations_on_document(subject, decision)
        results.append(
            operations
            if as_patch
            else jsonpatch.apply_patch(document.content, operations)
        )
    output = output or ("json" if as_patch else "yaml")
    emit(WRITERS[output](results))


def operations_on_document(
    subject: PodInManifest, decision: Decision
) -> Sequence[Operation]:
    """The decision's operations, their paths led through the document to the pod.

    Args:
        subject: The pod.
        decision: On that pod.

    Returns:
        RFC 6902 operations on the document; none for a pod that does not exist yet.
    """
    if subject.pointer is None:
        return []
    return [
        operation | {"path": subject.pointer + operation["path"]}
        for operation in decision.patch
    ]


def note(subject: PodInManifest, decision: Decision) -> str:
    """One line for a person: which pod, what happens to it, and why."""
    if decision.reason is InjectionReason.INJECTED:
        verb = "injected" if subject.pointer is not None else "would be injected"
        text = f"{verb} into {', '.join(decision.containers)}."
    else:
        text = f"{decision.reason}. {decision.reason.sentence}"
    return f"{subject.origin}: {subject.title}: {text}"
