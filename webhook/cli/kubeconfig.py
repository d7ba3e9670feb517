"""Connects a command to a cluster, as a pod does or as a person does."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from webhook.cli.errors import no_access
from webhook.cluster.config import (
    SERVICE_ACCOUNT,
    ClusterConnection,
    NoAccessError,
    load_in_cluster,
    load_kubeconfig,
)
from webhook.injection.names import FIELD_MANAGER

F = TypeVar("F", bound=Callable[..., Any])


def cluster_options(command: F) -> F:
    """Adds `--kubeconfig` and `--context`, as kubectl has them."""
    kubeconfig = click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Kubeconfig to use; $KUBECONFIG, then ~/.kube/config, otherwise.",
    )
    context = click.option("--context", help="Context of the kubeconfig to use.")
    return kubeconfig(context(command))


def connect(
    environ: Mapping[str, str],
    *,
    kubeconfig: Path | None,
    context: str | None,
    manager: str = FIELD_MANAGER,
) -> ClusterConnection:
    """Connects by kubeconfig where one is asked for, else as the pod we run in.

    A `manager` of its own lets a command write a field of an object whose other fields
    the companion owns.

    Raises:
        CommandError: there is no usable credential; one sentence.
    """
    try:
        inside = (SERVICE_ACCOUNT / "token").exists()
        if inside and kubeconfig is None and context is None:
            return load_in_cluster(environ, manager=manager, folder=SERVICE_ACCOUNT)
        path = kubeconfig_path(environ, kubeconfig)
        return load_kubeconfig(manager=manager, path=path, context=context)
    except NoAccessError as error:
        raise no_access(error) from error


def kubeconfig_path(environ: Mapping[str, str], given: Path | None) -> Path | None:
    """The kubeconfig to read; None means the default place."""
    said = environ.get("KUBECONFIG")
    return given or (Path(said) if said else None)


def now() -> datetime:
    """The clock; only the command line reads it."""
    return datetime.now(UTC)  # noqa: TID251 - this is the place


def process_environ() -> Mapping[str, str]:
    """The process's environment, read in the command line alone."""
    return os.environ  # noqa: TID251 - this is the place
