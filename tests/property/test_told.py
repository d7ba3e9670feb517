"""Nothing that is said anywhere has a piece of a value in it.

`egress/test_uri.py` shows it of what is read out of a URI. This shows it of everything
that becomes of it: logs, metrics, Events, policies, the status and every screen.
"""

import base64
import json
import math
import random
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest

from tests.property.egress.uris import a_uri, pieces
from tests.unit.companion.built import DENY, HEAD, HOME, NAME, Built
from webhook import samples
from webhook.cli.doctor_examine import Examiner
from webhook.cli.doctor_view import Examination, as_json, as_table
from webhook.cli.main import cli
from webhook.cluster.config import ClusterConnection
from webhook.cluster.interface import Json
from webhook.cluster.resources import (
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    SECRET,
)
from webhook.companion.observation.observe import observe
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.troubles import troubles
from webhook.companion.page.view import page
from webhook.egress.trackers import TRACKING_KEYS, URL_KEYS
from webhook.injection.names import INJECTED_LABEL, MIRROR_SECRET
from webhook.server.handler import build
from webhook.server.responses import JSON
from webhook.settings import Issuer, Settings

SEEDS: Final = 2
NAMESPACES: Final = 50
KEYS: Final = 20
"""Of each namespace, each with a URI of its own."""
NAMES: Final = (
    *sorted(TRACKING_KEYS | URL_KEYS),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "DATABRICKS_HOST"),
    *("HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "no_proxy"),
    *("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT", "COMET_API_KEY"),
    *("NEPTUNE_API_TOKEN", "TRACKING_API_KEY"),
)
CONFIG: Final = "michelangelo-config"
SCREENS: Final = (
    "status --release {release}",
    "status --release {release} --all -o wide",
    "status --release {release} -o json",
    "status --release {release} -o yaml",
    "egress plan --release {release}",
    "egress plan --release {release} -o yaml",
    "egress check p -n n0 --release {release}",
    "explain pod/p -n n0 --release {release}",
    "explain pod/p -n n0 --release {release} -o json",
    "explain -f {pods} --configmap {config} --source {source}",
    "explain -f {pods} --configmap {config} --source {source} -o yaml",
    "egress plan -f {policies} --secret {source}",
    "report --release {release} -o {archive}",
)


def values(choose: random.Random) -> dict[str, str]:
    """Keys, and a URI in each."""
    found = {name: a_uri(choose) for name in choose.sample(NAMES, KEYS)}
    for name in found.keys() & {"NEPTUNE_API_TOKEN"}:
        inner = json.dumps({"api_address": found[name]})
        found[name] = base64.b64encode(inner.encode()).decode()
    for name in found.keys() & {"AZURE_STORAGE_CONNECTION_STRING"}:
        found[name] = f"AccountName=a;BlobEndpoint={found[name]}"
    return found


