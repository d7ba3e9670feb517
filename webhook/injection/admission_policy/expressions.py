"""`webhook.injection.decision` in CEL, so that kube-apiserver can decide by itself.

Every name comes from the tables that the webhook reads. What an operator chose stands
in variables of its own; all other text is the same for every release, so the chart
carries it as a file.

No expression can fail, whatever the pod: a field that may be absent is read by `.?`, an
element by an index that was found, and JSON is never parsed. Two things are written as
they are because of kube-apiserver 1.36: a list of objects as a patch's `value` makes it
panic, so an empty list is added first; and `has` is no test for a list that is there
and empty, so sizes are compared.

Source: https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from webhook import __version__
from webhook.injection.certificate_mount import IN_THE_WAY
from webhook.injection.names import (
    CA_CONFIG_MAP,
    CA_DIRECTORY,
    CONTAINERS_ANNOTATION,
    INJECTED_LABEL,
    INJECTED_TRUE,
    INJECTION_ANNOTATION,
    MIRROR_SECRET,
)
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence
from webhook.injection.stamp import CONTAINERS, InjectedBy
from webhook.injection.workload import (
    BY_POSITION,
    MIRROR_POD_ANNOTATION,
    NAMES,
    SIDECARS,
    SIGNATURES,
    WORKLOADS,
    Workload,
)


def literal(value: Any) -> str:
    """Write a value as a CEL literal, which JSON is; sets come out sorted."""
    return json.dumps(value, default=sorted)


def table(values: Mapping[Workload, Any]) -> str:
    """Write a map as a CEL literal, one line for each key."""
    lines = (f"  {literal(key)}: {literal(value)}" for key, value in values.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def choices(policy: InjectionPolicy) -> dict[str, str]:
    """Return the variables that an operator decides about.

    Args:
        policy: The operator's choices.
    """
    return {
        "version": literal(__version__),
        "precedence": literal(policy.precedence),
        # Without spaces, as Helm's `toJson` has it in the chart.
        "enforcedKeys": json.dumps(policy.enforced_keys, separators=(",", ":")),
        "optionalReference": literal(policy.on_missing is OnMissing.START),
        "trackingCa": literal(policy.tracking_ca),
    }


def _values_of(label: str) -> dict[str, Workload]:
    return {value: kind for (key, value), kind in WORKLOADS.items() if key == label}


_LABELS: Final = tuple(dict.fromkeys(label for label, _ in WORKLOADS))


def _is_task_pod() -> str:
    return " ||\n".join(
        f"object.metadata.?labels[?{literal(label)}].orValue('') in "
        f"{literal(list(_values_of(label)))}"
        for label in _LABELS
    )


def _workload() -> str:
    first, *others = (
        f"{literal(_values_of(label))}"
        f"[?variables.labels[?{literal(label)}].orValue('')]"
        for label in _LABELS
    )
    return first + "".join(f"\n.or({other})" for other in others) + ".orValue('')"


MATCH_CONDITIONS: Final = MappingProxyType(
    {
        "is-a-task-pod": _is_task_pod(),
        "is-not-a-mirror-pod": (
            f"!({literal(MIRROR_POD_ANNOTATION)} in "
            "object.metadata.?annotations.orValue({}))"
        ),
    }
)
"""What selectors cannot say; the policy costs other pods nothing else."""

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mirror": literal(MIRROR_SECRET),
        "certificates": literal(CA_CONFIG_MAP),
        "certificatesPath": literal(CA_DIRECTORY),
        "injectedLabel": literal(INJECTED_LABEL),
        "injectionAnnotation": literal(INJECTION_ANNOTATION),
        "sidecars": table(SIDECARS),
        "signatures": table(SIGNATURES),
        "names": table(NAMES),
        "byPosition": literal(BY_POSITION),
        "goesFirst": f"variables.precedence == {literal(Precedence.FALLBACK)}",
        "containers": "object.spec.containers == null ? [] : object.spec.containers",
        "entries": "variables.containers.map(c, c.?env.orValue([]))",
        "sources": "variables.containers.map(c, c.?envFrom.orValue([]))",
        "labels": "object.metadata.?labels.orValue({})",
        "annotations": "object.metadata.?annotations.orValue({})",
        "workload": _workload(),
        "candidates": (
            "variables.containers.transformList(i, c, "
            "!(c.name in variables.sidecars[?variables.workload].orValue([])), i)"
        ),
        "named": f"""\
