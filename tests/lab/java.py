"""Finds a Java that Spark runs on."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_WANTED: Final = "17"


def java_home(environ: Mapping[str, str]) -> Path | None:
    """The machine's Java, if it is the one that Spark wants."""
    home = environ.get("JAVA_HOME")
    path = f"{home}/bin" if home else environ.get("PATH")
    java = shutil.which("java", path=path)
    if java is None:
        return None
    done = subprocess.run(
        [java, "-XshowSettings:properties", "-version"],
        capture_output=True,
        text=True,
        check=False,
    )
    properties = {
        key.strip(): value.strip()
        for line in done.stderr.splitlines()
        for key, separator, value in [line.partition(" = ")]
        if separator
    }
    if properties.get("java.specification.version") != _WANTED:
        return None
    return Path(properties["java.home"])
