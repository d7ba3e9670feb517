"""`kubectl tracking doctor`: prove that it works, and name the true cause if not."""

import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from cryptography import x509

from certs.model import root_of
from webhook.cli.doctor_cluster import ClusterReader
from webhook.cli.doctor_namespace import NamespaceReader
from webhook.cli.doctor_view import FORMATS, Examination
from webhook.cli.kubeconfig import cluster_options, connect, now, process_environ
from webhook.cluster.interface import KubeClient
from webhook.companion.certificates.probe import ReplicaAddress, TlsProber
from webhook.companion.observation.observe import observe
from webhook.companion.observation.release import ReleaseName, find_releases
from webhook.companion.observation.unknown import Unknown
from webhook.doctor.check import Diagnosis, Outcome, examine_all
from webhook.doctor.facts import ServedCertificate
from webhook.doctor.registry import CLUSTER, NAMESPACE

_EVERY: Final = 3.0
"""Seconds between two examinations of `--wait`."""
_HANDSHAKE: Final = 2.0
"""Seconds for one; more than a webhook gets in the cluster it is to be judged by."""


class Duration(click.ParamType[float]):
    """Seconds, written as `90`, `90s`, `2m` or `1h`."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; a number has been read already."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+)([smh]?)", value)
        if match is None:
            self.fail(f"{value!r} is no time such as 90s or 2m", param, ctx)
        return int(match[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]


def examine(
    client: KubeClient, release: ReleaseName, namespaces: Sequence[str], at: datetime
) -> tuple[Diagnosis, ...]:
    """Return every diagnosis of a release, the cluster's first."""
    facts = ClusterReader(client, serve).read(observe(client, release, at))
    diagnoses = examine_all(CLUSTER, facts)
    failed = frozenset(
        one.check.code for one in diagnoses if one.outcome is Outcome.FAILURE
    )
    reader = NamespaceReader(client, facts, facts.time or at)
    for one in reader.read(namespaces):
        found = examine_all(NAMESPACE, one, namespace=one.name, failed=failed)
        diagnoses += found
    return diagnoses


def serve(
    replicas: Sequence[ReplicaAddress], bundle: bytes, name: str
) -> tuple[ServedCertificate, ...]:
    """Ask every replica what it serves, as kube-apiserver asks."""
    prober = TlsProber(name, timeout=_HANDSHAKE)
    return tuple(_served(prober, one, bundle) for one in replicas)


def _served(
    prober: TlsProber, replica: ReplicaAddress, bundle: bytes
) -> ServedCertificate:
    der, trusted = prober.certificate(replica, bundle)
    if not der:
        return ServedCertificate(replica=str(replica), reached=False)
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except (ValueError, x509.ExtensionNotFound):
        return ServedCertificate(replica=str(replica), reached=True, trusted=trusted)
    return ServedCertificate(
        replica=str(replica),
        reached=True,
        certificate=root_of(certificate),
        names=frozenset(names),
        trusted=trusted,
    )


@click.command()
@cluster_options
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    help="A compute namespace to examine; every labeled one otherwise. May be given "
    "again.",
)
@click.option(
    "--release",
    metavar="NAMESPACE[/NAME]",
    default="",
    help="Where the chart is installed, and what its objects are called; searched "
    "otherwise.",
)
@click.option(
    "--wait",
    type=Duration(),
    default=0,
    metavar="TIME",
    help="Examine again until everything is in order, for that long, such as 2m.",
)
@click.option("--all", "every", is_flag=True, help="Show the checks in order too.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(list(FORMATS)),
    default="table",
    show_default=True,
    help="json and junit have every check.",
)
def doctor(  # noqa: PLR0913 - one for each option
    kubeconfig: Path | None,
    context: str | None,
    *,
    namespaces: tuple[str, ...],
    release: str,
    wait: float,
    every: bool,
    output: str,
) -> None:
    """Prove that tracking keys reach every task, and name the true cause if not.

    Checks go in the order of causes: what comes first among the failures is what has
    to be mended first. Nothing is changed: pods are created in dry runs only. With
    fewer rights it examines less, and names the right that is missing.

    \b
    Examples:
      kubectl tracking doctor                 the installation, all namespaces
      kubectl tracking doctor -n ray          one namespace besides
      kubectl tracking doctor --wait 2m       right after an install
      kubectl tracking doctor -o junit        for CI

    \b
    Exit codes:
      0  everything is in order
      1  something is not
      2  no access, or bad arguments
    """  # noqa: D301 - \b is the character that click looks for
    access = connect(process_environ(), kubeconfig=kubeconfig, context=context)
    until = time.monotonic() + wait
    while True:
        found = _examined(access.resources, release, namespaces, context or "")
        if not found.failed or time.monotonic() + _EVERY > until:
            break
        time.sleep(_EVERY)
    click.echo(FORMATS[output]([found], every=every))
    raise SystemExit(_code([found]))


def _examined(
    client: KubeClient, asked: str, namespaces: Sequence[str], context: str
) -> Examination:
    home, _, name = asked.partition("/")
    releases = (
        (ReleaseName(home, name),) if name else find_releases(client, namespace=home)
    )
    if isinstance(releases, Unknown):
        return Examination(context=context, about="no release", error=releases.sentence)
    if not releases:
        where = f"in {home}" if home else "in this cluster"
        return Examination(
            context=context,
            about="no release",
            error=f"No release {where}: `kubectl tracking doctor --pre` says what an "
            "install needs.",
        )
    release = releases[0]
    return Examination(
        context=context,
        about=str(release),
        diagnoses=examine(client, release, namespaces, now()),
    )


def _code(found: Sequence[Examination]) -> int:
    if any(one.error for one in found):
        return 2
    return 1 if any(one.failed for one in found) else 0
