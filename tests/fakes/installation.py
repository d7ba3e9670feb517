"""An installation in a cluster in memory, healthy until a test breaks a part of it.

Objects are as the chart and the companion leave them, as far as an observer looks.
"""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from certs.issue import issue
from certs.policy import CertificatePolicy
from tests.fakes.cluster import FakeCluster
from webhook import __version__
from webhook.cluster.interface import Json, ObjectKey
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
from webhook.companion.observation.model import Installation
from webhook.companion.observation.observe import observe
from webhook.companion.observation.release import ReleaseName
from webhook.companion.report import FIELD, ReportSource, render
from webhook.injection.admission_policy.objects import Reach, policy_objects
from webhook.injection.names import (
    CERTIFICATES_ANNOTATION,
    DOMAIN,
    INJECT_LABEL,
    TLS_SECRET_ANNOTATION,
)
from webhook.injection.policy import InjectionPolicy

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOME: Final = "ml-tracking"
NAME: Final = "keys-for-tasks"
DIGEST: Final = f"sha256:{'0123456789abcdef' * 4}"
IMAGE: Final = f"registry.example.org/tracking-injector:{__version__}"


class FakeInstallation:
    """A release called unlike the chart, with two labeled namespaces."""

    def __init__(
        self,
        cluster: FakeCluster | None = None,
        *,
        release: str = NAME,
        teams: Sequence[str] = ("ray", "spark"),
    ) -> None:
        """Installs everything, healthy."""
        self.cluster = cluster or FakeCluster(clock=lambda: NOW)
        self.release = ReleaseName(HOME, release)
        pair = issue(CertificatePolicy(names=(f"{release}.{HOME}.svc",)), NOW)
        self.bundle = pair.root.pem
        for name in (HOME, *teams):
            labels = {} if name == HOME else {INJECT_LABEL: "enabled"}
            self.put(NAMESPACE, {"metadata": {"name": name, "labels": labels}})
        names = {"webhook": release, "companion": f"{release}-companion"}
        for component, name in names.items():
            self.put(DEPLOYMENT, deployment(component, name))
            for number in range(2):
                self.put(POD, replica(component, f"{name}-{number}"))
        self.put(WEBHOOK_CONFIGURATION, configuration(self.bundle, release))
        policy, binding = policy_objects(release, InjectionPolicy(), Reach())
        self.put(ADMISSION_POLICY, policy)
        self.put(ADMISSION_POLICY_BINDING, binding)
        self.renewed(NOW)

    def put(self, kind: ResourceType, body: Json) -> None:
        """Stores an object as it is."""
        self.cluster.put(kind, body)

    def change(
        self, kind: ResourceType, key: ObjectKey, by: Callable[[Any], object]
    ) -> None:
        """Somebody changes an object in place."""
        body = self.cluster.stored(kind, key)
        assert body is not None
        by(body)
        self.cluster.put(kind, body)

    def renewed(self, at: datetime | timedelta, holder: str = "one") -> None:
        """Somebody renews the Lease at a time, or a while ago."""
        when = NOW - at if isinstance(at, timedelta) else at
        stamp = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": holder, "renewTime": stamp}
        meta = labeled("companion", f"{self.release.name}-companion")
        self.put(LEASE, {"metadata": meta, "spec": spec})

    def report(self, source: ReportSource) -> None:
        """The companion publishes what its controllers found."""
        self.publish(json.loads(render(source)))

    def publish(self, report: Json) -> None:
        """The ConfigMap holds this report."""
        meta = labeled("companion", f"{self.release.name}-status")
        data = {FIELD: json.dumps(report)}
        self.put(CONFIG_MAP, {"metadata": meta, "data": data})

    def observe(self, at: datetime = NOW) -> Installation:
        """What somebody with every right sees."""
        return observe(self.cluster.client(), self.release, at)


def labeled(component: str, name: str) -> Json:
    """The metadata of an object of the chart."""
    labels = {
        "app.kubernetes.io/name": "tracking-injector",
        "app.kubernetes.io/instance": "release",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": __version__,
    }
    return {"name": name, "namespace": HOME, "labels": labels}


def deployment(component: str, name: str) -> Json:
    """A Deployment whose two replicas are ready."""
    containers = [{"name": component, "image": IMAGE}]
    return {
        "metadata": labeled(component, name),
        "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}},
        "status": {"readyReplicas": 2, "updatedReplicas": 2},
    }


def replica(component: str, name: str) -> Json:
    """A pod of a Deployment, ready."""
    ran = {"name": component, "imageID": f"registry.example.org/t@{DIGEST}"}
    return {
        "metadata": labeled(component, name),
        "spec": {"containers": [{"name": component, "image": IMAGE}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [ran],
        },
    }


def configuration(bundle: bytes, release: str = NAME) -> Json:
    """What API servers call."""
    meta = labeled("webhook", release)
    del meta["namespace"]
    meta["annotations"] = {
        CERTIFICATES_ANNOTATION: "companion",
        TLS_SECRET_ANNOTATION: f"{release}-tls",
    }
    service = {"name": release, "namespace": HOME}
    config = {"service": service, "caBundle": base64.b64encode(bundle).decode()}
    return {
        "metadata": meta,
        "webhooks": [
            {
                "name": f"{kind}.{DOMAIN}",
                "failurePolicy": "Ignore",
                "clientConfig": config,
            }
            for kind in ("ray", "spark", "opted-in")
        ],
    }
