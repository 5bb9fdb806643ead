"""What the fuzz asks the client for, and whole replies to it: the paper exchange's own and those recorded from Deribit.

In: the recordings, where they are there. Out: `CALLS`, every public method of the client by name with the method it
asks the exchange with, and `samples`, undamaged replies by that method. No network; nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

import httpx

from deribit_client import DeribitClient
from models import AgentError
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.transport import PaperTransport
from tests.builders.agent import an_order_request
from tests.builders.configs import a_config
from tests.builders.paper import CALL, RECORDED, START, account_short, place
from tests.builders.states import an_order
from tests.campaign.canary.canary import CREDENTIALS
from tests.campaign.fuzz.reply_mutations import MARKER, Reply

ROWS_KEPT = 3  # of a recorded list
HOUR = timedelta(hours=1)

Call = Callable[[DeribitClient], object]


def _log_in_and_read(client: DeribitClient) -> object:
    """The token is first used in the request after it."""
    client.authenticate()
    return client.get_positions()


READS: dict[str, tuple[str, Call]] = {
    "get_time": ("public/get_time", lambda c: c.get_time()),
    "get_locked_status": ("public/status", lambda c: c.get_locked_status()),
    "get_index_price": ("public/get_index_price", lambda c: c.get_index_price("BTC")),
    "get_instruments": ("public/get_instruments", lambda c: dict(c.get_instruments("BTC").by_symbol)),
    "get_instrument": ("public/get_instrument", lambda c: c.get_instrument(CALL)),
    "get_book_summaries": ("public/get_book_summary_by_currency", lambda c: tuple(c.get_book_summaries("BTC").rows())),
    "get_ticker": ("public/ticker", lambda c: c.get_ticker(CALL)),
    "get_bars": ("public/get_tradingview_chart_data", lambda c: c.get_bars("BTC", START - 9 * HOUR, START)),
    "get_index_levels": ("public/get_index_chart_data", lambda c: c.get_index_levels("BTC", "1d")),
    "get_dvol": ("public/get_volatility_index_data", lambda c: c.get_dvol("BTC", START - 9 * HOUR, START)),
    "get_dvol_days": ("public/get_volatility_index_data", lambda c: c.get_dvol_days("BTC", START - 99 * HOUR, START)),
    "authenticate": ("public/auth", _log_in_and_read),
    "get_open_orders": ("private/get_open_orders", lambda c: c.get_open_orders()),
    "get_positions": ("private/get_positions", lambda c: c.get_positions()),
    "get_account_summaries": ("private/get_account_summaries", lambda c: c.get_account_summaries()),
    "get_account_summary": ("private/get_account_summary", lambda c: c.get_account_summary("BTC")),
    "get_order_state": ("private/get_order_state", lambda c: c.get_order_state("1")),
    "get_orders_by_label": ("private/get_order_state_by_label", lambda c: c.get_orders_by_label("BTC", "cc-1")),
    "get_trades_of_order": ("private/get_user_trades_by_order", lambda c: c.get_trades_of_order("1")),
    "get_margins": ("private/get_margins", lambda c: c.get_margins(CALL, 1.0, 0.02)),
    "get_transaction_log": (
        "private/get_transaction_log",
        lambda c: c.get_transaction_log("BTC", START - 9 * HOUR, START),
    ),
}
WRITES: dict[str, tuple[str, Call]] = {
    "place_limit_order": ("private/sell", lambda c: c.place_limit_order(an_order_request())),
    "buy_back": (
        "private/buy",
        lambda c: c.place_limit_order(an_order_request(direction="buy", reduce_only=True, label="cc-2-buy")),
    ),
    "edit_order": ("private/edit", lambda c: c.edit_order(an_order(CALL), 0.03, c.server_now())),
    "cancel_order": ("private/cancel", lambda c: c.cancel_order("1")),
}
CALLS = READS | WRITES
# What a recording's name says, where it is not the method that the client asks with.
RECORDED_AS = {
    "private/get_open_orders_by_instrument": ("private/get_open_orders",),
    "private/get_user_trades_by_instrument": ("private/get_user_trades_by_order",),
    "private/buy": ("private/buy", "private/sell"),
    "private/get_order_state": ("private/get_order_state", "private/get_order_state_by_label"),
}


# --- undamaged replies -------------------------------------------------------------------------------------


@lru_cache
def samples() -> dict[str, list[Reply]]:
    """Whole replies by method: the paper exchange's own first, then the recorded ones where they are there."""
    found = {method: list(replies) for method, replies in paper_samples().items()}
    for method, reply in recorded_samples():
        for name in RECORDED_AS.get(method, (method,)):
            if name in found:
                found[name].append(reply)
            elif method == "error":
                found = {each: [*replies, reply] for each, replies in found.items()}
    return found


@lru_cache
def paper_samples() -> dict[str, list[Reply]]:
    """One reply of the paper exchange to each call, from an account with orders, trades and a position."""
    market, account = account_short(1.0)
    order = place(account, "sell", 1.0, 0.04, label="cc-1")
    exchange = PaperExchange(market, account, credentials=CREDENTIALS)
    kept: dict[str, list[Reply]] = {}

    def keep(request: httpx.Request) -> httpx.Response:
        response = PaperTransport(exchange).handle_request(request)
        method = request.url.path.removeprefix("/api/v2/")
        kept.setdefault(method, []).append(_sample(json.loads(response.read()), response.status_code))
        return response

    client = new_client(httpx.MockTransport(keep))
    client.get_order_state(order.order_id)
    client.get_trades_of_order(account.state.trades[0].order_id)
    client.edit_order(an_order(CALL, order_id=order.order_id, amount_coin=1.0), 0.03, client.server_now())
    client.cancel_order(order.order_id)
    for _, call in CALLS.values():
        try:
            call(client)
        except AgentError:
            continue  # a refusal is a reply too
    return kept


def recorded_samples() -> Iterator[tuple[str, Reply]]:
    """(method, reply) of each recording; long lists cut to a few rows."""
    for path in sorted(RECORDED.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        status = content.get("http_status", 200) if isinstance(content, dict) else 200
        content = content["body"] if isinstance(content, dict) and "body" in content else content
        if not (isinstance(content, dict) and "jsonrpc" in content):
            content = {"jsonrpc": "2.0", "result": content}
        if isinstance(content.get("result"), list):
            content["result"] = content["result"][:ROWS_KEPT]
        method = path.name.partition("__")[0].replace("_", "/", 1)
        if path.name.startswith("public_ticker__10"):
            content["result"] = content["result"][0]
        yield method, _sample(content, status)


def _sample(content: dict[str, Any], status: int) -> Reply:
    """As if it had just been asked for, on testnet."""
    now_us = int(START.timestamp() * 1e6)
    frame = {"id": MARKER, "usIn": now_us, "usOut": now_us, "usDiff": 0, "testnet": True}
    return Reply(json.dumps(content | frame).encode(), status)


class NoOrderLog:
    """Takes every line and keeps none."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Taken."""

    def note(self, record: Mapping[str, Any]) -> str | None:
        """Taken."""

    def knows(self, label: str) -> bool:
        return False


def new_client(transport: httpx.BaseTransport) -> DeribitClient:
    """A client that may send orders and writes nothing down."""
    return DeribitClient(
        a_config(),
        transport=transport,
        clock=SimulatedClock(START),
        order_log=NoOrderLog(),
        credentials=CREDENTIALS,
    )
