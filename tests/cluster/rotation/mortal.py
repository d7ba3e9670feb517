"""The companion as its Deployment runs it, except that it kills itself at a write.

`python -m tests.cluster.rotation.mortal before|after KEYS HOME companion …`: the first
write for certificates sends SIGKILL to the process that makes it, just before the
request or once its answer is here. No handler, no `finally` and no other thread gets
another word. Every private key that it makes is added to the file KEYS first, so that
a test knows what to look for.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from webhook.cli.main import cli
from webhook.cluster import metadata
from webhook.cluster.interface import Json
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION, ResourceType
from webhook.cluster.rest import RestClient

_APPLY = RestClient.apply
_GENERATE = ec.generate_private_key


def run(when: str, keys: Path, home: str, words: list[str]) -> None:
    """Run the command with the two patches."""

    def apply(
        self: RestClient, kind: ResourceType, body: Json, *, force: bool = True
    ) -> Json:
        ours = kind == SECRET and metadata.key(body).namespace == home
        deadly = ours or kind == WEBHOOK_CONFIGURATION
        if deadly and when == "before":
            _die()
        stored = _APPLY(self, kind, body, force=force)
        if deadly:
            _die()
        return stored

    def generate(curve: ec.EllipticCurve, *rest: Any) -> ec.EllipticCurvePrivateKey:
        key = _GENERATE(curve, *rest)
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with keys.open("ab") as file:
            file.write(key.private_bytes(*form))
        return key

    with (
        patch.object(RestClient, "apply", apply),
        patch("certs.issue.ec.generate_private_key", generate),
    ):
        cli(words)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # until it arrives: not one more instruction of the product


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
