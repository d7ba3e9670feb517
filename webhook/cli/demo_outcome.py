"""What became of a captured pod, and whether that is what was promised.

The promise is checked by undoing: take our reference and our stamp away, and the pod
must be the one that was sent. The code that decides is not asked.
"""

import base64
import copy
from dataclasses import dataclass
from typing import Any

import jsonpatch
import orjson

from webhook.injection.decision import Decision, decide
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    INJECTION_ANNOTATION,
)
from webhook.injection.patch import reference
from webhook.injection.policy import InjectionPolicy
from webhook.injection.review import Review, parse
from webhook.samples import NOT_A_TASK, PROMISED

_POLICY = InjectionPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutcome:
    """What became of one captured pod.

    Attributes:
        name: The review's.
        decision: What this process decides about it.
        before: The pod as sent.
        after: The pod as the server's patch leaves it.
        problem: What is not as promised; empty when all is.
    """

    name: str
    decision: Decision
    before: dict[str, Any]
    after: dict[str, Any]
    problem: str


def demo_outcome(name: str, body: bytes, status: int, answer: bytes) -> DemoOutcome:
    """Apply an answer and compare the pod with what is promised.

    Args:
        name: The captured review's.
        body: What was sent.
        status: HTTP status of the answer.
        answer: Its body.

    Returns:
        The outcome; an answer that cannot be read is a problem of the pod's.
    """
    review = parse(body)
    before: dict[str, Any] = review.pod
    decision = decide(review, _POLICY)
    after = before
    try:
        after = _answered(review, status, answer)
        problem = _broken_promise(name, before, after)
    except (ValueError, KeyError, TypeError, jsonpatch.JsonPatchException):
        problem = f"HTTP {status}, and no answer to this review"
    return DemoOutcome(
        name=name, decision=decision, before=before, after=after, problem=problem
    )


def _answered(review: Review, status: int, answer: bytes) -> dict[str, Any]:
    response = orjson.loads(answer)["response"]
    if (status, response["uid"], response["allowed"]) != (200, review.uid, True):
        raise ValueError("not an answer that admits this review's pod")
    operations = orjson.loads(base64.b64decode(response.get("patch", "W10=")))
    pod: dict[str, Any] = jsonpatch.apply_patch(copy.deepcopy(review.pod), operations)
    return pod


def _broken_promise(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    if name.startswith(NOT_A_TASK):
        return "" if after == before else "changed, and is no task pod"
    undone = copy.deepcopy(after)
    given = []
    for container in undone["spec"]["containers"]:
        if (container.get("envFrom") or [None])[0] == reference(_POLICY):
            given.append(container["name"])
            container["envFrom"].pop(0)
    if tuple(given) != PROMISED[name]:
        return f"the keys come first in {given}, not in {list(PROMISED[name])}"
    if undone["metadata"].get("labels", {}).pop(INJECTED_LABEL, "") != INJECTED_TRUE:
        return "not labeled as injected"
    if not undone["metadata"].get("annotations", {}).pop(INJECTION_ANNOTATION, ""):
        return "not annotated"
    if _without_empty(undone) != _without_empty(before):
        return "something else of the pod changed"
    return ""


def _without_empty(pod: dict[str, Any]) -> dict[str, Any]:
    """A copy in which an empty `envFrom` or `annotations` is an absent one."""
    pod = copy.deepcopy(pod)
    for holder in (pod["metadata"], *pod["spec"]["containers"]):
        for field in ("annotations", "envFrom"):
            if not holder.get(field):
                holder.pop(field, None)
    return pod
