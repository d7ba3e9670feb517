"""A release that is named has to be there, and one that may not be seen is not well."""

from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from tests.fakes.installation import FakeInstallation
from tests.unit.cli.test_status import reached
from webhook.cli.main import cli
from webhook.cluster.errors import Unauthorized
from webhook.cluster.resources import WEBHOOK_CONFIGURATION

COMMANDS: Final = ("status", "doctor", "version", "report", "certs show")
"""Each is about one release."""


@pytest.fixture(name="folder", autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `report` writes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(site: FakeInstallation, command: str, *words: str) -> Result:
    """A command on this installation."""
    with reached(site):
        return CliRunner().invoke(cli, (*command.split(), *words))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_release_that_is_not_there_is_said_to_be_none(
    site: FakeInstallation, command: str, folder: Path
) -> None:
    """A typo in `--release` is no broken installation; the exit code is 2."""
    result = run(site, command, "--release", "ml-tracking/typo")

    assert result.exit_code == 2
    assert "There is no release ml-tracking/typo (https://lab," in result.output
    assert not list(folder.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_of_a_release_that_nobody_may_see_nothing_is_vouched_for(
    site: FakeInstallation, command: str
) -> None:
    """Without a single right the exit code is never 0, and one right is named."""
    site.cluster.forbid(lambda _: True)
    result = run(site, command, "--release", str(site.release))

    assert result.exit_code == 2
    assert f"Nothing of {site.release} can be read" in result.output
    assert "the right to get configmaps" in result.output
    assert "in order" not in result.output


def test_one_object_of_a_release_is_enough_to_go_on(site: FakeInstallation) -> None:
    """Doctor has something to say of a configuration that was left behind."""
    site.cluster.forbid(lambda call: call.kind != WEBHOOK_CONFIGURATION)
    result = run(site, "doctor", "--release", str(site.release))

    assert "Nothing of" not in result.output
    assert f"{site.release}\n" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_credential_that_is_refused_is_named(
    site: FakeInstallation, command: str
) -> None:
    """An expired token is not an API server that is away."""
    site.cluster.fail(lambda _: True, Unauthorized("list configmaps: Unauthorized"))
    result = run(site, command)

    assert result.exit_code == 2
    assert "credential is not accepted" in result.output