// The containers that a pod names which opted in.
variables.workload == {literal(Workload.OPTED_IN)}
  ? variables.annotations[?{literal(CONTAINERS_ANNOTATION)}] : optional.none()""",
        "task": """\
// Indices of the containers that run user code: by the variables that KubeRay and Spark
// always set, then by name, then the first, but for Spark.
variables.named.hasValue()
? variables.containers.transformList(i, c,
    c.name in variables.named.value().replace(' ', '').split(','), i)
: ((variables.signatures[?variables.workload].orValue([]).map(signature,
    variables.candidates.filter(i,
      signature.all(name, variables.entries[i].exists(e, e.name == name))))
  + [variables.candidates.filter(i, variables.containers[i].name in
      variables.names[?variables.workload].orValue([]))]
  + [variables.workload in variables.byPosition && size(variables.candidates) > 0
      ? [variables.candidates[0]] : []]
).filter(found, size(found) > 0) + [[]])[0]""",
        "references": """\
// Of each container: indices of the sources that give the keys by their own names.
variables.sources.map(sources, sources.transformList(j, source,
  source.?secretRef.?name.orValue('') == variables.mirror &&
  source.?prefix.orValue('') == '', j))""",
        "stamp": "variables.annotations[?variables.injectionAnnotation].orValue('')",
        "stamped": f"""\
variables.stamp.contains('{CONTAINERS}')
  ? variables.stamp.substring(variables.stamp.lastIndexOf('{CONTAINERS}')) : ''""",
        "ours": """\
// Containers whose reference is ours to place. Another one is its user's, and serves.
variables.task.filter(i, size(variables.references[i]) == 0 ||
  variables.stamped.contains('"' + variables.containers[i].name + '"'))""",
        "unplaced": """\
variables.ours.filter(i, !variables.references[i].exists(j,
  j == (variables.goesFirst ? 0 : size(variables.sources[i]) - 1) &&
  variables.sources[i][j].secretRef.?optional ==
    (variables.optionalReference ? optional.of(true) : optional.none())))""",
        "unheld": """\
// Task containers in which an enforced key is not yet one entry, ours.
variables.task.filter(i, !variables.enforcedKeys.all(key,
  variables.entries[i].exists_one(e, e.name == key) &&
  variables.entries[i].exists(e, e.name == key &&
    e.?valueFrom.?secretKeyRef.?name.orValue('') == variables.mirror &&
    e.valueFrom.secretKeyRef.key == key &&
    e.valueFrom.secretKeyRef.?optional.orValue(false))))""",
        "volumes": "object.spec.?volumes.orValue([])",
        "certificateVolumes": (
            "variables.volumes.filter(v, v.name == variables.certificates)"
        ),
        "unmounted": f"""\
// Task containers that have nothing where the tracking server's CA goes.
!variables.trackingCa || variables.certificateVolumes.exists(v,
    v.?configMap.?name.orValue('') != variables.certificates)
  ? []
  : variables.task.filter(i, !variables.containers[i].?volumeMounts.orValue([])
      .exists(m, m.mountPath.matches({literal(f"^({IN_THE_WAY})$")})))""",
        "note": f"""\
'{{"version":"' + variables.version +
'",' + (variables.stamp.contains('{InjectedBy.WEBHOOK.mark}')
  ? '{InjectedBy.WEBHOOK.mark}' : '{InjectedBy.POLICY.mark}') +
