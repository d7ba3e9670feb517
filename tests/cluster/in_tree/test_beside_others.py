"""Another webhook on the same pods: before ours or after it, the outcome is one."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.in_tree.meddler import Meddling, meddler
from tests.cluster.in_tree.ways import CHOICES, Way, Ways, without_name_of_decider
from tests.lab.api import Object
from tests.lab.processes import wait_for
from webhook.injection.policy import Precedence

CONFIG = {"configMapRef": {"name": "michelangelo-config"}}
LITERAL = {"name": "TRACKING_URI", "value": "http://theirs"}


def task(pod: Object) -> Any:
    """The container that runs user code."""
    (found,) = (c for c in pod["spec"]["containers"] if c["name"] == "head")
    return found


def appends(pod: Object) -> None:
    """As spark-operator's webhook does with what a SparkApplication says."""
    for field, one in (("envFrom", CONFIG), ("env", LITERAL)):
        if one not in task(pod).get(field, ()):
            task(pod).setdefault(field, []).append(one)


def prepends(pod: Object) -> None:
    """Its own source before all others."""
    if CONFIG not in task(pod).get("envFrom", ()):
        task(pod).setdefault("envFrom", []).insert(0, CONFIG)


def adds_a_proxy(pod: Object) -> None:
    """As Istio does where the application waits for its proxy."""
    containers = pod["spec"]["containers"]
    if containers[0]["name"] != "istio-proxy":
        containers.insert(0, {"name": "istio-proxy", "image": "proxy"})


def writes_ray_variables(pod: Object) -> None:
    """As KubeRay's own webhook will."""
    labels = {"name": "RAY_NODE_LABELS_JSON", "value": "{}"}
    if labels not in task(pod)["env"]:
        task(pod)["env"].append(labels)
    task(pod)["args"] = ["ray start --labels"]


def annotates(pod: Object) -> None:
    """Into a map that may not be there."""
    pod["metadata"].setdefault("annotations", {})["example.com/seen"] = "true"


MEDDLINGS: tuple[Meddling, ...] = (
    appends,
    prepends,
    adds_a_proxy,
    writes_ray_variables,
    annotates,
)
POD: Object = {
    "metadata": {"name": "met", "labels": {"ray.io/node-type": "head"}},
    "spec": {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "head",
                "image": "ray",
                "env": [{"name": "KUBERAY_GEN_RAY_START_CMD", "value": "ray start"}],
            }
        ],
    },
}


@pytest.mark.parametrize("name", ["a-meddler", "z-meddler"], ids=["before", "after"])
@pytest.mark.parametrize("meddling", MEDDLINGS, ids=lambda one: one.__name__)
def test_the_outcome_does_not_depend_on_who_decides_nor_on_the_order(
    ways: Ways, tmp_path: Path, meddling: Meddling, name: str
) -> None:
    """Where the operator wants it, once, whichever of ours came when."""
    plane, label = ways.plane, "met"
    namespaces = [
        f"{way}-{number}"
        for way in (Way.POLICY, Way.WEBHOOK, Way.BOTH)
        for number in range(len(CHOICES))
    ]
    for namespace in namespaces:
        body = {"metadata": {"labels": {label: ""}}}
        plane.admin.patch(f"/api/v1/namespaces/{namespace}", body)

    def meets() -> bool:
        return all(
            _is_met(ways.create(way, CHOICES[0], POD), meddling)
            for way in (Way.POLICY, Way.WEBHOOK, Way.BOTH)
        )

    with meddler(plane, tmp_path, meddling, name=name, label=label):
        wait_for("the meddler", meets)
        for choice in CHOICES:
            found = {
                way: without_name_of_decider(ways.create(way, choice, POD))
                for way in (Way.POLICY, Way.WEBHOOK, Way.BOTH)
            }
            # An enforced entry stands where it was first met; that depends on when.
            one, *others = (
                _besides(pod, choice.enforced_keys) for pod in found.values()
            )
            assert all(other == one for other in others)
            container = task(found[Way.BOTH])
            sources = container["envFrom"]
            ours = sources[0 if choice.precedence is Precedence.FALLBACK else -1]
            assert ours["secretRef"]["name"] == "michelangelo-tracking"
            assert sources.count(ours) == 1
            names = [one["name"] for one in container["env"]]
            for key in choice.enforced_keys:
                assert names.count(key) == 1
                entry = container["env"][names.index(key)]
                assert entry["valueFrom"]["secretKeyRef"]["key"] == key
            assert ways.errors(choice) == 0


def _besides(pod: Object, keys: tuple[str, ...]) -> Object:
    """The pod without entries of these names."""
    pod = copy.deepcopy(pod)
    env = task(pod)["env"]
    env[:] = [one for one in env if one["name"] not in keys]
    return pod


def _is_met(pod: Object, meddling: Meddling) -> bool:
    """Whether a pod has been meddled with: to do it again changes nothing."""
    again = without_name_of_decider(pod)
    meddling(again)
    return bool(again == without_name_of_decider(pod))
