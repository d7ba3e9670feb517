"""Causes that many checks share: whose failing explains theirs."""

from collections.abc import Callable, Iterator
from typing import Final

from webhook.doctor.check import Symptom
from webhook.doctor.facts import NamespaceFacts

Judge = Callable[[NamespaceFacts], Iterator[Symptom]]
"""Finds what is wrong with one namespace."""
STATUS: Final = "kubectl tracking status -n {namespace} -o wide"
NO_REPORT: Final = (
    "CompanionDown",
    "CompanionMissing",
    "CompanionRefused",
    "CompanionUnschedulable",
    "CompanionImagePull",
    "CompanionCrashing",
    "CompanionAsleep",
    "ReportMissing",
    "RightsMissing",
    "WatchFailed",
)
WEBHOOK_DOWN: Final = (
    "WebhookMissing",
    "WebhookRefused",
    "WebhookUnschedulable",
    "WebhookImagePull",
    "WebhookCrashing",
    "WebhookDown",
)
NO_WEBHOOK: Final = (
    "ConfigurationMissing",
    "ConfigurationDrifted",
    "TrustMissing",
    "TrustExpired",
    *WEBHOOK_DOWN,
    "ServiceAstray",
    "NoEndpoints",
    "WebhookPortBlocked",
    "ReplicaUnreachable",
    "LeafExpired",
    "LeafNameMismatch",
    "CaBundleMismatch",
)
UNLABELED: Final = (
    "NamespaceMissing",
    "LabelMistyped",
    "NotLabeled",
    "LabelUnknown",
    "NotAllowed",
    "ExcludedNamespace",
    "Terminating",
)
