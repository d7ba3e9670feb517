"""The companion is killed at every write of a rotation; no CA's key is left behind."""

from __future__ import annotations

import base64
import re
import signal
import sys
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.cluster.rotation.installation import HOME, NAMESPACE, Installation
from tests.cluster.rotation.load import MANY, Load

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MORTAL = (sys.executable, "-m", "tests.cluster.rotation.mortal")
WRITES = 8
"""Staged, trusted, marked, switched, served, marked, retired, pruned."""


def test_a_companion_killed_at_every_write_misses_no_pod(
    installed: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By SIGKILL to its own process: once before each write, and once after it.

    The same rotation shows that no CA's key is anywhere: not in etcd, whose files hold
    every version of every object, and not in a log.
    """
    keys = tmp_path / "keys.pem"
    deaths: list[tuple[str, int]] = []
    installed.stop_companion()
    before = installed.current()

    def is_over() -> bool:
        return installed.current() != before and installed.is_settled()

    seen_by = []
    with Load(installed.plane, NAMESPACE) as load:
        installed.request_rotation()
        while not is_over():
            for when in ("before", "after"):
                created = load.created
                companion = installed.start_companion(*MORTAL, when, keys, HOME)
                deaths.append((when, companion.popen.wait(60)))
                installed.stop_companion()
                seen_by.append(load.created - created)
        time.sleep(1)

    installed.start_companion()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(deaths)} deaths in {load.seconds:.0f} s, {load.created} pods, "
            f"{load.rate:.0f}/s, {len(load.missed)} missed\n"
        )
    killed = -signal.SIGKILL
    assert [("before", killed), ("after", killed)] * WRITES == deaths
    assert (load.missed, load.refused, load.failed_open()) == ([], [], 0.0)
    assert min(seen_by) >= MANY
    _scan(installed, _made(keys))


def _made(file: Path) -> list[ec.EllipticCurvePrivateKey]:
    """Every key that the companions made, in order."""
    blocks = re.findall(rb"-----BEGIN.+?-----END[^\n]+\n", file.read_bytes(), re.DOTALL)
    keys = [load_pem_private_key(block, None) for block in blocks]
    return [key for key in keys if isinstance(key, ec.EllipticCurvePrivateKey)]


def _scan(installed: Installation, keys: list[ec.EllipticCurvePrivateKey]) -> None:
    """Look for every key by its own bytes; leaves' keys are found."""
    folders = (installed.plane.folder / "etcd", installed.folder)
    files = [path for one in folders for path in one.rglob("*") if path.is_file()]
    logs = list(installed.plane.folder.glob("*.log"))
    content = b"".join(path.read_bytes() for path in files + logs)

    # `issue` makes the CA's key first, then the leaf's.
    found = [any(text in content for text in _texts(key)) for key in keys]
    assert (any(found[0::2]), any(found[1::2])) == (False, True)


def _texts(key: ec.EllipticCurvePrivateKey) -> list[bytes]:
    """The forms in which a key could lie about: number, DER, PEM, PEM in base64."""
    number = key.private_numbers().private_value
    forms = [number.to_bytes(32, "big"), f"{number:064x}".encode(), b"%d" % number]
    for shape in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        forms.append(key.private_bytes(Encoding.DER, shape, NoEncryption()))
        pem = key.private_bytes(Encoding.PEM, shape, NoEncryption())
        # The second line holds the key's own bytes; the first is the same for all.
        forms += [pem.splitlines()[2], base64.b64encode(pem)[:200]]
    return forms
