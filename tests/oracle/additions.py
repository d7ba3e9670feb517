"""What both tests of added policies share: Services, their pods, and the question."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.oracle.judges import Json, Judge
from tests.oracle.worlds import World, for_analyzer

NONE: Final = {"lost": "", "undeclared": "", "missing": ""}
"""No difference of any sort."""


def differences(
    analyzer: Judge,
    world: World,
    added: Sequence[Json],
    *,
    declared: Sequence[Json],
    expected: Sequence[Json],
) -> Mapping[str, str]:
    """What policies beside a world's own change, other than was meant.

    Args:
        analyzer: network-config-analyzer.
        world: Before.
        added: Policies that come to its own.
        declared: What may pass besides.
        expected: What has to pass.

    Returns:
        What is `lost`, what passes `undeclared`, and what is `missing`.
    """
    said = analyzer.ask(
        {
            "namespaces": world.namespaces,
            "pods": world.pods,
            "before": for_analyzer(world.policies),
            "after": for_analyzer([*world.policies, *added]),
            "declared": list(declared),
            "expected": list(expected),
            "targets": [],
            "ports": [],
        }
    )
    return {key: said[key] for key in NONE}


def service(
    namespace: str,
    name: str,
    address: str,
    selector: Mapping[str, str],
    ports: Sequence[tuple[int, int, str]],
) -> Json:
    """A Service; each port has its own, that of the pods, and a protocol."""
    raw_ports = [
        {"name": f"{p}-{x.lower()}", "port": p, "targetPort": t, "protocol": x}
        for p, t, x in ports
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address, "selector": selector, "ports": raw_ports},
    }


def selected(world: World, namespace: str, wanted: Mapping[str, str]) -> list[str]:
    """The pods of a namespace that have these labels."""
    return [
        f"{namespace}/{pod['metadata']['name']}"
        for pod in world.pods
        if pod["metadata"]["namespace"] == namespace
        and wanted.items() <= pod["metadata"]["labels"].items()
    ]
