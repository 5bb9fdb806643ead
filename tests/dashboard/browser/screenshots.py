"""python -m tests.dashboard.browser.screenshots: the pictures of the README, taken of the pages as they are.

In: a browser, a simulated run of thirty days. Out: dashboard/screenshots/*.webp, each small enough for a README. Needs
what the browser tests need; exit code 1 and a sentence where it is missing.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from config import PROJECT_FOLDER
from tests.dashboard.browser.served import DESK, PHONE, Served, a_browser, opened, served_dashboard, why_no_browser
from tests.dashboard.logs import ITERATIONS

FOLDER = PROJECT_FOLDER / "dashboard" / "screenshots"
MOST_BYTES = 200_000
QUALITY = 82
# Before a page has been painted there is nothing to take a picture of: the browser says that it cannot, and not why.
TWICE_PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Scene(NamedTuple):
    """One picture: its file, the page, how large and in which colours it is looked at."""

    file: str
    address: str
    size: tuple[int, int] = DESK
    theme: str = "light"


def scenes(served: Served) -> list[Scene]:
    return [
        Scene("live-light.webp", "/"),
        Scene("live-dark.webp", "/", theme="dark"),
        Scene("live-phone.webp", "/", size=PHONE),
        Scene("line.webp", f"/line/simulated-0001/{served.lines - 4}", size=(1280, 900)),
        Scene("ask.webp", "/ask?q=What+did+it+earn+against+holding%3F", size=(1280, 700)),
        Scene("lab-run.webp", f"/lab/job/{served.run}", size=(1280, 900)),
        Scene("lab-sweep.webp", f"/lab/job/{served.sweep}", size=(1280, 420)),
    ]


def take(browser: Any, served: Served, folder: Path) -> list[Path]:
    """Every scene as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_taken(browser, served, scene, folder) for scene in scenes(served)]


def _taken(browser: Any, served: Served, scene: Scene, folder: Path) -> Path:
    tab = opened(browser, served.address + scene.address, size=scene.size, theme=scene.theme)
    tab.evaluate(TWICE_PAINTED)
    session = tab.context.new_cdp_session(tab)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    path = folder / scene.file
    path.write_bytes(base64.b64decode(shot["data"]))
    tab.context.close()
    return path


def main() -> int:
    why = why_no_browser()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        served_dashboard(Path(folder), ITERATIONS) as served,
        a_browser() as browser,
    ):
        for path in take(browser, served, FOLDER):
            print(f"{path.relative_to(PROJECT_FOLDER)}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
