"""Whatever is wrong with an installation is an error, and nothing else is."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.installation import DIGEST, HOME, NAME, NOW, FakeInstallation
from tests.unit.companion.test_report import mirrored, permitted, report
from webhook import __version__
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import (
    ADMISSION_POLICY,
    ADMISSION_POLICY_BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    POD,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.audit import AuditReason, AuditResult
from webhook.companion.observation.model import WorkloadState
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.trouble import Severity, Trouble
from webhook.companion.observation.troubles import accepting, in_order, troubles
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.companion.results import CompanionResults
from webhook.companion.watches import WatchReason, WatchResult
from webhook.egress.reasons import EgressReason
from webhook.mirror.reasons import MirrorReason

WEBHOOK = ObjectKey(HOME, NAME)
COMPANION = ObjectKey(HOME, f"{NAME}-companion")
CONFIGURATION = ObjectKey("", NAME)


@pytest.fixture(name="site")
def _site() -> FakeInstallation:
    site = FakeInstallation()
    site.publish(found())
    return site


def found(results: CompanionResults | None = None) -> dict[str, Any]:
    """A report of two namespaces, audited."""
    results = results or CompanionResults()
    for name in ("ray", "spark"):
        if results.mirrors.get(name) is None:
            results.mirrors.put(name, mirrored())
        if results.egress.get(name) is None:
            results.egress.put(name, permitted())
    return report(results) | {"audit": "complete"}


def errors(site: FakeInstallation, *asked: str) -> list[Trouble]:
    """What is wrong by the judgment, warnings apart."""
    every = troubles(site.observe(), client=__version__, asked=asked)
    errors = [one for one in every if one.severity is Severity.ERROR]
    assert in_order(every) is not bool(errors)
    return errors


def reasons(site: FakeInstallation, *asked: str) -> list[str]:
    """Their words."""
    return [one.reason for one in errors(site, *asked)]


def test_a_healthy_installation_has_no_trouble(site: FakeInstallation) -> None:
    """Nor has it a warning."""
    assert troubles(site.observe(), client=__version__) == ()


@pytest.mark.parametrize(
    "reason", [one for one in AuditReason if not one.has_keys], ids=str
)
def test_a_pod_without_keys_is_not_in_order(
    site: FakeInstallation, reason: AuditReason
) -> None:
    """Whoever wanted it so: only who asks can say that it is meant to be."""
    results = CompanionResults()
    told = AuditResult(
        reason=reason, counts=Counter({reason: 1}), without_keys=(("p", reason),)
    )
    results.audits.put("ray", told)
    site.publish(found(results))

    (one,) = errors(site)
    assert (one.reason, one.namespace, one.objects) == (reason, "ray", ("p",))
    assert in_order(accepting((one,), [reason]))
    assert not in_order(accepting((one,), ["Stale"]))


def without_webhook(site: FakeInstallation) -> None:
    """The chart was installed with no replica of the webhook."""
    told = found()
    told["settings"]["certificates"] = "none"
    site.publish(told)
    site.cluster.client().delete(DEPLOYMENT, WEBHOOK.name, WEBHOOK.namespace)
    site.cluster.client().delete(
        WEBHOOK_CONFIGURATION, CONFIGURATION.name, CONFIGURATION.namespace
    )


def test_an_installation_without_a_webhook_is_in_order(site: FakeInstallation) -> None:
    """The API server's policy does its work."""
    without_webhook(site)

    assert errors(site) == []


def test_one_without_webhook_and_policy_is_not(site: FakeInstallation) -> None:
    """Nobody gives any pod its keys."""
    without_webhook(site)
    site.cluster.client().delete(
        ADMISSION_POLICY, CONFIGURATION.name, CONFIGURATION.namespace
    )

    assert reasons(site) == ["PolicyMissing"]


def test_a_policy_that_may_not_be_read_is_an_error_where_it_is_alone(
    site: FakeInstallation,
) -> None:
    """Beside a webhook it is a second net, and nobody needs the right."""
    site.cluster.forbid(lambda call: call.kind == ADMISSION_POLICY)
    assert reasons(site) == []
    without_webhook(site)

    assert reasons(site) == ["NotReadable"]


