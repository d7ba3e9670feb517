"""The objects of the webhook's certificates, and the policy they follow."""

from dataclasses import dataclass
from datetime import timedelta

from certs.policy import CertificatePolicy, service_name
from webhook.cluster import metadata
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import ResourceType
from webhook.settings import CompanionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNames:
    """The names of the objects concerned.

    Attributes:
        namespace: of the Service and both Secrets.
        service: the webhook's Service.
        configuration: the MutatingWebhookConfiguration.
        state_secret: the rotation's state; mounted nowhere.
        pair_secret: the serving Secret; mounted by the webhook's replicas.
    """

    namespace: str
    service: str
    configuration: str
    state_secret: str
    pair_secret: str

    @classmethod
    def from_settings(cls, settings: CompanionSettings, home: str) -> "ObjectNames":
        """Return the names in a release namespace."""
        return cls(
            namespace=home,
            service=settings.webhook_name,
            configuration=settings.webhook_name,
            state_secret=f"{settings.tls_secret}-state",
            pair_secret=settings.tls_secret,
        )

    def about(
        self, kind: ResourceType, name: str, body: Json | None = None
    ) -> ObjectReference:
        """Return an object for an Event, which goes to the release namespace."""
        key = ObjectKey(self.namespace, name)
        return ObjectReference.to(kind, key, metadata.uid(body or {}))


def certificate_policy(settings: CompanionSettings, home: str) -> CertificatePolicy:
    """Return the names and durations that a release's certificates follow.

    Raises:
        PolicyError: the durations contradict each other.
    """
    return CertificatePolicy(
        names=(service_name(settings.webhook_name, home),),
        life=timedelta(days=settings.certificate_days),
        renew_before=timedelta(days=settings.certificate_renew_days),
        skew=timedelta(seconds=settings.certificate_skew_seconds),
        bundle_dwell=timedelta(seconds=settings.certificate_bundle_seconds),
        serve_dwell=timedelta(seconds=settings.certificate_serve_seconds),
    )
