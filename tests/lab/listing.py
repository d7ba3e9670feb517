"""What there is in a cluster, to say that two moments are the same."""

from tests.lab.control_plane import ControlPlane

_PASSING = frozenset({"events", "events.events.k8s.io"})
"""Kinds whose objects come and go by themselves."""


def listing(plane: ControlPlane) -> set[str]:
    """Every object of the cluster, as `Kind namespace/name`, but Events."""
    kinds = plane.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    wanted = ",".join(sorted(set(kinds) - _PASSING))
    line = "{.kind} {.metadata.namespace}/{.metadata.name}"
    path = f"jsonpath={{range .items[*]}}{line}{{'\\n'}}{{end}}"
    return set(
        plane.kubectl("get", wanted, "--all-namespaces", "-o", path).splitlines()
    )