class Release(Built):
    """A release of many profiles, one for each labeled namespace."""

    def __init__(self, folder: Path) -> None:
        """Everything but the keys."""
        super().__init__(folder)
        self.folder = folder
        self.names = [f"n{number}" for number in range(NAMESPACES)]
        for name in ("db.example.com", "mlflow", "t.ml", "xn--b-wga.de"):
            self.records[name] = ("203.0.113.9",)
        self.create(NAMESPACE, "default", "")
        for name in self.names:
            self.label(name, profile=name)
            self.spec(NETWORK_POLICY, "deny", DENY, name)

    def give(self, choose: random.Random) -> None:
        """Every profile gets other URIs, and so have the pods and ConfigMaps there."""
        for name in self.names:
            keys = values(choose)
            self.secret(name, **keys)
            self.create(CONFIG_MAP, CONFIG, name, data=values(choose))
            self.user.apply(POD, pod(name, keys, injected=choose.random() < 0.5))

    def run(self) -> None:
        """Build the companion."""
        sources = {name: [{"secret": name}] for name in self.names}
        self.start(
            profiles=json.dumps(sources),
            shadowing_config_maps=(CONFIG,),
            certificates=Issuer.NONE,
            status_configmap=f"{NAME}-status",
        )

    def told(self) -> Iterator[str]:
        """Whatever the companion says, by every way out of it."""
        yield repr(self.log.lines)
        yield repr(list(self.results()))
        yield generate_latest(self.companion.registry).decode()
        yield self.companion.status.text()
        for home in (HOME, "default", *self.names):
            for kind in (EVENT, NETWORK_POLICY):
                yield json.dumps(self.cluster.among(kind, home))
            for body in self.cluster.among(SECRET, home):
                yield json.dumps(body["metadata"])
        for body in self.cluster.among(CONFIG_MAP, HOME):
            yield json.dumps(body)

    def screens(self) -> Iterator[str]:
        """Whatever a person sees who looks at it."""
        client: Any = self.cluster.client()
        access = ClusterConnection(client, "default", "context lab", "https://lab")
        files = {
            one: str(self.folder / one)
            for one in ("pods", "config", "source", "policies", "archive")
        }
        self._write(files)
        with (
            patch("webhook.cli.release.connect", lambda *_, **__: access),
            patch("webhook.cli.egress.connect", lambda *_, **__: access),
            patch("webhook.cli.status.now", lambda: self.now),
            patch("webhook.cli.status.deeper", lambda *_, **__: ()),  # see below
        ):
            for words in SCREENS:
                line = words.format(release=f"{HOME}/{NAME}", **files)
                result = CliRunner().invoke(cli, line.split())
                assert isinstance(result.exception, SystemExit | None), line
                assert result.exit_code in (0, 1), (line, result.output)
                yield f"{words}\n{result.output}"
        with tarfile.open(files["archive"]) as archive:
            for one in archive:
                packed = archive.extractfile(one)
                yield f"{one.name}\n{packed.read().decode() if packed else ''}"
        release = ReleaseName(HOME, NAME)
        found = Examiner(client=client).examine(release, (), self.now)
        examined = [Examination(context="", about="", diagnoses=found)]
        yield as_table(examined, every=True) + as_json(examined, every=True)
        seen = observe(client, release, self.now)
        yield page(seen, troubles(seen))

    def _write(self, files: dict[str, str]) -> None:
        """The same as manifests, all of them for each kind of input."""

        def everything(kind: str, bodies: Iterator[Json]) -> str:
            typed = [{"kind": kind} | body for body in bodies]
            return json.dumps({"kind": "List", "items": typed})

        def among(kind: Any) -> Iterator[Json]:
            return (b for name in self.names for b in self.cluster.among(kind, name))

        sources = (b for b in self.cluster.among(SECRET, HOME) if "data" in b)
        texts = {
            "pods": everything("Pod", among(POD)),
            "config": everything("ConfigMap", among(CONFIG_MAP)),
            "source": everything("Secret", islice(sources, 3)),
            "policies": everything("NetworkPolicy", among(NETWORK_POLICY)),
        }
        for name, text in texts.items():
            Path(files[name]).write_text(text, "utf-8")


def pod(namespace: str, variables: dict[str, str], *, injected: bool) -> Json:
    """A task pod that says the URIs in its own words, too."""
    labels = HEAD | ({INJECTED_LABEL: "true"} if injected else {})
    sources = [{"secretRef": {"name": MIRROR_SECRET}}] if injected else []
    container = {
        "name": "ray-head",
        "image": "i",
        "command": ["sh", "-c", *variables.values()],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "envFrom": [*sources, {"configMapRef": {"name": CONFIG}}],
    }
    meta = {"name": "p", "namespace": namespace, "labels": labels}
    return {
        "metadata": meta | {"annotations": variables},
        "spec": {"containers": [container]},
        "status": {"phase": "Running"},
    }


@pytest.fixture(name="rounds")
def _rounds(request: pytest.FixtureRequest) -> int:
    """How often every key of every namespace changes."""
    uris: int = request.config.getoption("--uris")
    return math.ceil(uris / SEEDS / NAMESPACES / KEYS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_piece_of_a_canary_is_told(seed: int, rounds: int, tmp_path: Path) -> None:
    """Neither by a companion that runs on while every key changes, nor on a screen."""
    choose = random.Random(seed)  # noqa: S311 - no secret is made of it
    release = Release(tmp_path)
    release.give(choose)
    release.run()
    for _ in range(rounds):
        release.settle(6)  # rewrites of policies are paced
        for text in (*release.told(), *release.screens()):
            assert not pieces(text), text[:80]
        release.log.lines.clear()
        release.cluster.calls.clear()
        release.give(choose)
        release.settle(1)
    report = json.loads(release.companion.status.text())
    assert "truncated" not in report
    assert all(one["findingsTotal"] < 50 for one in report["profiles"].values())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_piece_of_a_pods_own_variable_is_told(seed: int, rounds: int) -> None:
    """By the webhook: in its log, its metrics, or an answer."""
    choose = random.Random(seed)  # noqa: S311 - no secret is made of it
    written: list[bytes] = []
    handler = build(Settings(enforced_keys=("TRACKING_URI",)), write=written.append)
    review = json.loads(samples.reviews()["ray-head-michelangelo"])
    for number in range(rounds * NAMESPACES):
        body = pod("ray", values(choose), injected=False)
        review["request"] |= {"uid": f"u{number}", "object": body}
        status, answer = handler.answer(json.dumps(review).encode(), JSON)
        patch_ = json.loads(answer)["response"].get("patch", "")
        assert (status, bool(patch_)) == (200, True)
        assert not pieces(base64.b64decode(patch_).decode())
    assert not pieces(b"".join(written).decode())
    assert not pieces(generate_latest(handler.registry).decode())
