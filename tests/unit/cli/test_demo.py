"""The demo notices a pod that is not as promised."""

import base64
from typing import Any

import orjson
import pytest

from webhook.cli.demo import demo_outcome
from webhook.injection.decision import decide
from webhook.injection.policy import InjectionPolicy, Precedence
from webhook.injection.review import answer, parse
from webhook.samples import NOT_A_TASK, PROMISED, reviews

NAME = "spark-driver-pod-template-renamed-container"
BYSTANDER = "not-a-task-ray-redis-cleanup"


def answered(name: str, policy: InjectionPolicy | None = None) -> bytes:
    """What a sound server says to a captured review."""
    review = parse(reviews()[name])
    return answer(review.uid, decide(review, policy or InjectionPolicy()).patch)


def patched(name: str, *operations: dict[str, Any]) -> bytes:
    """What a server says that has other operations in mind."""
    return answer(parse(reviews()[name]).uid, operations)


def problem(name: str, body: bytes, status: int = 200) -> str:
    """What the demo has to say to an answer."""
    return demo_outcome(name, reviews()[name], status, body).problem


def test_every_captured_task_pod_has_a_promise() -> None:
    """A new review does not slip in without one."""
    assert set(PROMISED) == {n for n in reviews() if not n.startswith(NOT_A_TASK)}


@pytest.mark.parametrize("name", reviews())
def test_a_sound_answer_is_as_promised(name: str) -> None:
    """Nothing to say."""
    assert "" == problem(name, answered(name))


def env_from(container: int, name: str = "michelangelo-tracking") -> dict[str, Any]:
    """An operation that adds a reference to a container."""
    path = f"/spec/containers/{container}/envFrom"
    return {"op": "add", "path": path, "value": [{"secretRef": {"name": name}}]}


LABEL = {
    "op": "add",
    "path": "/metadata/labels/tracking.michelangelo-ai.org~1injected",
    "value": "true",
}
NOTE = {
    "op": "add",
    "path": "/metadata/annotations",
    "value": {"tracking.michelangelo-ai.org/injection": "{}"},
}


@pytest.mark.parametrize(
    ("operations", "sentence"),
    [
        ([], "the keys come first in [], not in ['main']"),
        ([env_from(0)], "the keys come first in ['sidecar'], not in ['main']"),
        ([env_from(1, "other")], "the keys come first in [], not in ['main']"),
        ([env_from(1)], "not labeled as injected"),
        ([env_from(1), LABEL], "not annotated"),
        (
            [env_from(1), LABEL, NOTE, {"op": "remove", "path": "/spec/containers/0"}],
            "something else of the pod changed",
        ),
    ],
)
def test_a_wrong_patch_is_noticed(
    operations: list[dict[str, Any]], sentence: str
) -> None:
    """In whatever it is wrong."""
    assert sentence == problem(NAME, patched(NAME, *operations))


def test_a_reference_in_the_wrong_place_is_noticed() -> None:
    """Last is not first where there are others."""
    body = answered(
        "ray-head-michelangelo", InjectionPolicy(precedence=Precedence.OVERRIDE)
    )

    sentence = "the keys come first in [], not in ['head']"
    assert sentence == problem("ray-head-michelangelo", body)


def test_a_changed_bystander_is_noticed() -> None:
    """Even by a label alone."""
    assert "changed, and is no task pod" == problem(
        BYSTANDER, patched(BYSTANDER, LABEL)
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"response": {"uid": "other", "allowed": true}}'),
        (200, patched(NAME, {"op": "remove", "path": "/spec/none"})),
        (200, patched(NAME, {"op": "no-such", "path": "/spec"})),
        (200, answered(NAME).replace(b"true", b"false")),
        (500, answered(NAME)),
        (
            200,
            orjson.dumps(
                {
                    "response": {
                        "uid": parse(reviews()[NAME]).uid,
                        "allowed": True,
                        "patch": base64.b64encode(b"{").decode(),
                    }
                }
            ),
        ),
    ],
)
def test_an_answer_that_cannot_be_used_is_noticed(status: int, body: bytes) -> None:
    """Whatever is sent in the place of one."""
    assert f"HTTP {status}, and no answer to this review" == problem(NAME, body, status)