def test_a_webhook_needs_no_policy(site: FakeInstallation) -> None:
    """Kubernetes before 1.36 has none."""
    for kind in (ADMISSION_POLICY, ADMISSION_POLICY_BINDING):
        site.cluster.client().delete(kind, CONFIGURATION.name, CONFIGURATION.namespace)

    assert errors(site) == []


def unbound(site: FakeInstallation) -> None:
    """Somebody deletes the binding."""
    site.cluster.client().delete(
        ADMISSION_POLICY_BINDING, CONFIGURATION.name, CONFIGURATION.namespace
    )


def bound_elsewhere(site: FakeInstallation) -> None:
    """Somebody lets it bind another policy."""

    def change(body: dict[str, Any]) -> None:
        body["spec"]["policyName"] = "another"

    site.change(ADMISSION_POLICY_BINDING, CONFIGURATION, change)


def failing_closed(site: FakeInstallation) -> None:
    """Somebody lets it fail pods."""

    def change(body: dict[str, Any]) -> None:
        body["spec"]["failurePolicy"] = "Fail"

    site.change(ADMISSION_POLICY, CONFIGURATION, change)


def rewritten(site: FakeInstallation) -> None:
    """Somebody edits an expression of each kind."""

    def change(body: dict[str, Any]) -> None:
        body["spec"]["matchConditions"][0]["expression"] = "true"
        body["spec"]["variables"][-1]["expression"] = "''"
        body["spec"]["mutations"] = []

    site.change(ADMISSION_POLICY, CONFIGURATION, change)


def of_other_settings(site: FakeInstallation) -> None:
    """An upgrade reached the companion, and not the policy."""
    told = found()
    told["settings"] |= {"precedence": "override", "enforcedKeys": ["K"]}
    site.publish(told)


@pytest.mark.parametrize(
    ("happens", "reason", "detail"),
    [
        (
            unbound,
            "PolicyUnbound",
            f"mutatingadmissionpolicybindings.admissionregistration.k8s.io {NAME}",
        ),
        (bound_elsewhere, "PolicyUnbound", "it binds another"),
        (failing_closed, "PolicyAltered", "failurePolicy"),
        (
            rewritten,
            "PolicyAltered",
            "matchConditions.is-a-task-pod, variables.note, mutations",
        ),
        (of_other_settings, "PolicyAltered", "precedence, enforcedKeys"),
    ],
)
def test_a_policy_that_is_not_the_releases_is_an_error(
    site: FakeInstallation,
    happens: Callable[[FakeInstallation], None],
    reason: str,
    detail: str,
) -> None:
    """Named as far as it differs."""
    happens(site)

    assert [(one.reason, one.detail) for one in errors(site)] == [(reason, detail)]


def test_a_policy_of_another_version_is_not_compared(site: FakeInstallation) -> None:
    """Its expressions may be others."""

    def change(body: dict[str, Any]) -> None:
        body["spec"]["variables"][0]["expression"] = '"9.9.9"'
        body["spec"]["mutations"] = []

    site.change(ADMISSION_POLICY, CONFIGURATION, change)

    assert errors(site) == []


def test_what_is_served_is_told(site: FakeInstallation) -> None:
    """Replicas with their digest; whoever leads; whom API servers trust."""
    seen = site.observe()

    assert isinstance(seen.webhook, WorkloadState)
    assert (seen.webhook.ready, seen.webhook.desired) == (2, 2)
    assert not isinstance(seen.webhook_replicas, Unknown)
    assert [one.digest for one in seen.webhook_replicas] == [DIGEST, DIGEST]
    assert not isinstance(seen.configuration, Unknown)
    assert {one.roots[0].pem for one in seen.configuration.entries} == {site.bundle}
    assert isinstance(seen.report, PublishedReport)


def pending(body: dict[str, Any]) -> None:
    """No replica is ready."""
    body["status"] = {}


def halved(body: dict[str, Any]) -> None:
    """One of two is ready."""
    body["status"] = {"readyReplicas": 1}


