"""Asks the API server which of some rights are missing."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Final

from webhook.cluster.interface import Json, KubeClient, ObjectKey
from webhook.cluster.resources import ACCESS_REVIEW, OWN_ACCESS_REVIEW
from webhook.doctor.rights import Right

WORKERS: Final = 8
"""Requests under way at once; an API server gives each client at least that many."""


def denied_rights(
    client: KubeClient, rights: Sequence[Right], account: ObjectKey | None = None
) -> tuple[str, ...]:
    """Return the rights that a ServiceAccount lacks; whoever asks, without one.

    Raises:
        ClusterError: the API server does not tell.
    """
    kind = ACCESS_REVIEW if account else OWN_ACCESS_REVIEW
    subject = _subject(account) if account else {}

    def ask(right: Right) -> bool:
        attributes = {name: value for name, value in asdict(right).items() if value}
        spec = subject | {"resourceAttributes": attributes}
        answer = client.create(kind, {"metadata": {}, "spec": spec})
        return bool((answer.get("status") or {}).get("allowed"))

    with ThreadPoolExecutor(WORKERS) as pool:
        allowed = list(pool.map(ask, rights))
    pairs = zip(rights, allowed, strict=True)
    return tuple(str(right) for right, is_allowed in pairs if not is_allowed)


def _subject(account: ObjectKey) -> Json:
    """Return a ServiceAccount with the groups that it is in."""
    groups = [
        "system:serviceaccounts",
        f"system:serviceaccounts:{account.namespace}",
        "system:authenticated",
    ]
    user = f"system:serviceaccount:{account.namespace}:{account.name}"
    return {"user": user, "groups": groups}
