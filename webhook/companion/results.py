"""What every controller found, gathered for those that publish it."""

from dataclasses import dataclass, field, fields

from webhook.companion.audit import AuditResult
from webhook.companion.certificate_mirror import TrackingCaResult
from webhook.companion.certificates.result import CertificateResult
from webhook.companion.controller import Results
from webhook.companion.dns_controller import DnsResult
from webhook.companion.egress.controller import EgressResult
from webhook.companion.egress.engine_detection import EngineResult
from webhook.companion.mirror_controller import MirrorResult
from webhook.companion.watches import WatchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanionResults:
    """The results of each controller; of a part that is off there are none.

    Attributes:
        watches: by watch.
        mirrors: by namespace.
        tracking_ca: by namespace.
        audits: by namespace.
        egress: by namespace.
        names: by host name.
        engines: of the one key there is.
        certificates: of the one key there is.
    """

    watches: Results[WatchResult] = field(default_factory=Results)
    mirrors: Results[MirrorResult] = field(default_factory=Results)
    tracking_ca: Results[TrackingCaResult] = field(default_factory=Results)
    audits: Results[AuditResult] = field(default_factory=Results)
    egress: Results[EgressResult] = field(default_factory=Results)
    names: Results[DnsResult] = field(default_factory=Results)
    engines: Results[EngineResult] = field(default_factory=Results)
    certificates: Results[CertificateResult] = field(default_factory=Results)

    @property
    def version(self) -> tuple[int, ...]:
        """Return a value that is another one once a result has changed."""
        return tuple(getattr(self, part.name).version for part in fields(self))
