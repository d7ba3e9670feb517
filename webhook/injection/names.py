"""Every name the cluster sees. Nothing else spells them out."""

from typing import Final

DOMAIN: Final = "tracking.michelangelo-ai.org"

INJECT_LABEL: Final = f"{DOMAIN}/inject"
"""On a namespace `enabled` switches injection on; on a pod `disabled` opts it out, and
`enabled` opts a pod in that is neither Ray's nor Spark's."""
INJECT_ENABLED: Final = "enabled"
INJECT_DISABLED: Final = "disabled"

CONTAINERS_ANNOTATION: Final = f"{DOMAIN}/containers"
"""On a pod that its own label opts in: names of the containers that get the keys,
separated by commas; without it, the first."""

PROFILE_LABEL: Final = f"{DOMAIN}/profile"
"""On a namespace: the profile whose sources it gets; absent means `default`."""
DEFAULT_PROFILE: Final = "default"

EGRESS_LABEL: Final = f"{DOMAIN}/egress"
"""On a namespace: narrows the release's egress mode."""

INJECTED_LABEL: Final = f"{DOMAIN}/injected"
"""On a pod: `true` once the webhook has handled it; egress policies select on it."""
INJECTED_TRUE: Final = "true"

INJECTION_ANNOTATION: Final = f"{DOMAIN}/injection"
"""On a pod: JSON with the version, the precedence and the containers handled."""

SOURCE_HASH_ANNOTATION: Final = f"{DOMAIN}/source-hash"
KEYS_ANNOTATION: Final = f"{DOMAIN}/keys"
"""On a mirror: what it was made of, without any value."""

MIRROR_SECRET: Final = "michelangelo-tracking"  # noqa: S105 - a name, not a password
"""The Secret that the companion keeps in each compute namespace."""

CA_CONFIG_MAP: Final = "michelangelo-tracking-ca"
"""The ConfigMap with the tracking server's CA that the companion keeps in each compute
namespace, where the release names one; task pods have an optional volume of that name.
"""
CA_KEY: Final = "ca.crt"
CA_DIRECTORY: Final = "/etc/michelangelo-tracking"
CA_PATH: Final = f"{CA_DIRECTORY}/{CA_KEY}"

FIELD_MANAGER: Final = "tracking-injector"
"""The owner of our fields in server-side apply."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "tracking-injector"
"""On every object that the companion makes: `tracking-injector`. A NetworkPolicy
without it is foreign; a mirror is recognized by its type."""

RELEASE_LABEL: Final = f"{DOMAIN}/release"
"""On a mirror, a copy of the tracking server's CA and an egress policy: the release
that made it, as `NAMESPACE.RELEASE`. Another release leaves it alone. It is no label
of Helm's or Argo CD's, by which those would take the object for one of theirs."""

CERTIFICATES_ANNOTATION: Final = f"{DOMAIN}/certificates"
TLS_SECRET_ANNOTATION: Final = f"{DOMAIN}/tls-secret"
"""On the webhook configuration: who issues the certificate, and where it lies."""

ROTATE_ANNOTATION: Final = f"{DOMAIN}/rotate"
"""On the state Secret: any new value asks for a rotation."""

CONTENT_LABEL: Final = f"{DOMAIN}/content"
"""On the two certificate Secrets, which the chart makes empty: whose the content is."""
