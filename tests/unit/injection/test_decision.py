"""What one pod gets, and why."""

from typing import Any

import pytest

from tests.pods import (
    CONFIG,
    MIRROR,
    RAY_ENV,
    RAY_HEAD,
    SPARK_DRIVER,
    apply,
    container,
    decide_on,
    first,
    injected,
    pod,
    ray_head,
)
from webhook import __version__
from webhook.injection.environment import KnownSources, environment
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence
from webhook.injection.reasons import InjectionReason
from webhook.injection.workload import Workload

OVERRIDE = InjectionPolicy(precedence=Precedence.OVERRIDE)
STAMP = (
    f'{{"version":"{__version__}","by":"webhook","precedence":"fallback",'
    '"containers":["ray-head"]}'
)
OWN_PREFIXED = {"prefix": "MLFLOW_", **MIRROR}


def enforced(key: str) -> dict[str, Any]:
    """The entry that takes this key from the mirror, if the mirror has it."""
    selector = {"key": key, "name": "michelangelo-tracking", "optional": True}
    return {"name": key, "valueFrom": {"secretKeyRef": selector}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(
            {"operation": "UPDATE"}, InjectionReason.NOT_A_POD_CREATION, id="update"
        ),
        pytest.param(
            {"operation": "DELETE"}, InjectionReason.NOT_A_POD_CREATION, id="delete"
        ),
        pytest.param(
            {"kind": "Job"}, InjectionReason.NOT_A_POD_CREATION, id="another kind"
        ),
        pytest.param(
            {"subresource": "binding"},
            InjectionReason.NOT_A_POD_CREATION,
            id="subresource",
        ),
        pytest.param(
            {"namespace": "kube-system"},
            InjectionReason.EXCLUDED_NAMESPACE,
            id="kube-system",
        ),
        pytest.param(
            {"namespace": "tracking"},
            InjectionReason.EXCLUDED_NAMESPACE,
            id="the release's",
        ),
    ],
)
def test_a_request_that_selectors_should_have_stopped_gets_nothing(
    fields: dict[str, Any], reason: InjectionReason
) -> None:
    """The code trusts no selector."""
    decision = decide_on(
        ray_head(), InjectionPolicy(release_namespace="tracking"), **fields
    )

    assert (reason, ()) == (decision.reason, decision.patch)


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        pytest.param(None, InjectionReason.MALFORMED_POD, id="no object"),
        pytest.param([], InjectionReason.MALFORMED_POD, id="an array"),
        pytest.param({"metadata": {}}, InjectionReason.MALFORMED_POD, id="no spec"),
        pytest.param(
            {"spec": {"containers": []}}, InjectionReason.MALFORMED_POD, id="no meta"
        ),
        pytest.param(
            {"metadata": {}, "spec": {}},
            InjectionReason.MALFORMED_POD,
            id="no containers",
        ),
        pytest.param(
            pod({"ray.io/node-type": 1}, container("c")),  # type: ignore[dict-item]  # on purpose
            InjectionReason.MALFORMED_POD,
            id="a label that is no text",
        ),
        pytest.param(
            pod(RAY_HEAD, container("c", env=[{"value": "v"}])),
            InjectionReason.MALFORMED_POD,
            id="a variable without a name",
        ),
        pytest.param(
            pod(RAY_HEAD, container("c", envFrom={"secretRef": {}})),
            InjectionReason.MALFORMED_POD,
            id="envFrom that is no list",
        ),
        pytest.param(
            pod(RAY_HEAD, container("c", envFrom=[{"secretRef": "s"}])),
            InjectionReason.MALFORMED_POD,
            id="a secretRef that is no object",
        ),
        pytest.param(
            pod(RAY_HEAD, {"image": "i"}),
            InjectionReason.MALFORMED_POD,
            id="a nameless one",
        ),
        pytest.param(
            pod(RAY_HEAD, container("c"), annotations=["a"]),
            InjectionReason.MALFORMED_POD,
            id="annotations that are no map",
        ),
        pytest.param(
            pod(None, container("c")), InjectionReason.NOT_A_TASK_POD, id="no labels"
        ),
        pytest.param(
            pod(SPARK_DRIVER, container("c")),
            InjectionReason.NO_TASK_CONTAINER,
            id="unknown",
        ),
        pytest.param(
            pod(
                RAY_HEAD,
                container("c"),
                annotations={"kubernetes.io/config.mirror": ""},
            ),
            InjectionReason.MIRROR_POD,
            id="a static pod",
        ),
        pytest.param(
            pod(
                {**RAY_HEAD, "tracking.michelangelo-ai.org/inject": "disabled"},
                container("c"),
            ),
            InjectionReason.OPTED_OUT,
            id="opted out",
        ),
    ],
)
def test_a_pod_that_gets_nothing_gets_a_reason(
    pod: Any, reason: InjectionReason
) -> None:
    """No pod is left without a word."""
    decision = decide_on(pod)

    assert (reason, ()) == (decision.reason, decision.patch)


