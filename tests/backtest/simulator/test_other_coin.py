"""Files of one coin under the other's name are a sentence, not a result."""

from __future__ import annotations

import pytest

from backtest.simulator.other_coin import refuse_another_coin, refuse_swapped_candles
from models import ConfigurationError
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from tests.backtest.surface.histories import START, a_history, ms

CANDLES = a_history(days=100).candles
SWAPPED = {"BTC": CANDLES["ETH"], "ETH": CANDLES["BTC"]}


def known_usd(times: float = 1.0) -> dict[tuple[str, int], float]:
    """The index at a quarter past of ten days, and what it would be somewhere else."""
    moments = [ms(START) - day * DAY_MS for day in range(10)]
    closes = {bar.opened_at_ms: bar.close for bar in CANDLES["BTC"]}
    return {("BTC", moment + HOUR_MS // 4): times * closes[moment] for moment in moments}


def test_swapped_candles_are_refused_with_both_prices() -> None:
    refuse_swapped_candles(CANDLES)
    refuse_swapped_candles({"ETH": CANDLES["ETH"]})
    with pytest.raises(ConfigurationError, match=r"candles: BTC ends at .* USD and ETH at .*: their files are swapped"):
        refuse_swapped_candles(SWAPPED)


@pytest.mark.parametrize("times", [0.95, 1.0, 1.05])
def test_another_exchange_is_no_other_coin(times: float) -> None:
    refuse_another_coin(CANDLES, known_usd(times), "chains")


@pytest.mark.parametrize("times", [0.03, 30.0])
def test_a_coin_whose_prices_are_far_off_is_refused(times: float) -> None:
    with pytest.raises(ConfigurationError, match=r"BTC: chains says .* where the candles say .* of another coin"):
        refuse_another_coin(CANDLES, known_usd(times), "chains")


def test_where_nothing_is_known_of_a_coin_nothing_is_said() -> None:
    refuse_another_coin(CANDLES, {}, "chains")
    refuse_another_coin({"BTC": []}, known_usd(30.0), "chains")
