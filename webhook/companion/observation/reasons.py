"""What may be wrong with an installation as a whole: one closed vocabulary."""

from webhook.reason import Reason


class InstallationReason(Reason):
    """What may be wrong with an installation as a whole."""

    WEBHOOK_MISSING = "WebhookMissing", "The webhook's Deployment does not exist."
    WEBHOOK_DOWN = (
        "WebhookDown",
        "No replica of the webhook is ready: where the API server has no policy, new "
        "task pods start without keys.",
    )
    WEBHOOK_DEGRADED = (
        "WebhookDegraded",
        "Fewer replicas of the webhook are ready than there should be.",
    )
    CONFIGURATION_MISSING = (
        "ConfigurationMissing",
        "The MutatingWebhookConfiguration does not exist or has no entries: API "
        "servers never call the webhook.",
    )
    TRUST_MISSING = (
        "TrustMissing",
        "A caBundle is empty or unreadable: API servers cannot verify the webhook and "
        "go on without it.",
    )
    TRUST_EXPIRED = (
        "TrustExpired",
        "Every certificate in a caBundle has expired: API servers trust no webhook.",
    )
    POLICY_MISSING = (
        "PolicyMissing",
        "There is neither a webhook nor a MutatingAdmissionPolicy: new task pods start "
        "without keys.",
    )
    POLICY_UNBOUND = (
        "PolicyUnbound",
        "The MutatingAdmissionPolicy has no binding, and so no effect.",
    )
    POLICY_ALTERED = (
        "PolicyAltered",
        "The MutatingAdmissionPolicy is not the one of its version, or not of the "
        "release's settings.",
    )
    COMPANION_MISSING = "CompanionMissing", "The companion's Deployment does not exist."
    COMPANION_DOWN = (
        "CompanionDown",
        "No replica of the companion is ready: nothing is mirrored or reported.",
    )
    COMPANION_DEGRADED = (
        "CompanionDegraded",
        "Fewer replicas of the companion are ready than there should be.",
    )
    COMPANION_ASLEEP = (
        "CompanionAsleep",
        "No companion has renewed its Lease for more than 30 s: what is told of "
        "namespaces and pods is as old as that.",
    )
    REPORT_MISSING = (
        "ReportMissing",
        "No companion has published a report yet, or this version cannot read it.",
    )
    NOT_READABLE = (
        "NotReadable",
        "It could not be read, so nobody can say that it is in order.",
    )
    LABEL_UNKNOWN = (
        "LabelUnknown",
        "The namespace's label has a value that means nothing; `enabled` switches "
        "injection on.",
    )
    PODS_NOT_AUDITED = (
        "PodsNotAudited",
        "Nobody looks for task pods without keys: the audit is off, or lacks a right.",
    )
    PODS_WAITING = (
        "PodsWaiting",
        "Pods wait for the tracking Secret or a key of it, and start by themselves "
        "once it is there.",
    )
    PODS_OUTDATED = (
        "PodsOutdated",
        "Pods still run with older keys; new ones get the new keys.",
    )
    KEY_SHADOWED = (
        "KeyShadowed",
        "A ConfigMap's older value wins over the tracking key.",
    )
    NAMESPACE_UNKNOWN = (
        "NamespaceUnknown",
        "The namespace is not labeled for injection, and has no mirror.",
    )
    REPORT_TRUNCATED = (
        "ReportTruncated",
        "There are more namespaces than the report has room for; counts are complete.",
    )
    FAILED_OPEN = (
        "FailedOpen",
        "The API server that was asked has let pods through without the webhook's "
        "answer since it started.",
    )
    VERSION_SKEW = (
        "VersionSkew",
        "This command, the webhook and the companion are not all of one version.",
    )
