"""The public half of Deribit's API over any market: same methods, same JSON, same errors.

In: a method such as "public/ticker" and its parameters. Out: what Deribit puts under `result`; RpcError where it
would answer with an error. Units are Deribit's: coin, USD, percent, milliseconds. Talks to nothing but the market.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paper_exchange.api import params as read
from paper_exchange.api import perpetual
from paper_exchange.api import public_history as history
from paper_exchange.api import public_rows as rows
from paper_exchange.api.params import Params
from paper_exchange.market.clocks import now_ms
from paper_exchange.market.errors import RpcError, invalid_params, method_not_found
from paper_exchange.market.lookup import index_of, known_listing, live_listing, live_listings, quoted
from paper_exchange.market.market import Market
from paper_exchange.market.names import expiry_code

API_VERSION = "1.2.26"
COIN_NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum"}


class PublicApi:
    """Answers public calls from one market. Keeps nothing between calls."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._methods: dict[str, Callable[[Params], Any]] = {
            "public/get_time": lambda _: now_ms(market.clock),
            "public/status": lambda _: {"locked": "false"},
            "public/test": _test,
            "public/get_announcements": lambda _: [],
            "public/get_currencies": self._currencies,
            "public/get_index_price": self._index_price,
            "public/get_index_price_names": lambda _: [f"{coin.lower()}_usd" for coin in market.currencies],
            "public/get_instruments": self._instruments,
            "public/get_instrument": self._instrument,
            "public/get_contract_size": self._contract_size,
            "public/get_expirations": self._expirations,
            "public/get_book_summary_by_currency": self._book_summary_by_currency,
            "public/get_book_summary_by_instrument": self._book_summary_by_instrument,
            "public/ticker": self._ticker,
            "public/get_order_book": self._order_book,
            "public/get_last_trades_by_currency": self._no_trades_of_currency,
            "public/get_last_trades_by_currency_and_time": self._no_trades_of_currency,
            "public/get_last_trades_by_instrument": self._no_trades_of_instrument,
            "public/get_last_trades_by_instrument_and_time": self._no_trades_of_instrument,
            "public/get_volatility_index_data": lambda params: history.volatility_index_data(market, params),
            "public/get_tradingview_chart_data": lambda params: history.chart_data(market, params),
            "public/get_historical_volatility": lambda params: history.historical_volatility(market, params),
            "public/get_delivery_prices": lambda params: history.delivery_prices(market, params),
            "public/get_index_chart_data": lambda params: history.index_chart_data(market, params),
            "public/get_last_settlements_by_currency": lambda params: history.settlements_by_currency(market, params),
            "public/get_last_settlements_by_instrument": lambda params: history.settlements_by_instrument(
                market, params
            ),
        }

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """The `result` of one call. Raises RpcError."""
        handler = self._methods.get(method)
        if handler is None:
            raise method_not_found()
        return handler(params)

    # --- instruments ---------------------------------------------------------------

    def _instruments(self, params: Params) -> list[rows.Row]:
        coins = self._coins(read.currency(params, extra=("any",), default="any"))
        if read.flag(params, "expired"):
            return []
        at_ms = now_ms(self._market.clock)
        found = [perpetual.perpetual_instrument_row(coin) for coin in coins if _means_futures(params)]
        if read.means_options(params):
            found += [
                rows.instrument_row(listing, at_ms) for coin in coins for listing in live_listings(self._market, coin)
            ]
        return found

    def _instrument(self, params: Params) -> rows.Row:
        """One instrument, also an option that has expired."""
        coin = self._coin_of_perpetual(params)
        if coin is not None:
            return perpetual.perpetual_instrument_row(coin)
        return rows.instrument_row(known_listing(self._market, _name(params)), now_ms(self._market.clock))

    def _contract_size(self, params: Params) -> dict[str, float]:
        if self._coin_of_perpetual(params) is not None:
            return {"contract_size": 10.0}
        live_listing(self._market, _name(params))
        return {"contract_size": 1.0}

    def _expirations(self, params: Params) -> dict[str, Any]:
        """By coin, in small letters; for "any" all coins in one list, as on Deribit."""
        currency = read.currency(params, extra=("any", "grouped"))
        coins = self._coins("any" if currency == "grouped" else currency)
        expiries = {coin: {listing.expires_at_ms for listing in live_listings(self._market, coin)} for coin in coins}
        if currency == "any":
            return _expiry_codes(set().union(*expiries.values()))
        return {coin.lower(): _expiry_codes(found) for coin, found in expiries.items()}

    # --- quotes --------------------------------------------------------------------

    def _book_summary_by_currency(self, params: Params) -> list[rows.Row]:
        currency = read.currency(params)
        index_usd = self._market.index_price(currency) if currency in self._market.currencies else None
        if index_usd is None:
            return []
        found: list[rows.Row] = []
        if _means_futures(params):
            found.append(perpetual.perpetual_summary_row(currency, index_usd, now_ms(self._market.clock)))
        if read.means_options(params):
            found += rows.summary_rows(self._market.quotes(currency), currency, index_usd)
        return found

    def _book_summary_by_instrument(self, params: Params) -> list[rows.Row]:
        coin = self._coin_of_perpetual(params)
        if coin is not None:
            return [perpetual.perpetual_summary_row(coin, index_of(self._market, coin), now_ms(self._market.clock))]
        listing, quote, index_usd = quoted(self._market, _name(params))
        return rows.summary_rows([quote], listing.currency, index_usd)

    def _ticker(self, params: Params) -> rows.Row:
        coin = self._coin_of_perpetual(params)
        if coin is not None:
            return perpetual.perpetual_ticker_row(coin, index_of(self._market, coin), now_ms(self._market.clock))
        return rows.ticker_row(*quoted(self._market, _name(params)))

    def _order_book(self, params: Params) -> rows.Row:
        """The market knows the best level only, so any depth shows one."""
        if read.whole(params, "depth", 1) < 1:
            raise invalid_params("depth", "must be a positive integer")
        if self._coin_of_perpetual(params) is not None:
            return self._ticker(params) | {"bids": [], "asks": [], "change_id": now_ms(self._market.clock)}
        return rows.order_book_row(*quoted(self._market, _name(params)))

    def _index_price(self, params: Params) -> dict[str, float]:
        index_usd = index_of(self._market, read.coin_of_index(params))
        return {"index_price": index_usd, "estimated_delivery_price": index_usd}

    # --- everything else -------------------------------------------------------------

    def _currencies(self, params: Params) -> list[rows.Row]:  # noqa: ARG002
        return [_currency_row(coin) for coin in self._market.currencies]

    def _no_trades_of_currency(self, params: Params) -> rows.Row:
        read.currency(params)
        return {"trades": [], "has_more": False}

    def _no_trades_of_instrument(self, params: Params) -> rows.Row:
        if self._coin_of_perpetual(params) is None:
            live_listing(self._market, _name(params))
        return {"trades": [], "has_more": False}

    # --- looking things up -------------------------------------------------------------

    def _coins(self, currency: str) -> list[str]:
        return [coin for coin in self._market.currencies if currency in ("any", coin)]

    def _coin_of_perpetual(self, params: Params) -> str | None:
        """BTC where the parameters name its perpetual."""
        name = _name(params)
        return next((coin for coin in self._market.currencies if perpetual.perpetual_name(coin) == name), None)


def _name(params: Params) -> str:
    return read.text(params, "instrument_name")


def _test(params: Params) -> dict[str, str]:
    if params.get("expected_result") == "exception":
        raise RpcError(10001, "error")
    return {"version": API_VERSION}


def _means_futures(params: Params) -> bool:
    return params.get("kind") in (None, "any", "future")


def _expiry_codes(expiries: set[int]) -> dict[str, list[str]]:
    return {"option": [expiry_code(expires_at_ms) for expires_at_ms in sorted(expiries)]}


def _currency_row(coin: str) -> rows.Row:
    return {
        "currency": coin,
        "currency_long": COIN_NAMES[coin],
        "coin_type": coin,
        "apr": 0.0,
        "fee_precision": 4,
        "in_cross_collateral_pool": False,
        "min_confirmations": 1,
        "min_withdrawal_fee": 0.0,
        "withdrawal_fee": 0.0,
        "withdrawal_priorities": [],
    }
