"""Pods of every kind, well-formed and odd, that an API server takes."""

from typing import Any

from hypothesis import strategies as st

from tests.pods import CONFIG, MIRROR
from tests.property.injection.pods import (
    PREFIXED,
    THEIRS,
    entries,
)
from webhook.injection.names import (
    CA_CONFIG_MAP,
    CA_DIRECTORY,
    CONTAINERS_ANNOTATION,
    INJECT_LABEL,
    INJECTED_LABEL,
    INJECTION_ANNOTATION,
    MIRROR_SECRET,
)
from webhook.injection.workload import (
    NAMES,
    RAY_LABEL,
    SIDECARS,
    SIGNATURES,
    SPARK_LABEL,
)

_SIGNS = sorted(
    {
        variable
        for signatures in SIGNATURES.values()
        for signature in signatures
        for variable in signature
    }
)
_NAMES = sorted(
    {name for table in (SIDECARS, NAMES) for one in table.values() for name in one}
)

roles = st.fixed_dictionaries(
    {},
    optional={
        RAY_LABEL: st.sampled_from(["head", "worker", "head", "redis-cleanup", ""]),
        SPARK_LABEL: st.sampled_from(["driver", "executor", "connect-server"]),
    },
)
labels = st.builds(
    lambda role, others: {**role, **others},
    roles,
    st.fixed_dictionaries(
        {},
        optional={
            INJECTED_LABEL: st.sampled_from(["true", "false"]),
            INJECT_LABEL: st.sampled_from(["disabled", "other", "enabled", "enabled"]),
            "other": st.just("label"),
        },
    ),
)

signs = st.sampled_from(_SIGNS).map(lambda name: {"name": name, "value": "x"})
environment = st.builds(
    lambda before, signed, after: [*before, *signed, *after],
    entries,
    st.lists(signs, max_size=4),
    entries,
)

sources = st.lists(
    st.sampled_from(
        [
            CONFIG,
            THEIRS,
            PREFIXED,
            MIRROR,
            {"secretRef": {"name": MIRROR_SECRET, "optional": True}},
            {"secretRef": {"name": MIRROR_SECRET, "optional": False}},
            {"prefix": "", **MIRROR},
            {"configMapRef": {"name": MIRROR_SECRET}},
        ]
    ),
    max_size=5,
)

notes = st.sampled_from(
    [
        "",
        "[]",
        '{"containers":["head","task"]}',
        '{"version":"0.0.9","precedence":"fallback","containers":["head","a"]}',
        '{"version":"0.1.0","by":"policy","precedence":"override","containers":["a"]}',
        '{"containers":["head"],"containers":["a"]} "a"',
        '\u00fc "containers":[ \'a\' "head"',
    ]
)
asked = st.sampled_from(["", "a", "main,b", " a , policy,gone", "a\tb", "head,,", ","])
annotations = st.fixed_dictionaries(
    {},
    optional={
        INJECTION_ANNOTATION: notes,
        CONTAINERS_ANNOTATION: asked,
        "a.b/c": st.just('quoted "text" \\ \u00e4'),
    },
)


others = st.lists(
    st.sampled_from(
        [
            {"name": CA_CONFIG_MAP, "configMap": {"name": CA_CONFIG_MAP}},
            {"name": CA_CONFIG_MAP, "configMap": {"name": "theirs"}},
            {"name": CA_CONFIG_MAP, "emptyDir": {}},
        ]
    ),
    max_size=1,
)
PATHS = ["", "/", "/ca.crt", "//", "-other"]
mounts = st.lists(
    st.sampled_from(["/etc", "/etc/", "/data", *(CA_DIRECTORY + end for end in PATHS)]),
    max_size=3,
    unique_by=lambda path: path.rstrip("/"),
).map(lambda paths: [{"name": "scratch", "mountPath": path} for path in paths])


@st.composite
def containers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to four, with names that tell and names that do not."""
    known = st.sampled_from(_NAMES) | st.sampled_from(["a", "b", "main", "policy"])
    found = []
    for name in draw(st.lists(known, unique=True, min_size=1, max_size=4)):
        one: dict[str, Any] = {"name": name, "image": "task"}
        for field, values in (
            ("env", environment),
            ("envFrom", sources),
            ("volumeMounts", mounts),
        ):
            if draw(st.booleans()):
                one[field] = draw(st.none() | values)
        found.append(one)
    return found


@st.composite
def varied_pods(draw: st.DrawFn) -> dict[str, Any]:
    """Any pod."""
    return {
        "metadata": {
            "name": "varied",
            "labels": draw(labels),
            "annotations": draw(st.none() | annotations),
        },
        "spec": {
            # Its volume has a name that differs from creation to creation.
            "automountServiceAccountToken": False,
            "containers": draw(containers()),
            "volumes": [{"name": "scratch", "emptyDir": {}}, *draw(others)],
        },
    }
