"""The page of a companion that runs: its own account, its own listener, a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.release import CANARY, Release, Running, companion, eventually
from tests.cluster.rotation.installation import own_address
from tests.cluster.test_status import trusted
from tests.lab.control_plane import ControlPlane
from tests.page.test_browser import browse


@pytest.fixture(name="release", scope="module")
def _release(own_plane: ControlPlane) -> Release:
    """The chart's objects with the page switched on, and the rights that it takes."""
    values = {"companion": {"statusPage": {"enabled": True}}}
    release = Release(own_plane, workloads=True, values=values)
    release.source("uri", {"TRACKING_URI": "https://192.0.2.7"})
    for name in (release.fullname, release.companion):
        release.ready(name)
    release.endpoint(own_address())
    return release


@pytest.fixture(name="running", scope="module")
def _running(release: Release) -> Iterator[Running]:
    tls_secret = f"{release.fullname}-tls"
    with companion(
        release, certificates="companion", tls_secret=tls_secret, status_page="on"
    ) as running:
        eventually("API servers trust the webhook", lambda: trusted(release))
        release.compute("ray")
        yield running


def test_it_says_what_is_wrong_and_when_it_is_over(
    release: Release, running: Running, chromium: str, tmp_path: Path
) -> None:
    """In a browser that was left open: the page renews itself."""
    url = f"http://127.0.0.1:{running.port()}/"

    def shown() -> str:
        document, said = browse(chromium, url, tmp_path, "--dump-dom")
        assert "Content Security Policy" not in said
        assert CANARY not in document
        return document

    def is_well() -> bool:
        document = shown()
        return "Everything is in order" in document and "Mirrored" in document

    eventually("all is in order", is_well, every=0.5)
    release.ready(release.fullname, is_ready=False)
    eventually("the webhook's end is told", lambda: "WebhookDown" in shown(), every=0.5)
    release.ready(release.fullname)
    eventually("it is over", is_well, every=0.5)
