"""Every check there is, in the order of causes."""

from collections.abc import Mapping
from typing import Final

from webhook.doctor.check import Check
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


CLUSTER: Final[Mapping[str, tuple[Check[ClusterFacts], ...]]] = {
    "release": RELEASE,
    # Rights come first: without them, no pod of the companion gets ready.
    "companion": (*COMPANION[:1], *workload_checks("companion"), *COMPANION[1:]),
    "certificates": STORED,
    "webhook": (*workload_checks("webhook"), *SERVICE, *SERVED),
    "sources": SOURCES,
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
