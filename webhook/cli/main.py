"""The command group. A command's module is imported when it is called.

So `serve` never imports the Kubernetes client, and `--help` answers at once.
"""

import importlib
from collections.abc import Callable

import click

from webhook import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "webhook.cli.demo",
        "Show the whole job on captured pods, without a cluster.",
    ),
    "inject": (
        "webhook.cli.inject",
        "Print manifests as the webhook would leave them.",
    ),
    "explain": ("webhook.cli.explain", "Say where each variable of a pod comes from."),
    "policy": (
        "webhook.cli.policy",
        "Print the webhook's decision as a MutatingAdmissionPolicy.",
    ),
    "serve": ("webhook.cli.serve", "Answer kube-apiserver over TLS."),
    "companion": (
        "webhook.cli.companion",
        "Keep mirrors and report on task pods in every labeled namespace.",
    ),
    "status": ("webhook.cli.status", "Show how every labeled namespace stands."),
    "certs": ("webhook.cli.certs", "Look at the certificates, and rotate them."),
    "egress": (
        "webhook.cli.egress",
        "Plan egress policies, and check one pod's way to the server.",
    ),
}
"""Command, the module that holds it under the same name, and its line in `--help`."""


class LazyGroup(click.Group):
    """Knows its commands by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101 - narrows the type
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracking-injector")
def cli() -> None:
    """Give every Ray and Spark task pod its experiment tracking keys.

    \b
    Examples:
      tracking-injector demo                        see the whole job, no cluster
      tracking-injector inject -f pod.yaml          see what becomes of a manifest
      tracking-injector explain -f ray-cluster.yaml see who wins, and why

    \b
    Exit codes:
      0  done
      1  not as it should be
      2  bad arguments or input
    """  # noqa: D301 - \b is the character that click looks for


main: Callable[[], None] = cli
