"""Checks of what the chart installs: configuration, Deployments, Service."""

from collections.abc import Callable, Iterator
from typing import Final

from webhook.companion.observation.model import WorkloadState
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.reasons import InstallationReason
from webhook.doctor.causes import WEBHOOK_DOWN
from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen, there
from webhook.doctor.facts import CalledEntry, ClusterFacts, WorkloadTrouble
from webhook.egress.selector import Operator
from webhook.injection.names import (
    DOMAIN,
    INJECT_DISABLED,
    INJECT_ENABLED,
    INJECT_LABEL,
)

_UPGRADE: Final = "helm upgrade {release} CHART -n {home} --reset-then-reuse-values"
_NAMESPACE_KEY: Final = "kubernetes.io/metadata.name"
_ENTRIES: Final = {
    f"ray.{DOMAIN}": ("ray.io/node-type", ("head", "worker")),
    f"spark.{DOMAIN}": ("spark-role", ("driver", "executor")),
    f"opted-in.{DOMAIN}": (INJECT_LABEL, (INJECT_ENABLED,)),
}
"""By name: which pods each entry of the configuration is called for."""


def _version_skew(facts: ClusterFacts) -> Iterator[Symptom]:
    versions = {"this command": facts.client}
    for part, workload in (
        ("webhook", facts.seen.webhook),
        ("companion", facts.seen.companion),
    ):
        if isinstance(workload, WorkloadState) and workload.version:
            versions[part] = workload.version
    if isinstance(facts.report, PublishedReport):
        versions["report"] = facts.report.version
    if len(set(versions.values())) > 1:
        said = ", ".join(f"{part} {text}" for part, text in versions.items())
        yield Symptom("versions", said)


def _configuration_missing(facts: ClusterFacts) -> Iterator[Symptom]:
    if not facts.alone and not there(facts.entries):
        yield Symptom(f"MutatingWebhookConfiguration {facts.seen.release.name}")


def _configuration_drifted(facts: ClusterFacts) -> Iterator[Symptom]:
    found = {one.name: one for one in seen(facts.entries)}
    for name in _ENTRIES:
        if name not in found:
            yield Symptom(name, "there is no such entry")
            continue
        for detail in _drift(found[name], facts.seen.release.namespace):
            yield Symptom(name, detail)


def _drift(entry: CalledEntry, home: str) -> Iterator[str]:
    """Yield what differs in effect; what a platform adds beside it does not count."""
    label, values = _ENTRIES[entry.name]
    if not entry.creates_pods:
        yield "its rules do not have the creation of pods"
    for value in values:
        labels = {label: value}
        if not entry.objects.matches(labels):
            yield f"its objectSelector leaves out {label}={value}"
        elif entry.objects.matches(labels | {INJECT_LABEL: INJECT_DISABLED}):
            yield "its objectSelector ignores pods that opted out"
    yield from _namespace_drift(entry, home)
    for field, value, wanted_value in (
        ("failurePolicy", entry.failure_policy, "Ignore"),
        ("reinvocationPolicy", entry.reinvocation, "IfNeeded"),
        ("sideEffects", entry.side_effects, "None"),
        ("path", entry.path, "/mutate"),
        ("port", str(entry.port), "443"),
    ):
        if value != wanted_value:
            yield f"its {field} is {value}, installed was {wanted_value}"


def _namespace_drift(entry: CalledEntry, home: str) -> Iterator[str]:
    """Yield what differs for the namespace that every addition of a value favors.

    Which namespaces an addition leaves out is said of each of them: `NotSelected`.
    """
    favored = {
        one.key: next(iter(one.values), "")
        for one in entry.namespaces.requirements
        if one.operator in (Operator.IN, Operator.EXISTS)
    }
    labeled = favored | {_NAMESPACE_KEY: "any", INJECT_LABEL: INJECT_ENABLED}
    unlabeled = {k: v for k, v in labeled.items() if k != INJECT_LABEL}
    if not entry.namespaces.matches(labeled):
        yield "its namespaceSelector leaves out labeled namespaces"
    if entry.namespaces.matches(unlabeled):
        yield "its namespaceSelector has namespaces without the label"
    if entry.namespaces.matches(labeled | {_NAMESPACE_KEY: home}):
        yield f"its namespaceSelector has {home}, the release's own namespace"


