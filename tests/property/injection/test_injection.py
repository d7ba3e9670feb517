"""What holds for every pod, every policy and every other webhook."""

import copy
import json
from pathlib import Path
from typing import Any

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.pods import MIRROR, OPTED_IN, apply, decide_on, injected
from tests.property.injection.pods import (
    entries,
    foreign_sources,
    policies,
    task_of,
    task_pods,
)
from webhook.injection.certificate_mount import MOUNT, VOLUME
from webhook.injection.decision import decide
from webhook.injection.environment import KnownSources, environment
from webhook.injection.names import (
    CA_CONFIG_MAP,
    CA_DIRECTORY,
    CONTAINERS_ANNOTATION,
    INJECTED_LABEL,
    INJECTION_ANNOTATION,
)
from webhook.injection.patch import enforced, reference
from webhook.injection.policy import InjectionPolicy, Precedence
from webhook.injection.reasons import InjectionReason
from webhook.injection.review import MalformedReviewError, answer, parse

KEYS = {"TRACKING_URI": "http://central", "TRACKING_API_KEY": "k"}
KNOWN = KnownSources(
    secrets={"michelangelo-tracking": KEYS, "theirs": {"TRACKING_URI": "http://t"}},
    config_maps={"michelangelo-config": {"TRACKING_URI": "http://c", "S3": "s"}},
)


def values(pod: dict[str, Any]) -> dict[str, str | None]:
    """The task container's environment."""
    variables = environment(task_of(pod), KNOWN).variables
    return {name: variable.value for name, variable in variables.items()}


def waits(pod: dict[str, Any]) -> set[str]:
    """What the task container waits for."""
    return set(environment(task_of(pod), KNOWN).waits_for)


def without_ours(pod: dict[str, Any], policy: InjectionPolicy) -> dict[str, Any]:
    """The pod less everything that is only there because of us."""
    pod = copy.deepcopy(pod)
    pod["metadata"].get("labels", {}).pop(INJECTED_LABEL, None)
    if annotations := pod["metadata"].get("annotations"):
        annotations.pop(INJECTION_ANNOTATION, None)
    if not pod["metadata"].get("annotations"):
        pod["metadata"].pop("annotations", None)
    task = task_of(pod)
    task["env"] = [e for e in task["env"] if e["name"] not in policy.enforced_keys]
    sources = [s for s in task.get("envFrom") or [] if s != reference(policy)]
    task["envFrom"] = sources
    if policy.tracking_ca:
        for owner, field, ours in (
            (pod["spec"], "volumes", VOLUME),
            (task, "volumeMounts", MOUNT),
        ):
            owner[field] = [one for one in owner.get(field) or [] if one != ours]
    return pod


