"""The command line on files that tests write."""

from pathlib import Path

from click.testing import CliRunner, Result

from webhook.cli.main import cli


class OnFiles:
    """Runs commands whose words may be the text of files."""

    def __init__(self, folder: Path) -> None:
        """Files go there."""
        self._folder = folder

    def file(self, name: str, text: str) -> str:
        """A file of that text."""
        path = self._folder / name
        path.write_text(text)
        return str(path)

    def run(self, *words: str) -> Result:
        """What a command says."""
        return CliRunner().invoke(cli, words)

    def explain(self, text: str, *more: str) -> Result:
        """What `explain` says of a manifest."""
        return self.run("explain", "-f", self.file("explained.yaml", text), *more)
