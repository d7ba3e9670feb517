"""What the release packs for platforms that are not this one."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.command.conftest import ROOT
from tests.unit.test_bases import script

_MACS: Final = [f"macosx_{version}_0" for version in range(11, 16)]
WHEELS: Final = {
    "linux-amd64": [f"{one}_x86_64" for one in ("manylinux2014", "manylinux_2_28")],
    "linux-arm64": [f"{one}_aarch64" for one in ("manylinux2014", "manylinux_2_28")],
    "darwin-arm64": [
        *(f"{version}_arm64" for version in _MACS),
        *(
            f"{version}_universal2"
            for version in ("macosx_10_9", "macosx_10_13", *_MACS)
        ),
    ],
}
"""Of which tags pip takes wheels on each platform of the release."""
RELEASE: Final = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
PLATFORMS: Final = [
    one["platform"]
    for one in RELEASE["jobs"]["command"]["strategy"]["matrix"]["include"]
]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_package_has_a_wheel_for_each_platform(
    tmp_path: Path, platform: str
) -> None:
    """Without one its job fails, and so the release; asked for the newest Python."""
    zipapp = script("zipapp")
    lock = tmp_path / "lock.txt"
    text = (zipapp.LOCKS / "run.txt").read_text("utf-8")
    lock.write_text(zipapp.without("gunicorn-h1c", text), "utf-8")
    tags = [part for one in WHEELS[platform] for part in ("--platform", one)]

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:"),
            *("--target", str(tmp_path / "site")),
            *("--python-version", zipapp.PYTHONS[-1]),
            *(*tags, "-r", str(lock)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
