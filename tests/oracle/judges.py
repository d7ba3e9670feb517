"""The two oracles as processes that take a world a line and answer a line."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.oracle.programs import WORKER

Json = dict[str, Any]


class Judge:
    """A process that answers JSON lines."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        """Starts it."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
            text=True,
        )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends its input, which ends it."""
        self._process.communicate(timeout=10)

    def ask(self, world: Json) -> Any:
        """What it says of one world.

        Raises:
            RuntimeError: It died; its own words are on the test's error output.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(world) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} died")
        return json.loads(line)


def engine(binary: Path, environ: Mapping[str, str]) -> Judge:
    """kube-network-policies, the engine inside kindnet."""
    return Judge([str(binary)], environ)


def analyzer(environment: Path, environ: Mapping[str, str]) -> Judge:
    """network-config-analyzer, in an environment of its own."""
    isolated = {**environ, "PYTHONPATH": str(environment)}
    return Judge([sys.executable, "-S", "-W", "ignore", str(WORKER)], isolated)
