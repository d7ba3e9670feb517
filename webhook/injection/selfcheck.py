"""Proves at start-up that this very build injects what it should.

jsonpatch is the independent judge: it applies what `patch` computed.
"""

from collections.abc import Mapping

import jsonpatch
from msgspec import structs

from webhook.injection.decision import decide
from webhook.injection.patch import reference
from webhook.injection.policy import InjectionPolicy
from webhook.injection.review import parse


def selfcheck_errors(
    reviews: Mapping[str, bytes], policy: InjectionPolicy, bystander: str
) -> list[str]:
    """Decide on known reviews, apply the patches, and decide again.

    Args:
        reviews: AdmissionReviews by name.
        policy: The operator's choices.
        bystander: Prefix of the names of reviews whose pods must stay as they are.

    Returns:
        One sentence for each review that went wrong; none when all is well.
    """
    found = []
    for name, body in reviews.items():
        review = parse(body)
        decision = decide(review, policy)
        if name.startswith(bystander):
            if decision.patch:
                found.append(f"{name}: got a patch, and is no task pod")
            continue
        pod = jsonpatch.apply_patch(review.pod, list(decision.patch))
        given = [
            container["name"]
            for container in pod["spec"]["containers"]
            if reference(policy) in (container.get("envFrom") or ())
        ]
        if not given or given != list(decision.containers):
            found.append(f"{name}: {decision.reason}, with the keys in {given}")
        elif decide(structs.replace(review, pod=pod), policy).patch:
            found.append(f"{name}: a second pass is not empty")
    return found