def shrunk(body: dict[str, Any]) -> None:
    """Somebody scaled it down to nothing."""
    body["spec"]["replicas"] = 0
    body["status"] = {}


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        (WEBHOOK, pending, "WebhookDown"),
        (WEBHOOK, halved, "WebhookDegraded"),
        (WEBHOOK, shrunk, "WebhookDown"),
        (COMPANION, pending, "CompanionDown"),
        (COMPANION, halved, "CompanionDegraded"),
        (COMPANION, shrunk, "CompanionDown"),
    ],
)
def test_replicas_that_are_not_ready_are_an_error(
    site: FakeInstallation, key: ObjectKey, change: Callable[[Any], None], reason: str
) -> None:
    """Whatever the report says."""
    site.change(DEPLOYMENT, key, change)

    assert reasons(site) == [reason]


def test_why_a_replica_is_not_ready_is_told(site: FakeInstallation) -> None:
    """As Kubernetes words it: not scheduled, or no image."""
    site.change(DEPLOYMENT, WEBHOOK, pending)
    unschedulable = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available",
    }
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    first, second = (ObjectKey(HOME, f"{NAME}-{number}") for number in range(2))
    status = {"phase": "Pending", "conditions": [unschedulable]}
    site.change(POD, first, lambda body: body.update(status=status))
    pulled = {"containerStatuses": [{"state": {"waiting": waiting}}]}
    site.change(POD, second, lambda body: body.update(status=pulled))

    assert [one.detail for one in errors(site)] == [
        f"0 of 2 ready; {NAME}-0: Unschedulable: 0/1 nodes are available; "
        f"{NAME}-1: ImagePullBackOff: Back-off pulling image"
    ]


@pytest.mark.parametrize(
    ("kind", "key", "reason"),
    [
        (DEPLOYMENT, WEBHOOK, "WebhookMissing"),
        (DEPLOYMENT, COMPANION, "CompanionMissing"),
        (WEBHOOK_CONFIGURATION, CONFIGURATION, "ConfigurationMissing"),
        (LEASE, COMPANION, "NotReadable"),
        (CONFIG_MAP, ObjectKey(HOME, f"{NAME}-status"), "ReportMissing"),
    ],
)
def test_what_is_gone_is_an_error(
    site: FakeInstallation, kind: ResourceType, key: ObjectKey, reason: str
) -> None:
    """Each by its own word."""
    site.cluster.drop(kind, key)

    assert reasons(site) == [reason]


@pytest.mark.parametrize(
    ("seconds", "sound"), [(0, True), (29, True), (31, False), (7200, False)]
)
def test_a_lease_that_is_not_renewed_is_an_error(
    site: FakeInstallation, seconds: int, sound: bool
) -> None:
    """From 30 s on."""
    site.renewed(timedelta(seconds=seconds))

    assert reasons(site) == ([] if sound else ["CompanionAsleep"])


def test_a_lease_of_the_future_or_of_nobody_is_an_error(
    site: FakeInstallation,
) -> None:
    """A clock is wrong, or nobody leads."""
    site.renewed(NOW + timedelta(minutes=5))
    assert reasons(site) == ["CompanionAsleep"]
    assert "a clock is wrong" in errors(site)[0].detail

    site.renewed(NOW, holder="")
    assert reasons(site) == ["CompanionAsleep"]


@pytest.mark.parametrize("entries", [1, 2])
def test_a_bundle_that_was_stripped_is_an_error(
    site: FakeInstallation, entries: int
) -> None:
    """Of one entry or of all."""

    def strip(body: dict[str, Any]) -> None:
        for entry in body["webhooks"][:entries]:
            entry["clientConfig"] = {
                k: v for k, v in entry["clientConfig"].items() if k != "caBundle"
            }

    site.change(WEBHOOK_CONFIGURATION, CONFIGURATION, strip)

    assert reasons(site) == ["TrustMissing"]


def test_an_expired_bundle_is_an_error(site: FakeInstallation) -> None:
    """Nobody trusts the webhook any more."""
    at = NOW + timedelta(days=91)
    site.renewed(at)
    every = troubles(site.observe(at), client=__version__)

    assert [one.reason for one in every] == ["TrustExpired"]