def test_an_injected_pod_names_workload_and_containers() -> None:
    """Only the task container is named."""
    head = pod(RAY_HEAD, container("head", env=RAY_ENV), container("autoscaler"))

    decision = decide_on(head)

    assert (InjectionReason.INJECTED, Workload.RAY_HEAD, ("head",)) == (
        decision.reason,
        decision.workload,
        decision.containers,
    )


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        pytest.param(None, InjectionPolicy(), [MIRROR], id="null"),
        pytest.param([], InjectionPolicy(), [MIRROR], id="empty"),
        pytest.param(
            [CONFIG], InjectionPolicy(), [MIRROR, CONFIG], id="fallback goes first"
        ),
        pytest.param([CONFIG], OVERRIDE, [CONFIG, MIRROR], id="override goes last"),
        pytest.param([], OVERRIDE, [MIRROR], id="override of nothing"),
        pytest.param(
            [OWN_PREFIXED],
            InjectionPolicy(),
            [MIRROR, OWN_PREFIXED],
            id="a prefixed reference gives other names",
        ),
        pytest.param(
            [{"prefix": "", **MIRROR}],
            InjectionPolicy(),
            [{"prefix": "", **MIRROR}],
            id="an empty prefix is none",
        ),
        pytest.param(
            [CONFIG, MIRROR], InjectionPolicy(), [CONFIG, MIRROR], id="the user's own"
        ),
        pytest.param([MIRROR, CONFIG], OVERRIDE, [MIRROR, CONFIG], id="theirs stays"),
    ],
)
def test_the_reference_goes_where_the_precedence_wants_it(
    before: list[dict[str, Any]] | None,
    policy: InjectionPolicy,
    after: list[dict[str, Any]],
) -> None:
    """Ours is inserted once, and nobody else's entry moves."""
    assert after == first(injected(ray_head(envFrom=before), policy))["envFrom"]


def test_an_absent_list_is_made() -> None:
    """A container without `envFrom` gets one."""
    assert [MIRROR] == first(injected(ray_head()))["envFrom"]


def test_start_makes_the_reference_optional() -> None:
    """With `onMissing: start` the container starts without the Secret."""
    policy = InjectionPolicy(on_missing=OnMissing.START)

    task = first(injected(ray_head(), policy))

    assert [{"secretRef": {"name": "michelangelo-tracking", "optional": True}}] == (
        task["envFrom"]
    )


@pytest.mark.parametrize("on_missing", list(OnMissing))
def test_no_pod_waits_for_an_enforced_key(on_missing: OnMissing) -> None:
    """A key that the mirror never gets, by a typo, would hold every pod for ever."""
    policy = InjectionPolicy(on_missing=on_missing, enforced_keys=("TYPO",))

    task = first(injected(ray_head(), policy))

    assert [enforced("TYPO"), *RAY_ENV] == task["env"]
    mirrored = KnownSources(secrets={"michelangelo-tracking": {}}, config_maps={})
    assert () == environment(task, mirrored).waits_for


