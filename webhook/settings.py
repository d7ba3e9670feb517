"""Settings, built once from a passed mapping and frozen from then on.

Every setting is an environment variable named after its field with the prefix `MTI_`;
a variable with that prefix that no field knows is an error, so that a typing mistake
never passes for a default. The reference is made from the fields and the text right
below each.
"""

import ipaddress
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from webhook.egress.mode import EgressMode
from webhook.injection.names import MANAGED_BY
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

PREFIX: Final = "MTI_"


class SettingError(ValueError):
    """A setting cannot be used; the message is one sentence that names it."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a value must be; of a list, each entry.

    Attributes:
        holds: whether a value is.
        wanted: the same for people, after "it must be".
    """

    holds: Callable[[Any], bool]
    wanted: str


def option(default: Any, constraint: Constraint) -> Any:
    """Declare a setting whose value has to be more than of the default's type."""
    return field(default=default, metadata={"constraint": constraint})


def within(least: float, most: float) -> Constraint:
    """Return the constraint for numbers of a range; NaN is in none."""
    return Constraint(lambda value: least <= value <= most, f"from {least} to {most}")


def _matches(pattern: str, wanted: str) -> Constraint:
    found = re.compile(pattern)
    return Constraint(lambda text: found.fullmatch(text) is not None, wanted)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        version = ipaddress.ip_address(host[1:-1] if bracketed else host).version
    except ValueError:
        return False
    decimal = port.isascii() and port.isdecimal()
    return bracketed == (version == 6) and decimal and int(port) <= 65535


_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DOMAIN: Final = rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*"
BIND: Final = Constraint(_is_address, "ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443")
OBJECT: Final = _matches(_DOMAIN, "the name of an object")
NAMESPACE: Final = _matches(rf"({_LABEL})?", "the name of a namespace")
RELEASE: Final = _matches("[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", "the value of a label")
PATTERN: Final = _matches(r"[-a-z0-9*?\[\]!]{1,63}", "a namespace or a pattern")
DOMAIN: Final = _matches(_DOMAIN, "a DNS domain")
VARIABLE: Final = _matches(
    "[-._a-zA-Z][-._a-zA-Z0-9]{0,252}", "a name that a variable may have"
)


class LogLevel(StrEnum):
    """The least that the log takes."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Who reads the log."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """What every settings class shares: reading from a mapping, and the log's."""

    log_level: LogLevel = LogLevel.INFO
    """The least that is logged: `info`, each decision among it, `warning` or
    `error`."""
    log_format: LogFormat = LogFormat.JSON
    """`json`: each line is an object; `text`: time, level, event and `name=value`, for
    people."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`, in which other names are ignored.

        Raises:
            SettingError: for an unknown `MTI_*` name or a value that cannot be.
        """
        kinds = typing.get_type_hints(cls)
        known = {PREFIX + one.name.upper(): one for one in fields(cls)}
        unknown = sorted(
            name for name in environ if name.startswith(PREFIX) and name not in known
        )
        if unknown:
            message = f"{unknown[0]} is not a setting; known are {', '.join(known)}."
            raise SettingError(message)
        return cls(
            **{
                one.name: _read(
                    variable,
                    environ[variable],
                    kinds[one.name],
                    one.metadata.get("constraint"),
                )
                for variable, one in known.items()
                if variable in environ
            }
        )


def _read(variable: str, text: str, kind: Any, constraint: Constraint | None) -> Any:
    """Read `text` as the type of the setting's field, and hold it to its constraint."""
    if kind == tuple[str, ...]:
        parts = (part.strip() for part in text.split(","))
        value: Any = tuple(dict.fromkeys(part for part in parts if part))
    else:
        try:
            value = kind(text)
        except ValueError:
            wanted = _wanted(kind)
            raise SettingError(
                f"{variable} is {text!r}; it must be {wanted}."
            ) from None
    for one in value if isinstance(value, tuple) else (value,):
        if constraint is not None and not constraint.holds(one):
            said = f"has {one!r}" if isinstance(value, tuple) else f"is {text!r}"
            raise SettingError(f"{variable} {said}; it must be {constraint.wanted}.")
    return value