',"precedence":"' + variables.precedence +
'",{CONTAINERS}' +
variables.ours.map(i, '"' + variables.containers[i].name + '"').join(',') + ']}}'""",
    }
)
"""The decision, step by step; each is evaluated once, and only if it is asked for."""

MUTATION: Final = """\
variables.unplaced.map(i,
  (size(variables.sources[i]) == 0
    ? [JSONPatch{op: "add", path: "/spec/containers/" + string(i) + "/envFrom",
        value: []}]
    : size(variables.references[i]) > 0
    ? [JSONPatch{op: "remove", path: "/spec/containers/" + string(i) + "/envFrom/" +
        string(variables.references[i][0])}]
    : []) +
  [JSONPatch{op: "add", path: "/spec/containers/" + string(i) + "/envFrom/" +
      (variables.goesFirst ? "0" : "-"),
    value: Object.spec.containers.envFrom{secretRef: variables.optionalReference
      ? Object.spec.containers.envFrom.secretRef{name: variables.mirror, optional: true}
      : Object.spec.containers.envFrom.secretRef{name: variables.mirror}}}]
).flatten() +
// Where an enforced key stands it is replaced, duplicates go, the rest comes in front.
variables.unheld.map(i,
  lists.range(size(variables.entries[i]))
    .filter(j, variables.entries[i][j].name in variables.enforcedKeys &&
      !lists.range(j).exists(earlier,
        variables.entries[i][earlier].name == variables.entries[i][j].name))
    .map(j, JSONPatch{op: "replace",
      path: "/spec/containers/" + string(i) + "/env/" + string(j),
      value: Object.spec.containers.env{name: variables.entries[i][j].name,
        valueFrom: Object.spec.containers.env.valueFrom{
          secretKeyRef: Object.spec.containers.env.valueFrom.secretKeyRef{
            name: variables.mirror, key: variables.entries[i][j].name,
            optional: true}}}}) +
  // From the end, so that no index moves before its turn.
  lists.range(size(variables.entries[i]))
    .map(n, size(variables.entries[i]) - 1 - n)
    .filter(j, variables.entries[i][j].name in variables.enforcedKeys &&
      lists.range(j).exists(earlier,
        variables.entries[i][earlier].name == variables.entries[i][j].name))
    .map(j, JSONPatch{op: "remove",
      path: "/spec/containers/" + string(i) + "/env/" + string(j)}) +
  (size(variables.entries[i]) == 0
    ? [JSONPatch{op: "add", path: "/spec/containers/" + string(i) + "/env",
        value: []}]
    : []) +
  variables.enforcedKeys
    .filter(key, !variables.entries[i].exists(e, e.name == key))
    .transformList(n, key, JSONPatch{op: "add",
      path: "/spec/containers/" + string(i) + "/env/" + string(n),
      value: Object.spec.containers.env{name: key,
        valueFrom: Object.spec.containers.env.valueFrom{
          secretKeyRef: Object.spec.containers.env.valueFrom.secretKeyRef{
            name: variables.mirror, key: key, optional: true}}}})
).flatten() +
(size(variables.unmounted) == 0 || size(variables.certificateVolumes) > 0 ? [] :
  (size(variables.volumes) > 0 ? [] :
    [JSONPatch{op: "add", path: "/spec/volumes", value: []}]) +
  [JSONPatch{op: "add", path: "/spec/volumes/-",
    value: Object.spec.volumes{name: variables.certificates,
      configMap: Object.spec.volumes.configMap{
        name: variables.certificates, optional: true}}}]) +
variables.unmounted.map(i,
  (size(variables.containers[i].?volumeMounts.orValue([])) > 0 ? [] :
    [JSONPatch{op: "add", path: "/spec/containers/" + string(i) + "/volumeMounts",
      value: []}]) +
  [JSONPatch{op: "add", path: "/spec/containers/" + string(i) + "/volumeMounts/-",
    value: Object.spec.containers.volumeMounts{name: variables.certificates,
      mountPath: variables.certificatesPath, readOnly: true}}]
).flatten() +
([variables.ours, variables.unheld, variables.unmounted].all(l, size(l) == 0) ? [] :
  (variables.labels[?variables.injectedLabel].orValue('') == 'INJECTED' ? [] :
    [JSONPatch{op: "add", path: "/metadata/labels/" +
      jsonpatch.escapeKey(variables.injectedLabel), value: 'INJECTED'}]) +
  (variables.stamp == variables.note ? [] :
    size(variables.annotations) == 0
    ? [JSONPatch{op: "add", path: "/metadata/annotations",
        value: {variables.injectionAnnotation: variables.note}}]
    : [JSONPatch{op: "add", path: "/metadata/annotations/" +
        jsonpatch.escapeKey(variables.injectionAnnotation),
        value: variables.note}]))""".replace("INJECTED", INJECTED_TRUE)
"""The RFC 6902 operations; none on a second pass over a result."""
