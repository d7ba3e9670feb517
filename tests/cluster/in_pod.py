"""The command as in a pod whose service account lies in another folder.

`python -m tests.cluster.in_pod FOLDER COMMAND...`
"""

import sys
from pathlib import Path

from webhook.cli import kubeconfig
from webhook.cli.main import cli


def main(folder: str, *arguments: str) -> None:
    """Runs it."""
    kubeconfig.SERVICE_ACCOUNT = Path(folder)  # type: ignore[attr-defined] # its own import
    cli(arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