Pieces = Callable[[WorkloadTrouble], tuple[str, ...]]


def _kept_away(
    component: str, pieces: Pieces
) -> Callable[[ClusterFacts], Iterator[Symptom]]:
    def judge(facts: ClusterFacts) -> Iterator[Symptom]:
        for pod in pieces(seen(facts.troubles[component])):
            name, _, said = pod.partition(": ")
            yield Symptom(name, said)

    return judge


def _missing(component: str) -> Callable[[ClusterFacts], Iterator[Symptom]]:
    def judge(facts: ClusterFacts) -> Iterator[Symptom]:
        if facts.alone and component == "webhook":
            return
        release = facts.seen.release
        named = release.webhook if component == "webhook" else release.companion
        workload = there(getattr(facts.seen, component))
        if workload is None:
            yield Symptom(f"Deployment {named}", "there is none")
        elif workload.desired == 0:
            yield Symptom(f"Deployment {named}", "it is scaled to 0")

    return judge


def _degraded(component: str) -> Callable[[ClusterFacts], Iterator[Symptom]]:
    def judge(facts: ClusterFacts) -> Iterator[Symptom]:
        workload = seen(getattr(facts.seen, component))
        if workload.ready < workload.desired:
            said = f"{workload.ready} of {workload.desired} ready"
            yield Symptom(f"Deployment {workload.name}", said)

    return judge


def workload_checks(component: str) -> tuple[Check[ClusterFacts], ...]:
    """Return the checks of one Deployment, `companion` or `webhook`.

    A pod that is not there has one of six causes, and each is mended in its own way.
    """
    word = component.capitalize()
    reasons = InstallationReason
    missing = reasons(f"{word}Missing")
    deployment = "{companion}" if component == "companion" else "{release}"
    select = f"-l app.kubernetes.io/component={component}"
    describe = f"kubectl describe pods -n {{home}} {select}"

    def cause(
        suffix: str, title: str, sentence: str, remedy: str, pieces: Pieces
    ) -> Check[ClusterFacts]:
        return Check(
            code=word + suffix,
            title=f"{component}: {title}",
            sentence=sentence,
            remedy=remedy,
            judge=_kept_away(component, pieces),
            after=(missing.value,),
        )

    causes = (
        cause(
            "Refused",
            "its pods may be created",
            "The API server refuses the pods of the Deployment: a quota, Pod Security, "
            "or an admission webhook of somebody else's.",
            f"kubectl describe replicasets -n {{home}} {select}",
            lambda one: (f"Deployment: {one.refused}",) if one.refused else (),
        ),
        cause(
            "Unschedulable",
            "its pods have a node",
            "No node takes the pods.",
            describe,
            lambda one: one.unschedulable,
        ),
        cause(
            "ImagePull",
            "its image can be pulled",
            "The node cannot pull the image: its name, its registry, or a pull secret.",
            f"kubectl set image -n {{home}} deployment/{deployment} "
            f"{component}=REPOSITORY:TAG",
            lambda one: one.unpulled,
        ),
        cause(
            "Crashing",
            "its container keeps running",
            "The container ends again and again; its last lines say why.",
            f"kubectl logs -n {{home}} deployment/{deployment} --previous",
            lambda one: one.crashing,
        ),
    )
    codes = (missing.value, *(one.code for one in causes))
    return (
        of_reason(
            missing,
            title=f"{component}: its Deployment is there",
            remedy=_UPGRADE,
            judge=_missing(component),
        ),
        *causes,
        of_reason(
            reasons(f"{word}Down"),
            title=f"{component}: its pods are ready",
            remedy=describe,
            judge=_kept_away(component, lambda one: one.starting),
            after=codes,
        ),
        of_reason(
            reasons(f"{word}Degraded"),
            title=f"{component}: all of its replicas are ready",
            remedy=describe,
            judge=_degraded(component),
            outcome=Outcome.WARNING,
            after=(*codes, f"{word}Down"),
        ),
    )


