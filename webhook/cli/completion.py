"""`completion`: a script that teaches a shell the commands and options."""

from typing import Final

import click
from click.shell_completion import get_completion_class

_KUBECTL: Final = """\
#!/bin/sh
# Completes `kubectl tracking`: save it, executable, as kubectl_complete-tracking on the
# path, beside kubectl-tracking. kubectl calls it with the words typed so far.
COMP_WORDS="kubectl-tracking $*" COMP_CWORD=$# \\
  _KUBECTL_TRACKING_COMPLETE=bash_complete kubectl-tracking | sed 's/^[a-z]*,//'
echo :4
"""
"""The last line tells kubectl to complete no file names: cobra's `NoFileComp`."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "kubectl"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a shell's completion script.

    \b
    Examples:
      source <(kubectl-tracking completion bash)
      kubectl-tracking completion zsh > "${fpath[1]}/_kubectl-tracking"
      kubectl-tracking completion fish | source
      kubectl-tracking completion kubectl > /usr/local/bin/kubectl_complete-tracking
    """  # noqa: D301 - \b is the character that click looks for
    if shell == "kubectl":
        click.echo(_KUBECTL, nl=False)
        return
    found = get_completion_class(shell)
    root = context.find_root()
    name = root.info_name or "tracking-injector"
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    if found is None:  # click knows these three
        raise click.UsageError(f"{shell} is not known to this version of click.")
    click.echo(found(root.command, {}, name, variable).source())
