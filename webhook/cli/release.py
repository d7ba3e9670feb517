"""Which release a command is about: found by itself, or said by `--release`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from webhook.cli.errors import CommandError, no_access, place
from webhook.cli.kubeconfig import (
    cluster_options,
    connect,
    kubeconfig_path,
    process_environ,
)
from webhook.cluster.config import ClusterConnection, NoAccessError, context_names
from webhook.cluster.errors import NotFound, Rejected
from webhook.cluster.interface import KubeClient, ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    LEASE,
    WEBHOOK_CONFIGURATION,
)
from webhook.companion.observation.release import ReleaseName, find_releases
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.injection.names import FIELD_MANAGER

_SAY: Final = "say --release NAMESPACE/NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """Which cluster and which release a command is about.

    Attributes:
        kubeconfig: the file; None for the default one.
        context: its context; None for the current one.
        asked: the release as `--release` has it; empty: the one there is.
    """

    kubeconfig: Path | None
    context: str | None
    asked: str

    def connect(self, manager: str = FIELD_MANAGER) -> ClusterConnection:
        """Return the cluster, connected.

        Raises:
            CommandError: there is no usable credential.
        """
        return connect(
            process_environ(),
            kubeconfig=self.kubeconfig,
            context=self.context,
            manager=manager,
        )

    def each(self) -> list["ClusterChoice"]:
        """Return a choice for every context of the kubeconfig.

        Raises:
            CommandError: it cannot be read.
            UsageError: one of them was asked for besides.
        """
        if self.context:
            raise click.UsageError("-A takes no --context.")
        path = kubeconfig_path(process_environ(), self.kubeconfig)
        try:
            return [replace(self, context=name) for name in context_names(path)]
        except NoAccessError as error:
            raise no_access(error) from error

    def release(self, connection: ClusterConnection) -> ReleaseName:
        """Return the one release that is meant.

        Raises:
            CommandError: there is none, there are several, or nobody may look.
            Unavailable: the API server does not answer.
        """
        found = releases(connection.resources, self.asked)
        where = place(connection)
        if isinstance(found, Unknown) and found.reason is UnknownReason.UNREACHABLE:
            raise CommandError(
                f"The API server cannot be asked ({where}): {found.detail}"
            )
        if isinstance(found, Unknown):
            message = f"No release can be looked for ({where}); {_SAY}."
            raise CommandError(f"{message} {found.sentence}")
        if not found:
            at = f" in namespace {self.asked}" if self.asked else ""
            message = f"No release was found{at} ({where}): is the chart installed?"
            raise CommandError(message)
        if len(found) > 1:
            names = ", ".join(map(str, found))
            raise CommandError(f"Releases are {names} ({where}); {_SAY}.")
        if "/" in self.asked:
            _check_seen(connection, found[0])
        return found[0]


def _check_seen(connection: ClusterConnection, release: ReleaseName) -> None:
    """Raise where nothing of a release that was named can be seen.

    Raises:
        CommandError: there is none of it, or nobody may look.
    """
    refused: Unknown | None = None
    for kind, key in (
        (CONFIG_MAP, release.report),
        (WEBHOOK_CONFIGURATION, ObjectKey("", release.name)),
        (DEPLOYMENT, release.webhook),
        (DEPLOYMENT, release.companion),
        (LEASE, release.companion),
    ):
        try:
            connection.resources.get(kind, key.name, key.namespace)
        except NotFound:
            continue
        except Rejected as error:
            what = f"{kind.plural} {key}"
            refused = refused or Unknown.of(error, verb="get", what=what)
        else:
            return
    where = place(connection)
    if refused is None:
        raise CommandError(f"There is no release {release} ({where}).")
    message = f"Nothing of {release} can be read ({where}): {refused.sentence}"
    raise CommandError(message)


def with_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--kubeconfig`, `--context` and `--release` as its `choice`."""

    @cluster_options
    @click.option(
        "--release",
        metavar="NAMESPACE[/NAME]",
        default="",
        help="Where the chart is installed, and what its objects are called; found by "
        "itself otherwise.",
    )
    @wraps(command)
    def choosing(
        *, kubeconfig: Path | None, context: str | None, release: str, **others: Any
    ) -> None:
        choice = ClusterChoice(kubeconfig=kubeconfig, context=context, asked=release)
        command(choice=choice, **others)

    return choosing


def releases(client: KubeClient, asked: str) -> tuple[ReleaseName, ...] | Unknown:
    """Return the releases that may be meant; a name is taken as it is."""
    namespace, _, name = asked.partition("/")
    if name:
        return (ReleaseName(namespace, name),)
    if not asked and (own := _own()):
        return (own,)
    return find_releases(client, namespace)


def _own() -> ReleaseName | None:
    """Return the release whose companion's pod this runs in, by its settings."""
    environ = process_environ()
    home = environ.get("MTI_RELEASE_NAMESPACE")
    name = environ.get("MTI_WEBHOOK_NAME")
    return ReleaseName(home, name) if home and name else None
