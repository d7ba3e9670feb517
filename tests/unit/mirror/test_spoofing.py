"""What a namespace's users may put in the mirror's place, and what becomes of it."""

from typing import Any

import pytest

from webhook.mirror.decide import (
    Action,
    ExistingMirror,
    LabeledNamespace,
    NamespaceFilter,
    ProfileContent,
    decide,
)
from webhook.mirror.merge import MergedKeys
from webhook.mirror.reasons import MirrorReason
from webhook.mirror.secret import (
    MIRROR_TYPE,
    desired_secret,
    fingerprint_of,
    is_owned,
)
from webhook.secret_bytes import SecretBytes

GOOD = MergedKeys(data={"A": SecretBytes(b"1")}, digest="digest-1")
OURS = desired_secret("ray", GOOD, "default")
META = OURS["metadata"]
FOREIGN, OVERWRITTEN = MirrorReason.FOREIGN_SECRET, MirrorReason.PENDING


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"type": "Opaque"}, FOREIGN),
        ({"type": None}, FOREIGN),
        ({"type": ""}, FOREIGN),
        ({"type": f"{MIRROR_TYPE} "}, FOREIGN),
        ({"type": MIRROR_TYPE.upper()}, FOREIGN),
        ({"type": "kubernetes.io/tls"}, FOREIGN),
        ({"type": "Opaque", "data": {"LD_PRELOAD": "eA=="}}, FOREIGN),
        ({"type": "Opaque", "immutable": True}, FOREIGN),
        ({"type": "Opaque", "metadata": META | {"ownerReferences": [{}]}}, FOREIGN),
        ({"metadata": META | {"labels": None}}, OVERWRITTEN),
        ({"metadata": META | {"annotations": None}}, OVERWRITTEN),
        ({"metadata": META | {"labels": {"a": "b"}}}, OVERWRITTEN),
        ({"data": {"A": "Mg=="}}, OVERWRITTEN),
        ({"data": {"A": "MQ==", "LD_PRELOAD": "eA=="}}, OVERWRITTEN),
        ({"data": None}, OVERWRITTEN),
        ({"data": {"A": "Mg=="}, "immutable": True}, OVERWRITTEN),
    ],
)
def test_a_spoofed_mirror_is_reported_or_overwritten(
    changed: dict[str, Any], reason: MirrorReason
) -> None:
    """By its type, which nobody can change afterwards, and never by a label."""
    body = OURS | changed
    existing = ExistingMirror(is_owned(body), fingerprint_of(body))
    namespace = LabeledNamespace(name="ray", profile="default", terminating=False)
    profile = ProfileContent(content=GOOD)
    decision = decide(namespace, existing, profile, NamespaceFilter())
    gone = decide(None, existing, None, NamespaceFilter())

    writes = reason is OVERWRITTEN
    assert decision.reason is reason
    assert decision.action is (Action.WRITE if writes else Action.NOTHING)
    assert gone.action is (Action.REMOVE if writes else Action.NOTHING)