def test_a_pod_with_its_own_reference_is_left_alone() -> None:
    """What the user wrote serves; nothing is added, not even the stamp."""
    decision = decide_on(ray_head(envFrom=[CONFIG, MIRROR]))

    assert (InjectionReason.ALREADY_REFERENCED, ()) == (decision.reason, decision.patch)


def test_enforced_keys_hold_beside_the_users_own_reference() -> None:
    """The user's reference stays in place, and is still theirs on the second pass."""
    policy = InjectionPolicy(enforced_keys=("TRACKING_URI",))
    once = injected(ray_head(envFrom=[CONFIG, MIRROR]), policy)

    again = decide_on(once, policy)

    assert [CONFIG, MIRROR] == first(once)["envFrom"]
    assert enforced("TRACKING_URI") == first(once)["env"][0]
    assert (InjectionReason.ALREADY_REFERENCED, ()) == (again.reason, again.patch)


def test_the_stamp_names_version_precedence_and_containers() -> None:
    """A label to select on, an annotation to read."""
    metadata = injected(ray_head())["metadata"]

    assert "true" == metadata["labels"]["tracking.michelangelo-ai.org/injected"]
    assert {"tracking.michelangelo-ai.org/injection": STAMP} == metadata["annotations"]


def test_the_stamp_keeps_other_annotations() -> None:
    """Keys with `/` and `~` are escaped, and neighbors stay."""
    head = ray_head()
    head["metadata"]["annotations"] = {"a/b~c": "d"}

    assert {"a/b~c": "d", "tracking.michelangelo-ai.org/injection": STAMP} == (
        injected(head)["metadata"]["annotations"]
    )


@pytest.mark.parametrize(
    "policy", [InjectionPolicy(), OVERRIDE, InjectionPolicy(enforced_keys=("A",))]
)
def test_a_second_pass_is_empty(policy: InjectionPolicy) -> None:
    """Idempotent: our own result is as it should be."""
    again = decide_on(injected(ray_head(envFrom=[CONFIG]), policy), policy)

    assert (InjectionReason.ALREADY_INJECTED, ()) == (again.reason, again.patch)


