"""The scan of a whole chain against a walk through it, option by option. Skips where the recorded chains are not here.

The walk is written for this test alone, with the formulas for single numbers; a few snapshots of each month.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import AgentConfig
from core.candidates import explain_chain, scan_chain
from core.chain import chain_of, listing_of
from core.market_context import Closes, CoinData, market_snapshot
from core.pricing import black76_delta, days_between, tick_size_at, trade_fee_coin, years_between
from core.quotes import asked_price, is_crossed, is_inside_collar, sale_floor
from deribit.chains import read_quotes
from deribit.symbols import parse_symbol
from models import MarketSnapshot, OptionInstrument, OptionQuote, PriceBar
from tests.builders.configs import a_config
from tests.builders.states import TICK_STEPS, an_instrument

CHAIN_FILES = sorted((Path(__file__).resolve().parents[2].parent / "shared/market_data/chains").glob("*.jsonl.gz"))
SNAPSHOTS_PER_FILE = 2
EVERY_NTH_IS_UNLISTED = 17
SETTINGS: tuple[dict[str, float], ...] = (
    {},
    {"delta_min": 0.0001, "delta_max": 0.9999, "premium_min_usd": 0.0, "max_spread_pct": 200.0, "ivrv_min": 0.0},
    {"delta_min": 0.1, "delta_max": 0.25, "max_spread_pct": 12.0, "dte_min": 5.0},
)


def chains(path: Path) -> Iterator[tuple[CoinData, datetime]]:
    """A few snapshots of a month, with hourly closes that swing by 0.4 %, and some options not listed yet."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        listed = lines.readlines()
    for line in listed[:: max(1, len(listed) // SNAPSHOTS_PER_FILE)]:
        snapshot = json.loads(line)
        now = datetime.fromtimestamp(snapshot["recorded_at"] / 1000.0, UTC)
        rows = [{"creation_timestamp": snapshot["recorded_at"]} | row for row in snapshot["book_summaries"]]
        quotes = read_quotes(rows)
        known = [symbol for n, symbol in enumerate(quotes.symbols) if n % EVERY_NTH_IS_UNLISTED]
        listing = listing_of({symbol: instrument_of(symbol) for symbol in known})
        closes = [snapshot["index_price"] * (1.0 + 0.004 * (n % 2)) for n in range(720)]
        bars = tuple(PriceBar(now - timedelta(hours=720 - n), close) for n, close in enumerate(closes))
        chain = chain_of(quotes, listing)
        yield CoinData(snapshot["currency"], snapshot["index_price"], chain, Closes(bars), None), now


def instrument_of(symbol: str) -> OptionInstrument:
    parts = parse_symbol(symbol)
    assert parts.underlying in ("BTC", "ETH")
    fields = {"symbol": symbol, "expiry": parts.expiry, "strike": parts.strike_usd, "option_type": parts.option_type}
    return an_instrument("BTC" if parts.underlying == "BTC" else "ETH", **fields)


def rule_of(
    option: OptionInstrument | None, quote: OptionQuote, market: MarketSnapshot, now: datetime, config: AgentConfig
) -> str:
    """The first rule that one option fails."""
    if option is None:
        return "not_listed_yet"
    if option.option_type != "call":
        return "not_a_call"
    if option.expiry <= now:
        return "not_tradable"
    if option.strike <= market.spot_usd:
        return "in_the_money"
    bid, ask, mark, iv = quote.bid_price_coin, quote.ask_price_coin, quote.mark_price_coin, quote.mark_iv_fraction
    forward_usd = quote.underlying_price_usd
    if bid is None or mark is None or iv is None or forward_usd is None or mark >= 1.0 or is_crossed(bid, ask):
        return "no_usable_quote"
    rules, dte_days = config.strategy(option.underlying), days_between(now, option.expiry)
    delta = black76_delta(forward_usd, option.strike, iv, years_between(now, option.expiry))
    asked = asked_price(bid, ask, mark)
    tick = tick_size_at(asked, 0.0001, TICK_STEPS)
    floor = sale_floor(bid, asked, config.run.order_concession_pct, tick)
    premium_usd = (bid - trade_fee_coin(bid, 1.0)) * market.spot_usd
    passed = {
        "dte": rules.dte_min <= dte_days <= rules.dte_max,
        "delta": rules.delta_min <= delta <= rules.delta_max,
        "spread": ask is None or 200.0 * (ask - bid) / (ask + bid) <= rules.max_spread_pct,
        "collar": is_inside_collar(floor, mark, config.risk.price_collar_pct, tick),
        "premium": premium_usd >= rules.premium_min_usd,
        "ivrv": rules.ivrv_min == 0.0 or (market.iv_rv_ratio or 0.0) >= rules.ivrv_min,
    }
    return next((rule for rule, is_passed in passed.items() if not is_passed), "passed")


@pytest.mark.skipif(not CHAIN_FILES, reason="the recorded chains are not here")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_each_option_of_a_real_chain_falls_where_a_walk_through_it_says(settings: dict[str, float]) -> None:
    config, passed, options = a_config(btc=settings, eth=settings), 0, 0
    for coin, now in (found for path in CHAIN_FILES for found in chains(path)):
        market = market_snapshot(coin, now, config)
        walked = {
            quote.symbol: rule_of(coin.instruments.get(quote.symbol), quote, market, now, config)
            for quote in coin.chain.quotes.rows()
        }
        assert explain_chain(coin, market, now, config) == walked
        funnel, fallen = scan_chain(coin, market, now, config).funnel, Counter(walked.values())
        assert [step.rejected for step in funnel.steps] == [fallen[step.rule] for step in funnel.steps]
        passed, options = passed + funnel.passed, options + funnel.listed
    assert options > 10_000
    assert passed > 10
