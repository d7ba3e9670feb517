"""The rights that a companion needs, as its settings have them.

The chart gives them; a test holds this table to the chart's roles. What it may lack
without harm, such as to see nodes, is not here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from webhook.egress.mode import EgressMode
from webhook.injection.names import MIRROR_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A right, as a SubjectAccessReview asks for it.

    Attributes:
        verb: such as `list`.
        resource: in the plural.
        group: API group; empty for the core group.
        name: of the one object; empty means any.
        namespace: empty means all.
    """

    verb: str
    resource: str
    group: str = ""
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """Return it for people: `list pods` and `patch secrets/x in ray`."""
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f"{what}/{self.name}" if self.name else what
        return f"{self.verb} {named}" + (
            f" in {self.namespace}" if self.namespace else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsScope:
    """What decides which rights are needed.

    Attributes:
        home: the release's namespace.
        release: what its objects are called.
        issues: the companion issues the certificates itself.
        tls_secret: the Secret that replicas mount.
        audits: it follows task pods.
        egress: the mode.
        namespace: a compute namespace, to ask for what is written there; or none.
    """

    home: str
    release: str
    issues: bool
    tls_secret: str
    audits: bool
    egress: EgressMode
    namespace: str = ""


def companion_rights(scope: RightsScope) -> tuple[Right, ...]:
    """Return the rights, those that everything depends on in front."""
    return (*_at_home(scope), *_everywhere(scope), *_where_it_writes(scope))


def _each(verbs: str, resource: str, **where: str) -> Iterator[Right]:
    for verb in verbs.split():
        yield Right(verb=verb, resource=resource, **where)


def _at_home(scope: RightsScope) -> Iterable[Right]:
    home, companion = scope.home, f"{scope.release}-companion"
    yield from _each(
        "get patch",
        "leases",
        group="coordination.k8s.io",
        name=companion,
        namespace=home,
    )
    yield from _each(
        "list watch patch",
        "configmaps",
        name=f"{scope.release}-status",
        namespace=home,
    )
    if scope.egress is not EgressMode.OFF:
        addresses = f"{scope.release}-addresses"
        yield from _each("get patch", "configmaps", name=addresses, namespace=home)
    if scope.issues:
        for secret in (scope.tls_secret, f"{scope.tls_secret}-state"):
            yield from _each(
                "get list watch patch", "secrets", name=secret, namespace=home
            )


def _everywhere(scope: RightsScope) -> Iterable[Right]:
    yield from _each("list watch", "namespaces")
    yield from _each("list watch", "secrets", name=MIRROR_SECRET)
    if scope.audits:
        yield from _each("list watch", "pods")
    if scope.issues:
        yield from _each(
            "get list watch patch",
            "mutatingwebhookconfigurations",
            group="admissionregistration.k8s.io",
            name=scope.release,
        )
    if scope.egress is not EgressMode.OFF:
        yield from _each("list watch", "networkpolicies", group="networking.k8s.io")
        yield from _each("list watch", "services")
        yield from _each("list watch", "endpointslices", group="discovery.k8s.io")


def _where_it_writes(scope: RightsScope) -> Iterable[Right]:
    if not scope.namespace:
        return
    where = scope.namespace
    yield from _each("patch delete", "secrets", name=MIRROR_SECRET, namespace=where)
    yield from _each("create", "secrets", namespace=where)
    yield from _each("create", "events", namespace=where)
    if scope.egress in (EgressMode.ADDITIVE, EgressMode.ISOLATE):
        policies = {"group": "networking.k8s.io", "namespace": where}
        yield from _each("create patch delete", "networkpolicies", **policies)