def test_a_configuration_without_entries_is_an_error(site: FakeInstallation) -> None:
    """API servers call nobody."""
    site.change(
        WEBHOOK_CONFIGURATION, CONFIGURATION, lambda body: body.update(webhooks=[])
    )

    assert reasons(site) == ["ConfigurationMissing"]


@pytest.mark.parametrize("reason", EgressReason)
def test_a_destination_without_a_rule_is_an_error_in_an_open_namespace_too(
    site: FakeInstallation, reason: EgressReason
) -> None:
    """Where nothing isolates nothing is added, and still no server is reached."""
    results = CompanionResults()
    results.egress.put("ray", permitted(EgressReason.NOT_ISOLATED, findings=2))
    body = found(results)
    for one in body["namespaces"]["ray"]["egress"]["findings"]:
        one["reason"] = reason
    site.publish(body)

    harmless = {
        "RotatingAddresses",
        "OtherEgressControls",
        "EnforcementUnknown",
        "NodeAddress",
        "DatabaseUri",
        "LegacyTracker",
    }
    told = troubles(site.observe(), client=__version__)
    assert {one.reason for one in told} == {reason.value}
    assert in_order(told) is (reason.value in harmless)


@pytest.mark.parametrize("reason", MirrorReason)
def test_a_mirror_that_is_not_in_order_is_an_error(
    site: FakeInstallation, reason: MirrorReason
) -> None:
    """And of the namespace that is asked about alone."""
    results = CompanionResults()
    results.mirrors.put("ray", mirrored(reason))
    site.publish(found(results))

    wanted = [] if reason.is_in_order else [reason.value]
    assert reasons(site) == wanted
    assert reasons(site, "ray") == wanted
    assert reasons(site, "spark") == []


def test_pods_without_keys_and_pods_that_wait_are_named(
    site: FakeInstallation,
) -> None:
    """The first of them, and how many there are."""
    results = CompanionResults()
    counts = Counter({AuditReason.MISSED: 2, AuditReason.INJECTED: 3})
    audited = AuditResult(
        reason=AuditReason.MISSED,
        counts=counts,
        without_keys=(("b", AuditReason.MISSED), ("a", AuditReason.MISSED)),
        waiting=("c",),
        outdated=1,
        oldest=NOW,
    )
    results.audits.put("ray", audited)
    site.publish(found(results))

    assert [(one.reason, one.detail, one.objects) for one in errors(site)] == [
        ("Missed", "2 pods", ("b", "a")),
        ("PodsWaiting", "1 pod", ("c",)),
        ("PodsOutdated", "1 pod", ()),
    ]


def test_a_failing_watch_is_an_error(site: FakeInstallation) -> None:
    """What it watches may have changed since."""
    results = CompanionResults()
    failed = WatchResult(reason=WatchReason.WATCH_FAILED, detail="a right is missing")
    results.watches.put("services *", failed)
    site.publish(found(results))

    assert reasons(site) == ["WatchFailed"]


@pytest.mark.parametrize("value", ["enable", "true", "", "Enabled"])
def test_a_label_with_a_typing_mistake_is_an_error(
    site: FakeInstallation, value: str
) -> None:
    """Its namespace is watched by nobody."""
    labels = {"tracking.michelangelo-ai.org/inject": value}
    site.put(NAMESPACE, {"metadata": {"name": "typo", "labels": labels}})

    assert reasons(site) == ["LabelUnknown"]
    assert reasons(site, "ray") == []


def test_a_namespace_that_nobody_labeled_is_an_error_where_it_is_asked_for(
    site: FakeInstallation,
) -> None:
    """It will get nothing."""
    assert reasons(site, "default") == ["NamespaceUnknown"]


@pytest.mark.parametrize(
    ("kind", "about", "right"),
    [
        (DEPLOYMENT, "webhook", f"to get deployments.apps {HOME}/{NAME}"),
        (LEASE, "companion", f"to get leases.coordination.k8s.io {COMPANION}"),
        (CONFIG_MAP, "report", f"to get configmaps {HOME}/{NAME}-status"),
        (
            WEBHOOK_CONFIGURATION,
            "webhook configuration",
            f"to get mutatingwebhookconfigurations.admissionregistration.k8s.io {NAME}",
        ),
    ],
)
def test_what_may_not_be_read_is_not_said_to_be_in_order(
    site: FakeInstallation, kind: ResourceType, about: str, right: str
) -> None:
    """The right that is missing is named."""
    site.cluster.forbid(lambda call: call.kind == kind)

    first = errors(site)[0]
    assert (first.reason, first.about) == ("NotReadable", about)
    assert f"the right {right} is missing" in first.detail


