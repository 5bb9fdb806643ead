"""What real quotes paid: 25 Fridays of 2026, out of `python -m backtest.run` with a policy of ten lines.

At the first snapshot after 08:05 UTC sell the call of next Friday nearest the delta at the bid, hold it. The sums are
those measured independently of the engine. At delta .50 the nearest call is often in the money, which the agent never
sells: those sums are compared with a computation of its own here, among the calls above the index.
Skipped where the recordings are not. A normal test run takes two rows, as each costs half a minute;
`GOLDEN_TABLE=all python -m pytest tests/backtest/simulator/test_golden_table.py` takes them all.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from backtest.run import main
from backtest.surface.chains import ChainRows, read_chain_rows
from backtest.surface.coefficients import Coin
from core.pricing import delivery_fee_coin, payoff_coin, trade_fee_coin
from paper_exchange.market.clocks import DAY_MS, MINUTE_MS, from_ms
from paper_exchange.recorded.tables import read_delivery_prices
from tests.builders.paper import SHARED

DATA = SHARED / "market_data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="recorded quotes are not part of the project")

whole_table = pytest.mark.skipif(os.environ.get("GOLDEN_TABLE") != "all", reason="the whole table: GOLDEN_TABLE=all")

FRIDAY = 4
POLICY = """
from models import ActionType, ProposedAction

def decide_action(agent_state, config):
    for coin in config.enabled_underlyings if agent_state.timestamp.weekday() == 4 else ():
        rules, calls = config.strategy(coin), agent_state.candidates_for(coin)
        if calls and not agent_state.short_calls(coin):
            call = min(calls, key=lambda call: abs(call.delta - (rules.delta_min + rules.delta_max) / 2))
            sale = {"type": ActionType.OPEN_COVERED_CALL, "underlying": coin, "symbol": call.symbol, "size": 1.0}
            return ProposedAction(**sale, reason=f"delta {call.delta:.3f}")
    return ProposedAction(type=ActionType.DO_NOTHING, reason="no Friday, or a call is held")
