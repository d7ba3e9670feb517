"""The tracking server's CA in each compute namespace: what it should be, and whether.

Pure. Certificates are public, so they lie in a ConfigMap; of a source, nothing but its
certificates is taken, whatever else the value holds.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from certs.bundle import parse, render
from webhook.injection.names import (
    CA_CONFIG_MAP,
    CA_KEY,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RELEASE_LABEL,
)
from webhook.mirror.secret import is_of_release
from webhook.reason import Reason
from webhook.secret_bytes import SecretBytes


class TrackingCaReason(Reason):
    """The state of the tracking server's CA in one namespace."""

    CA_MIRRORED = "CaMirrored", "The ConfigMap holds the tracking server's CA."
    CA_PENDING = "CaPending", "The ConfigMap is about to be written or removed."
    CA_SOURCE_UNUSABLE = (
        "CaSourceUnusable",
        "The source of the tracking server's CA is missing, cannot be read, or has no "
        "certificate; what was mirrored before stays.",
    )
    CA_FOREIGN = (
        "CaForeign",
        "A ConfigMap of the CA's name exists that the companion did not make; it is "
        "left alone, and tasks see what it holds.",
    )
    CA_REFUSED = (
        "CaRefused",
        "The ConfigMap with the tracking server's CA could not be written or removed; "
        "it is retried.",
    )

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to do anything about it."""
        return self in (TrackingCaReason.CA_MIRRORED, TrackingCaReason.CA_PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingCa:
    """A ConfigMap of the CA's name.

    Attributes:
        owned: this release's companion made it.
        digest: of what tasks read.
        uid: with `resource_version`, what a delete of exactly this object names.
        resource_version: as the server gave it.
    """

    owned: bool
    digest: str
    uid: str
    resource_version: str


def usable(value: SecretBytes | None) -> str:
    """Return the certificates of a source's value as PEM; empty for none."""
    return render(parse(value.reveal())).decode() if value is not None else ""


def judge(copy: TrackingCa | None, pem: str) -> TrackingCaReason:
    """Return how a labeled namespace's copy stands; pending: it is to be written.

    Args:
        copy: what is there.
        pem: what is to be there; empty where the source gives nothing.
    """
    if not pem:
        return TrackingCaReason.CA_SOURCE_UNUSABLE
    if copy is None:
        return TrackingCaReason.CA_PENDING
    if not copy.owned:
        return TrackingCaReason.CA_FOREIGN
    if copy.digest == ca_digest(pem):
        return TrackingCaReason.CA_MIRRORED
    return TrackingCaReason.CA_PENDING


def ca_digest(pem: str) -> str:
    """Return what two ConfigMaps with the same certificates have in common."""
    return hashlib.sha256(pem.encode()).hexdigest()


def tracking_ca(body: Mapping[str, Any], release: str) -> TrackingCa:
    """Keep of a ConfigMap of the CA's name what is decided by."""
    meta = body.get("metadata") or {}
    labels = meta.get("labels") or {}
    managed = labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    return TrackingCa(
        owned=managed and is_of_release(labels, release),
        digest=ca_digest((body.get("data") or {}).get(CA_KEY) or ""),
        uid=meta.get("uid") or "",
        resource_version=meta.get("resourceVersion") or "",
    )


def desired_config_map(namespace: str, pem: str, release: str) -> dict[str, Any]:
    """Return the ConfigMap to apply."""
    return {
        "metadata": {
            "name": CA_CONFIG_MAP,
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, RELEASE_LABEL: release},
        },
        "data": {CA_KEY: pem},
    }
