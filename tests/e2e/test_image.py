"""What the Dockerfile promises, seen on the image that was built from it."""

import json
import re
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.e2e.image import BuiltImage
from tests.e2e.installation import delete_namespaces
from tests.lab import own_image
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.lab.tools import LabError
from tests.server.pairs import issue

PROJECT = Path(__file__).parents[2]
NAME = f"{own_image.REPOSITORY}:{own_image.TAG}"
NAMESPACE = "image"
OURS = "michelangelo_tracking_injector"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def image(node: Node) -> BuiltImage:
    """The image."""
    return BuiltImage.read(own_image.archive(node.plane.toolbox))


def locked() -> dict[str, str]:
    """What requirements/run.txt names for the image's Python: name to version."""
    text = (PROJECT / "requirements" / "run.txt").read_text("utf-8")
    lines = [line.rstrip(" \\") for line in text.splitlines()]
    wanted = [Requirement(line) for line in lines if re.match(r"\w", line)]
    image_python = {"python_version": "3.13", "python_full_version": "3.13.0"}
    return {
        one.name.lower().replace("_", "-"): str(one.specifier).removeprefix("==")
        for one in wanted
        if one.marker is None or one.marker.evaluate(image_python)
    }


def test_it_holds_the_locked_packages_and_no_others(image: BuiltImage) -> None:
    """In a layer of their own, below the project's."""
    metadata = re.compile(r".*/site-packages/([^/-]+)-([^/]+)\.dist-info/METADATA$")
    found = filter(None, map(metadata.match, image.layers[-2].files))

    assert locked() == {match[1].lower().replace("_", "-"): match[2] for match in found}


def test_the_last_layer_is_the_project_alone(image: BuiltImage) -> None:
    """A change of code ships little, and not the packages again."""
    ours = re.compile(
        rf"app/(lib/python3\.\d+/site-packages/(webhook|certs|{OURS}-[^/]+\.dist-info)/"
        r"|bin/(tracking-injector|kubectl-tracking)$|share/sbom\.cdx\.json$)"
    )
    last = image.layers[-1]

    assert [] == [name for name in last.files if not ours.match(name)]
    assert last.size < image.size / 50


def test_its_bill_of_materials_names_the_locked_packages(image: BuiltImage) -> None:
    """CycloneDX, made by the build, with the product as its subject.

    Besides the packages of Debian, of which the lock says nothing.
    """
    bill = json.loads(image.file("app/share/sbom.cdx.json"))
    debian = [
        one for one in bill["components"] if one.get("purl", "").startswith("pkg:deb/")
    ]
    found = {
        one["name"].lower().replace("_", "-"): one["version"]
        for one in bill["components"]
        if one not in debian
    }

    assert "CycloneDX" == bill["bomFormat"]
    assert "michelangelo-tracking-injector" == bill["metadata"]["component"]["name"]
    assert locked() == found
    assert "libpython3-stdlib" in {one["name"] for one in debian}


def test_it_says_what_it_is_and_runs_as_nobody_in_particular(image: BuiltImage) -> None:
    """A numeric user, so that a cluster can tell that it is not root."""
    labels = image.config["Labels"]
    prefix = "org.opencontainers.image."

    assert "65532:65532" == image.config["User"]
    assert ["/app/bin/tracking-injector"] == image.config["Entrypoint"]
    assert version("michelangelo-tracking-injector") == labels[f"{prefix}version"]
    assert "Apache-2.0" == labels[f"{prefix}licenses"]
    assert {"title", "description", "revision", "base.name"} <= {
        name.removeprefix(prefix) for name in labels
    }


def test_it_was_built_from_packages_whose_hashes_were_checked() -> None:
    """Every pip in the Dockerfile either checks hashes or may not go to the network."""
    text = (PROJECT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    commands = [
        command
        for line in text.splitlines()
        if line.startswith("RUN")
        for command in line.split("&&")
        if re.search(r"bin/pip\b", command)
    ]

    assert 5 == len(commands)
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command


def test_it_serves_from_a_read_only_root_without_a_shell(
    node: Node,
    image: BuiltImage,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its size, and the seconds until it is ready, are printed."""
    nothing = tmp_path / "nothing"
    nothing.touch()
    node.plane.namespace(NAMESPACE)
    node.plane.admin.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", certificate())
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"

    started = time.monotonic()
    node.plane.admin.create(path, serving_pod(nothing))
    wait_for("an address", lambda: bool(address(node.plane.admin.get(f"{path}/one"))))
    url = f"http://{address(node.plane.admin.get(f'{path}/one'))}:8080/readyz"
    wait_for("readiness", lambda: answers(url))
    seconds = time.monotonic() - started

    with capsys.disabled():
        print(  # noqa: T201 - figures for people
            f"\nthe image: {image.size / MEGABYTE:.0f} MB, "
            f"{image.archive.stat().st_size / MEGABYTE:.0f} MB packed; "
            f"ready {seconds:.1f} s after its pod was created"
        )
    with pytest.raises(LabError, match=r"permission denied|not found"):
        node.plane.kubectl("exec", "-n", NAMESPACE, "one", "--", "sh", "-c", "true")
    delete_namespaces(node, NAMESPACE)


def certificate() -> dict[str, Any]:
    """A Secret with a pair to serve with."""
    pair = issue()
    content = {"tls.crt": pair.crt.decode(), "tls.key": pair.key.decode()}
    return {"metadata": {"name": "tls"}, "stringData": content}


def serving_pod(nothing: Path) -> dict[str, Any]:
    """A pod that serves; an empty file stands where shells would be."""
    shells = [f"/usr/bin/{name}" for name in ("bash", "dash")]
    container = {
        "name": "webhook",
        "image": NAME,
        "args": ["serve"],
        "env": [
            {"name": "MTI_CERT_DIR", "value": "/tls"},
            {"name": "MTI_HEALTH_BIND", "value": "0.0.0.0:8080"},
            {"name": "MTI_RELEASE_NAMESPACE", "value": "ml-tracking"},
        ],
        "securityContext": {"runAsNonRoot": True, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "tls", "mountPath": "/tls"},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - inside
            *({"name": "nothing", "mountPath": shell} for shell in shells),
        ],
    }
    volumes = [
        {"name": "tls", "secret": {"secretName": "tls"}},
        {"name": "scratch", "emptyDir": {"medium": "Memory"}},
        {"name": "nothing", "hostPath": {"path": str(nothing), "type": "File"}},
    ]
    return {
        "metadata": {"name": "one"},
        "spec": {"containers": [container], "volumes": volumes},
    }


def address(pod: dict[str, Any]) -> str:
    """A pod's address; empty until it has one."""
    found: str = pod["status"].get("podIP", "")
    return found


def answers(url: str) -> bool:
    """Whether a URL answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - http
            return bool(answer.status == 200)
    except OSError:
        return False
