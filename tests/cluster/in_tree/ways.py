"""One control plane on which every choice of an operator is made in three ways.

For each choice the API server has the policy, a webhook of its own that was started
with the same choice, and a namespace for each way.
"""

import copy
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from tests.cluster.injector import COMPUTE, CONFIGURATIONS, Injector, task_pod
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for
from webhook.injection.admission_policy.objects import Reach, policy_objects
from webhook.injection.names import INJECTED_LABEL, INJECTION_ANNOTATION
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
POLICIES: Final = f"{ADMISSION}/mutatingadmissionpolicies"
BINDINGS: Final = f"{ADMISSION}/mutatingadmissionpolicybindings"
CHECKS: Final = "apiserver_mutating_admission_policy_check_total"
CONDITION_ERRORS: Final = "apiserver_admission_match_condition_evaluation_errors_total"

KEYS: Final = ("TRACKING_URI", "TRACKING_API_KEY")
CHOICES: Final = tuple(
    InjectionPolicy(
        precedence=precedence,
        on_missing=on_missing,
        enforced_keys=keys,
        # With half of the others each: it has nothing to do with any of them.
        tracking_ca=(precedence is Precedence.OVERRIDE)
        == (on_missing is OnMissing.WAIT),
    )
    for precedence, on_missing, keys in product(Precedence, OnMissing, ((), KEYS))
)
"""Everything that an operator can choose; of keys, none and two."""


class Way(StrEnum):
    """Who decides in a namespace."""

    NOBODY = "nobody"
    POLICY = "policy"
    WEBHOOK = "webhook"
    BOTH = "both"

    @property
    def deciders(self) -> tuple[str, ...]:
        """The labels of its namespace by which policy and webhook find it."""
        return {
            Way.NOBODY: (),
            Way.POLICY: ("policy",),
            Way.WEBHOOK: ("webhook",),
            Way.BOTH: ("policy", "webhook"),
        }[self]


class Ways:
    """The namespaces, and what becomes of pods there."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        choices: Iterable[InjectionPolicy] = CHOICES,
    ) -> None:
        """Start a webhook for each choice; return once everything has effect."""
        self.plane = plane
        self.choices = tuple(choices)
        self._injectors: list[Injector] = []
        for number, choice in enumerate(self.choices):
            (own := folder / str(number)).mkdir(parents=True)
            self._decide(number, choice, own)
        for number, way in product(range(len(self.choices)), Way):
            labels = {decider: str(number) for decider in way.deciders}
            plane.namespace(f"{way}-{number}", {**COMPUTE, **labels})
        for number, way in product(range(len(self.choices)), Way):
            wait_for(f"{way}-{number}", partial(self._has_effect, way, number))

    def stop(self) -> None:
        """Stop the webhooks."""
        for injector in self._injectors:
            injector.stop()

    def create(self, way: Way, choice: InjectionPolicy, pod: Object) -> Object:
        """What would be stored of a pod, as far as the pod says it."""
        number = self.choices.index(choice)
        path = f"/api/v1/namespaces/{way}-{number}/pods"
        return stored(self.plane.admin.create(path, pod, dryRun="All"))

    def errors(self, choice: InjectionPolicy) -> float:
        """How often the API server failed to evaluate anything of a choice's policy."""
        return errors(self.plane, f"choice-{self.choices.index(choice)}")

    def _decide(self, number: int, choice: InjectionPolicy, folder: Path) -> None:
        settings = {
            "MTI_PRECEDENCE": choice.precedence,
            "MTI_ON_MISSING": choice.on_missing,
            "MTI_ENFORCED_KEYS": ",".join(choice.enforced_keys),
            "MTI_TRACKING_CA": "on" if choice.tracking_ca else "off",
        }
        injector = Injector(folder, settings)
        self._injectors.append(injector)
        configuration = injector.configuration(self.plane, f"choice-{number}")
        for webhook in configuration["webhooks"]:
            webhook["namespaceSelector"]["matchLabels"] = {"webhook": str(number)}
        self.plane.admin.create(CONFIGURATIONS, configuration)
        install(self.plane, f"choice-{number}", choice, {"policy": str(number)})

    def _has_effect(self, way: Way, number: int) -> bool:
        pod = self.create(way, self.choices[number], task_pod())
        return (INJECTED_LABEL in pod["metadata"]["labels"]) == (way is not Way.NOBODY)


def install(
    plane: ControlPlane, name: str, choice: InjectionPolicy, namespaces: dict[str, str]
) -> None:
    """Create the policy as our code prints it, bound to namespaces of these labels."""
    policy, binding = policy_objects(name, choice, Reach())
    binding["spec"]["matchResources"] = {
        "namespaceSelector": {"matchLabels": namespaces}
    }
    plane.admin.create(POLICIES, policy)
    plane.admin.create(BINDINGS, binding)


def errors(plane: ControlPlane, name: str) -> float:
    """How often the API server failed to evaluate anything of a policy."""
    # Line by line: to parse all that an API server counts takes a quarter of a second.
    lines = [
        line
        for line in plane.admin.text("/metrics").splitlines()
        if line.startswith((CHECKS, CONDITION_ERRORS)) and f'="{name}"' in line
    ]
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if 'error_type="no_error"' not in line
    )


def remove(plane: ControlPlane, name: str) -> None:
    """Delete a policy and its binding."""
    for collection in (BINDINGS, POLICIES):
        plane.admin.delete(f"{collection}/{name}")


def stored(pod: Object) -> Object:
    """The part of a pod that its creator writes, or admission; it can be sent again."""
    pod = copy.deepcopy(pod)
    metadata = {
        key: value
        for key, value in pod["metadata"].items()
        if key in ("name", "generateName", "labels", "annotations", "ownerReferences")
    }
    return {"metadata": metadata, "spec": pod["spec"]}


def without_name_of_decider(pod: Object) -> Any:
    """A pod whose stamp does not say who gave the keys: the one thing that differs."""
    pod = copy.deepcopy(pod)
    annotations = pod["metadata"].get("annotations", {})
    if INJECTION_ANNOTATION in annotations:
        note = annotations[INJECTION_ANNOTATION]
        annotations[INJECTION_ANNOTATION] = re.sub('"by":"(policy|webhook)",', "", note)
    return pod
