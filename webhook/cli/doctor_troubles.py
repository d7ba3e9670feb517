"""What doctor finds and `status` would not see: both have to agree that all is well."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from webhook.cli.doctor_examine import Examiner
from webhook.cli.kubeconfig import now
from webhook.cluster.config import ClusterConnection
from webhook.cluster.errors import ClusterError
from webhook.cluster.tunnel import Tunnel
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.trouble import Severity, Trouble, warning
from webhook.doctor.check import Outcome

_KINDS: Final = ("Ray head", "Spark driver")
"""One of each operator's: a status is looked at more often than a doctor is asked."""
_SEVERITIES: Final = {
    Outcome.FAILURE: Severity.ERROR,
    Outcome.WARNING: Severity.WARNING,
}


def deeper(
    access: ClusterConnection,
    release: ReleaseName,
    asked: Sequence[str],
    known: Iterable[Trouble],
    *,
    probes: bool,
) -> Iterator[Trouble]:
    """Yield what doctor finds besides, errors in front of warnings.

    Args:
        access: the cluster.
        release: which one.
        asked: the compute namespaces to look at; none means all.
        known: what is told already.
        probes: also from inside of task pods.
    """
    told = {one.reason for one in known}
    client = access.resources
    tunnel = Tunnel(client.api)
    examiner = Examiner(client=client, tunnel=tunnel, kinds=_KINDS, probes=probes)
    try:
        diagnoses = examiner.examine(release, asked, now())
    except ClusterError as caught:
        yield warning(InstallationReason.NOT_READABLE, "doctor", str(caught))
        return
    for one in diagnoses:
        severity = _SEVERITIES.get(one.outcome)
        if severity is None or one.check.code in told:
            continue
        yield Trouble(
            severity=severity,
            reason=one.check.code,
            about=one.namespace or "installation",
            sentence=one.check.sentence,
            detail="; ".join(map(str, one.symptoms[:3])),
            namespace=one.namespace,
        )
