"""`version`: of this command, and of what runs in the cluster."""

import click
import msgspec

from webhook import __version__
from webhook.cli.errors import told
from webhook.cli.kubeconfig import now
from webhook.cli.output import say, with_output
from webhook.cli.release import ClusterChoice, with_cluster
from webhook.companion.observation.model import Installation, WorkloadState
from webhook.companion.observation.observe import observe


class VersionDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `version -o json` prints; what is not known is empty.

    Attributes:
        client: this command.
        webhook: its Deployment's.
        companion: its Deployment's.
        kubernetes: the API server's.
    """

    client: str
    webhook: str = ""
    companion: str = ""
    kubernetes: str = ""


@click.command()
@with_cluster
@click.option("--client", is_flag=True, help="Of this command alone; asks no cluster.")
@with_output("text", "json")
def version(*, choice: ClusterChoice, client: bool, output: str) -> None:
    """Print the versions of this command, of the installation and of Kubernetes.

    \b
    Exit codes:
      0  printed
      2  no access, or no release; this command's own version is printed first
    """  # noqa: D301 - \b is the character that click looks for
    if client:
        _print(VersionDocument(client=__version__), output)
        return
    try:
        access = choice.connect()
        with told(access):
            release = choice.release(access)
    except click.ClickException:
        _print(VersionDocument(client=__version__), output)
        raise
    _print(_of(observe(access.resources, release, now())), output)


def _print(document: VersionDocument, output: str) -> None:
    if output == "json":
        click.echo(msgspec.json.encode(document))
        return
    for name, said in msgspec.structs.asdict(document).items():
        if said:
            say(f"{name:<12}{said}")


def _of(seen: Installation) -> VersionDocument:
    webhook, companion = (
        part.version if isinstance(part, WorkloadState) else ""
        for part in (seen.webhook, seen.companion)
    )
    kubernetes = seen.kubernetes if isinstance(seen.kubernetes, str) else ""
    return VersionDocument(
        client=__version__,
        webhook=webhook,
        companion=companion,
        kubernetes=kubernetes,
    )
