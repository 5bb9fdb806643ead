"""Every number on the live page against pandas and json alone, for three logs; and that the sums add up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.builders.agent import run_main
from tests.dashboard.ask.truth import Truth
from tests.dashboard.pages import a_dashboard, browser_of

FIGURE = re.compile(r'<data class="n" data-figure="([^"]+)" value="([^"]*)">')
LOGS = {"first seed": ("1", 40), "second seed": ("2", 25), "one line": ("3", 1)}
TOLERANCE = 1e-9


@pytest.fixture(scope="module", params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    seed, count = LOGS[request.param]
    folder = tmp_path_factory.mktemp("log")
    arguments = ("--market", "simulated", "--interval", "21600", "--quiet", "--seed", seed, "--iterations", str(count))
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    return folder / "logs"


def figures(log: Path, coin: str) -> dict[str, float]:
    text = browser_of(a_dashboard(log, log.parent / "data")).get(f"/?coin={coin}").text
    return {name: float(value) for name, value in FIGURE.findall(text) if value}


def expected(truth: Truth, coin: str) -> dict[str, float]:
    """What each figure of a coin should be, from the raw lines."""
    low, first, last = coin.lower(), truth.lines[0]["iteration"], truth.last["iteration"]
    state = truth.last["agent_state"]
    (risk,) = (row for row in state["risks"] if row["underlying"] == coin)
    (market,) = (row for row in state["markets"] if row["underlying"] == coin)
    accounts = [line["agent_state"]["portfolio"]["accounts"] for line in (truth.lines[0], truth.last)]
    open_value = [
        next(row["equity_coin"] - row["balance_coin"] for row in rows if row["currency"] == coin) for rows in accounts
    ]

    def booked(side: str) -> float:
        return 0.0 if truth.ledger.empty else truth.booked(coin, side, first, last)

    change = truth.equity_change(low, truth.lines)
    held, sold, offered = risk["coins_held"], risk["short_calls_coin"], risk["resting_sells_coin"]
    return {
        f"{coin}.change_coin": change,
        f"{coin}.net_coin": change,  # no deposits in a simulated run
        f"{coin}.net_usd": change * market["spot_usd"],
        f"{coin}.premium_coin": booked("sell"),
        f"{coin}.open_value_coin": open_value[1] - open_value[0],
        f"{coin}.held_coin": held,
        f"{coin}.sold_coin": sold,
        f"{coin}.offered_coin": offered,
        f"{coin}.free_coin": max(0.0, held - sold - offered),
        f"{coin}.sold_fraction": sold / held,
        f"{coin}.atm_iv": market["atm_iv_fraction"],
        f"{coin}.rv": market["rv_fraction"],
        f"{coin}.iv_rv": market["iv_rv_ratio"],
        f"{coin}.margin_used_pct": risk["margin_used_pct"],
        "value_usd": truth.last["portfolio_value_usd_before"],
        "lines": float(len(truth.lines)),
        "errors": float(sum(line["error"] is not None for line in truth.lines)),
        "blocked": float(sum(not line["allowed"] and line["error"] is None for line in truth.lines)),
        "calls_sold": float(len(state["portfolio"]["positions"])),
        "orders_today": float(state["orders_today"]),
    }


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_every_number_is_the_one_that_pandas_computes(log: Path, coin: str) -> None:
    shown, wanted = figures(log, coin), expected(Truth(log), coin)
    for name, value in wanted.items():
        assert shown[name] == pytest.approx(value, abs=TOLERANCE), name


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_the_sums_add_up(log: Path, coin: str) -> None:
    shown = figures(log, coin)
    parts = ("premium_coin", "bought_back_coin", "settled_coin", "fees_coin", "open_value_coin")
    assert sum(shown[f"{coin}.{name}"] for name in parts) == pytest.approx(shown[f"{coin}.net_coin"], abs=TOLERANCE)
    cover = [shown[f"{coin}.{name}_coin"] for name in ("sold", "offered", "free")]
    assert sum(cover) == pytest.approx(shown[f"{coin}.held_coin"], abs=TOLERANCE)


def test_the_funnel_ends_with_the_candidates(log: Path) -> None:
    shown, state = figures(log, "BTC"), Truth(log).last["agent_state"]
    (funnel,) = (one for one in state["funnels"] if one["underlying"] == "BTC")
    left = [value for name, value in shown.items() if name.startswith("BTC.left.")]
    assert (left[0], left[-1]) == (funnel["listed"], funnel["passed"])
