"""Runs `tracking-injector certs` on a cluster in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from click.testing import CliRunner, Result

from tests.unit.companion.certificates.site import (
    HOME,
    NAME,
    Site,
    endpoint_slice,
)
from webhook.cli.main import cli
from webhook.cluster.config import ClusterConnection
from webhook.cluster.resources import DEPLOYMENT, ENDPOINT_SLICE

if TYPE_CHECKING:
    from webhook.companion.certificates.probe import ReplicaAddress, TlsProber


def installed() -> Site:
    """After its first installation, with two replicas that serve what is current."""
    site = Site()
    site.settle()
    site.user.delete(ENDPOINT_SLICE, "injector-1", HOME)
    site.user.create(ENDPOINT_SLICE, endpoint_slice("10.0.0.1", "10.0.0.2"))
    deployment = {"metadata": {"name": NAME, "namespace": HOME}}
    site.user.create(DEPLOYMENT, deployment)
    return site


def run(site: Site, *words: str, charset: str = "utf-8") -> Result:
    """The command against the site, whose replicas answer for the network."""
    port: Any = site.cluster.client("tracking-injector-certs")
    access = ClusterConnection(port, HOME)

    def ask(self: TlsProber, replicas: tuple[ReplicaAddress, ...], pem: bytes) -> Any:
        del self
        return site.probe(replicas, pem)

    with (
        patch("webhook.cli.release.connect", lambda *_, **__: access),
        patch("webhook.cli.certs.now", site.clock),
        patch("webhook.cli.certs.TlsProber.__call__", ask),
    ):
        words = ("certs", words[0], "--release", f"{HOME}/{NAME}", *words[1:])
        runner = CliRunner(charset=charset, env={"COLUMNS": "120"})
        return runner.invoke(cli, words)


def shown(site: Site) -> dict[str, Any]:
    """What `show` says, for programs."""
    report: dict[str, Any] = json.loads(run(site, "show", "-o", "json").output)
    return report
