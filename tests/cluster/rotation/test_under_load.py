"""Rotations on an unmodified API server while pods are created without a pause."""

from __future__ import annotations

import base64
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from certs.policy import Policy, service_name
from tests.cluster.rotation.dying import DeathError, Dying
from tests.cluster.rotation.installation import (
    CONFIGURATION,
    DWELLS,
    HOME,
    NAMESPACE,
    RELEASE,
    Installation,
)
from tests.cluster.rotation.load import Load
from tests.lab.processes import wait_for
from webhook.cluster.access import by_kubeconfig
from webhook.companion.certificates.concern import Certificates
from webhook.companion.certificates.handshake import Handshakes
from webhook.companion.certificates.words import Clocks, Place

if TYPE_CHECKING:
    import pytest

ROTATIONS = 10
APPLY = "application/apply-patch+yaml"


def test_ten_rotations_miss_no_pod(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 50 pods a second or more; the API server's own count of failures says so."""
    with Load(installed.plane, NAMESPACE) as load:
        for _ in range(ROTATIONS):
            installed.rotate()

    with capsys.disabled():
        sys.stdout.write(
            f"\n{ROTATIONS} rotations in {load.seconds:.0f} s, {load.created} pods, "
            f"{load.rate:.0f}/s, {len(load.missed)} missed\n"
        )
    assert (load.missed, load.refused, load.failed_open()) == ([], [], 0.0)
    assert load.rate >= 50


def test_an_emptied_bundle_is_repaired_within_two_seconds(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a Helm-like apply; only pods of the repair's window are missed."""
    with Load(installed.plane, NAMESPACE) as load:
        time.sleep(2)
        emptied = time.time()
        _apply_empty_bundles(installed)
        wait_for("the repair", lambda: all(installed.bundles()), seconds=20)
        repaired = time.time()
        time.sleep(3)

    window = repaired - emptied
    with capsys.disabled():
        sys.stdout.write(
            f"\nrepaired in {window * 1000:.0f} ms, {len(load.missed)} pods missed\n"
        )
    assert window < 2
    # The API server takes up to a second to act on its own configuration.
    assert [at for at in load.missed if not emptied - 1 <= at <= repaired + 1] == []
    assert load.refused == []


def _apply_empty_bundles(installed: Installation) -> None:
    entries = installed.plane.admin.get(CONFIGURATION)["webhooks"]
    newline = base64.b64encode(b"").decode()
    installed.plane.admin.patch(
        f"{CONFIGURATION}?fieldManager=helm&force=true",
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": RELEASE},
            "webhooks": [
                {"name": entry["name"], "clientConfig": {"caBundle": newline}}
                for entry in entries
            ],
        },
        kind=APPLY,
    )


@dataclass(slots=True)
class Successors:
    """Companions in this process, one after another: each dies at its n-th write."""

    installed: Installation
    keys: list[ec.EllipticCurvePrivateKey] = field(default_factory=list)
    deaths: int = 0

    def live(self, at: int, *, after: bool) -> None:
        """Until it dies, or everything is in order."""
        access = by_kubeconfig(
            manager="tracking-injector", path=self.installed.account, context=None
        )
        policy = Policy(
            names=(service_name(RELEASE, HOME),),
            skew=timedelta(seconds=float(DWELLS["MTI_CERTIFICATE_SKEW_SECONDS"])),
            bundle_dwell=timedelta(
                seconds=float(DWELLS["MTI_CERTIFICATE_BUNDLE_SECONDS"])
            ),
            serve_dwell=timedelta(
                seconds=float(DWELLS["MTI_CERTIFICATE_SERVE_SECONDS"])
            ),
        )
        place = Place(
            namespace=HOME,
            service=RELEASE,
            configuration=RELEASE,
            state_secret=f"{RELEASE}-tls-state",
            pair_secret=f"{RELEASE}-tls",
        )
        certificates = Certificates(
            Dying(access.resources, at=at, after=after),
            place,
            policy,
            Clocks(wall=_now, steady=time.monotonic),
            Handshakes(policy.names[0]),
        )
        while not self._step(certificates):
            time.sleep(0.25)

    def _step(self, certificates: Certificates) -> bool:
        """Whether this one is through: dead, or with everything in order."""
        try:
            with patch("certs.issue.ec.generate_private_key", self._generate):
                return certificates.step().in_order
        except DeathError:
            self.deaths += 1
            return True

    def _generate(self, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        key = _GENERATE(curve)
        self.keys.append(key)
        return key


_GENERATE = ec.generate_private_key


def test_a_companion_that_dies_at_every_write_misses_no_pod(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of a rotation's writes kills its maker once before and once after it.

    The same rotations show that no CA's key is anywhere: not in etcd, whose files hold
    every version of every object, and not in a log.
    """
    installed.stop_companion()
    successors = Successors(installed)

    with Load(installed.plane, NAMESPACE) as load:
        before = installed.current()
        installed.request_rotation()
        while installed.current() == before or not installed.is_settled():
            for after in (False, True):
                successors.live(1, after=after)
        successors.live(0, after=False)

    installed.start_companion()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{successors.deaths} deaths, {load.created} pods, {load.rate:.0f}/s, "
            f"{len(load.missed)} missed\n"
        )
    # Staged, trusted, marked, switched, served, marked, retired, pruned: twice each.
    assert successors.deaths == 16
    assert (load.missed, load.refused, load.failed_open()) == ([], [], 0.0)
    assert installed.is_settled()
    _scan(installed, successors.keys)


def _scan(installed: Installation, keys: list[ec.EllipticCurvePrivateKey]) -> None:
    """Look for every key of this process by its own bytes; leaves' keys are found."""
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


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - this process is a companion here
