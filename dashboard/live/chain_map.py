"""The map of every call by expiry and strike, each with the reason why it may or may not be sold. Pure.

In: a chain, the state that was decided on it, settings. Out: a ChainMap for the template. The rule of each call is that
of `core.candidates`, as in the agent itself. Prices in coin, strikes in USD, premiums in USD after the fee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from config import AgentConfig, StrategyConfig
from core.candidates import ChainScan, explain_chain, scan_chain
from core.pricing import black76_delta, days_between, trade_fee_coin, years_between
from dashboard.live.chains import SeenChain
from dashboard.pages import number
from models import AgentState, MarketSnapshot, OptionInstrument, OptionQuote

MOST_STRIKES = 24
SHOWN_AROUND = 1.05  # of spot: calls to sell lie above it
FAR_RULES = ("not_listed_yet", "not_a_call", "not_tradable", "in_the_money", "dte")


@dataclass(frozen=True)
class Cell:
    """A call. `kind`: best (a candidate, by rank), passed, near (fell at a setting), far (fell before)."""

    symbol: str
    kind: str
    why: str
    rank: int | None = None
    is_miss: bool = False
    is_ours: bool = False


@dataclass(frozen=True)
class MapRow:
    """An expiry: its name, the days to it, a cell or nothing for each strike shown."""

    name: str
    days: float
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class ChainMap:
    """`is_as_logged`: the settings used turn away as many calls at each rule as the line says."""

    strikes_usd: tuple[float, ...]
    rows: tuple[MapRow, ...]
    calls: int
    hidden: int
    source: str
    is_as_logged: bool
    scan: ChainScan


def chain_map(seen: SeenChain, state: AgentState, market: MarketSnapshot, config: AgentConfig) -> ChainMap:
    """Every call of a coin at the time of a state."""
    now, coin = state.timestamp, seen.coin
    scan = scan_chain(coin, market, now, config)
    reasons = explain_chain(coin, market, now, config)
    calls = [option for option in coin.instruments.values() if option.option_type == "call" and option.expiry > now]
    held = {position.symbol for position in state.portfolio.positions}
    notable = held | {call.symbol for call in scan.candidates} | {miss.symbol for miss in scan.near_misses}
    shown = _strikes(calls, market.spot_usd, notable)
    best = {call.symbol: rank for rank, call in enumerate(scan.candidates, 1)}
    misses = {miss.symbol: miss.change for miss in scan.near_misses}
    cells: dict[tuple[datetime, float], Cell] = {}
    for option in calls:
        rule = reasons.get(option.symbol, "no_usable_quote")
        quote = coin.chain.quotes.of(option.symbol)
        words = f"{option.symbol}: {_why(rule, option, quote, market, now, config)}"
        miss = misses.get(option.symbol)
        cells[option.expiry, option.strike] = Cell(
            symbol=option.symbol,
            kind="best" if option.symbol in best else _kind(rule),
            why=words + ("" if miss is None else f"; it would pass with {miss}"),
            rank=best.get(option.symbol),
            is_miss=miss is not None,
            is_ours=option.symbol in held,
        )
    rows = [_row(expiry, shown, cells, now) for expiry in sorted({option.expiry for option in calls})]
    logged = next((funnel for funnel in state.funnels if funnel.underlying == coin.underlying), None)
    visible = sum(cell is not None for row in rows for cell in row.cells)
    is_as_logged = logged is not None and scan.funnel == logged
    return ChainMap(shown, tuple(rows), len(calls), len(calls) - visible, seen.source, is_as_logged, scan)


def _strikes(calls: Sequence[OptionInstrument], spot_usd: float, notable: set[str]) -> tuple[float, ...]:
    """Those of notable calls, then those nearest to where calls are sold."""
    wanted = {option.strike for option in calls if option.symbol in notable}
    others = sorted({option.strike for option in calls} - wanted, key=lambda k: abs(k - SHOWN_AROUND * spot_usd))
    return tuple(sorted([*wanted, *others[: max(0, MOST_STRIKES - len(wanted))]]))


def _row(
    expiry: datetime, strikes: Sequence[float], cells: dict[tuple[datetime, float], Cell], now: datetime
) -> MapRow:
    name = f"{expiry:%-d%b%y}".upper()
    return MapRow(name, days_between(now, expiry), tuple(cells.get((expiry, strike)) for strike in strikes))


def _kind(rule: str) -> str:
    return "passed" if rule == "passed" else "far" if rule in FAR_RULES else "near"


def _why(
    rule: str,
    option: OptionInstrument,
    quote: OptionQuote | None,
    market: MarketSnapshot,
    now: datetime,
    config: AgentConfig,
) -> str:
    """The rule in words, with the call's own number beside the limit, and its quote."""
    if quote is None:
        return "nobody shows a quote"
    figures = _figures(option, quote, market, now)
    words = _sentence(rule, figures, config.strategy(option.underlying), market)
    prices = f"bid {number(quote.bid_price_coin, 4)}, ask {number(quote.ask_price_coin, 4)}"
    return f"{words} · {prices}, delta {number(figures['delta'], 2)}, {number(figures['days'], 1)} days"


def _figures(
    option: OptionInstrument, quote: OptionQuote, market: MarketSnapshot, now: datetime
) -> dict[str, float | None]:
    bid, ask, iv = quote.bid_price_coin, quote.ask_price_coin, quote.mark_iv_fraction
    forward = quote.underlying_price_usd or market.spot_usd
    delta = None if iv is None else black76_delta(forward, option.strike, iv, years_between(now, option.expiry))
    spread = None if bid is None or ask is None else 200.0 * (ask - bid) / (ask + bid)
    premium = None if bid is None else (bid - trade_fee_coin(bid, 1.0)) * market.spot_usd
    return {"delta": delta, "days": days_between(now, option.expiry), "spread_pct": spread, "premium_usd": premium}


def _sentence(rule: str, at: dict[str, float | None], rules: StrategyConfig, market: MarketSnapshot) -> str:
    ratio = number(market.iv_rv_ratio, 2)
    said = {
        "passed": f"may be sold, for {number(at['premium_usd'], 0)} USD a coin at the bid",
        "not_listed_yet": "not on the list of instruments that was read last",
        "not_tradable": "not open for trading",
        "in_the_money": "in the money",
        "no_usable_quote": "no quote that can be used: no bid, crossed, too old or without a mark",
        "dte": f"{number(at['days'], 1)} days left, wanted {rules.dte_min:g} to {rules.dte_max:g}",
        "delta": f"delta {number(at['delta'], 3)}, wanted {rules.delta_min:g} to {rules.delta_max:g}",
        "spread": f"bid and ask are {number(at['spread_pct'], 1)} % apart, at most {rules.max_spread_pct:g} %",
        "collar": "the least it may be sold for lies too far below its mark",
        "premium": f"{number(at['premium_usd'], 2)} USD of premium, wanted {rules.premium_min_usd:g}",
        "ivrv": f"IV/RV {ratio}, wanted {rules.ivrv_min:g}",
    }
    return said.get(rule, rule)


def as_in_the_run(config: AgentConfig, market: str, requires_bid: bool) -> AgentConfig:
    """The settings with what the line itself says of its run."""
    risk = config.risk.model_copy(update={"require_bid": requires_bid})
    return config.model_copy(update={"risk": risk}).at_market(market)
