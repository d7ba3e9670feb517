"""Runs pods that nobody restarts, where no node does: hooks of Helm, and its tests.

A kubelet would start their container. Here it is a process of this machine with the
same command line, the same variables and the same account, and its pod then says how it
ended, so the Job controller and Helm see what they see on a node.
"""

import base64
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.lab.api import ApiError, Object
from tests.lab.control_plane import ControlPlane

ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a kubelet mounts the account's token."""

_ENTRYPOINT: Final = str(Path(sys.executable).with_name("tracking-injector"))
_INTERPRETER: Final = {"python": sys.executable}
_SECONDS_BETWEEN_LOOKS: Final = 0.2
_SECONDS_TO_RUN: Final = 120


@dataclass(frozen=True, slots=True)
class Ended:
    """How one pod's container ended.

    Attributes:
        pod: The pod's name.
        account: Whose rights it had.
        code: Its exit code.
        said: What it printed.
    """

    pod: str
    account: str
    code: int
    said: str


class OneOffPods:
    """Runs the pods of one namespace, in the order in which they appear.

    Attributes:
        ended: Every pod that ran.
    """

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        """Nothing runs before the block begins."""
        self.ended: list[Ended] = []
        self._plane = plane
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look for pods."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking; what runs is waited for."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN_LOOKS):
            for pod in self._plane.admin.get(self._path)["items"]:
                uid = pod["metadata"]["uid"]
                if pod["spec"]["restartPolicy"] == "Never" and uid not in self._seen:
                    self._seen.add(uid)
                    self._run(pod)

    def _run(self, pod: Object) -> None:
        name, account = pod["metadata"]["name"], pod["spec"]["serviceAccountName"]
        (container,) = pod["spec"]["containers"]
        folder = self._plane.folder / f"pod-{pod['metadata']['uid']}"
        places = self._mount(pod, container, folder)
        command = container.get("command", [_ENTRYPOINT]) + container.get("args", [])
        config = self._plane.kubeconfig_for(self._namespace, account)
        done = subprocess.run(
            [_translated(word, places) for word in command],
            env={one["name"]: one.get("value", "") for one in container.get("env", [])}
            | self._plane.environ(config),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_SECONDS_TO_RUN,
        )
        self.ended.append(Ended(name, account, done.returncode, done.stdout))
        self._tell(name, container["name"], done.returncode)

    def _mount(self, pod: Object, container: Object, folder: Path) -> Mapping[str, str]:
        """Where this machine has what the pod's command line names."""
        secrets = {
            volume["name"]: volume["secret"]["secretName"]
            for volume in pod["spec"].get("volumes", [])
            if "secret" in volume
        }
        places = {"https://kubernetes.default.svc": self._plane.server, **_INTERPRETER}
        for mount in container.get("volumeMounts", []):
            if mount["name"] in secrets:
                here = folder / mount["name"]
                self._write_secret(secrets[mount["name"]], here)
                places[mount["mountPath"]] = str(here)
        here = folder / "account"
        here.mkdir(parents=True)
        account = pod["spec"]["serviceAccountName"]
        token = self._plane.token(self._namespace, account)
        (here / "token").write_text(token, "utf-8")
        (here / "ca.crt").write_bytes(self._plane.authority.certificate.read_bytes())
        return places | {ACCOUNT: str(here)}

    def _write_secret(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        secret = self._plane.admin.get(
            f"/api/v1/namespaces/{self._namespace}/secrets/{name}"
        )
        for key, value in secret.get("data", {}).items():
            (folder / key).write_bytes(base64.b64decode(value))

    def _tell(self, pod: str, container: str, code: int) -> None:
        status = {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [
                {
                    "name": container,
                    "image": "",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": {"exitCode": code}},
                }
            ],
        }
        try:
            self._plane.admin.patch(f"{self._path}/{pod}/status", {"status": status})
        except ApiError as error:
            if error.code != 404:  # whoever waited for it may have lost patience
                raise


def _translated(word: str, places: Mapping[str, str]) -> str:
    """A word of the command line, with this machine's place for the pod's."""
    for there, here in places.items():
        if word == there or word.startswith(f"{there}/"):
            return here + word.removeprefix(there)
    return word
