"""Which rights a way into a pod takes: what the page says, and no less."""

import itertools
from contextlib import closing

import pytest

from tests.documentation import ROOT
from tests.lab.control_plane import ControlPlane
from webhook.cluster.config import load_kubeconfig
from webhook.cluster.errors import ClusterError, Forbidden
from webhook.cluster.tunnel import Tunnel

PAGE = (ROOT / "docs/how-to/find-the-cause.md").read_text("utf-8")
NAMESPACES = map("tunnel-{}".format, itertools.count())


@pytest.mark.parametrize(
    ("verbs", "refused"),
    [(["get"], True), (["create"], True), (["get", "create"], False)],
)
def test_a_program_in_a_pod_takes_both_rights(
    plane: ControlPlane, verbs: list[str], refused: bool
) -> None:
    """It runs on no node, so all that is seen is whether somebody may ask for it."""
    assert "`get` and `create` on `pods/exec`" in PAGE
    namespace = plane.namespace(next(NAMESPACES))
    pod = {
        "metadata": {"name": "task"},
        "spec": {"containers": [{"name": "task", "image": "example.org/task:1"}]},
    }
    plane.admin.create(f"/api/v1/namespaces/{namespace}/pods", pod)
    grant(plane, namespace, verbs)
    path = plane.kubeconfig_for(namespace, "default")
    access = load_kubeconfig(manager="test", path=path)
    with closing(access.resources), pytest.raises(ClusterError) as caught:
        Tunnel(access.resources.api).run(
            (namespace, "task"), "task", ["true"], given="", seconds=5
        )

    assert refused == isinstance(caught.value, Forbidden), str(caught.value)


def grant(plane: ControlPlane, namespace: str, verbs: list[str]) -> None:
    """Let the namespace's default account do so with `pods/exec`."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs}
    meta = {"name": "exec"}
    plane.admin.create(f"{rbac}/roles", {"metadata": meta, "rules": [rule]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "exec"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    binding = {"metadata": meta, "roleRef": role, "subjects": [subject]}
    plane.admin.create(f"{rbac}/rolebindings", binding)
