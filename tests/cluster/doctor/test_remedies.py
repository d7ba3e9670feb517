"""Each command that doctor tells people to type is one that its program takes.

Whether it mends the fault is shown by `test_faults.py`; here, on a healthy cluster,
what would change something is a dry run.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from tests.cluster.doctor.world import HOME, RELEASE, TEAMS, World
from tests.cluster.injector import task_pod
from tests.cluster.release import CHART
from tests.programs import lay_out
from webhook.doctor.registry import CLUSTER, NAMESPACE, PREFLIGHT, PROBE

REMEDIES: Final = sorted(
    {
        check.remedy
        for groups in (PREFLIGHT, CLUSTER, NAMESPACE, PROBE)
        for group in groups.values()
        for check in group
    }
)
OBJECT: Final = "configmap/kube-root-ca.crt"
"""One that every namespace has."""

WORDS: Final = {
    "home": HOME,
    "release": RELEASE,
    "companion": f"{RELEASE}-companion",
    "namespace": TEAMS[0],
    "key": "tracking.michelangelo-ai.org/Inject",
    "subject": OBJECT,
}
PLACEHOLDERS: Final = {
    r"\bCHART\b": str(CHART),
    r"pod/NAME": "pod/task",
    r"\bNAME\b": "tracking-credentials",
    r"\bPOD\b": "task",
    r"REPOSITORY:TAG": "registry.example.com/tracking-injector:1",
    r"OTHER-RELEASE -n ITS-NAMESPACE": f"{RELEASE} -n {HOME}",
    r"\[\.\.\., ": "[",
}
DRY: Final = {
    r"(kubectl (delete|label|set image) .*)": r"\1 --dry-run=server",
    # This cluster's release has profiles, beside which it takes no single source.
    r"(helm upgrade .* tracking.existingSecret=\S+)": (
        r"\1 --set tracking.profiles.default=null"
    ),
    r"(helm upgrade .*)": r"\1 --dry-run=server",
    # As if nothing were installed.
    r"(helm install .*)": r"\1 --dry-run=client",
    r"(helm uninstall .*)": r"\1 --dry-run",
}
"""How to have a command judged and not carried out; others are carried out."""

HELMS: Final = ("helm-4", "helm")
"""A reader may have either."""

NOBODY_RUNS_THEM: Final = "no preferred addresses found"
"""What `kubectl logs` says of pods that no kubelet runs."""


def typed(remedy: str) -> str:
    """The command, of this cluster's objects."""
    line = remedy.format_map(
        WORDS | {"subject": "pod/task"} if " explain " in remedy else WORDS
    )
    for pattern, word in PLACEHOLDERS.items():
        line = re.sub(pattern, word, line)
    command, mark, note = line.partition("  #")
    for pattern, dry in DRY.items():
        command = re.sub(f"^{pattern}$", dry, command)
    return command + mark + note


@pytest.fixture(scope="module")
def programs(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The `PATH` of somebody who types, by the Helm that is on it."""
    return {
        helm: lay_out(
            tmp_path_factory.mktemp("programs"), world.plane.toolbox, helm=helm
        )
        for helm in HELMS
    }


@pytest.fixture(scope="module", autouse=True)
def task(world: World) -> Iterator[None]:
    """A pod that remedies can be about."""
    pods = f"/api/v1/namespaces/{TEAMS[0]}/pods"
    pod = task_pod()
    pod["metadata"]["name"] = "task"
    world.admin.create(pods, pod)
    yield
    world.admin.delete(f"{pods}/task")


@pytest.mark.parametrize(
    ("remedy", "helm"),
    [
        (remedy, helm)
        for remedy in REMEDIES
        for helm in HELMS[: 2 if remedy.startswith("helm ") else 1]
    ],
)
def test_a_remedy_can_be_typed(
    world: World, programs: dict[str, str], remedy: str, helm: str
) -> None:
    """As it stands, with names filled in."""
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", typed(remedy)],
        env={
            **world.plane.environ(),
            "PATH": programs[helm],
            "EDITOR": "true",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    unread = "kubectl logs" in remedy and NOBODY_RUNS_THEM in done.stderr
    assert done.returncode == 0 or unread, f"{typed(remedy)}\n{done.stderr}"
