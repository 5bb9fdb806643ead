"""The pages in a real browser, under the real content policy: seen, walked by keyboard, pushed, and without scripts.

They need chromium-headless-shell and playwright, which .ci/run installs where it can; elsewhere they are skipped.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from dashboard.app import create_app
from dashboard.log_index.index import LogIndex
from dashboard.settings import DashboardSettings
from tests.builders.agent import run_main
from tests.dashboard.browser.png import coloured_pixels

CHROMIUM = shutil.which("chromium-headless-shell")
playwright: Any = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser tests")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium-headless-shell is not installed: no browser tests")

PATIENCE_MS = 60_000
THEMES = ("light", "dark")
PAGES = ("/?coin=BTC", "/?coin=ETH", "/line/simulated-0001/30")


@dataclass
class Served:
    """A dashboard that is really served, and its log."""

    address: str
    log: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    arguments = ("--market", "simulated", "--iterations", "30", "--interval", "21600", "--quiet")
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = DashboardSettings(folder / "logs", folder / "data", port=port, poll_seconds=0.1)
    index = LogIndex(settings.log_dir, None)
    index.refresh()
    server = uvicorn.Server(uvicorn.Config(create_app(settings, index=index), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Served(f"http://127.0.0.1:{port}", settings.log_dir)
    server.should_exit = server.force_exit = True
    thread.join(timeout=10.0)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=2 * PATIENCE_MS)
        yield browser
        browser.close()


def opened(chromium: Any, address: str, width: int = 1440, theme: str = "light", scripts: bool = True) -> Any:
    """A page; `said` and `asked` are what it told the console and which addresses it went to."""
    height = 900 if width > 1000 else 844
    viewport = {"width": width, "height": height}
    tab = chromium.new_context(viewport=viewport, color_scheme=theme, java_script_enabled=scripts).new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.said, tab.asked = [], []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(address)
    return tab


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_quiet_accessible_and_asks_nobody_else(chromium: Any, served: Served, page: str, theme: str) -> None:
    axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")
    tab = opened(chromium, served.address + page, theme=theme)
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
    assert tab.said == []
    assert all(url.startswith(served.address) for url in tab.asked)


def test_the_first_screen_holds_all_and_a_phone_never_scrolls_sideways(chromium: Any, served: Served) -> None:
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert opened(chromium, f"{served.address}/").evaluate(size)[1] <= 900
    for page in PAGES:
        assert opened(chromium, served.address + page, width=390).evaluate(size)[0] <= 390


@pytest.mark.parametrize("theme", THEMES)
def test_every_bar_has_a_width_and_every_chart_has_colour(chromium: Any, served: Served, theme: str) -> None:
    tab = opened(chromium, f"{served.address}/", theme=theme)
    widths = tab.evaluate("[...document.querySelectorAll('rect')].map(bar => bar.getBoundingClientRect().width)")
    assert len(widths) > 10
    assert min(widths) > 0
    charts = tab.locator("svg.plot").all()
    assert len(charts) >= 4
    assert min(coloured_pixels(chart.screenshot()) for chart in charts) > 100


def test_the_keyboard_reaches_the_reason_of_each_call(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/")
    tab.evaluate("document.querySelector('.cell[tabindex=\"0\"]').focus()")
    seen = {tab.inner_text("#why")}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowLeft"):
        tab.keyboard.press(key)
        seen.add(tab.inner_text("#why"))
    assert len(seen) >= 3
    assert all(": " in why for why in seen)


def test_without_scripts_words_sums_and_timeline_are_there(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/", scripts=False)
    for part in ("#sentence", "#coverage", "#sum", "#timeline", "svg.plot"):
        assert tab.locator(part).first.is_visible(), part


def test_a_new_line_is_pushed_once(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/")
    newest = max(served.log.glob("decisions-*.jsonl"))
    line = json.loads(newest.read_bytes().splitlines()[-1]) | {"iteration": 31}
    with newest.open("a") as file:
        file.write(json.dumps(line) + "\n")
    tab.wait_for_selector("a[href='/line/simulated-0001/31']")
    assert tab.locator("#timeline a[href='/line/simulated-0001/31']").count() == 1
    assert tab.said == []
