"""One installation of the chart, as one value that every part is wired from."""

from dataclasses import dataclass

from webhook.cluster.interface import Discovery, KubeClient
from webhook.mirror.decide import NamespaceFilter
from webhook.settings import CompanionSettings


@dataclass(frozen=True, slots=True)
class Release:
    """One installation of the chart.

    Attributes:
        resources: the cluster that it is in.
        discovery: the same, asked what it serves.
        settings: what its operator chose.
        home: its namespace.
    """

    resources: KubeClient
    discovery: Discovery
    settings: CompanionSettings
    home: str

    @property
    def scope(self) -> NamespaceFilter:
        """Which namespaces may have its keys."""
        excluded = (self.home, *self.settings.excluded_namespaces)
        return NamespaceFilter(
            allowed=self.settings.allowed_namespaces, excluded=excluded
        )
