"""What the market and the account show, as the agent's own models: the counterpart of Deribit's JSON.

In: listings, quotes, orders and figures of the paper exchange (coin, fractions, milliseconds). Out: models of
models.py. Roundings come from `shown/`, which the JSON API reads too; an empty side, a volatility or a price
of 0.0 is None, as nobody quotes it. Shares no code with deribit/, or both could be wrong together. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from core.chain import Quotes
from core.columns import above_zero
from models import (
    CoinAccount,
    Fill,
    LedgerEntry,
    OptionInstrument,
    Order,
    PriceBar,
    RawPosition,
    Ticker,
    Underlying,
)
from paper_exchange.account import orders as account_orders
from paper_exchange.account.ledger import LogEntry
from paper_exchange.account.positions import Position
from paper_exchange.account.valuation import CoinFigures, PositionFigures
from paper_exchange.market.bands import band_of
from paper_exchange.market.clocks import DAY_MS, MINUTE_MS, from_ms
from paper_exchange.market.market import Bar, Listing, Quote
from paper_exchange.market.quote_columns import columns_of
from paper_exchange.shown import quotes
from paper_exchange.shown.account import (
    MARGIN_MODEL,
    delivery_info,
    entry_price,
    settlement_price_usd,
    shown_funds,
    shown_position,
    tidy,
)

# --- the market -------------------------------------------------------------------


def instrument_of(listing: Listing, at_ms: int) -> OptionInstrument:
    """A listed option; tradable until its expiry."""
    return _instrument(listing, listing.expires_at_ms > at_ms)


@lru_cache(maxsize=8_192)  # the same options are listed again with every new strike
def _instrument(listing: Listing, is_tradable: bool) -> OptionInstrument:
    return OptionInstrument(
        symbol=listing.name,
        underlying=_underlying(listing.currency),
        strike=listing.strike_usd,
        expiry=from_ms(listing.expires_at_ms),
        option_type="call" if listing.is_call else "put",
        contract_size_coin=1.0,
        min_trade_amount_coin=listing.min_trade_amount,
        tick_size_coin=listing.tick_size,
        tick_steps=listing.tick_steps,
        is_tradable=is_tradable,
    )


def _underlying(currency: str) -> Underlying:
    return "BTC" if currency == "BTC" else "ETH"


def chain_quotes(shown: Sequence[Quote]) -> Quotes:
    """What the market quotes, column by column."""
    columns = columns_of(shown)
    return Quotes(
        symbols=columns.symbols,
        bid_price_coin=columns.bid_price_coin,
        ask_price_coin=columns.ask_price_coin,
        mark_price_coin=above_zero(columns.mark_price_coin),
        mark_iv_fraction=above_zero(quotes.mark_iv_pct(columns.mark_iv_fraction)) / 100.0,
        underlying_price_usd=above_zero(columns.underlying_price_usd),
        quoted_at=columns.quoted_at,
    )


@lru_cache(maxsize=4_096)  # a month of hours of each coin, of which all but one were there an hour ago
def level_of(at_ms: int, level_usd: float) -> PriceBar:
    """A point of the index."""
    return PriceBar(from_ms(at_ms), level_usd)


def ticker_of(listing: Listing, quote: Quote, index_usd: float) -> Ticker:
    """One option with the sizes on its book; without a side there is no size either."""
    band = band_of(listing, quote)
    return Ticker(
        symbol=quote.name,
        quoted_at=from_ms(quote.timestamp_ms),
        state="open",
        bid_price_coin=_if_positive(quote.bid_coin),
        bid_amount_coin=None if quote.bid_coin is None else _if_positive(quote.bid_amount),
        ask_price_coin=_if_positive(quote.ask_coin),
        ask_amount_coin=None if quote.ask_coin is None else _if_positive(quote.ask_amount),
        mark_price_coin=quotes.ticker_mark_coin(quote),
        last_price_coin=_if_positive(quote.last_coin),
        min_price_coin=_if_positive(band.min_price_coin),
        max_price_coin=_if_positive(band.max_price_coin),
        index_price_usd=index_usd,
        underlying_price_usd=_if_positive(quote.underlying_price_usd),
        mark_iv_fraction=_mark_iv_fraction(quote),
        delta=quotes.delta(listing, quote),
    )


def _if_positive(value: float | None) -> float | None:
    return value if value is not None and value > 0.0 else None


def _mark_iv_fraction(quote: Quote) -> float | None:
    iv_pct = _if_positive(quotes.mark_iv_pct(quote.mark_iv_fraction))
    return None if iv_pct is None else iv_pct / 100.0


def bar_of(bar: Bar, minutes: int, now: datetime) -> PriceBar:
    """The close of a candle; that of the running one is the price now."""
    return PriceBar(min(from_ms(bar.opened_at_ms + minutes * MINUTE_MS), now), bar.close)


def dvol_day_of(bar: Bar, now: datetime) -> PriceBar:
    """The close of a day of DVOL, as a fraction; that of the running day is the one now."""
    closed_at = from_ms(bar.opened_at_ms + DAY_MS)
    return _dvol_day(closed_at, bar.close) if closed_at <= now else PriceBar(now, bar.close / 100.0)


@lru_cache(maxsize=1_024)  # a year of each coin is read with every new day
def _dvol_day(closed_at: datetime, close_pct: float) -> PriceBar:
    return PriceBar(closed_at, close_pct / 100.0)


# --- the account ------------------------------------------------------------------


def account_of(currency: str, figures: CoinFigures) -> CoinAccount:
    """The account in one coin; each coin stands for itself."""
    funds = shown_funds(figures)
    return CoinAccount(
        currency=currency,
        balance_coin=funds.balance_coin,
        equity_coin=funds.equity_coin,
        margin_balance_coin=funds.margin_balance_coin,
        initial_margin_coin=funds.initial_margin_coin,
        maintenance_margin_coin=funds.maintenance_margin_coin,
        available_funds_coin=funds.available_funds_coin,
        options_value_coin=funds.options_value_coin,
        options_delta=funds.options_delta,
        delta_total=funds.delta_total,
        margin_model=MARGIN_MODEL,
    )


def position_of(figures: PositionFigures, position: Position) -> RawPosition:
    """An option held."""
    row = shown_position(figures, position)
    return RawPosition(
        symbol=row.instrument_name,
        kind="option",
        size=row.size,
        avg_price=row.average_price_coin,
        mark_price=row.mark_coin,
        delta=row.delta,
    )


def order_of(order: account_orders.Order) -> Order:
    """An order as it stands now."""
    return Order(
        order_id=order.order_id,
        label=order.label,
        symbol=order.instrument_name,
        direction=order.direction,
        amount_coin=order.amount,
        filled_amount_coin=order.filled_amount,
        avg_price_coin=tidy(order.average_price_coin),
        price_coin=order.price_coin,
        order_state=order.state,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        is_liquidation=False,
        created_at=from_ms(order.created_at_ms),
    )


def fill_of(trade: account_orders.Trade) -> Fill:
    """One trade of an order."""
    return Fill(
        trade_id=trade.trade_id,
        order_id=trade.order_id,
        symbol=trade.instrument_name,
        direction=trade.direction,
        amount_coin=trade.amount,
        price_coin=trade.price_coin,
        fee_coin=tidy(trade.fee_coin),
        traded_at=from_ms(trade.traded_at_ms),
    )


def entry_of(entry: LogEntry) -> LedgerEntry:
    """A line of the transaction log; what a delivery adds is kept as the text that the log has of it."""
    note, settled_at_usd = delivery_info(entry), settlement_price_usd(entry)
    return LedgerEntry(
        currency=entry.currency,
        entry_type=entry.kind,
        symbol=entry.instrument_name,
        booked_at=from_ms(entry.booked_at_ms),
        side=entry.side,
        amount_coin=entry.amount,
        price_coin=entry_price(entry),
        index_price_usd=entry.index_usd if settled_at_usd is None else settled_at_usd,
        fee_coin=tidy(entry.commission_coin),
        change_coin=entry.change_coin,
        balance_coin=entry.balance_coin,
        note=None if note is None else json.dumps(note),
    )
