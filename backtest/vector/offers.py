"""What the engine says of one call at one step: as a candidate for sale, and as a call that was sold.

In: a state in which nothing is sold, the market, settings. Out: what the columns of a bank hold of it. Candidates,
rules and order prices come from the code that trades: the risk engine, orders/order_planning, the paper exchange.
Prices in coin per contract, sizes in coin. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from config import AgentConfig
from core.pricing import black76_greeks, short_call_initial_margin_coin, trade_fee_coin, years_between
from models import ActionType, AgentState, CandidateOption, OptionPosition, ProposedAction, Ticker, Underlying
from orders.order_planning import touch_price
from paper_exchange.in_process import readings
from paper_exchange.market import lookup
from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.market import Listing, Market, Quote
from risk_engine import judge_action

# What the vector environment judges itself. Every other rule is asked of the risk engine, here, once a call and step.
ACCOUNT_RULES = frozenset(
    {
        "reducing",
        "orders_per_day",
        "unfilled_orders_per_day",
        "coverage",
        "margin",
        "margin_threshold",
        "net_delta",
        "expiry_exposure",
    }
)


class Row(NamedTuple):
    """A call at one step; the columns of Bank of the same names."""

    mark_coin: float
    margin_coin: float
    delta: float
    ask_coin: float
    moneyness: float
    dte_days: float
    may_buy_back: bool
    limit_coin: float
    shown_coin: float


class Sale(NamedTuple):
    """A candidate at one step; the columns of Bank of the same names with `sale_` before them."""

    base: int = 0
    expiry: int = 0
    is_fine: bool = False
    delta: float = 0.0
    margin_coin: float = 0.0
    mark_coin: float = 0.0
    earned_coin: float = 0.0
    bid_coin: float = 0.0
    shown_coin: float = 0.0
    is_sent: bool = False


def sales_of(state: AgentState, coin: Underlying, market: Market, config: AgentConfig) -> Iterator[tuple[str, Sale]]:
    """The candidates of a coin, each with its symbol; the base is known once all paths are."""
    snapshot = state.market(coin)
    spot_usd = 0.0 if snapshot is None else snapshot.spot_usd
    for call in state.candidates_for(coin):
        listing, quote, _ = lookup.quoted(market, call.symbol)
        ticker = readings.ticker_of(listing, quote, spot_usd)
        limit_coin = touch_price("sell", ticker, readings.instrument_of(listing, quote.timestamp_ms), config)
        trades = quote.bid_coin is not None and quote.bid_coin >= limit_coin
        yield (
            call.symbol,
            Sale(
                expiry=listing.expires_at_ms // HOUR_MS,
                is_fine=_sale_is_fine(state, call, config),
                delta=call.delta,
                margin_coin=short_call_initial_margin_coin(spot_usd, call.strike, call.mark_price_coin),
                mark_coin=call.mark_price_coin,
                earned_coin=call.sale_price_coin - trade_fee_coin(call.sale_price_coin, 1.0),
                bid_coin=quote.bid_coin or 0.0,
                shown_coin=_shown(quote.bid_amount) if trades else 0.0,
                is_sent=ticker.mark_price_coin > 0.0,
            ),
        )


def _sale_is_fine(state: AgentState, call: CandidateOption, config: AgentConfig) -> bool:
    sale = ProposedAction(
        type=ActionType.OPEN_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=config.strategy(call.underlying).order_size,
        reason="bank",
    )
    return all(reason.rule in ACCOUNT_RULES for reason in judge_action(state, sale, config).reasons)


def row_of(listing: Listing, state: AgentState, market: Market, config: AgentConfig) -> Row:
    """A call at this step, as an account that had sold it would see it."""
    _, quote, index_usd = lookup.quoted(market, listing.name)
    ticker = readings.ticker_of(listing, quote, index_usd)
    held = _held(listing, quote, ticker, state)
    limit_coin = touch_price("buy", ticker, readings.instrument_of(listing, quote.timestamp_ms), config)
    trades = quote.ask_coin is not None and quote.ask_coin <= limit_coin
    return Row(
        mark_coin=held.mark_price_coin,
        margin_coin=short_call_initial_margin_coin(index_usd, listing.strike_usd, held.mark_price_coin),
        delta=-held.delta,
        ask_coin=math.nan if quote.ask_coin is None else quote.ask_coin,
        moneyness=math.log(listing.strike_usd / index_usd),
        dte_days=held.dte_days,
        may_buy_back=_may_buy_back(state, held, config),
        limit_coin=limit_coin,
        shown_coin=_shown(quote.ask_amount) if trades else 0.0,
    )


def _held(listing: Listing, quote: Quote, ticker: Ticker, state: AgentState) -> OptionPosition:
    """One contract of the call, sold; its delta is not rounded yet, as that of a whole position will be."""
    option = readings.instrument_of(listing, quote.timestamp_ms)
    years = years_between(state.timestamp, option.expiry)
    greeks = black76_greeks(quote.underlying_price_usd, listing.strike_usd, quote.mark_iv_fraction, years)
    return OptionPosition(
        symbol=listing.name,
        underlying=option.underlying,
        option_type=option.option_type,
        strike=option.strike,
        expiry=option.expiry,
        side="short",
        size=1.0,
        avg_price=quote.mark_coin,
        mark_price_coin=round(quote.mark_coin, 8),
        delta=-greeks.delta,
        dte_days=(option.expiry - state.timestamp).total_seconds() / 86_400.0,
        bid_price_coin=ticker.bid_price_coin,
        ask_price_coin=ticker.ask_price_coin,
        quoted_at=ticker.quoted_at,
    )


def _may_buy_back(state: AgentState, held: OptionPosition, config: AgentConfig) -> bool:
    """The risk engine's word on buying it back, had the account sold it."""
    portfolio = state.portfolio.model_copy(update={"positions": (held,)})
    close = ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL,
        underlying=held.underlying,
        symbol=held.symbol,
        size=min(held.size, config.strategy(held.underlying).max_order_size),
        reason="bank",
    )
    return judge_action(state.model_copy(update={"portfolio": portfolio}), close, config).allowed


def _shown(amount: float | None) -> float:
    """How much is on the book; all one could want where the size is not known."""
    return math.inf if amount is None else amount
