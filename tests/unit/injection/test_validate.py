"""What is wrong with an object that is no pod, by the field's name."""

from typing import Any

import pytest

from tests.pods import container, pod
from webhook.injection.validate import first_error, is_pod


def with_volumes(volumes: Any) -> dict[str, Any]:
    """A pod with these volumes."""
    made = pod({}, container("a"))
    made["spec"]["volumes"] = volumes
    return made


FLAWS: dict[str, Any] = {
    "it is not a map": [],
    "metadata is not a map": {"spec": {"containers": []}},
    "metadata.labels is not a map of strings": pod({"a": 1}),  # type: ignore[dict-item] # the flaw
    "metadata.annotations is not a map of strings": pod({}, annotations=[]),
    "spec is not a map": {"metadata": {}},
    "spec.containers is not a list": {"metadata": {}, "spec": {}},
    "spec.containers[0] is not a map": {"metadata": {}, "spec": {"containers": [1]}},
    "spec.containers[1].name is not a string": pod({}, container("a"), {}),
    "spec.containers[0].env is not a list": pod({}, container("a", env={})),
    "spec.containers[0].env[0] is not a map": pod({}, container("a", env=[1])),
    "spec.containers[0].env[1].name is not a string": pod(
        {}, container("a", env=[{"name": "A"}, {"value": "b"}])
    ),
    "spec.containers[0].envFrom is not a list": pod({}, container("a", envFrom=1)),
    "spec.containers[0].envFrom[0] is not a map": pod({}, container("a", envFrom=[1])),
    "spec.containers[0].envFrom[1].secretRef is not a map": pod(
        {}, container("a", envFrom=[{}, {"secretRef": "b"}])
    ),
    "spec.containers[0].volumeMounts[0] is not a map": pod(
        {}, container("a", volumeMounts=["b"])
    ),
    "spec.containers[0].volumeMounts[0].mountPath is not a string": pod(
        {}, container("a", volumeMounts=[{"name": "b"}])
    ),
    "spec.volumes is not a list": with_volumes({}),
    "spec.volumes[0] is not a map": with_volumes([1]),
    "spec.volumes[0].name is not a string": with_volumes([{"emptyDir": {}}]),
    "spec.volumes[1].configMap is not a map": with_volumes(
        [{"name": "a", "configMap": None}, {"name": "b", "configMap": "c"}]
    ),
}


@pytest.mark.parametrize(("sentence", "value"), FLAWS.items())
def test_the_first_wrong_field_is_named(sentence: str, value: Any) -> None:
    """So that a person can find it; its value is not repeated."""
    assert (sentence, False) == (first_error(value), is_pod(value))


def test_null_is_absent() -> None:
    """As the API server has it for maps and lists."""
    value = pod(None, container("a", env=None, envFrom=[{"secretRef": None}]))

    assert (None, True) == (first_error(value), is_pod(value))
