"""What a real container has of each odd source, and who says so beforehand.

A kubelet starts pods that the webhook injected. What their containers print is compared
with the reference model, with what `explain` says of the stored pod, with what the
companion mirrored, and with what its auditor calls shadowed.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from tests.e2e.installation import (
    API_KEY,
    NAMESPACE,
    PATIENCE,
    TRACKING_URI,
    Installation,
)
from tests.e2e.taskpods import bystander, create, worker
from tests.e2e.test_environment import outcome
from tests.lab.node import Node
from tests.lab.processes import wait_for
from webhook.cli.main import cli
from webhook.injection.environment import (
    Environment,
    KnownSources,
    decoded,
    environment,
)

MIRROR: Final = "michelangelo-tracking"
OLDER: Final = "http://older.example"
WAITS: Final = "CreateContainerConfigError"
"""The kubelet's word for a container that lacks something it requires."""


@dataclass(frozen=True, slots=True)
class Content:
    """A ConfigMap's `data` and `binaryData`."""

    data: Mapping[str, str]
    binary: Mapping[str, bytes]


CENTRAL: Final = Content({"MLFLOW_EXPERIMENT": "nightly"}, {"RAW_CA": b"\xff"})
OLDER_CONFIG: Final = Content(
    {"TRACKING_URI": OLDER, "with.dot": "dotted", "9": "nine"},
    {"TRACKING_API_KEY": b"\xff", "BINARY": b"\xff\xfe", "ASCII": b"plain"},
)
NOT_TEXT: Final = {"RAW": b"caf\xe9", "PLAIN": b"plain"}
"""Of a Secret of the namespace's own, and of the central one. This kubelet takes it,
and so do those before 1.34; those between, and containerd 2.2, start no container."""
RAW: Final = NOT_TEXT["RAW"].decode("utf-8", "replace")
"""What a container gets of it: the runtime's configuration is JSON."""
OWN: Final = {"TRACKING_API_KEY": b"own-key", "-x": b"dash"}
MIRRORED: Final = {
    "MLFLOW_EXPERIMENT": "nightly",
    "PLAIN": "plain",
    "TRACKING_API_KEY": API_KEY,
    "TRACKING_URI": TRACKING_URI,
}
SOURCES: Final = KnownSources(
    secrets={
        MIRROR: MIRRORED,
        "own": {key: value.decode() for key, value in OWN.items()},
        "not-text": {key: decoded(value) for key, value in NOT_TEXT.items()},
        "absent": None,
    },
    config_maps={"michelangelo-config": OLDER_CONFIG.data, "absent": None},
)

PRINT: Final = ["sh", "-c", "base64 -w0 /proc/1/environ; echo; exec sleep 3600"]
BESIDE: Final = "beside"
"""A pod that is no task pod, and reads the central ConfigMap by itself."""

_OURS: Final = {"secretRef": {"name": MIRROR}}
_OLDER: Final = {"configMapRef": {"name": "michelangelo-config"}}


def _from_file(variable: str, key: str, **more: Any) -> dict[str, Any]:
    selector = {"volumeName": "files", "path": "a.env", "key": key} | more
    return {"name": variable, "valueFrom": {"fileKeyRef": selector}}


def _from_config(variable: str, key: str, **more: Any) -> dict[str, Any]:
    selector = {"name": "michelangelo-config", "key": key} | more
    return {"name": variable, "valueFrom": {"configMapKeyRef": selector}}