"""
# coin, delta, half the width of the filter, premium, P&L at the bid, wins
GOLDEN = [
    ("BTC", 0.20, 0.06, 0.1410, 0.0798, 22),
    pytest.param("BTC", 0.10, 0.05, 0.0605, 0.0538, 25, marks=whole_table),
    pytest.param("BTC", 0.25, 0.06, 0.1958, 0.0827, 21, marks=whole_table),
    pytest.param("ETH", 0.10, 0.05, 0.0874, 0.0801, 25, marks=whole_table),
    pytest.param("ETH", 0.20, 0.06, 0.1986, 0.1894, 25, marks=whole_table),
    pytest.param("ETH", 0.25, 0.06, 0.2525, 0.2088, 23, marks=whole_table),
]


WHOLE = ("--recording", str(DATA / "chains"), "--start", "2026-01-02", "--end", "2026-06-26T12:00")


def earned(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    coin: str,
    delta: float,
    width: float,
    recording: Sequence[str] = WHOLE,
) -> tuple[float, float, int, int]:
    """Premium, P&L, wins, calls, as summary.json has them."""
    span = Path(recording[1]).name.partition(".")[0].replace("-", "_").lower()
    policy = folder / f"fridays_{coin.lower()}_{round(100 * delta)}_{span}.py"  # a module's name is good for one file
    policy.write_text(POLICY)
    settings = {
        **{"BTC_ENABLED": str(coin == "BTC").lower(), "ETH_ENABLED": str(coin == "ETH").lower()},
        **{f"{coin}_DELTA_MIN": f"{delta - width:g}", f"{coin}_DELTA_MAX": f"{delta + width:g}"},
        **{f"{coin}_DTE_MIN": "6.5", f"{coin}_DTE_MAX": "7.2", f"{coin}_IVRV_MIN": "0"},
        **{f"{coin}_PREMIUM_MIN_USD": "0", f"{coin}_MAX_SPREAD_PCT": "200", f"{coin}_ORDER_SIZE": "1"},
        **{"AGENT_PAPER_BTC_COIN": "5", "AGENT_PAPER_ETH_COIN": "5", "RISK_PRICE_COLLAR_PCT": "50"},
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    prices = ["--delivery-prices", str(DATA / "settlement")]
    how = ["--weekdays", "fri", "--fills", "touch", "--no-presets", "--no-log"]
    assert main([*recording, *prices, *how, "--policy", str(policy), "--out", str(folder)]) == 0
    found = json.loads((folder / "summary.json").read_text())["coins"][coin]
    return found["coin"]["premium_coin"], found["coin"]["net_coin"], found["wins"], found["sold"]


@pytest.mark.parametrize(("coin", "delta", "width", "premium_coin", "pnl_coin", "wins"), GOLDEN)
def test_the_table_comes_out_of_the_command(
    coin: str,
    delta: float,
    width: float,
    premium_coin: float,
    pnl_coin: float,
    wins: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    premium, pnl, won, sold = earned(tmp_path, monkeypatch, coin, delta, width)
    assert sold == 25
    assert premium == pytest.approx(premium_coin, abs=1e-4)
    assert pnl == pytest.approx(pnl_coin, abs=1e-4)
    assert won == wins


@pytest.mark.parametrize("coin", [pytest.param("BTC", marks=whole_table), "ETH"])
def test_at_the_money_agrees_with_a_computation_of_its_own(
    coin: Coin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    premium, pnl, won, sold = earned(tmp_path, monkeypatch, coin, 0.50, 0.15)
    weeks = [computed_week(rows, 0.50) for rows in weekly_chains(coin)]
    assert sold == len(weeks) == 25
    assert premium == pytest.approx(math.fsum(week[0] for week in weeks), abs=1e-9)
    assert pnl == pytest.approx(math.fsum(week[1] for week in weeks), abs=1e-9)
    assert won == len([week for week in weeks if week[1] > 0.0])


@pytest.mark.parametrize(("coin", "friday", "delta"), [("BTC", "2026-02-06", 0.15), ("ETH", "2026-05-01", 0.25)])
def test_a_month_by_itself_agrees_call_by_call_with_a_computation_of_its_own(
    coin: Coin, friday: str, delta: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = DATA / "chains" / f"{coin}_{friday[:7]}.jsonl.gz"
    earned(tmp_path, monkeypatch, coin, delta, 0.06, ["--recording", str(recording), "--start", f"{friday}T08:05"])
    with (tmp_path / "trades.csv").open() as file:
        sold = [row for row in csv.DictReader(file) if row["exit"] != "open"]
    weeks = {str(from_ms(int(week[0].at_ms[0])).date()): computed_week(week, delta) for week in weekly_chains(coin)}
    assert len(sold) >= 3
    for row in sold:
        premium, pnl = weeks[row["opened_at"][:10]]
        assert float(row["premium_coin"]) == pytest.approx(premium, abs=1e-9)
        assert float(row["pnl_coin"]) == pytest.approx(pnl, abs=1e-9)


def weekly_chains(coin: Coin) -> list[tuple[ChainRows, float]]:
    """The calls of next Friday at the first snapshot after 08:05 of each Friday, and what they settled at."""
    rows = read_chain_rows([DATA / "chains"], coin)
    prices, found = read_delivery_prices(DATA / "settlement"), {}
    for at_ms in np.unique(rows.at_ms).tolist():
        moment, day = from_ms(at_ms), at_ms // DAY_MS
        is_asked = datetime(2026, 1, 2, tzinfo=UTC) <= moment < datetime(2026, 6, 20, tzinfo=UTC)
        if moment.weekday() == FRIDAY and at_ms % DAY_MS >= 485 * MINUTE_MS and is_asked and day not in found:
            here = (rows.at_ms == at_ms) & (rows.expires_at_ms // DAY_MS == day + 7) & (rows.bid_coin > 0.0)
            found[day] = rows.where(here)
    return [(week, prices[coin, int(week.expires_at_ms[0])].price_usd) for week in found.values()]


def computed_week(week: tuple[ChainRows, float], delta: float) -> tuple[float, float]:
    """Premium and P&L in coin of the call above the index that is nearest the delta."""
    rows, settled_usd = week
    above = rows.where(rows.strikes_usd > rows.index_usd)
    row = int(np.argmin(np.abs(above.call_delta - delta)))
    premium, payoff = float(above.bid_coin[row]), payoff_coin(settled_usd, float(above.strikes_usd[row]))
    return premium, premium - trade_fee_coin(premium, 1.0) - payoff - delivery_fee_coin(payoff, 1.0)
