"""Synchronous wrapper over Deribit's JSON-RPC: typed models out, orders through one function.

In: method calls. Out: models of models.py. deribit/wire.py carries each request, deribit/replies.py says what each
reply means, core/sending/order_gate.py what comes before an order leaves. Talks to Deribit, or to the paper exchange
through the httpx transport it is given. An order is put on the wire once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import httpx

from config import AgentConfig
from core.chain import Listing, Quotes, listing_of
from core.sending.order_gate import TRADING_SCOPE, OrderGate, not_sent
from deribit import chains, replies
from deribit.clocks import SystemClock
from deribit.envelope import row_about
from deribit.error_codes import TOKEN_CODES
from deribit.failures import outcome_after
from deribit.history import charts
from deribit.kill_file import kill_note_of
from deribit.order_messages import edit_params, order_params, read_receipt
from deribit.replies import Row, rows
from deribit.unexpected import UnexpectedReplies
from deribit.vocabulary import MarginQuote, ms_from_utc
from deribit.wire import JsonRpc, Reader
from models import (
    AgentError,
    ApiCall,
    Clock,
    CoinAccount,
    DeribitError,
    Fill,
    LedgerEntry,
    LedgerTooLongError,
    OptionInstrument,
    Order,
    OrderLog,
    OrderReceipt,
    OrderRequest,
    PriceBar,
    RawPosition,
    RequestRefusedError,
    Ticker,
)

MAX_LEDGER_PAGES = 10

Result = TypeVar("Result")


class DeribitClient(OrderGate):
    """One connection to one exchange. Not thread-safe; the agent uses one at a time.

    `transport` puts another exchange (paper, simulated, recorded) in place of the network. Without an `order_log`
    no order can be sent. `credentials` replace the configured key (a paper account never sees the real one).
    `unexpected` is shown every reply.
    Methods raise the errors of models.py, never httpx's own.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
        order_log: OrderLog | None = None,
        credentials: tuple[str, str] | None = None,
        unexpected: UnexpectedReplies | None = None,
    ) -> None:
        super().__init__(config, order_log)
        self._rpc = JsonRpc(config, transport, SystemClock() if clock is None else clock, credentials, unexpected)

    def close(self) -> None:
        self._rpc.close()

    def begin_iteration(self) -> None:
        """Limit requests and orders from here on, until end_iteration."""
        self._rpc.begin_counting()
        self._limit_orders()

    def end_iteration(self) -> tuple[ApiCall, ...]:
        """Lift the limits; the calls that were made, for the log."""
        self._lift_limit()
        return self._rpc.end_counting()

    def server_now(self) -> datetime:
        """The exchange's time, carried on from the last reply; the local clock until there was one."""
        return self._rpc.server_clock.now()

    @property
    def clock(self) -> Clock:
        return self._rpc.clock

    @property
    def granted_scope(self) -> str:
        """The rights of the key, as the exchange said when it gave out the token; empty until then."""
        return self._rpc.granted_scope

    @property
    def requests_made(self) -> int:
        """Requests since the iteration began, retries included."""
        return self._rpc.requests_sent

    def authenticate(self) -> None:
        """Get a token; raises AuthenticationError where the key is missing or not accepted."""
        self._rpc.authenticate()

    @property
    def fatal_answer(self) -> AgentError | None:
        """The answer after which nothing private is sent any more, None where there was none."""
        return self._rpc.fatal_answer

    def repeats_fatal_answer(self) -> bool:
        """Ask once more; where the answer is another one, requests go out again."""
        return self._rpc.repeats_fatal_answer()

    def kill_note(self) -> str | None:
        """What a kill file says, None where there is none. One that cannot be looked at counts as there."""
        return kill_note_of(self._config)

    # --- public -------------------------------------------------------------

    def get_time(self) -> datetime:
        return self._read("public/get_time", {}, replies.utc_from_ms)

    def get_locked_status(self) -> str:
        """\"false\" when trading is open, else "true" or "partial"."""
        return self._read("public/status", {}, lambda result: str(Row(result).need("locked")).lower())

    def get_index_price(self, currency: str) -> float:
        """Index in USD, always above zero."""
        params = {"index_name": f"{currency.lower()}_usd"}
        return self._read("public/get_index_price", params, replies.read_index_price)

    def get_instruments(self, currency: str) -> Listing:
        """All live coin-settled options of a currency."""
        params = {"currency": currency, "kind": "option", "expired": False}
        return listing_of(self._read("public/get_instruments", params, replies.read_instruments))

    def get_instrument(self, symbol: str) -> OptionInstrument | None:
        """One instrument, also an expired one; None where it is not a plain BTC or ETH option."""
        params = {"instrument_name": symbol}
        return self._read(
            "public/get_instrument", params, lambda result: replies.read_instrument(row_about(symbol, result))
        )

    def get_book_summaries(self, currency: str) -> Quotes:
        """The whole option chain in one request."""
        params = {"currency": currency, "kind": "option"}
        return self._read("public/get_book_summary_by_currency", params, chains.read_quotes)

    def get_ticker(self, symbol: str) -> Ticker:
        params = {"instrument_name": symbol}
        return self._read("public/ticker", params, lambda result: replies.read_ticker(row_about(symbol, result)))

    def get_bars(self, currency: str, start_at: datetime, end_at: datetime, minutes: int = 60) -> tuple[PriceBar, ...]:
        """Closes of the coin's perpetual, oldest first; empty where the exchange has none."""
        perpetual, width = f"{currency}-PERPETUAL", timedelta(minutes=minutes)
        params = {"instrument_name": perpetual, "resolution": str(minutes), **_time_span(start_at, end_at)}
        method = "public/get_tradingview_chart_data"
        return self._read(method, params, lambda result: charts.read_bars(Row(result), width, end_at))

    def get_index_levels(self, currency: str, reach: str) -> tuple[PriceBar, ...]:
        """The index over the last hour, day, two days, month or year ("1h", "1d", "2d", "1m", "1y"), oldest first."""
        params = {"index_name": f"{currency.lower()}_usd", "range": reach}
        return self._read("public/get_index_chart_data", params, charts.read_index_levels)

    def get_dvol(self, currency: str, start_at: datetime, end_at: datetime) -> float | None:
        """Deribit's volatility index at its last hourly close, as a fraction; None where there is none."""
        params = {"currency": currency, "resolution": "3600", **_time_span(start_at, end_at)}
        return self._read("public/get_volatility_index_data", params, replies.read_dvol)

    def get_dvol_days(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[PriceBar, ...]:
        """Its daily closes, as fractions, oldest first; that of the running day is the one now."""
        params = {"currency": currency, "resolution": "1D", **_time_span(start_at, end_at)}
        read = partial(charts.read_dvol_days, now=end_at)
        return self._read("public/get_volatility_index_data", params, read)

    # --- private reads --------------------------------------------------------

    def get_open_orders(self) -> tuple[Order, ...]:
        """All resting orders of the account, of every kind and currency, whoever placed them."""
        return self._read("private/get_open_orders", {}, _each(self._read_any_order))

    def _read_any_order(self, row: Row) -> Order:
        log = self._order_log
        return replies.read_open_order(row, lambda label: log is not None and log.knows(label))

    def get_positions(self) -> tuple[RawPosition, ...]:
        """All positions of the account that are not flat, of every kind."""
        found = self._read("private/get_positions", {"currency": "any"}, _each(replies.read_position))
        return tuple(position for position in found if position.size != 0.0)

    def get_account_summaries(self) -> tuple[CoinAccount, ...]:
        """The BTC and ETH accounts."""
        return self._read("private/get_account_summaries", {"extended": False}, replies.read_accounts)

    def get_account_summary(self, currency: str) -> CoinAccount:
        params = {"currency": currency}
        return self._read("private/get_account_summary", params, lambda result: replies.read_account(Row(result)))

    def get_order_state(self, order_id: str) -> Order:
        params = {"order_id": order_id}
        return self._read("private/get_order_state", params, lambda result: replies.read_order(Row(result)))

    def get_orders_by_label(self, currency: str, label: str) -> tuple[Order, ...]:
        """Recent orders with this label. Empty proves nothing for orders older than 30 minutes."""
        params = {"currency": currency, "label": label}
        return self._read("private/get_order_state_by_label", params, _each(self._read_any_order))

    def get_trades_of_order(self, order_id: str) -> tuple[Fill, ...]:
        params = {"order_id": order_id}
        return self._read("private/get_user_trades_by_order", params, replies.read_trades)

    def get_margins(self, symbol: str, amount_coin: float, price_coin: float) -> MarginQuote:
        params = {"instrument_name": symbol, "amount": amount_coin, "price": price_coin}
        return self._read("private/get_margins", params, lambda result: replies.read_margins(Row(result)))

    def get_transaction_log(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[LedgerEntry, ...]:
        """What moved the balance in a time span, oldest first: trades, deliveries, transfers.

        Raises LedgerTooLongError where that is more than MAX_LEDGER_PAGES pages: ask for a shorter span.
        """
        params: dict[str, Any] = {"currency": currency, "count": 250, **_time_span(start_at, end_at)}

        def read_page(result: Any) -> tuple[tuple[LedgerEntry, ...], Any]:
            return replies.read_ledger(Row(result), currency), Row(result).said("continuation")

        entries: list[LedgerEntry] = []
        for _ in range(MAX_LEDGER_PAGES):
            page, continuation = self._read("private/get_transaction_log", params, read_page)
            entries += page
            if continuation is None:
                return tuple(sorted(entries, key=lambda entry: entry.booked_at))
            params["continuation"] = continuation
        raise LedgerTooLongError(f"the transaction log of {currency} has more than {MAX_LEDGER_PAGES} pages")

    # --- orders ---------------------------------------------------------------

    def cancel_order(self, order_id: str) -> OrderReceipt:
        """Take an order back. REJECTED (11044) means that it was no longer open: read it again.

        Asked once more where the token was lost: unlike an order, a cancel that arrives twice does no harm.
        """
        receipt = self._write("private/cancel", {"order_id": order_id})
        if receipt.refusal_code in TOKEN_CODES:
            receipt = self._write("private/cancel", {"order_id": order_id})
        return receipt

    def _send_order(self, request: OrderRequest, valid_until_ms: int) -> OrderReceipt:
        """The only way to an order: nothing else in the project names private/buy or private/sell."""
        params = order_params(request) | {"valid_until": valid_until_ms}
        return self._write("private/sell" if request.direction == "sell" else "private/buy", params)

    def _send_edit(self, order: Order, price_coin: float, valid_until_ms: int) -> OrderReceipt:
        return self._write("private/edit", edit_params(order, price_coin) | {"valid_until": valid_until_ms})

    @property
    def may_trade(self) -> bool:
        """Whether the key has the right to trade; assumed until the exchange has said so."""
        return not self.granted_scope or TRADING_SCOPE in self.granted_scope.split()

    def _login_problem(self) -> str | None:
        try:
            self._rpc.ensure_token()
        except DeribitError as error:
            return str(error)
        return None

    def _tell_log_problem(self, problem: str) -> None:
        self._rpc.calls.append(ApiCall(method="order_log", outcome=problem))

    def _write(self, method: str, params: dict[str, Any]) -> OrderReceipt:
        """One request that moves an order, put on the wire once; what is known afterwards."""
        problem = self._login_problem()
        if problem is not None:
            return self._failed_write(method, not_sent(problem))
        try:
            receipt = self._rpc.send_once(method, params, read_receipt)
        except DeribitError as error:
            code = error.code if isinstance(error, RequestRefusedError) else None
            receipt = OrderReceipt(outcome=outcome_after(error), error=str(error), refusal_code=code)
            return self._failed_write(method, receipt)
        order = None if receipt.order is None else receipt.order.model_dump(mode="json")
        self._rpc.calls.append(ApiCall(method=method, outcome=receipt.outcome, detail={"order": order}))
        return receipt

    def _failed_write(self, method: str, receipt: OrderReceipt) -> OrderReceipt:
        self._rpc.calls.append(ApiCall(method=method, outcome=f"{receipt.outcome}: {receipt.error}"[:300]))
        return receipt

    def _read(self, method: str, params: dict[str, Any], reader: Reader[Result]) -> Result:
        return self._rpc.read(method, params, reader)


def _time_span(start_at: datetime, end_at: datetime) -> dict[str, Any]:
    return {"start_timestamp": ms_from_utc(start_at), "end_timestamp": ms_from_utc(end_at)}


def _each(reader: Callable[[Row], Result]) -> Reader[tuple[Result, ...]]:
    return lambda result: tuple(reader(row) for row in rows(result))
