"""The command group. A command's module is imported when it is called.

So `serve` never imports the Kubernetes client, and `--help` answers at once.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand
from click.shell_completion import CompletionItem

from webhook import __version__
from webhook.cli.streams import inert, leave, prepare_streams

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
    "status": ("webhook.cli.status", "Say what is wrong, and how all of it stands."),
    "doctor": (
        "webhook.cli.doctor",
        "Prove that it works, and name the true cause where it does not.",
    ),
    "certs": ("webhook.cli.certs", "Look at the certificates, and rotate them."),
    "egress": (
        "webhook.cli.egress",
        "Plan egress policies, and check one pod's way to the server.",
    ),
    "report": (
        "webhook.cli.archive",
        "Pack what a maintainer needs for a bug report, without a value in it.",
    ),
    "completion": ("webhook.cli.completion", "Print a shell's completion script."),
    "version": ("webhook.cli.version", "Print the versions here and in the cluster."),
}
"""Command, the module that holds it under the same name, and its line in `--help`."""


_INTERRUPTED: Final = 130
"""The exit code of a program that an interrupt ended, as shells count it."""


class LazyGroup(click.Group):
    """Knows its commands by name and loads the one that is called.

    An error is one sentence on standard error, without the usage in front of it.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command and exit; as a function, let errors through."""
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        prepare_streams()
        try:
            sys.exit(run(*args, standalone_mode=False, **extra))
        except NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(2)
        except click.ClickException as error:
            click.echo(f"Error: {_message(error)}", err=True)
            # Bad arguments are bad input too, whatever click says.
            sys.exit(2)
        except click.Abort:
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has read enough.
            leave(1)
        except OSError as error:
            click.echo(f"Error: Input or output failed: {error.strerror}.", err=True)
            leave(2)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; of one that does not exist, say which was meant."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, None, COMMANDS, ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name, _ = COMMANDS[cmd_name]
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in ("flask", "gunicorn", "gunicorn_h1c"):
                raise
            raise click.ClickException(
                f"{cmd_name} answers kube-apiserver, which takes the packages of the "
                "server: install michelangelo-tracking-injector[server]."
            ) from None
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101 - narrows the type
        return command

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the commands without importing any."""
        named = [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _message(error: click.ClickException) -> str:
    """Return the error's sentence, and for bad arguments where help is."""
    said = inert(error.format_message())
    said += "" if said.endswith((".", "?", ")")) else "."
    context = getattr(error, "ctx", None)
    if context is None:
        return said
    return f"{said} See '{context.command_path} --help'."


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
      0    done, or in order
      1    not as it should be
      2    bad arguments or input, or no access
      130  interrupted
    """  # noqa: D301 - \b is the character that click looks for


main: Callable[[], None] = cli
