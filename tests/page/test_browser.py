"""The page in a real browser: accessible, readable on a phone, dark and light, fresh.

Needs Debian's `chromium` and npm, by which axe-core is fetched once.
"""

import json
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.log import Lines
from tests.unit.companion.page.test_view import REPORT, healthy, shown
from webhook.companion.health_server import HealthAnswer, HealthServer

AXE: Final = "axe-core@4.14.1"
SCREENSHOTS: Final = Path(__file__).parents[2] / "docs" / "how-to" / "images"
SIZES: Final = {"desktop": (1200, 900), "phone": (390, 844)}
SCHEMES: Final = {"dark": 0, "light": 1}
"""As Blink numbers what a reader prefers."""


@pytest.fixture(name="axe", scope="session")
def _axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, which judges accessibility."""
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(
        ["npm", "pack", "--silent", AXE], cwd=folder, check=True, capture_output=True
    )
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.fixture(name="pages", scope="session")
def _pages() -> dict[str, str]:
    """The page in order, and with every kind of trouble."""
    troubled = healthy()
    troubled.renewed(timedelta(hours=2))
    report = json.loads(json.dumps(REPORT))
    report["namespaces"]["spark"] |= {
        "reason": "ForeignSecret",
        "inOrder": False,
        "missed": 2,
    }
    troubled.publish(report)
    return {
        "healthy": shown(healthy().observe()),
        "troubled": shown(troubled.observe()),
    }


def browse(
    chromium: str, url: str, folder: Path, *flags: str, seconds: int = 5
) -> tuple[str, str]:
    """What the browser made of a page: its document, and what it complained of."""
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            f"--virtual-time-budget={seconds * 1000}",
            *flags,
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["healthy", "troubled"])
def test_axe_has_nothing_to_say(  # noqa: PLR0917 - one for each variant
    chromium: str,
    axe: str,
    pages: dict[str, str],
    tmp_path: Path,
    which: str,
    size: str,
    scheme: str,
) -> None:
    """Names, order, contrast: in both schemes, on a screen and on a phone."""
    html = re.sub(r"<meta http-equiv[^>]*>", "", pages[which])
    html = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    judge = (
        f"<script>{axe}</script><script>axe.run().then(found => {{"
        "const told = document.createElement('pre'); told.id = 'axe';"
        "told.textContent = JSON.stringify(found.violations.map(one => "
        "[one.id, one.nodes.map(node => node.html)]));"
        "document.body.replaceChildren(told)})</script>"
    )
    file = tmp_path / "page.html"
    file.write_text(html.replace("</body>", f"{judge}</body>"), "utf-8")
    width, height = SIZES[size]
    document, _ = browse(
        chromium,
        file.as_uri(),
        tmp_path,
        "--dump-dom",
        f"--window-size={width},{height}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
    )
    found = re.search(r'<pre id="axe">(.*?)</pre>', document, re.S)

    assert found is not None, document[-500:]
    assert json.loads(found[1]) == []


@pytest.fixture(name="served")
def _served(pages: dict[str, str]) -> Iterator[tuple[HealthServer, threading.Event]]:
    """The companion's listener with the page on it, and what makes it troubled."""
    trouble = threading.Event()

    def answer() -> HealthAnswer:
        body = pages["troubled" if trouble.is_set() else "healthy"].encode()
        kind = "text/html; charset=utf-8"
        return HealthAnswer(status=HTTPStatus.OK, body=body, content_type=kind)

    def turn() -> HealthAnswer:
        found = answer()
        trouble.set()  # from the second look on
        return found

    server = HealthServer("127.0.0.1:0", {"/": turn}, Lines())
    server.start()
    yield server, trouble
    server.close()


def test_it_keeps_itself_fresh_within_its_own_policy(
    chromium: str, served: tuple[HealthServer, threading.Event], tmp_path: Path
) -> None:
    """Trouble shows without a reload, and the browser refuses nothing of it."""
    url = f"http://127.0.0.1:{served[0].port}/"
    document, said = browse(chromium, url, tmp_path, "--dump-dom", seconds=12)

    assert "ForeignSecret" in document
    assert "Content Security Policy" not in said


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_screenshots_are_taken(
    chromium: str, pages: dict[str, str], tmp_path: Path, size: str, scheme: str
) -> None:
    """As they are kept for the documentation."""
    file = tmp_path / "page.html"
    still = re.sub(r"<script>.*?</script>", "", pages["troubled"], flags=re.S)
    file.write_text(still, "utf-8")
    picture = tmp_path / f"status-page-{size}-{scheme}.png"
    width, height = SIZES[size]
    browse(
        chromium,
        file.as_uri(),
        tmp_path,
        f"--screenshot={picture}",
        f"--window-size={width},{height}",
        "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
    )

    assert picture.stat().st_size > 5000
    kept = SCREENSHOTS / picture.name
    if not kept.exists():
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, kept)
