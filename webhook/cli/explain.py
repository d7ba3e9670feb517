"""`explain`: where each variable of a pod comes from."""

from collections.abc import Iterator, Sequence
from typing import IO

import click
import msgspec
from rich.console import Console

from webhook.cli.document import BadInputError
from webhook.cli.errors import told
from webhook.cli.explain_cluster import PodExplainer
from webhook.cli.explain_document import explained
from webhook.cli.explain_view import as_tables, key_lines
from webhook.cli.explanation import Explanation, simulated, standing
from webhook.cli.manifests import WRITERS, Document, read
from webhook.cli.options import MANIFEST, with_files, with_policy, with_sources
from webhook.cli.output import emit, say, with_output
from webhook.cli.pods import subjects
from webhook.cli.release import ClusterChoice, releases, with_cluster
from webhook.companion.observation.unknown import Unknown
from webhook.injection.environment import KnownSources
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL
from webhook.injection.policy import InjectionPolicy


@click.command()
@click.argument("targets", nargs=-1, metavar="[KIND/NAME]...")
@with_files("-f", "--filename", "files", text=MANIFEST)
@click.option(
    "-n",
    "--namespace",
    help="Of KIND/NAME, the context's otherwise; of what a manifest names none for, "
    "default otherwise.",
)
@with_policy
@with_sources
@click.option("--key", metavar="NAME", help="Answer for one variable, in a line each.")
@click.option(
    "--show-values",
    is_flag=True,
    help="Print the values too, which may be secret. $(NAME) is resolved.",
)
@with_output(
    *("table", "json", "yaml"),
    show_default=True,
    help="json and yaml print one list, a member for each pod.",
)
@with_cluster
def explain(  # noqa: PLR0913 - one for each flag
    *,
    targets: tuple[str, ...],
    files: tuple[IO[bytes], ...],
    namespace: str | None,
    policy: InjectionPolicy,
    sources: KnownSources,
    key: str | None,
    show_values: bool,
    output: str,
    choice: ClusterChoice,
) -> None:
    """Say where each variable of a pod comes from.

    What exists is explained as it is: pod/NAME, job/NAME, deployment/NAME,
    statefulset/NAME, raycluster/NAME, rayjob/NAME, raycronjob/NAME, rayservice/NAME,
    sparkapplication/NAME, sparkconnect/NAME or sparkcluster/NAME in the cluster
    (sparkapplication.spark.apache.org/NAME of Apache's operator), and a manifest with a
    UID and a status. For each container: every variable, the source that wins by the
    kubelet's rule, and the sources it hides. For a pod that got nothing: why, in the
    auditor's words.

    A manifest without a UID is explained as it would be injected. Takes Pods, Lists and
    AdmissionReviews; Jobs, Deployments and their like whose pods opt in; and what
    KubeRay and both operators of Spark act on, for which it explains the pods that they
    would create.

    In a cluster the mirror and ConfigMaps are read where your rights allow. For
    manifests, what a Secret or ConfigMap holds is known if it is given, by its name,
    whatever its namespace. --source takes the central Secrets and ConfigMaps of the
    tracking keys, whatever their names, and merges them as the companion would into the
    mirror that pods refer to; keys that it would refuse are named on standard error.

    \b
    Examples:
      kubectl tracking explain pod/my-pod -n ray-jobs
      kubectl tracking explain raycluster/train -n ray-jobs --key TRACKING_URI
      kubectl tracking explain -f ray-cluster.yaml --source tracking.yaml
      kubectl tracking explain -f pod.yaml --configmap michelangelo-config.yaml
      kubectl get pod my-pod -o yaml | kubectl tracking explain -f - -o json

    \b
    Exit codes:
      0  explained, whether or not a pod has the keys
      2  bad arguments, input that is no manifest, no pod in it, or no access
    """  # noqa: D301 - \b is the character that click looks for
    if not targets and not files:
        raise click.UsageError("Say what: KIND/NAME, or -f FILE.")
    explanations = list(_of_files(files, namespace or "default", policy, sources))
    if targets:
        explanations += _of_cluster(targets, namespace, policy, choice)
    if key is not None:
        for each in explanations:
            for line in key_lines(each, key, show_values=show_values):
                say(line)
    elif output == "table":
        text = as_tables(explanations, Console(), show_values=show_values)
        click.echo(text, nl=False)
    else:
        pods = [explained(each, show_values=show_values) for each in explanations]
        emit(WRITERS[output]([msgspec.to_builtins(pods)]))


def _of_files(
    files: Sequence[IO[bytes]],
    namespace: str,
    policy: InjectionPolicy,
    sources: KnownSources,
) -> Iterator[Explanation]:
    documents = [document for file in files for document in read(file)]
    found = list(_explained(documents, namespace, policy, sources))
    if documents and not found:
        origins = ", ".join(document.origin for document in documents)
        raise BadInputError(
            f"{origins}: no pod, and nothing that leads to one; the pod template of a "
            f"Job and its like opts in by the label {INJECT_LABEL}={INJECT_ENABLED}."
        )
    yield from found


def _explained(
    documents: Sequence[Document],
    namespace: str,
    policy: InjectionPolicy,
    sources: KnownSources,
) -> Iterator[Explanation]:
    for document in documents:
        for subject in subjects(document, namespace):
            if subject.exists:
                yield standing(subject, sources)
            else:
                yield simulated(subject, policy, sources)


def _of_cluster(
    targets: Sequence[str],
    namespace: str | None,
    policy: InjectionPolicy,
    choice: ClusterChoice,
) -> Iterator[Explanation]:
    """Yield the pods that targets have; of one that has none, what they would be."""
    access = choice.connect()
    home = namespace or access.namespace
    nothing = KnownSources(secrets={}, config_maps={})
    with told(access):
        found = releases(access.resources, choice.asked)
        known = () if isinstance(found, Unknown) else found
        label = known[0].label if len(known) == 1 else ""
        reader = PodExplainer(access.resources, label)
        for target in targets:
            standing_pods = reader.explain(target, home)
            yield from standing_pods
            if not standing_pods:
                say(f"{target} has no pod yet: this is what would be.", err=True)
                document = reader.manifest(target, home)
                yield from _explained([document], home, policy, nothing)