def _wanted(kind: Any) -> str:
    if issubclass(kind, StrEnum):
        return f"one of {', '.join(kind)}"
    return "a whole number" if kind is int else "a number"


class Switch(StrEnum):
    """A part that can be switched off."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Readable):
    """What the serving process needs to know."""

    bind: str = option("0.0.0.0:8443", BIND)
    """Address of the HTTPS listener that kube-apiserver calls."""
    health_bind: str = option("0.0.0.0:8080", BIND)
    """Address of the plain listener with `/healthz`, `/readyz` and `/metrics`."""
    cert_dir: Path = Path("/etc/tracking-injector/tls")
    """Folder with `tls.crt` and `tls.key`, as a mounted Secret has them; looked at
    every second, and a new pair is served without a restart."""
    precedence: Precedence = Precedence.FALLBACK
    """`fallback`: whatever the pod already sets wins; `override`: the tracking keys win
    over every other `envFrom`."""
    enforced_keys: tuple[str, ...] = option((), VARIABLE)
    """Keys that also become explicit `env` entries, so that they hold whatever a pod
    sets; comma separated."""
    on_missing: OnMissing = OnMissing.WAIT
    """`wait`: a pod waits for its namespace's first mirror; `start`: it starts without
    the keys."""
    tracking_ca: Switch = Switch.OFF
    """`on`: task containers get the tracking server's CA, which the companion keeps in
    each compute namespace, at `/etc/michelangelo-tracking/ca.crt`."""
    release_namespace: str = option("", NAMESPACE)
    """The namespace this runs in, whose pods are never injected."""
    max_connections: int = option(1000, within(1, 100_000))
    """Open connections. When all are taken, the oldest that never sent a whole request
    makes room, so that silent peers cannot keep others out."""
    drain_seconds: float = option(10.0, within(0, 3600))
    """How long a stopping replica still accepts after SIGTERM: not ready, and closing
    each connection it answers. It outlasts the time that endpoints take to leave every
    node and every client."""

    def policy(self) -> InjectionPolicy:
        """The part that decides about pods."""
        return InjectionPolicy(
            precedence=self.precedence,
            enforced_keys=self.enforced_keys,
            on_missing=self.on_missing,
            tracking_ca=self.tracking_ca is Switch.ON,
            release_namespace=self.release_namespace,
        )


class Issuer(StrEnum):
    """Who issues the webhook's certificate."""

    COMPANION = "companion"
    CERT_MANAGER = "certManager"
    PROVIDED = "provided"
    NONE = "none"
    """Nobody: there is no webhook, and the API server's own policy does its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanionSettings(Readable):
    """What the companion needs to know."""

    release_namespace: str = option("", NAMESPACE)
    """The namespace that holds the sources, the Lease and the status; the pod's own, or
    the kubeconfig context's, when empty."""
    release: str = option(MANAGED_BY, RELEASE)
    """Whose mirrors and egress policies these are: a label on each names it, and those
    of another release are left alone."""
    profiles: str = '{"default": []}'
    """Named lists of sources as JSON, such as `{"default": [{"configMap": "uri"},
    {"secret": "keys"}]}`; a source may have `keys` (only these) and `prefix`, and later
    ones win."""
    tracking_ca_source: str = "{}"
    """Where the tracking server's CA lies, as JSON such as `{"configMap": "ca", "keys":
    ["ca.crt"]}`: its certificates are kept in a ConfigMap of every compute namespace,
    and named by the variable of the profile's preset, if its client has one."""
    allowed_namespaces: tuple[str, ...] = option((), PATTERN)
    """Names or patterns such as `team-*` of the namespaces that may be labeled; empty
    means any."""
    excluded_namespaces: tuple[str, ...] = option(("kube-system",), PATTERN)
    """Namespaces that never get keys, besides the release's own."""
    allowed_keys: tuple[str, ...] = option((), VARIABLE)
    """Keys that are mirrored although they could break a task: `KUBERNETES_*`, `RAY_*`,
    `SPARK_*`, `MA_*` and more, such as `JAVA_HOME`."""
    enforced_keys: tuple[str, ...] = option((), VARIABLE)
    """The webhook's setting, so that a mirror that lacks one of these keys is reported;
    comma separated."""
    audit: Switch = Switch.ON
    """`on`: task pods are followed, and those without keys are reported; needs the
    right to see pods."""
    shadowing_config_maps: tuple[str, ...] = option((), OBJECT)
    """Names of ConfigMaps in compute namespaces that may hold older values, such as
    `michelangelo-config`; the names of their keys are read."""
    lease_name: str = option("tracking-injector-companion", OBJECT)
    """Name of the Lease by which one replica leads."""
    status_configmap: str = option("tracking-injector-status", OBJECT)
    """Name of the ConfigMap that holds the report."""
    identity: str = ""
    """This replica's name in the Lease and in Events; the host's when empty."""
    egress_mode: EgressMode = EgressMode.ADDITIVE
    """`additive`: where policies isolate task pods, add a way to the tracking server;
    `observe`: only report; `isolate`: close task pods to everything that is not
    declared; `off`: nothing, and nothing is followed for it."""
    egress_hosts: tuple[str, ...] = ()
    """Hosts and ranges to permit besides those of the keys, as `HOST[:PORT]` or
    `CIDR[:PORT]`, 443 by default; comma separated."""
    egress_grace_hours: float = option(6.0, within(1, 168))
    """How long an address stays permitted after DNS last had it."""
    egress_addresses_per_name: int = option(2048, within(1, 8192))
    """Addresses permitted for one name, the newest first. Pools of 1000 that change
    fit; 2048 are 90 kB in each policy, of the 1.5 MiB that etcd takes."""
    egress_baseline: str = "{}"
    """What stays reachable under `isolate`, as JSON: `peers` (`injected`, `namespace`
    or `none`), and `apiServer`, `storage`, `michelangelo` as lists like the hosts
    above. Nothing is closed until all four are said."""
    dns_cache_configmap: str = option("tracking-injector-addresses", OBJECT)
    """The ConfigMap in the release namespace that remembers addresses."""
    cluster_domain: str = option("cluster.local", DOMAIN)
    """The cluster's DNS domain."""
    health_bind: str = option("0.0.0.0:9090", BIND)
    """Address of the plain listener with `/healthz`, `/readyz` and `/metrics`; `[::]`
    takes both families."""
    status_page: Switch = Switch.OFF
    """Whether the listener shows the status to everybody who reaches it, at `/`: names
    of namespaces, keys and pods, and no value."""
    watch_seconds: float = option(40.0, within(1, 3600))
    """How long a watch lives. Its connection's silent death is noticed 5 s after that
    at the latest; each end costs the API server one request."""
    certificates: Issuer = Issuer.COMPANION
    """`companion`: the webhook's certificate is issued and rotated here; `certManager`
    or `provided`: somebody else does, and nothing is touched; `none`: there is no
    webhook."""
    webhook_name: str = option("tracking-injector", OBJECT)
    """Name of the webhook's Service and MutatingWebhookConfiguration, and of the
    MutatingAdmissionPolicy."""
    tls_secret: str = option("tracking-injector-tls", OBJECT)
    """Name of the Secret that the webhook mounts; the Secret of that name with `-state`
    added is never mounted."""
    certificate_days: float = option(90.0, within(1, 3650))
    """How long a certificate is valid; its CA ends with it."""
    certificate_renew_days: float = option(30.0, within(1, 3650))
    """A rotation starts when less than this is left."""
    certificate_skew_seconds: float = option(300.0, within(0, 86_400))
    """How far any two clocks of the control plane and of the companions may differ from
    the true time; each wait of a rotation is longer by twice that."""
    certificate_bundle_seconds: float = option(240.0, within(0, 86_400))
    """How long API servers get to see a new root before it is relied on. Longer where
    the control plane caches webhook configurations for longer."""
    certificate_serve_seconds: float = option(300.0, within(0, 86_400))
    """How long mounts get to show a new certificate before replicas are asked and the
    old root is dropped."""
