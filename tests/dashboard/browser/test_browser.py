"""The pages in a real browser, under the real content policy: seen, walked by keyboard, pushed, and without scripts.

They need chromium-headless-shell and playwright, which .ci/run installs where it can; elsewhere they are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser.png import coloured_pixels
from tests.dashboard.browser.screenshots import MOST_BYTES, take
from tests.dashboard.browser.served import PHONE, Served, a_browser, opened, served_dashboard, why_no_browser

pytestmark = pytest.mark.skipif(why_no_browser() is not None, reason=why_no_browser() or "")

LINES = 30
THEMES = ("light", "dark")
PAGES = (
    *("/?coin=BTC", "/?coin=ETH", f"/line/simulated-0001/{LINES}", "/line/simulated-0001/1?delta_min=0.3#what-if"),
    *("/ask", "/ask?q=What+did+it+earn%3F", "/ask?name=insights", "/ask?q=why+line+1", "/lab", "/lab?words=nothing"),
    *("/lab/job/{run}", "/lab/job/{sweep}", "/lab/compare?a={run}&b={run}"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_dashboard(tmp_path_factory.mktemp("served"), LINES) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with a_browser() as browser:
        yield browser


def address_of(served: Served, page: str) -> str:
    return served.address + page.format(run=served.run, sweep=served.sweep)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_quiet_accessible_and_asks_nobody_else(chromium: Any, served: Served, page: str, theme: str) -> None:
    axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")
    tab = opened(chromium, address_of(served, page), theme=theme)
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
    assert tab.said == []
    assert all(url.startswith(served.address) for url in tab.asked)


def test_the_first_screen_holds_all(chromium: Any, served: Served) -> None:
    assert size_of(opened(chromium, f"{served.address}/"))[1] <= 900


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_never_scrolls_sideways(chromium: Any, served: Served, page: str) -> None:
    assert size_of(opened(chromium, address_of(served, page), size=PHONE))[0] <= PHONE[0]


@pytest.mark.parametrize("page", PAGES)
def test_no_card_is_squeezed_and_no_two_overlap(chromium: Any, served: Served, page: str) -> None:
    tab = opened(chromium, address_of(served, page))
    boxes = tab.evaluate(
        "[...document.querySelectorAll('.card')].map(card => card.getBoundingClientRect())"
        ".map(box => [box.left, box.top, box.right, box.bottom])"
    )
    assert min(right - left for left, _, right, _ in boxes) > 250
    for number, (left, top, right, bottom) in enumerate(boxes):
        for left_2, top_2, right_2, bottom_2 in boxes[number + 1 :]:
            assert left >= right_2 or left_2 >= right or top >= bottom_2 or top_2 >= bottom


def size_of(tab: Any) -> tuple[int, int]:
    """Width and height of what there is to see, scrolled or not."""
    width, height = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    return int(width), int(height)


@pytest.mark.parametrize("theme", THEMES)
def test_every_bar_has_a_width_and_every_chart_has_colour(chromium: Any, served: Served, theme: str) -> None:
    tab = opened(chromium, f"{served.address}/", theme=theme)
    widths = tab.evaluate("[...document.querySelectorAll('rect')].map(bar => bar.getBoundingClientRect().width)")
    assert len(widths) > 10
    assert min(widths) > 0
    charts = tab.locator("svg.plot").all()
    assert len(charts) >= 4
    assert min(coloured_pixels(chart.screenshot()) for chart in charts) > 100


@pytest.mark.parametrize("page", ["/", f"/line/simulated-0001/{LINES}"])
def test_the_keyboard_reaches_the_reason_of_each_call(chromium: Any, served: Served, page: str) -> None:
    tab = opened(chromium, served.address + page)
    tab.evaluate("document.querySelector('.cell[tabindex=\"0\"]').focus()")
    seen = {tab.inner_text("#why")}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowLeft"):
        tab.keyboard.press(key)
        seen.add(tab.inner_text("#why"))
    assert len(seen) >= 3
    assert all(": " in why for why in seen)


def test_tab_alone_leads_to_the_pages_the_coins_the_map_and_the_timeline(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/")
    here = "[document.activeElement.id, document.activeElement.className, document.activeElement.getAttribute('href')]"
    met: set[str] = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        met |= {str(part).partition(" ")[0] for part in tab.evaluate(here)}
    assert {"skip", "/ask", "/lab", "cell", "timeline"} <= met


def test_without_scripts_words_sums_and_timeline_are_there(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/", scripts=False)
    for part in ("#sentence", "#coverage", "#sum", "#timeline", "svg.plot"):
        assert tab.locator(part).first.is_visible(), part


def test_without_scripts_a_question_is_answered_and_a_setting_tried(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/ask", scripts=False)
    tab.fill("#q", "What did it earn?")
    tab.press("#q", "Enter")
    assert "against holding" in tab.inner_text("#main")
    tab.goto(f"{served.address}/line/simulated-0001/{LINES}")
    tab.fill("input[name=delta_max]", "0.5")
    tab.press("input[name=delta_max]", "Enter")
    assert "would:" in tab.inner_text("#what-if")


def test_a_new_line_is_pushed_once(chromium: Any, served: Served) -> None:
    tab = opened(chromium, f"{served.address}/")
    newest = max(served.log.glob("decisions-*.jsonl"))
    line = json.loads(newest.read_bytes().splitlines()[-1]) | {"iteration": LINES + 1}
    with newest.open("a") as file:
        file.write(json.dumps(line) + "\n")
    link = f"a[href='/line/simulated-0001/{LINES + 1}']"
    tab.wait_for_selector(link)
    assert tab.locator(f"#timeline {link}").count() == 1
    assert tab.said == []


def test_the_pictures_of_the_readme_can_be_taken_and_are_small(chromium: Any, served: Served, tmp_path: Path) -> None:
    taken = take(chromium, served, tmp_path)
    assert [path.name for path in taken if not 3_000 < path.stat().st_size < MOST_BYTES] == []
    assert all(path.read_bytes()[8:12] == b"WEBP" for path in taken)