def test_what_may_be_missing_is_missing_without_an_error(
    site: FakeInstallation,
) -> None:
    """The pods' images, the API server's metrics and namespaces' labels."""
    verbs = ("samples", "version")
    site.cluster.forbid(
        lambda call: call.kind in (POD, NAMESPACE) or call.verb in verbs
    )
    seen = site.observe()

    for piece in (
        seen.kubernetes,
        seen.fail_open,
        seen.namespaces,
        seen.webhook_replicas,
    ):
        assert isinstance(piece, Unknown)
        assert piece.reason is UnknownReason.RIGHT_MISSING
    assert reasons(site) == []


def test_nothing_raises_where_nobody_answers(site: FakeInstallation) -> None:
    """Every piece says so."""
    site.cluster.outage = True

    assert reasons(site) == ["NotReadable"] * 4 + ["ReportMissing"]


def test_requests_that_went_past_the_webhook_are_a_warning(
    site: FakeInstallation,
) -> None:
    """The counter only grows; pods that run without keys are told by their names."""
    metric = "apiserver_admission_webhook_fail_open_count"
    site.cluster.metrics = (
        f'{metric}{{name="ray.tracking.michelangelo-ai.org",type="admit"}} 2',
        f'{metric}{{name="spark.tracking.michelangelo-ai.org",type="admit"}} 1e+00',
        f'{metric}{{name="other.example.org",type="admit"}} 9',
    )
    (one,) = troubles(site.observe(), client=__version__)

    assert (one.severity, one.reason, one.detail) == ("warning", "FailedOpen", "3 pods")


def test_versions_that_differ_are_a_warning(site: FakeInstallation) -> None:
    """The command's own too."""
    (one,) = troubles(site.observe(), client="9.9.9")

    assert (one.severity, one.reason) == ("warning", "VersionSkew")
    assert "this command 9.9.9" in one.detail


def test_a_report_of_another_schema_is_not_guessed_at(site: FakeInstallation) -> None:
    """Nor one that is no JSON."""
    site.publish(found() | {"schema": 3})
    assert "schema 3" in errors(site)[0].detail

    site.publish({})
    assert reasons(site) == ["ReportMissing"]


def test_a_reason_of_a_later_version_is_an_error(site: FakeInstallation) -> None:
    """Whatever it means."""
    body = found()
    body["namespaces"]["ray"]["reason"] = "OfTheFuture"
    site.publish(body)

    assert reasons(site) == ["OfTheFuture"]


def test_what_the_report_had_no_room_for_is_told_by_counts(
    site: FakeInstallation,
) -> None:
    """They are complete."""
    body = found()
    body["truncated"] = {"namespaces": 5000}
    body["reasons"]["mirror"]["Stale"] = 3
    site.publish(body)

    assert [(one.reason, one.about) for one in errors(site)] == [
        ("Stale", "3 namespaces more")
    ]


@pytest.mark.parametrize("garbage", [None, 3, "x", [], {"spec": 3}, {"webhooks": 3}])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (DEPLOYMENT, WEBHOOK),
        (WEBHOOK_CONFIGURATION, CONFIGURATION),
        (CONFIG_MAP, ObjectKey(HOME, f"{NAME}-status")),
    ],
)
def test_an_object_that_cannot_be_read_is_said_to_be_so(
    site: FakeInstallation, kind: ResourceType, key: ObjectKey, garbage: object
) -> None:
    """It never raises."""

    def spoil(body: dict[str, Any]) -> None:
        meta = body["metadata"]
        body.clear()
        body |= {"metadata": meta}
        for name in ("spec", "status", "webhooks", "data"):
            body[name] = garbage

    site.change(kind, key, spoil)

    assert len(reasons(site)) >= 1
