"""The documentation as a site: built with warnings as errors, complete by itself, and looked at."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import leadline as ll

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

ROOT = Path(__file__).parent.parent
PAGES = ("index", "tutorial", "how-to/results", "explanation/lanes", "reference/api", "reference/commands")

pytest.importorskip("material", reason='needs MkDocs: pip install -e ".[docs]"')
pytest.importorskip("mkdocstrings", reason='needs MkDocs: pip install -e ".[docs]"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


class Fetched(HTMLParser):
    """Collects what a browser fetches of a page without being asked: scripts, styles, fonts, pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        wanted = given.get("href") if tag == "link" and given.get("rel") != "canonical" else given.get("src")
        self.urls += [wanted] if wanted else []


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 12
    for page in pages:
        found = Fetched()
        found.feed(page.read_text())
        assert found.urls, page
        assert [url for url in found.urls if re.match(r"(\w+:)?//", url)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text()), style


def test_the_reference_has_every_public_name_and_every_command(site: Path) -> None:
    api = (site / "reference/api.html").read_text()
    for name in ll.__all__:
        assert re.search(rf'id="leadline\.(\w+\.)*{name}"', api), name
    from leadline.cli import app

    commands = (site / "reference/commands.html").read_text()
    for command in app.registered_commands:
        assert command.callback is not None
        assert f'<h2 id="{command.name or command.callback.__name__}"' in commands
    for option in ("--json", "--set A.B=C", "--warm-start NAME", "--trials INTEGER", "--no-switches"):
        assert f"<code>{option}</code>" in commands


@pytest.mark.parametrize(("device", "width"), [("desk", 1280), ("phone", 390)])
def test_pages_fit_a_desk_and_a_phone_and_ask_nobody(
    site: Path, chromium: Browser, screenshots: Path, device: str, width: int
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 1000})
    asked: list[str] = []
    errors: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route(re.compile(r"^https?://"), refuse)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in PAGES:
        page.goto(f"file://{site}/{name}.html")
        page.wait_for_selector("h1")
        page.screenshot(
            path=screenshots / f"docs-{device}-{name.replace('/', '-')}.png", full_page=name != "reference/api"
        )
        assert wider(page) <= 0, f"{name} is cut at {width} pixels"
    page.close()
    assert (asked, errors) == ([], [])


def wider(page: Page) -> int:
    """Returns by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
