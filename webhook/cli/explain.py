"""`explain`: where each variable of a pod comes from."""

from typing import IO

import click
from rich.console import Console

from webhook.cli.document import BadInputError
from webhook.cli.explain_view import as_data, as_tables, explained
from webhook.cli.manifests import as_json, as_yaml, read
from webhook.cli.options import filenames, namespace, with_policy, with_sources
from webhook.cli.pods import subjects, unread
from webhook.injection.environment import KnownSources
from webhook.injection.policy import InjectionPolicy


@click.command()
@filenames
@namespace
@with_policy
@with_sources
@click.option(
    "--show-values",
    is_flag=True,
    help="Print the values too, which may be secret. $(NAME) is resolved.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="json and yaml print one list, a member for each pod.",
)
def explain(
    *,
    files: tuple[IO[bytes], ...],
    namespace: str,
    policy: InjectionPolicy,
    sources: KnownSources,
    show_values: bool,
    output: str,
) -> None:
    """Say where each variable of a pod comes from.

    For each container of a pod as injected: every variable, the source that wins in
    the end by the kubelet's rule, and the sources it hides. For a pod that gets
    nothing: why. Takes Pods, Lists and AdmissionReviews, and RayClusters, RayJobs,
    RayServices and SparkApplications, for which it explains the pods that their
    operators would create.

    What a Secret or ConfigMap holds is known if it is given, by its name, whatever
    its namespace. --source takes the central Secrets and ConfigMaps of the tracking
    keys, whatever their names, and merges them as the companion would into the
    mirror that pods refer to; keys that it would refuse are named on standard error.

    \b
    Examples:
      tracking-injector explain -f pod.yaml
      tracking-injector explain -f ray-cluster.yaml --source tracking.yaml
      tracking-injector explain -f pod.yaml --configmap michelangelo-config.yaml
      kubectl get pod my-pod -o yaml | tracking-injector explain -f - -o json

    \b
    Exit codes:
      0  explained, whether or not a pod gets the keys
      2  bad arguments, input that is no manifest, or no pod in it
    """  # noqa: D301 - \b is the character that click looks for
    documents = [document for file in files for document in read(file)]
    explanations = [
        explained(subject, policy, sources)
        for document in documents
        for subject in subjects(document, namespace)
    ]
    if not explanations:
        origins = ", ".join(document.origin for document in documents)
        nothing = f"{origins}: no pod, and nothing that leads to one"
        raise BadInputError(f"{'; '.join(unread(documents)) or nothing}.")
    if output == "table":
        text = as_tables(explanations, Console(), show_values=show_values)
        click.echo(text, nl=False)
        return
    data = [as_data(each, show_values=show_values) for each in explanations]
    text = as_json([data]) if output == "json" else as_yaml([data])
    click.echo(text, nl=False)