def _service_astray(facts: ClusterFacts) -> Iterator[Symptom]:
    selects = facts.alone or there(facts.service)
    if not selects:
        said = "there is none" if selects is None else "its selector is another"
        yield Symptom(f"Service {facts.seen.release.webhook}", said)


def _no_endpoints(facts: ClusterFacts) -> Iterator[Symptom]:
    if not facts.alone and not seen(facts.endpoints):
        yield Symptom(f"Service {facts.seen.release.webhook}", "no ready endpoint")


def _blocked(facts: ClusterFacts) -> Iterator[Symptom]:
    for policy in seen(facts.blocked):
        yield Symptom(policy, "no rule lets API servers reach the webhook's port")


def _others(facts: ClusterFacts) -> Iterator[Symptom]:
    for name in seen(facts.others):
        yield Symptom(name, "it is called for the same pods")


def _leftovers(facts: ClusterFacts) -> Iterator[Symptom]:
    for name in seen(facts.leftovers):
        yield Symptom(name)


RELEASE: Final[tuple[Check[ClusterFacts], ...]] = (
    of_reason(
        InstallationReason.VERSION_SKEW,
        title="command, webhook and companion are of one version",
        remedy="kubectl tracking version",
        judge=_version_skew,
        outcome=Outcome.WARNING,
    ),
    Check(
        code="SecondInstallation",
        title="one release is called for task pods",
        sentence="Another release's webhook configuration names the same pods: both "
        "write into them, and each takes the other's mirrors for foreign.",
        remedy="helm uninstall OTHER-RELEASE -n ITS-NAMESPACE",
        judge=_others,
    ),
    Check(
        code="HooksApplied",
        title="the chart's hooks are not ordinary objects",
        sentence="What only an uninstall should make was applied as it is rendered, as "
        "Kustomize does: the companion has a right that it should not have, and a Job "
        "may run that was meant for the end.",
        remedy="kubectl delete {subject}",
        judge=_leftovers,
    ),
    of_reason(
        InstallationReason.CONFIGURATION_MISSING,
        title="API servers know the webhook",
        remedy=_UPGRADE,
        judge=_configuration_missing,
    ),
    Check(
        code="ConfigurationDrifted",
        title="the webhook configuration is as installed",
        sentence="The webhook configuration was changed after it was installed, so "
        "that other pods are called for, or in another way.",
        # Helm 3 takes what it manages by itself, and does not know the flag.
        remedy=f"{_UPGRADE}  # add --force-conflicts where Helm 4 asks for it",
        judge=_configuration_drifted,
        after=("ConfigurationMissing",),
    ),
)

SERVICE: Final[tuple[Check[ClusterFacts], ...]] = (
    Check(
        code="ServiceAstray",
        title="the Service selects the webhook's pods",
        sentence="The webhook's Service is gone or selects other pods, so API servers "
        "reach no replica.",
        remedy=_UPGRADE,
        judge=_service_astray,
    ),
    Check(
        code="NoEndpoints",
        title="the Service has endpoints",
        sentence="No replica is behind the webhook's Service although pods are ready.",
        remedy="kubectl get endpointslices -n {home} "
        "-l kubernetes.io/service-name={release}",
        judge=_no_endpoints,
        after=(*WEBHOOK_DOWN, "ServiceAstray"),
    ),
    Check(
        code="WebhookPortBlocked",
        title="no NetworkPolicy keeps API servers out",
        sentence="NetworkPolicies isolate the webhook's pods, and none lets anybody "
        "reach their port: API servers go on without an answer.",
        remedy="kubectl describe networkpolicy -n {home}",
        judge=_blocked,
    ),
)
