"""A dashboard that is really served, with a log, a run and a sweep, and tabs of a real browser that look at it.

In: a folder. Out: Served; tabs, which remember what was said to the console and which addresses were asked. They need
chromium-headless-shell and playwright: `why_no_browser` says which is missing.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvicorn

from dashboard.app import create_app
from dashboard.lab.form import command_of
from dashboard.lab.jobs import Jobs
from dashboard.log_index.index import LogIndex
from dashboard.settings import DashboardSettings
from tests.builders.agent import run_main

CHROMIUM = shutil.which("chromium-headless-shell")
PATIENCE_MS = 60_000
SWEEP = "20260105-130000"
PHONE = (390, 844)
DESK = (1440, 900)


def why_no_browser() -> str | None:
    """None where there is one."""
    if CHROMIUM is None:
        return "chromium-headless-shell is not installed: no browser tests"
    return None if find_spec("playwright") else "playwright is not installed: no browser tests"


@dataclass
class Served:
    """Its address, its log with its number of lines, and the names of two jobs of the lab: a run and a sweep."""

    address: str
    log: Path
    lines: int
    run: str
    sweep: str


@contextmanager
def served_dashboard(folder: Path, iterations: int) -> Iterator[Served]:
    """On a free port, until the end of the block."""
    arguments = ("--market", "simulated", "--iterations", str(iterations), "--interval", "21600", "--quiet")
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = DashboardSettings(folder / "logs", folder / "data", port=port, poll_seconds=0.1)
    run = _a_run(Jobs(settings.work_dir / "lab"), settings.data_dir)
    _write_sweep(settings.work_dir / "lab" / SWEEP / "results")
    index = LogIndex(settings.log_dir, None)
    index.refresh()
    server = uvicorn.Server(uvicorn.Config(create_app(settings, index=index), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{port}", settings.log_dir, iterations, run, SWEEP)
    finally:
        index.end()
        server.should_exit = True
        thread.join(timeout=10.0)


def _a_run(jobs: Jobs, data_dir: Path) -> str:
    """A real backtest of a fortnight on the simulated market."""
    name = jobs.start(command_of({"end": "2026-01-20"}, data_dir), datetime(2026, 1, 5, 12, 0, tzinfo=UTC))
    jobs.wait()
    job = jobs.job(name)
    assert job is not None
    assert job.state == "done", job.said
    return name


def _write_sweep(results: Path) -> None:
    """The tables of a sweep over three settings, as backtest.sweep leaves them."""
    results.mkdir(parents=True)
    rows = [
        {
            "values": {"BTC_DELTA_MAX": delta, "BTC_DTE_MAX": days, "BTC_IVRV_MIN": ratio},
            "net_usd": 900.0 * float(delta) - 4.0 * (float(days) - 12.0) ** 2 - 40.0 * float(ratio),
        }
        for delta in ("0.2", "0.25", "0.3", "0.35")
        for days in ("7", "14", "21")
        for ratio in ("0.9", "1.1")
    ]
    (results / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {"source": "simulated quotes", "overfitting_probability": 0.41, "why_luck": ["The best of 24 trials."]}
    (results / "summary.json").write_text(json.dumps(found))
    about = {"kind": "sweep", "argv": ["-m", "backtest.sweep", "--policy", "policy_rule_based"], "settings": {}}
    (results.parent / "job.json").write_text(json.dumps(about | {"started_at": "2026-01-05T13:00:00+00:00"}))
    (results.parent / "ended.json").write_text('{"code": 0}')


@contextmanager
def a_browser() -> Iterator[Any]:
    """Chromium without a window."""
    with import_module("playwright.sync_api").sync_playwright() as running:  # here: it is not everywhere
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=2 * PATIENCE_MS)
        yield browser
        browser.close()


def opened(browser: Any, address: str, size: tuple[int, int] = DESK, theme: str = "light", scripts: bool = True) -> Any:
    """A tab; `said` and `asked` are what it told the console and which addresses it went to."""
    viewport = {"width": size[0], "height": size[1]}
    tab = browser.new_context(viewport=viewport, color_scheme=theme, java_script_enabled=scripts).new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.said, tab.asked = [], []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(address)
    return tab
