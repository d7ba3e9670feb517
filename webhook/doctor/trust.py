"""Checks of certificates: made, stored, trusted, and served by every replica."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.observation.reasons import InstallationReason
from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen
from webhook.doctor.facts import ClusterFacts

_SOON: Final = timedelta(days=7)
"""Before the end of a certificate that is renewed a month before it."""
_SHOW: Final = "kubectl tracking certs show"
_ROTATE: Final = "kubectl tracking certs rotate --now"
_UPGRADE: Final = "helm upgrade {release} CHART -n {home} --reset-then-reuse-values"


def _absent(facts: ClusterFacts) -> Iterator[Symptom]:
    for name in seen(facts.certificates):
        yield Symptom(f"Secret {facts.seen.release.namespace}/{name}", "there is none")


def _told(*reasons: RotationReason) -> Callable[[ClusterFacts], Iterator[Symptom]]:
    def judge(facts: ClusterFacts) -> Iterator[Symptom]:
        certificates = seen(facts.report).certificates
        for reason in reasons:
            if reason in certificates.problems:
                yield Symptom("the companion", f"{reason}: {certificates.line}")

    return judge


def _empty(facts: ClusterFacts) -> Iterator[Symptom]:
    for entry in seen(facts.seen.configuration).entries:
        if not entry.ca_bundle.strip():
            yield Symptom(entry.name, "its caBundle is empty")
        elif not entry.roots:
            yield Symptom(entry.name, "its caBundle has no readable certificate")


def _expired_roots(facts: ClusterFacts) -> Iterator[Symptom]:
    now = facts.time or facts.seen.at
    for entry in seen(facts.seen.configuration).entries:
        if entry.roots and all(root.not_after < now for root in entry.roots):
            yield Symptom(entry.name)


def _unreached(facts: ClusterFacts) -> Iterator[Symptom]:
    for one in seen(facts.served):
        if not one.reached:
            yield Symptom(one.replica, "no answer to a handshake")


def _expired(facts: ClusterFacts) -> Iterator[Symptom]:
    now = facts.time or facts.seen.at
    for one in seen(facts.served):
        if one.certificate and one.certificate.not_after < now:
            yield Symptom(one.replica, f"ended {one.certificate.not_after:%Y-%m-%d}")
        elif one.certificate and one.certificate.not_before > now:
            since = one.certificate.not_before
            yield Symptom(one.replica, f"begins {since:%Y-%m-%d %H:%M} UTC only")


def _misnamed(facts: ClusterFacts) -> Iterator[Symptom]:
    for one in seen(facts.served):
        if one.certificate and facts.server_name not in one.names:
            yield Symptom(one.replica, f"it is not for {facts.server_name}")


def _untrusted(facts: ClusterFacts) -> Iterator[Symptom]:
    for one in seen(facts.served):
        if one.reached and not one.trusted:
            yield Symptom(one.replica, "the caBundle does not verify what it serves")


def _ends_soon(facts: ClusterFacts) -> Iterator[Symptom]:
    now = facts.time or facts.seen.at
    for one in seen(facts.served):
        if one.certificate and one.certificate.not_after - now < _SOON:
            yield Symptom(one.replica, f"ends {one.certificate.not_after:%Y-%m-%d}")


STORED: Final[tuple[Check[ClusterFacts], ...]] = (
    Check(
        code="CertificateSecretMissing",
        title="the certificates' Secrets are there",
        sentence="A Secret that holds the webhook's certificates does not exist, and "
        "the companion may create none.",
        remedy=_UPGRADE,
        judge=_absent,
    ),
    Check(
        code="CertificatesHindered",
        title="the companion looks after the certificates",
        sentence="Something keeps the companion from issuing, rotating or publishing "
        "the webhook's certificate.",
        remedy=_SHOW,
        judge=_told(
            *(
                one
                for one in RotationReason
                if not one.is_in_order
                and one
                not in (
                    RotationReason.ROTATION_UNDER_WAY,
                    RotationReason.CLOCK_DIFFERS,
                    RotationReason.CONFIGURATION_MISSING,
                )
            )
        ),
        after=("RightsMissing", "CertificateSecretMissing", "ConfigurationMissing"),
    ),
    of_reason(
        InstallationReason.TRUST_MISSING,
        title="every entry has a caBundle",
        remedy="kubectl get mutatingwebhookconfiguration {release} "
        "--show-managed-fields -o yaml  # who empties it",
        judge=_empty,
        after=("ConfigurationMissing",),
    ),
    of_reason(
        InstallationReason.TRUST_EXPIRED,
        title="the caBundle is in date",
        remedy=_ROTATE,
        judge=_expired_roots,
        after=("ConfigurationMissing", "TrustMissing"),
    ),
)

SERVED: Final[tuple[Check[ClusterFacts], ...]] = (
    Check(
        code="ReplicaUnreachable",
        title="every replica answers a handshake",
        sentence="A replica behind the Service does not answer on its port: API "
        "servers that are sent to it go on without an answer.",
        remedy="kubectl get endpointslices -n {home} -o yaml "
        "-l kubernetes.io/service-name={release}",
        judge=_unreached,
        after=("WebhookDown", "NoEndpoints", "WebhookPortBlocked"),
    ),
    Check(
        code="LeafExpired",
        title="served certificates are in date",
        sentence="A replica serves a certificate that is not valid now; API servers "
        "refuse it and go on without an answer.",
        remedy=_ROTATE,
        judge=_expired,
        after=("ClockDiffers",),
    ),
    Check(
        code="LeafNameMismatch",
        title="served certificates are for the Service's name",
        sentence="A replica serves a certificate for another name than the one that "
        "API servers ask for.",
        remedy=_SHOW,
        judge=_misnamed,
    ),
    Check(
        code="CaBundleMismatch",
        title="the caBundle verifies every replica",
        sentence="What a replica serves is not signed by anything in the caBundle: API "
        "servers refuse it and go on without an answer.",
        remedy="kubectl tracking certs verify",
        judge=_untrusted,
        after=("TrustMissing", "TrustExpired", "LeafExpired", "LeafNameMismatch"),
    ),
    Check(
        code="LeafEndsSoon",
        title="served certificates are good for a week",
        sentence="A replica serves a certificate that ends within a week; a new one "
        "should have been there for long.",
        remedy=_ROTATE,
        judge=_ends_soon,
        outcome=Outcome.WARNING,
        after=("LeafExpired",),
    ),
)
