"""Stores what names resolved to in a ConfigMap, so that a restart forgets nothing."""

from collections.abc import Mapping

from webhook.cluster.errors import NotFound, Rejected
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.companion.controller import Context
from webhook.egress.dns_cache import CachedName, dump_cache, load_cache


class DnsStore:
    """The ConfigMap."""

    def __init__(self, context: Context, key: ObjectKey) -> None:
        """Take what all controllers share, and the ConfigMap's address."""
        self._context, self.key = context, key

    def load(self) -> dict[str, CachedName]:
        """Read what was saved; what cannot be read is logged, and counts as nothing.

        Raises:
            Unavailable: nobody answered, so nothing is known of what was saved.
        """
        try:
            return load_cache(
                self._context.client.get(CONFIG_MAP, self.key.name, self.key.namespace)
            )
        except NotFound:
            return {}
        except (Rejected, ValueError) as error:
            fields = {"at": str(self.key), "error": type(error).__name__}
            self._context.log.line("warning", "dns-cache-unreadable", fields)
            return {}

    def save(self, names: Mapping[str, CachedName]) -> None:
        """Write all of it.

        Raises:
            ClusterError: it could not be written.
        """
        meta = {"name": self.key.name, "namespace": self.key.namespace}
        self._context.client.apply(
            CONFIG_MAP, {"metadata": meta, "data": dump_cache(names)}
        )