def _from_secret(variable: str, key: str, **more: Any) -> dict[str, Any]:
    selector = {"name": "own", "key": key} | more
    return {"name": variable, "valueFrom": {"secretKeyRef": selector}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A container, and what the kubelet makes of it.

    Attributes:
        name: Of its namespace.
        sees: Some of its variables, `None` for one that it has not; or why it waits.
        env: What it sets besides Ray's own.
        env_from: What it takes as a whole; the webhook adds the mirror.
        file: What an init container writes for `fileKeyRef`.
    """

    name: str
    sees: Mapping[str, str | None] | str
    env: tuple[dict[str, Any], ...] = ()
    env_from: tuple[dict[str, Any], ...] = ()
    file: str | None = None


CASES: Final = (
    Case(
        name="file-over-mirror",
        env=(_from_file("TRACKING_URI", "URI"),),
        file="URI='http://from-a-file'\n",
        sees={"TRACKING_URI": "http://from-a-file", "TRACKING_API_KEY": API_KEY},
    ),
    Case(
        name="file-in-reference",
        env=(
            _from_file("FROM_FILE", "URI"),
            {"name": "BOTH", "value": "$(FROM_FILE) $(TRACKING_URI)"},
        ),
        file="# comment\nURI='a b'\n",
        sees={"FROM_FILE": "a b", "BOTH": f"a b {TRACKING_URI}"},
    ),
    Case(
        name="file-lacks-key",
        env=(_from_file("TRACKING_URI", "OTHER"),),
        file="URI='http://from-a-file'\n",
        sees=WAITS,
    ),
    Case(
        name="file-lacks-optional-key",
        env=(_from_file("TRACKING_URI", "OTHER", optional=True),),
        file="URI='http://from-a-file'\n",
        sees={"TRACKING_URI": TRACKING_URI},
    ),
    Case(
        name="file-empty-value",
        env=(_from_file("TRACKING_URI", "URI", optional=True),),
        file="URI=''\n",
        sees={"TRACKING_URI": TRACKING_URI},
    ),
    Case(
        name="no-file",
        env=(_from_file("TRACKING_URI", "URI", path="none.env"),),
        file="",
        sees=WAITS,
    ),
    Case(
        name="binary-data-as-a-whole",
        env_from=(_OLDER,),
        sees={
            "TRACKING_URI": OLDER,
            "TRACKING_API_KEY": API_KEY,
            "BINARY": None,
            "ASCII": None,
            "with.dot": "dotted",
            "9": "nine",
        },
    ),
    Case(
        name="binary-data-by-key",
        env=(_from_config("TRACKING_API_KEY", "ASCII"),),
        sees=WAITS,
    ),
    Case(
        name="binary-data-by-optional-key",
        env=(_from_config("TRACKING_API_KEY", "TRACKING_API_KEY", optional=True),),
        sees={"TRACKING_API_KEY": API_KEY},
    ),
    Case(
        name="older-by-key",
        env=(_from_config("TRACKING_URI", "TRACKING_URI"),),
        sees={"TRACKING_URI": OLDER},
    ),
    Case(
        name="own-reference-last",
        env_from=(_OLDER, _OURS),
        sees={"TRACKING_URI": TRACKING_URI, "9": "nine"},
    ),
    Case(
        name="older-under-a-prefix",
        env_from=(_OLDER | {"prefix": "OLD_"},),
        sees={"TRACKING_URI": TRACKING_URI, "OLD_TRACKING_URI": OLDER},
    ),
    Case(
        name="absent-as-a-whole",
        env_from=({"configMapRef": {"name": "absent"}},),
        sees=WAITS,
    ),
    Case(
        name="absent-and-optional",
        env_from=(
            {"configMapRef": {"name": "absent", "optional": True}},
            {"secretRef": {"name": "absent", "optional": True}},
        ),
        env=(_from_secret("TRACKING_URI", "URI", name="absent", optional=True),),
        sees=MIRRORED,
    ),
    Case(
        name="lacks-a-key",
        env=(_from_secret("TRACKING_URI", "NONE"),),
        sees=WAITS,
    ),
    Case(
        name="lacks-an-optional-key",
        env=(
            _from_secret("TRACKING_URI", "NONE", optional=True),
            _from_secret("TRACKING_API_KEY", "TRACKING_API_KEY", optional=True),
        ),
        sees={"TRACKING_URI": TRACKING_URI, "TRACKING_API_KEY": "own-key"},
    ),
    Case(
        name="not-text-by-key",
        env=(_from_secret("RAW", "RAW", name="not-text"),),
        sees={"RAW": RAW, "PLAIN": "plain"},
    ),
    Case(
        name="not-text-as-a-whole",
        env_from=({"secretRef": {"name": "not-text"}},),
        sees={"RAW": RAW, "PLAIN": "plain"},
    ),
    Case(
        name="not-text-in-reference",
        env=(
            _from_secret("RAW", "RAW", name="not-text"),
            {"name": "REFERS", "value": "$(RAW)"},
            {"name": "RAW", "value": "text"},
        ),
        sees={"REFERS": RAW, "RAW": "text"},
    ),
    Case(
        name="not-text-but-hidden",
        env_from=({"secretRef": {"name": "not-text"}},),
        env=({"name": "RAW", "value": "text"},),
        sees={"RAW": "text", "PLAIN": "plain", "TRACKING_URI": TRACKING_URI},
    ),
    Case(
        name="empty-literal",
        env=({"name": "TRACKING_URI", "value": ""},),
        env_from=({"secretRef": {"name": "own"}},),
        sees={"TRACKING_URI": "", "TRACKING_API_KEY": "own-key", "-x": "dash"},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a case.

    Attributes:
        container: As it was stored.
        variables: What it printed, or why it waits.
        explained: What `explain` says of the stored pod, given all its sources.
    """

    container: Mapping[str, Any]
    variables: Mapping[str, str] | str
    explained: Mapping[str, Any] = field(repr=False)


@pytest.fixture(scope="module")
def installation(node: Node) -> Iterator[Installation]:
    """A release with central sources that hold more than text."""
    _config_map(node, NAMESPACE, "central", CENTRAL)
    source = f"/api/v1/namespaces/{NAMESPACE}/secrets/tracking"
    node.plane.admin.patch(source, {"data": _encoded(NOT_TEXT)})
    release = Installation.install(node, {"tracking.existingConfigMap": "central"})
    yield release
    release.remove()
    node.plane.admin.patch(source, {"data": dict.fromkeys(NOT_TEXT)})
    node.plane.admin.delete(f"/api/v1/namespaces/{NAMESPACE}/configmaps/central")


@pytest.fixture(scope="module")
def bare(installation: Installation) -> Mapping[str, str]:
    """What a container has that sets nothing but reads the central ConfigMap."""
    namespace = installation.compute_namespace(BESIDE)
    _config_map(installation.node, namespace, "central", CENTRAL)
    pod = bystander(BESIDE)
    pod["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "central"}}]
    _start(installation, namespace, pod)
    wait_for("the pod beside", lambda: _settled(installation, namespace, BESIDE))
    printed = _read(installation, namespace, BESIDE)
    assert isinstance(printed, dict)
    return printed


@pytest.fixture(scope="module")
def seen(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Seen]:
    """Each case in a namespace of its own."""
    node = installation.node
    for case in CASES:
        namespace = installation.compute_namespace(case.name)
        _config_map(node, namespace, "michelangelo-config", OLDER_CONFIG)
        for name, data in (("own", OWN), ("not-text", NOT_TEXT)):
            secret = {"metadata": {"name": name}, "data": _encoded(data)}
            node.plane.admin.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
        _start(installation, namespace, _pod(case))
    waiting = {case.name for case in CASES}

    def settled() -> bool:
        for name in sorted(waiting):
            if _settled(installation, name, "task"):
                waiting.remove(name)
        return not waiting

    wait_for("each to run or to wait", settled, seconds=PATIENCE)
    folder = tmp_path_factory.mktemp("sources")
    return {case.name: _seen(installation, case.name, folder) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_container_has_what_the_kubelet_gives_it(
    seen: Mapping[str, Seen], case: Case
) -> None:
    """Each row of the table is what a real one printed, or waits for."""
    variables = seen[case.name].variables

    if isinstance(case.sees, str) or isinstance(variables, str):
        assert case.sees == variables
    else:
        assert case.sees == {name: variables.get(name) for name in case.sees}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_says_the_same(
    seen: Mapping[str, Seen], bare: Mapping[str, str], case: Case
) -> None:
    """Of all that it knows; a file is read by the kubelet alone."""
    one = seen[case.name]
    model = environment(one.container, SOURCES)

    if isinstance(one.variables, str):
        assert model.waits_for or case.file is not None
    else:
        assert_agrees(one.variables, model, bare)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_explain_says_the_same(seen: Mapping[str, Seen], case: Case) -> None:
    """Of the pod as it is stored, with its Secrets and ConfigMaps as they are."""
    one = seen[case.name]
    [container] = one.explained["containers"]
    said = {v["name"]: v["value"] for v in container["variables"]}

    if isinstance(one.variables, str):
        waits = [*container["waitsFor"], *container["unresolved"]]
        assert waits or case.file is not None
    else:
        known = {name: value for name, value in said.items() if value is not None}
        odd = {name for name, value in one.variables.items() if RAW in value}
        assert odd == set(container["unfit"])
        assert {
            n: known[n] for n in known.keys() - odd
        }.items() <= one.variables.items()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_auditor_names_just_the_keys_that_an_older_value_wins(
    installation: Installation, seen: Mapping[str, Seen], case: Case
) -> None:
    """Of containers that run: what each has tells whose value it is."""
    variables = seen[case.name].variables
    if isinstance(variables, str):
        return  # it may still start with anything

    expected = {
        key: "ConfigMap/michelangelo-config"
        for key in MIRRORED
        if variables[key] == OLDER
    }

    def told() -> bool:
        report = installation.status()["namespaces"].get(case.name, {})
        pods = report.get("pods", {})
        return bool(pods) and expected == report.get("shadowed", {})

    wait_for(f"{expected} as shadowed", told, seconds=20)


def test_the_companion_mirrors_what_the_kubelet_would_read(
    installation: Installation, seen: Mapping[str, Seen], bare: Mapping[str, str]
) -> None:
    """Of a ConfigMap its `data`, and none of its `binaryData`; of a Secret, the text.

    What is left out is told.
    """
    [case] = [one for one in CASES if one.name == "absent-and-optional"]
    variables = seen[case.name].variables
    assert isinstance(variables, dict)

    assert CENTRAL.data.items() <= bare.items()
    assert not CENTRAL.binary.keys() & bare.keys()
    assert CENTRAL.data.items() <= variables.items()
    assert not CENTRAL.binary.keys() & variables.keys()
    assert "RAW" not in variables
    told = installation.status()["profiles"]["default"]["findings"]
    assert ("ValueNotText", "RAW") in {(one["reason"], one["key"]) for one in told}


def assert_agrees(
    variables: Mapping[str, str], model: Environment, bare: Mapping[str, str]
) -> None:
    """Every value that the model knows is there, and no name that it does not."""
    maybe = {
        name
        for name, one in model.variables.items()
        if one.value is None and one.source.endswith("if it is there")
    }
    known = {
        name: one.value
        for name, one in model.variables.items()
        if one.value is not None and name not in model.unfit
    }

    assert known.items() <= variables.items()
    assert model.variables.keys() - maybe <= variables.keys()
    assert variables.keys() <= model.variables.keys() | bare.keys()


def _pod(case: Case) -> dict[str, Any]:
    pod = worker("task")
    [container] = pod["spec"]["containers"]
    container["env"] = [*container["env"], *case.env]
    container["envFrom"] = list(case.env_from)
    if case.file is not None:
        mount = {"name": "files", "mountPath": "/files"}
        write = ["sh", "-c", 'printf "%s" "$0" >/files/a.env', case.file]
        pod["spec"]["volumes"] = [{"name": "files", "emptyDir": {}}]
        pod["spec"]["initContainers"] = [
            {
                "name": "writer",
                "image": container["image"],
                "command": write,
                "volumeMounts": [mount],
            }
        ]
    return pod


def _start(installation: Installation, namespace: str, pod: dict[str, Any]) -> None:
    pod["spec"] |= {"hostname": "probe", "enableServiceLinks": False}
    pod["spec"]["containers"][0]["command"] = PRINT
    mirror = f"/api/v1/namespaces/{namespace}/secrets/{MIRROR}"
    wait_for("the mirror", lambda: installation.node.plane.admin.exists(mirror))
    create(installation.node, namespace, pod)


def _stored(installation: Installation, namespace: str, name: str) -> dict[str, Any]:
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    return installation.node.plane.admin.get(path)


def _settled(installation: Installation, namespace: str, name: str) -> bool:
    """Whether it runs, and has printed all, or waits for something."""
    pod = _stored(installation, namespace, name)
    if pod["status"]["phase"] != "Running":
        return bool(outcome(pod))
    return bool(_log(installation, namespace, name))


def _read(
    installation: Installation, namespace: str, name: str
) -> dict[str, str] | str:
    if waits := outcome(_stored(installation, namespace, name)):
        return waits
    printed = base64.b64decode(_log(installation, namespace, name)).decode()
    entries = [entry.partition("=") for entry in printed.split("\0") if entry]
    return {name: value for name, _, value in entries}


def _log(installation: Installation, namespace: str, name: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
    return installation.node.plane.admin.text(path)


def _seen(installation: Installation, namespace: str, folder: Path) -> Seen:
    stored = _stored(installation, namespace, "task")
    kubectl = installation.node.plane.kubectl
    words = ["explain", "-o", "json", "--show-values"]
    for option, what in (
        ("-f", "pod/task"),
        ("--secret", "secrets"),
        ("--configmap", "configmaps"),
    ):
        path = folder / f"{namespace}-{what.replace('/', '-')}.yaml"
        path.write_text(kubectl("get", what, "-n", namespace, "-o", "yaml"), "utf-8")
        words += [option, str(path)]
    result = CliRunner().invoke(cli, words)
    assert 0 == result.exit_code, result.output
    [explained] = json.loads(result.stdout)
    return Seen(
        container=stored["spec"]["containers"][0],
        variables=_read(installation, namespace, "task"),
        explained=explained,
    )


def _config_map(node: Node, namespace: str, name: str, content: Content) -> None:
    body = {
        "metadata": {"name": name},
        "data": dict(content.data),
        "binaryData": _encoded(content.binary),
    }
    node.plane.admin.create(f"/api/v1/namespaces/{namespace}/configmaps", body)


def _encoded(content: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in content.items()}
