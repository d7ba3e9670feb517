"""An installation in memory: what the chart leaves, and replicas that can be asked."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from certs.issue import issue
from certs.policy import CertificatePolicy, service_name
from certs.state import ReplicaCertificate
from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from webhook.cluster.events import EventRecorder
from webhook.cluster.resources import (
    ENDPOINT_SLICE,
    NAMESPACE,
    SECRET,
    WEBHOOK_CONFIGURATION,
)
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.certificates.controller import KEY, CertificateController, Prober
from webhook.companion.certificates.objects import ObjectNames
from webhook.companion.controller import Context, Controller
from webhook.injection.names import CONTENT_LABEL, MANAGED_BY, ROTATE_ANNOTATION

if TYPE_CHECKING:
    from certs.model import Generation
    from webhook.companion.certificates.probe import ReplicaAddress
    from webhook.companion.certificates.result import CertificateResult

HOME: Final = "system"
NAME: Final = "injector"
START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY: Final = CertificatePolicy(names=(service_name(NAME, HOME),))
PLACE: Final = ObjectNames(
    namespace=HOME,
    service=NAME,
    configuration=NAME,
    state_secret=f"{NAME}-tls-state",
    pair_secret=f"{NAME}-tls",
)
OURS: Final = {CONTENT_LABEL: MANAGED_BY}
DWELL: Final = timedelta(minutes=20)
"""Longer than any dwell with its skew."""


class Site:
    """The cluster, its clock, the companion's clock, and what replicas serve.

    Attributes:
        now: The API server's clock.
        ahead: How far the companion's clock is ahead of it.
        serving: What every replica shows; None refuses the connection.
    """

    def __init__(self) -> None:
        """As the chart leaves it: empty Secrets, two entries, one ready replica."""
        self.now = START
        self.ahead = timedelta(0)
        self.serving: Generation | None = None
        self.leads = True
        self.log = Lines()
        self.probe: Prober = self._probe
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.user = self.cluster.client("user")
        self.user.create(NAMESPACE, {"metadata": {"name": HOME}})
        for name in (PLACE.state_secret, PLACE.pair_secret):
            self.secret(name, OURS)
        entries: list[dict[str, Any]] = [
            {"name": name, "clientConfig": {}} for name in ("ray", "spark")
        ]
        self.user.create(
            WEBHOOK_CONFIGURATION, {"metadata": {"name": NAME}, "webhooks": entries}
        )
        self.user.create(ENDPOINT_SLICE, endpoint_slice("10.0.0.1"))
        self.restart()

    def restart(self, client: Any = None) -> None:
        """A new companion, which remembers nothing; `client` is what it asks."""
        self.client = self.cluster.client()
        context = Context(
            client=client or self.client,
            log=self.log,
            recorder=EventRecorder(self.client, component="companion", instance="one"),
            is_leader=lambda: self.leads,
            clock=self.clock,
        )
        self.controller = Controller(
            reconciler=CertificateController(
                context,
                PLACE,
                POLICY,
                self.probe,
                monotonic=self._steady,
            ),
            queue=WorkQueue("certificates"),
            context=context,
        )

    def clock(self) -> datetime:
        """The companion's."""
        return self.now + self.ahead

    def _steady(self) -> float:
        return (self.now - START).total_seconds()

    def step(self) -> CertificateResult:
        """One reconcile of the companion, as its controller runs it."""
        self.controller.queue.add(KEY)
        assert self.controller.step()
        result = self.controller.results.get(KEY)
        assert result is not None
        return result

    def settle(self) -> CertificateResult:
        """Steps with pauses until all is in order; replicas follow the Secret."""
        while True:
            outcome = self.step()
            self.serving = outcome.state.current
            if outcome.in_order:
                return outcome
            self.now += DWELL
            assert self.now < START + 9 * DWELL, outcome

    def secret(self, name: str, labels: dict[str, str]) -> None:
        """Create an empty one."""
        meta = {"name": name, "namespace": HOME, "labels": labels}
        self.user.create(SECRET, {"metadata": meta})

    def delete(self, name: str) -> None:
        """Somebody deletes a Secret."""
        self.user.delete(SECRET, name, HOME)

    def data(self, name: str) -> dict[str, str]:
        """What a Secret holds."""
        found: dict[str, str] = self.user.get(SECRET, name, HOME).get("data") or {}
        return found

    def put(self, name: str, data: dict[str, str]) -> None:
        """Somebody writes into a Secret."""
        meta = {"name": name, "namespace": HOME}
        self.user.apply(SECRET, {"metadata": meta, "data": data})

    def request(self) -> None:
        """What `certs rotate --now` does."""
        meta = {
            "name": PLACE.state_secret,
            "namespace": HOME,
            "annotations": {ROTATE_ANNOTATION: str(self.now)},
        }
        self.user.apply(SECRET, {"metadata": meta})

    def bundles(self) -> list[bytes]:
        """Each entry's, as PEM."""
        stored = self.user.get(WEBHOOK_CONFIGURATION, NAME)
        texts = [one["clientConfig"].get("caBundle", "") for one in stored["webhooks"]]
        return [base64.b64decode(text) for text in texts]

    def trust(self, *texts: str) -> None:
        """Somebody writes the bundles, in base64."""
        entries = [
            {"name": name, "clientConfig": {"caBundle": text}}
            for name, text in zip(("ray", "spark"), texts, strict=True)
        ]
        body = {"metadata": {"name": NAME}, "webhooks": entries}
        self.user.apply(WEBHOOK_CONFIGURATION, body)

    def writes(self) -> int:
        """How many writes the cluster has taken."""
        return self.cluster.counts()["apply"]

    def _probe(
        self, replicas: tuple[ReplicaAddress, ...], bundle: bytes
    ) -> tuple[ReplicaCertificate, ...]:
        leaf = self.serving.fingerprint if self.serving else ""
        trusted = self.serving is not None and self.serving.root.pem in bundle
        return tuple(
            ReplicaCertificate(replica=str(one), leaf=leaf, trusted=trusted)
            for one in replicas
        )


def endpoint_slice(*hosts: str, **conditions: bool | None) -> dict[str, Any]:
    """A slice of the webhook's Service."""
    return {
        "metadata": {
            "name": "injector-1",
            "namespace": HOME,
            "labels": {"kubernetes.io/service-name": NAME},
        },
        "ports": [{"name": "https", "port": 8443}],
        "endpoints": [
            {"addresses": [host], "conditions": conditions} for host in hosts
        ],
    }


def generation(at: datetime = START) -> Generation:
    """A generation that nobody here has issued."""
    return issue(POLICY, at)
