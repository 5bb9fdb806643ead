"""Every number on the live page against pandas and json alone, for three logs; and that the sums add up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.builders.agent import run_main
from tests.dashboard.ask.truth import Truth
from tests.dashboard.live_truth import every_figure
from tests.dashboard.pages import a_dashboard, browser_of

FIGURE = re.compile(r'<data class="n" data-figure="([^"]+)" value="([^"]*)">')
# Seed, lines, settings: with rolls; without, so that calls are delivered; a log that has only begun.
LOGS = {
    "rolled": ("1", 40, {}),
    "held to expiry": ("2", 48, {"BTC_ROLL_DTE_DAYS": "0", "ETH_ROLL_DTE_DAYS": "0"}),
    "one line": ("3", 1, {}),
}
TOLERANCE = 1e-9


@pytest.fixture(scope="module", params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    seed, count, settings = LOGS[request.param]
    folder = tmp_path_factory.mktemp("log")
    arguments = ("--market", "simulated", "--interval", "21600", "--quiet", "--seed", seed, "--iterations", str(count))
    with pytest.MonkeyPatch.context() as environment:
        for name, text in settings.items():
            environment.setenv(name, text)
        assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    return folder / "logs"


def figures(log: Path, coin: str) -> dict[str, float | None]:
    """Every number of the page by its name; one that stands there twice must be the same twice."""
    text = browser_of(a_dashboard(log, log.parent / "data")).get(f"/?coin={coin}").text
    found: dict[str, float | None] = {}
    for name, value in FIGURE.findall(text):
        number = float(value) if value else None
        assert found.setdefault(name, number) == number, name
    return found


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_every_number_is_the_one_that_pandas_computes_and_there_is_no_other(log: Path, coin: str) -> None:
    shown, wanted = figures(log, coin), every_figure(Truth(log), coin)
    assert shown.keys() == wanted.keys()
    for name, value in wanted.items():
        assert shown[name] == pytest.approx(value, abs=TOLERANCE), name


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_the_sums_add_up(log: Path, coin: str) -> None:
    shown = {name: value for name, value in figures(log, coin).items() if value is not None}
    parts = ("premium_coin", "bought_back_coin", "settled_coin", "fees_coin", "open_value_coin")
    assert sum(shown[f"{coin}.{name}"] for name in parts) == pytest.approx(shown[f"{coin}.net_coin"], abs=TOLERANCE)
    cover = [shown[f"{coin}.{name}_coin"] for name in ("sold", "offered", "free")]
    assert sum(cover) == pytest.approx(shown[f"{coin}.held_coin"], abs=TOLERANCE)