@given(task_pods(), policies)
def test_the_ca_is_mounted_once_unless_something_is_in_the_way(
    pod: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Whatever has the path or the volume's name stays, and nothing comes twice."""
    after = apply(pod, decide_on(pod, policy))

    before = task_of(pod).get("volumeMounts") or []
    mounts = task_of(after).get("volumeMounts") or []
    volumes = after["spec"].get("volumes") or []
    taken = {Path(mount["mountPath"]) for mount in before}
    directory = Path(CA_DIRECTORY)
    blocked = any(
        path in (directory, directory.parent) or directory in path.parents
        for path in taken
    )
    theirs = pod["spec"].get("volumes") or []
    clash = any(
        volume["name"] == CA_CONFIG_MAP
        and volume.get("configMap", {}).get("name") != CA_CONFIG_MAP
        for volume in theirs
    )
    added = mounts[len(before) :]
    assert mounts[: len(before)] == before
    assert added == ([MOUNT] if policy.tracking_ca and not blocked | clash else [])
    names = [volume["name"] for volume in volumes]
    assert volumes[: len(theirs)] == theirs
    assert len(names) == len(set(names))
    assert not added or CA_CONFIG_MAP in names
    assert after["spec"]["initContainers"] == pod["spec"]["initContainers"]


@given(task_pods(sources=foreign_sources), policies)
def test_the_patched_pod_is_the_intended_one(
    pod: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Jsonpatch makes of it what a plain construction of the result does."""
    decision = decide_on(pod, policy)

    after = apply(pod, decision)

    task, expected = task_of(after), task_of(copy.deepcopy(pod))
    sources, ours = expected.get("envFrom") or [], reference(policy)
    first = policy.precedence is Precedence.FALLBACK
    assert ([ours, *sources] if first else [*sources, ours]) == task["envFrom"]
    for key in policy.enforced_keys:
        assert [enforced(key)] == [e for e in task["env"] if e["name"] == key]
    assert without_ours(pod, policy) == without_ours(after, policy)
    assert "true" == after["metadata"]["labels"][INJECTED_LABEL]
    note = json.loads(after["metadata"]["annotations"][INJECTION_ANNOTATION])
    assert ["task"] == note["containers"]


@given(task_pods(), policies)
def test_a_second_pass_is_empty(pod: dict[str, Any], policy: InjectionPolicy) -> None:
    """Whatever the pod brought along, our own result is at rest."""
    assert () == decide_on(injected(pod, policy), policy).patch


@given(task_pods(), policies)
def test_the_users_env_stays_in_order(
    pod: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Only enforced names may differ."""

    def theirs(pod: dict[str, Any]) -> list[dict[str, Any]]:
        names = policy.enforced_keys
        return [e for e in task_of(pod)["env"] if e["name"] not in names]

    assert theirs(pod) == theirs(injected(pod, policy))


@given(task_pods(), policies, foreign_sources, foreign_sources)
def test_a_reference_that_the_user_wrote_stays_theirs(
    pod: dict[str, Any], policy: InjectionPolicy, before: list[Any], after: list[Any]
) -> None:
    """Without a stamp of ours, a list that refers to the mirror is left alone."""
    (pod["metadata"].get("annotations") or {}).pop(INJECTION_ANNOTATION, None)
    task_of(pod)["envFrom"] = sources = [*before, MIRROR, *after]

    assert sources == task_of(injected(pod, policy))["envFrom"]


@given(task_pods(), policies)
def test_only_the_task_container_changes(
    pod: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Sidecars and init containers are as they came, and nothing is reordered."""
    after = injected(pod, policy)

    for before, now in zip(
        pod["spec"]["containers"], after["spec"]["containers"], strict=True
    ):
        if before["name"] == "task":
            before, now = (  # noqa: PLW2901 - compared without the fields of ours
                {
                    k: v
                    for k, v in c.items()
                    if k not in ("env", "envFrom", "volumeMounts")
                }
                for c in (before, now)
            )
        assert before == now
    assert pod["spec"]["initContainers"] == after["spec"]["initContainers"]


@given(
    task_pods(sources=foreign_sources),
    policies,
    st.none() | st.lists(st.sampled_from(["task", "other", "gone", ""]), max_size=3),
)
def test_a_pod_that_opts_in_is_injected_where_it_says(
    pod: dict[str, Any], policy: InjectionPolicy, names: list[str] | None
) -> None:
    """Into the containers that it names, its first one otherwise, and nowhere else."""
    pod["metadata"] = {"labels": dict(OPTED_IN)}
    if names is not None:
        pod["metadata"]["annotations"] = {CONTAINERS_ANNOTATION: " , ".join(names)}
    containers = [one["name"] for one in pod["spec"]["containers"]]
    wanted = containers[:1] if names is None else set(names) & set(containers)

    after = injected(pod, policy)

    assert wanted or after == pod
    assert after["spec"]["initContainers"] == pod["spec"]["initContainers"]
    for before, now in zip(
        pod["spec"]["containers"], after["spec"]["containers"], strict=True
    ):
        if before["name"] in wanted:
            assert 1 == now["envFrom"].count(reference(policy))
        else:
            assert before == now
    added = [one for one in after["spec"].get("volumes") or () if one == VOLUME]
    assert len(added) <= 1


@given(task_pods(sources=foreign_sources))
def test_fallback_changes_no_variable_that_anyone_set(pod: dict[str, Any]) -> None:
    """The first promise: what was there is still there, and the keys besides."""
    before, after = values(pod), values(injected(pod))

    # A literal may come to resolve `$(TRACKING_URI)`, which was a dead reference.
    set_before = {k: v for k, v in before.items() if "$(" not in (v or "")}
    assert set_before == {k: after[k] for k in set_before}
    assert KEYS.keys() <= after.keys() | {k.split()[-1] for k in waits(pod)}


@given(task_pods(sources=foreign_sources))
def test_override_wins_over_every_source_and_loses_to_every_entry(
    pod: dict[str, Any],
) -> None:
    """A literal `env` entry still wins."""
    policy = InjectionPolicy(precedence=Precedence.OVERRIDE)
    entries = {e["name"] for e in task_of(pod)["env"]}

    after = values(injected(pod, policy))

    for key in KEYS.keys() - entries:
        assert KEYS[key] == after[key]


@given(task_pods(), policies)
def test_enforced_keys_hold_whatever_anyone_set(
    pod: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Each that the mirror has has the mirror's value."""
    after = values(injected(pod, policy))

    for key in policy.enforced_keys:
        if key in KEYS:
            assert KEYS[key] == after[key]


@given(
    task_pods(sources=foreign_sources),
    policies,
    foreign_sources,
    entries,
    st.booleans(),
)
def test_the_order_of_two_webhooks_does_not_matter(
    pod: dict[str, Any],
    policy: InjectionPolicy,
    more_sources: list[Any],
    more_entries: list[Any],
    sidecar: bool,
) -> None:
    """Before or after another webhook, with the second look: the same environment.

    An enforced entry is replaced where it stands, so a reference that stands before
    it is the one thing that the order can change.
    """
    entries = [*task_of(pod)["env"], *more_entries]
    references = [e.get("value", "") for e in entries]
    assume(
        not any(f"$({key})" in r for key in policy.enforced_keys for r in references)
    )

    def other_webhook(pod: dict[str, Any]) -> dict[str, Any]:
        pod = copy.deepcopy(pod)
        task = task_of(pod)
        task["envFrom"] = [*(task.get("envFrom") or []), *more_sources]
        task["env"] = [*task["env"], *more_entries]
        if sidecar:
            pod["spec"]["containers"].insert(0, {"name": "istio-proxy"})
        return pod

    ours_first = injected(other_webhook(injected(pod, policy)), policy)
    theirs_first = injected(other_webhook(pod), policy)

    assert values(theirs_first) == values(ours_first)
    assert waits(theirs_first) == waits(ours_first)
    assert 1 == sum(s == reference(policy) for s in task_of(ours_first)["envFrom"])
    assert () == decide_on(ours_first, policy).patch


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("metadata", "labels", "annotations", "spec", "containers"),
                    *("env", "envFrom", "name", "secretRef"),
                    *("ray.io/node-type", "spark-role"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "uid": st.just("u") | json_values,
        "operation": st.just("CREATE") | json_values,
        "kind": st.just({"kind": "Pod"}) | json_values,
        "namespace": st.just("team-a") | json_values,
        "object": json_values | task_pods(),
    },
)


@given(requests, policies)
def test_any_request_is_answered_or_refused(
    request: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Never an error of ours, whatever the object is."""
    review = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": request,
    }
    check_bytes(orjson.dumps(review), policy)


@given(st.binary())
def test_any_bytes_are_answered_or_refused(body: bytes) -> None:
    """Never an error of ours, whatever the bytes are."""
    check_bytes(body, InjectionPolicy())


def check_bytes(body: bytes, policy: InjectionPolicy) -> None:
    """Parse, decide and answer; the only error is the one that names a refusal."""
    try:
        review = parse(body)
    except MalformedReviewError:
        return
    decision = decide(review, policy)
    response = orjson.loads(answer(review.uid, decision.patch))["response"]
    assert (review.uid, True) == (response["uid"], response["allowed"])
    assert (decision.reason is InjectionReason.INJECTED) is ("patch" in response)


def test_the_references_compared_above_are_the_ones_in_the_pods() -> None:
    """The generated foreign sources hold none of ours."""
    assert MIRROR == reference(InjectionPolicy())
