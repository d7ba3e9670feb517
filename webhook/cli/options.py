"""Options that several commands share, each group of them turned into one value."""

import functools
from collections.abc import Callable, Mapping
from typing import IO, Any, Final, TypeVar

import click

from webhook.cli.output import say
from webhook.cli.source_files import given_sources
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

F = TypeVar("F", bound=Callable[..., Any])
_Command = Callable[..., None]

MANIFEST: Final = (
    "A manifest, YAML or JSON; - reads standard input. May be given again."
)


def with_files(*names: str, text: str, **more: Any) -> Callable[[F], F]:
    """Return an option that takes files, as often as it is given."""
    return click.option(
        *names, type=click.File("rb"), multiple=True, metavar="FILE", help=text, **more
    )


filenames = with_files("-f", "--filename", "files", required=True, text=MANIFEST)

namespace = click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="The namespace of what names none; it is taken to be labeled for injection.",
)


def refuse(option: str, others: Mapping[str, object]) -> None:
    """Raise where another option is given that would do nothing beside this one.

    Raises:
        UsageError: It names the first of them.
    """
    for name, is_given in others.items():
        if is_given:
            raise click.UsageError(f"{option} takes no {name}.")


def with_policy(command: _Command) -> _Command:
    """Give a command the operator's choices as `policy`."""

    @click.option(
        "--precedence",
        type=click.Choice([each.value for each in Precedence]),
        default=Precedence.FALLBACK.value,
        show_default=True,
        help="Whether other sources win over the tracking keys, or lose to them.",
    )
    @click.option(
        "--enforced-key",
        "enforced_keys",
        multiple=True,
        metavar="KEY",
        help="A key that holds whatever anyone set. May be given again.",
    )
    @click.option(
        "--on-missing",
        type=click.Choice([each.value for each in OnMissing]),
        default=OnMissing.WAIT.value,
        show_default=True,
        help="What a pod does until its namespace has the keys.",
    )
    @click.option(
        "--tracking-ca",
        is_flag=True,
        help="Mount the tracking server's CA, as where the release names one.",
    )
    @functools.wraps(command)
    def with_choices(
        *,
        precedence: str,
        enforced_keys: tuple[str, ...],
        on_missing: str,
        tracking_ca: bool,
        **others: Any,
    ) -> None:
        policy = InjectionPolicy(
            precedence=Precedence(precedence),
            enforced_keys=tuple(dict.fromkeys(enforced_keys)),
            on_missing=OnMissing(on_missing),
            tracking_ca=tracking_ca,
        )
        command(policy=policy, **others)

    return with_choices


def with_sources(command: _Command) -> _Command:
    """Give a command what is known of Secrets and ConfigMaps as `sources`."""

    @with_files("--secret", text="A Secret of the pod's namespace. May be given again.")
    @with_files(
        "--configmap", text="A ConfigMap of the pod's namespace. May be given again."
    )
    @with_files(
        "--source", text="A central source of the tracking keys. Later ones win."
    )
    @functools.wraps(command)
    def with_known(
        *,
        secret: tuple[IO[bytes], ...],
        configmap: tuple[IO[bytes], ...],
        source: tuple[IO[bytes], ...],
        **others: Any,
    ) -> None:
        sources, findings = given_sources(secret, configmap, source)
        for finding in findings:
            say(str(finding), err=True)
        command(sources=sources, **others)

    return with_known