@pytest.mark.parametrize(
    ("policy", "between", "after"),
    [
        pytest.param(
            InjectionPolicy(),
            [MIRROR, CONFIG],
            [MIRROR, CONFIG],
            id="fallback, appended",
        ),
        pytest.param(
            InjectionPolicy(),
            [CONFIG, MIRROR],
            [MIRROR, CONFIG],
            id="fallback, prepended",
        ),
        pytest.param(
            OVERRIDE, [MIRROR, CONFIG], [CONFIG, MIRROR], id="override, appended"
        ),
        pytest.param(OVERRIDE, [CONFIG], [CONFIG, MIRROR], id="override, removed"),
        pytest.param(
            InjectionPolicy(),
            [MIRROR, CONFIG, MIRROR],
            [MIRROR, CONFIG, MIRROR],
            id="a second one came from elsewhere",
        ),
        pytest.param(
            OVERRIDE,
            [
                MIRROR,
                CONFIG,
                {"secretRef": {"name": "michelangelo-tracking", "optional": True}},
            ],
            [
                CONFIG,
                {"secretRef": {"name": "michelangelo-tracking", "optional": True}},
                MIRROR,
            ],
            id="ours goes behind theirs",
        ),
    ],
)
def test_a_pass_after_another_webhook_puts_ours_back(
    policy: InjectionPolicy, between: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """Reinvocation restores the position, once."""
    once = injected(ray_head(), policy)
    first(once)["envFrom"] = between

    twice = injected(once, policy)

    assert after == first(twice)["envFrom"]
    assert () == decide_on(twice, policy).patch


def test_a_stamp_that_was_stripped_comes_back() -> None:
    """The label is what egress policies select on."""
    once = injected(ray_head())
    del once["metadata"]["labels"]["tracking.michelangelo-ai.org/injected"]

    decision = decide_on(once)

    assert InjectionReason.INJECTED == decision.reason
    assert injected(ray_head()) == apply(once, decision)


@pytest.mark.parametrize(
    "note", ["", "not JSON", "[]", "{}", '{"containers":1}', '{"containers":[1]}']
)
def test_an_unreadable_stamp_claims_nothing(note: str) -> None:
    """A reference is ours only if the stamp says so."""
    head = ray_head(envFrom=[CONFIG, MIRROR])
    head["metadata"]["annotations"] = {"tracking.michelangelo-ai.org/injection": note}

    assert InjectionReason.ALREADY_REFERENCED == decide_on(head).reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], [enforced("K"), *RAY_ENV], id="put in front"),
        pytest.param(
            [{"name": "K", "value": "mine"}, {"name": "L", "value": "$(K)"}],
            [*RAY_ENV, enforced("K"), {"name": "L", "value": "$(K)"}],
            id="replaced in place",
        ),
        pytest.param(
            [{"name": "K"}, {"name": "L"}, {"name": "K", "value": "2"}, {"name": "K"}],
            [*RAY_ENV, enforced("K"), {"name": "L"}],
            id="duplicates go",
        ),
        pytest.param([enforced("K")], [*RAY_ENV, enforced("K")], id="already there"),
    ],
)
def test_an_enforced_key_holds(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """One entry of the name is left, and it is ours."""
    policy = InjectionPolicy(enforced_keys=("K",))

    assert after == first(injected(ray_head(env=before), policy))["env"]


def test_several_enforced_keys_keep_their_order() -> None:
    """Replaced, removed and added entries do not disturb one another."""
    policy = InjectionPolicy(enforced_keys=("A", "B", "C"))
    before = [
        {"name": "C", "value": "1"},
        {"name": "X", "value": "x"},
        {"name": "C", "value": "2"},
    ]

    env = first(injected(ray_head(env=before), policy))["env"]

    assert [
        enforced("A"),
        enforced("B"),
        *RAY_ENV,
        enforced("C"),
        {"name": "X", "value": "x"},
    ] == env


@pytest.mark.parametrize("env", [{}, {"env": None}], ids=["absent", "null"])
def test_an_enforced_key_makes_an_absent_list(env: dict[str, Any]) -> None:
    """Only an old or odd Ray container comes without `env`."""
    head = pod(RAY_HEAD, container("head", **env))

    assert [enforced("K")] == first(
        injected(head, InjectionPolicy(enforced_keys=("K",)))
    )["env"]


def test_another_webhooks_late_duplicate_of_an_enforced_key_goes() -> None:
    """spark-operator appends the application's env after our first pass."""
    policy = InjectionPolicy(enforced_keys=("K",))
    once = injected(ray_head(), policy)
    first(once)["env"].append({"name": "K", "value": "theirs"})

    assert [enforced("K"), *RAY_ENV] == first(injected(once, policy))["env"]


def test_nothing_else_changes() -> None:
    """Init containers, sidecars and fields unknown to us stay as they came."""
    head = pod(
        RAY_HEAD,
        container("istio-proxy", env=[{"name": "A", "value": "b"}]),
        container("head", env=RAY_ENV, futureField={"x": [1, None]}),
    )
    head["spec"]["initContainers"] = [container("wait-gcs-ready", env=RAY_ENV)]
    head["spec"]["ephemeralContainers"] = [container("debug", env=RAY_ENV)]
    head["spec"]["futureField"] = {"y": 1.5}

    after = injected(head)

    del after["spec"]["containers"][1]["envFrom"]
    del after["metadata"]["annotations"]
    del after["metadata"]["labels"]["tracking.michelangelo-ai.org/injected"]
    assert head == after
