"""Every check there is, in the order of causes."""

from collections.abc import Iterator, Mapping
from typing import Final

from webhook.doctor.check import Check, Outcome, Symptom, seen
from webhook.doctor.companion import COMPANION
from webhook.doctor.facts import ClusterFacts, NamespaceFacts
from webhook.doctor.installation import RELEASE, SERVICE, workload_checks
from webhook.doctor.namespaces import LABEL, MIRROR
from webhook.doctor.preflight import PREFLIGHT
from webhook.doctor.probe import PROBE
from webhook.doctor.sources import SOURCES
from webhook.doctor.tasks import ADMISSION, NETWORK, PODS
from webhook.doctor.trust import SERVED, STORED

__all__ = ["CLUSTER", "NAMESPACE", "PREFLIGHT", "PROBE"]


def _operators(facts: ClusterFacts) -> Iterator[Symptom]:
    for one in seen(facts.operators):
        name, _, said = one.partition(": ")
        yield Symptom(name, said)


OPERATORS: Final[tuple[Check[ClusterFacts], ...]] = (
    Check(
        code="OperatorWebhookOff",
        title="spark-operator's own webhook is there",
        sentence="spark-operator is installed without its webhook: what a "
        "SparkApplication says of `env`, `envFrom`, volumes and the like never reaches "
        "its pods. The tracking keys do.",
        remedy="kubectl get mutatingwebhookconfigurations "
        "# then set webhook.enable in spark-operator's own chart",
        judge=_operators,
        outcome=Outcome.WARNING,
    ),
)

CLUSTER: Final[Mapping[str, tuple[Check[ClusterFacts], ...]]] = {
    "release": RELEASE,
    # Rights come first: without them, no pod of the companion gets ready.
    "companion": (*COMPANION[:1], *workload_checks("companion"), *COMPANION[1:]),
    "certificates": STORED,
    "webhook": (*workload_checks("webhook"), *SERVICE, *SERVED),
    "sources": SOURCES,
    "operators": OPERATORS,
}
"""Of the whole installation, by what they are about."""

NAMESPACE: Final[Mapping[str, tuple[Check[NamespaceFacts], ...]]] = {
    "label": LABEL,
    "mirror": MIRROR,
    "admission": ADMISSION,
    "pods": PODS,
    "network": NETWORK,
}
"""Of one compute namespace."""
