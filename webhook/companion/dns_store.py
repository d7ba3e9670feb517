"""Stores what names resolved to in a ConfigMap, so that a restart forgets nothing."""

import json
from collections.abc import Mapping
from typing import Final

from webhook.cluster.errors import NotFound, Rejected
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.companion.controller import Context
from webhook.egress.dns_cache import CachedName, dump, load

FIELD: Final = "addresses.json"


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
            body = self._context.client.get(
                CONFIG_MAP, self.key.name, self.key.namespace
            )
            raw = json.loads((body.get("data") or {}).get(FIELD, "{}"))
            return {name: load(one) for name, one in raw.items()}
        except NotFound:
            return {}
        except (Rejected, ValueError, AttributeError) as error:
            fields = {"at": str(self.key), "error": type(error).__name__}
            self._context.log.line("warning", "dns-cache-unreadable", fields)
            return {}

    def save(self, names: Mapping[str, CachedName]) -> None:
        """Write all of it.

        Raises:
            ClusterError: it could not be written.
        """
        text = json.dumps({name: dump(names[name]) for name in sorted(names)})
        meta = {"name": self.key.name, "namespace": self.key.namespace}
        self._context.client.apply(
            CONFIG_MAP, {"metadata": meta, "data": {FIELD: text}}
        )
