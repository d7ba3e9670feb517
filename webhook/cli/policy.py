"""`policy`: the webhook's decision as a MutatingAdmissionPolicy."""

import dataclasses
import re
from collections.abc import Callable
from typing import Final

import click

from webhook.cli.manifests import WRITERS
from webhook.cli.options import with_policy
from webhook.cli.output import emit, with_output
from webhook.injection.admission_policy.objects import Reach, policy_objects
from webhook.injection.decision import NEVER_INJECTED
from webhook.injection.names import MANAGED_BY
from webhook.injection.policy import InjectionPolicy
from webhook.settings import NAMESPACE, OBJECT, Constraint

_PATTERN: Final = Constraint(
    lambda text: re.fullmatch(r"[-a-z0-9*]{1,63}", text) is not None,
    "a namespace or a pattern such as team-*",
)
"""What becomes a part of an expression; the chart's schema has the same."""


_Value = str | tuple[str, ...]


def _held_to(
    constraint: Constraint,
) -> Callable[[click.Context, click.Parameter, _Value], _Value]:
    def check(ctx: click.Context, param: click.Parameter, value: _Value) -> _Value:
        del ctx, param
        for text in [value] if isinstance(value, str) else value:
            if not constraint.holds(text):
                raise click.BadParameter(f"{text!r} is not {constraint.wanted}.")
        return value

    return check


@click.command()
@with_policy
@click.option(
    "--name",
    callback=_held_to(OBJECT),
    default=MANAGED_BY,
    show_default=True,
    metavar="NAME",
    help="What the policy and its binding are called; the chart uses the release's.",
)
@click.option(
    "-n",
    "--release-namespace",
    callback=_held_to(NAMESPACE),
    default="tracking-injector-system",
    show_default=True,
    metavar="NAME",
    help="The namespace of the release, which is never injected.",
)
@click.option(
    "--allowed-namespace",
    "allowed",
    callback=_held_to(_PATTERN),
    multiple=True,
    metavar="NAME",
    help="A namespace that may be labeled, or a pattern such as team-*; any without "
    "this option. May be given again.",
)
@click.option(
    "--excluded-namespace",
    "excluded",
    callback=_held_to(_PATTERN),
    multiple=True,
    default=(NEVER_INJECTED,),
    show_default=True,
    metavar="NAME",
    help="A namespace that is never injected. May be given again.",
)
@with_output("yaml", "json", show_default=True, help="The form of the two objects.")
def policy(
    *,
    policy: InjectionPolicy,
    name: str,
    release_namespace: str,
    allowed: tuple[str, ...],
    excluded: tuple[str, ...],
    output: str,
) -> None:
    """Print the webhook's decision as a MutatingAdmissionPolicy, with its binding.

    From Kubernetes 1.36 on, the API server makes the decision by itself: task pods
    get their keys also while no webhook runs. The chart installs these very objects
    (value injection.inTree); print them to read what the API server does, or to
    compare with what a cluster has.

    \b
    Examples:
      tracking-injector policy
      tracking-injector policy --precedence override --enforced-key TRACKING_URI
      tracking-injector policy | kubectl diff -f -

    \b
    Exit codes:
      0  printed
      2  bad arguments
    """  # noqa: D301 - \b is the character that click looks for
    objects = policy_objects(
        name,
        dataclasses.replace(policy, release_namespace=release_namespace),
        Reach(allowed=allowed, excluded=excluded),
    )
    emit(WRITERS[output](objects))
