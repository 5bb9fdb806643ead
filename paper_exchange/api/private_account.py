"""Private methods about the account: summaries, positions, margins, trades, transaction log, settlements.

In: parameters as Deribit names them. Out: what Deribit puts under `result`; RpcError where it would refuse. Coin
and milliseconds throughout. Reads the paper account, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core import pricing
from paper_exchange.account.account import PaperAccount
from paper_exchange.account.margins import Claim, open_orders_margin_coin
from paper_exchange.account.orders import Trade
from paper_exchange.account.positions import Position
from paper_exchange.account.valuation import PositionFigures
from paper_exchange.api import params as read
from paper_exchange.api.params import Params
from paper_exchange.api.replies import log_reply, position_reply, settlement_reply, trade_reply
from paper_exchange.api.summary import summary_reply, user_details
from paper_exchange.market.bands import band_of
from paper_exchange.shown.account import TRADES_SHOWN, entries_between, tidy, trades_where

TRADES_MOST = 1_000
LOG_DEFAULT, LOG_MOST = 100, 250


class PrivateAccount:
    """The reading methods of one account."""

    def __init__(self, account: PaperAccount) -> None:
        self._account = account
        self._coins = tuple(account.state.balances_coin)
        self.methods: dict[str, Callable[[Params], Any]] = {
            "private/get_account_summary": self._summary,
            "private/get_account_summaries": self._summaries,
            "private/get_positions": self._positions,
            "private/get_position": self._position,
            "private/get_margins": self._margins,
            "private/get_user_trades_by_currency": self._trades_by_currency,
            "private/get_user_trades_by_currency_and_time": self._trades_by_currency,
            "private/get_user_trades_by_instrument": self._trades_by_instrument,
            "private/get_user_trades_by_instrument_and_time": self._trades_by_instrument,
            "private/get_user_trades_by_order": self._trades_by_order,
            "private/get_transaction_log": self._transaction_log,
            "private/get_settlement_history_by_currency": self._settlement_history,
        }

    # --- summaries -------------------------------------------------------------

    def _summary(self, params: Params) -> dict[str, Any]:
        row = self._summary_of(read.currency(params))
        return {**row, **user_details()} if read.flag(params, "extended") else row

    def _summaries(self, params: Params) -> dict[str, Any]:
        rows = {"summaries": [self._summary_of(currency) for currency in self._coins]}
        return {**rows, **user_details()} if read.flag(params, "extended") else rows

    def _summary_of(self, currency: str) -> dict[str, Any]:
        return summary_reply(currency, self._account.figures(currency), self._account.now_ms)

    # --- positions and margins -------------------------------------------------

    def _positions(self, params: Params) -> list[dict[str, Any]]:
        """Also a row of size zero where a position was closed in this session or an order rests, as on Deribit."""
        wanted_coins = read.currencies(params, self._coins)
        if not read.means_options(params):
            return []
        rows = [row for currency in wanted_coins for row in self._account.figures(currency).options]
        return [self._position_row(row) for row in rows]

    def _position(self, params: Params) -> dict[str, Any]:
        name = read.text(params, "instrument_name")
        return self._position_row(self._account.figures_on(name))

    def _position_row(self, figures: PositionFigures) -> dict[str, Any]:
        name = figures.instrument_name
        return position_reply(figures, self._account.state.positions.get(name, Position(name)))

    def _margins(self, params: Params) -> dict[str, float]:
        """Margin of buying or selling this much, as orders on top of a flat book, and the price band."""
        listing, quote = self._account.listing_and_quote(read.text(params, "instrument_name"))
        amount, price_coin = read.number(params, "amount"), read.number(params, "price")
        index_usd = self._account.state.index_usd[listing.currency]
        buy = open_orders_margin_coin(listing, 0.0, [Claim("buy", amount, price_coin)], index_usd)
        sell = open_orders_margin_coin(listing, 0.0, [Claim("sell", amount, price_coin)], index_usd)
        mark_margin = amount * (quote.mark_coin - pricing.TRADE_FEE_COIN)
        band = band_of(listing, quote)
        return {
            "buy": tidy(buy),
            "sell": tidy(sell + mark_margin),
            "min_price": band.min_price_coin,
            "max_price": band.max_price_coin,
        }

    # --- trades ----------------------------------------------------------------

    def _trades_by_currency(self, params: Params) -> dict[str, Any]:
        wanted_coins = read.currencies(params, self._coins)
        return self._trades(params, lambda trade: trade.currency in wanted_coins)

    def _trades_by_instrument(self, params: Params) -> dict[str, Any]:
        name = read.text(params, "instrument_name")
        return self._trades(params, lambda trade: trade.instrument_name == name)

    def _trades_by_order(self, params: Params) -> list[dict[str, Any]]:
        order_id = read.text(params, "order_id")
        rows: list[dict[str, Any]] = self._trades(params, lambda trade: trade.order_id == order_id)["trades"]
        return rows

    def _trades(self, params: Params, wanted: Callable[[Trade], bool]) -> dict[str, Any]:
        """Newest first, unless `sorting` is asc."""
        since_ms, until_ms = _time_range(params)
        trades = [t for t in trades_where(self._account.state, wanted) if since_ms <= t.traded_at_ms <= until_ms]
        if read.choice(params, "sorting", ("asc", "desc", "default"), "default") == "asc":
            trades.reverse()
        most = read.count(params, TRADES_SHOWN, TRADES_MOST)
        return {"trades": [trade_reply(trade) for trade in trades[:most]], "has_more": len(trades) > most}

    # --- log -------------------------------------------------------------------

    def _transaction_log(self, params: Params) -> dict[str, Any]:
        """Newest first; `continuation` is the id to go on from, null at the end."""
        currency, most = read.currency(params), read.count(params, LOG_DEFAULT, LOG_MOST)
        since_ms, until_ms = _time_range(params)
        before_id = read.whole_or_none(params, "continuation")
        entries = entries_between(self._account.state, currency, since_ms, until_ms)
        entries = [entry for entry in entries if before_id is None or entry.entry_id <= before_id]
        continuation = entries[most].entry_id if len(entries) > most else None
        return {"logs": [log_reply(entry) for entry in entries[:most]], "continuation": continuation}

    def _settlement_history(self, params: Params) -> dict[str, Any]:
        currency = read.currency(params)
        most = read.count(params, 20, 1_000)
        entries = entries_between(self._account.state, currency, 0.0, float("inf"))
        rows = [entry for entry in entries if entry.delivery is not None]
        return {"settlements": [settlement_reply(entry) for entry in rows[:most]], "continuation": "none"}


def _time_range(params: Params) -> tuple[float, float]:
    since_ms = read.number_or_none(params, "start_timestamp")
    until_ms = read.number_or_none(params, "end_timestamp")
    return (0.0 if since_ms is None else since_ms, float("inf") if until_ms is None else until_ms)
