"""How each method is asked for a span: its own rule of pages, and what to doubt in its answers.

In: a client, a coin, a span in ms. Out: rows of text as they will stand in the file, and doubts. Deribit cuts answers
without a word, so only data that reaches the end is believed to be the end: an empty page where data should be is
asked for again after a pause, and doubted if it stays empty. Talks to Deribit through the client.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import partial
from typing import NamedTuple, TypeVar

from backtest.download import client as deribit
from backtest.download import rows
from backtest.download.client import PublicClient, Question
from backtest.download.rows import Row, Trade, iso
from deribit.replies import Row as Reply
from paper_exchange.market.clocks import HOUR_MS

EMPTY_ATTEMPTS = 3
EMPTY_PAUSE_SECONDS = 5.0
TRADES_A_PAGE = 1_000
PRICES_A_PAGE = 1_000
MOST_PAGES = 10_000  # of one span; a server that never ends is not followed for ever

Answer = TypeVar("Answer", bound=Sized)
Item = TypeVar("Item")


class Span(NamedTuple):
    """From `start_ms` up to, but not including, `end_ms`."""

    start_ms: int
    end_ms: int


class Fetched(NamedTuple):
    """Rows of a span, in no order and perhaps twice, and sentences on what may be missing."""

    rows: list[Row]
    doubts: tuple[str, ...] = ()


Fetcher = Callable[[PublicClient, str, Span], Fetched]


# --- candles and DVOL: cut at the front -----------------------------------------------------------


def fetch_candles(client: PublicClient, coin: str, span: Span) -> Fetched:
    """Hourly candles of the perpetual; an answer holds the last 5,001 or so of the span, whatever was asked for."""

    def read(start_ms: int, end_ms: int) -> dict[int, Row]:
        asked = {"instrument_name": f"{coin}-PERPETUAL", "resolution": "60"}
        return rows.read_candles(client.ask(deribit.CANDLES, asked | _times(start_ms, end_ms)))

    return _backwards(client, span, read)


def fetch_dvol(client: PublicClient, coin: str, span: Span) -> Fetched:
    """Hourly DVOL in percent, the last 900 or so of the span.

    `continuation` is no more than the time of the oldest bar, and null proves nothing: the oldest bar itself leads on.
    """

    def read(start_ms: int, end_ms: int) -> dict[int, Row]:
        asked = {"currency": coin, "resolution": "3600"}
        return rows.read_dvol(client.ask(deribit.DVOL, asked | _times(start_ms, end_ms)))

    return _backwards(client, span, read)


def _backwards(client: PublicClient, span: Span, read: Callable[[int, int], dict[int, Row]]) -> Fetched:
    """Page from the end to the start, until the first hour of the span is there or nothing older comes."""
    found: dict[int, Row] = {}
    oldest_ms = span.end_ms
    while oldest_ms >= span.start_ms + HOUR_MS:
        page = _asked_until_filled(client, partial(read, span.start_ms, oldest_ms))
        inside = {time_ms: row for time_ms, row in page.items() if span.start_ms <= time_ms < oldest_ms}
        if len(inside) == 0:
            doubt = f"nothing came before {iso(oldest_ms)}, wanted from {iso(span.start_ms)}"
            return Fetched(list(found.values()), (doubt,))
        found |= inside
        oldest_ms = min(inside)
    return Fetched(list(found.values()))


# --- trades: oldest first, by time ----------------------------------------------------------------


class _Page(list[Item]):
    """What came, and whether the exchange says that more follow."""

    has_more = False


def fetch_trades(client: PublicClient, coin: str, span: Span) -> Fetched:
    """Option trades; several share a millisecond, so the next page starts at the last time seen, not after it."""
    found: dict[str, Row] = {}
    doubt = f"no end after {MOST_PAGES} pages"
    start_ms = span.start_ms
    for _ in range(MOST_PAGES):
        page = _asked_until_filled(client, partial(_trade_page, client, coin, Span(start_ms, span.end_ms)))
        known = len(found)
        found |= {trade.trade_id: trade.row for trade in page}
        if len(page) > 0 and not page.has_more:
            return Fetched(list(found.values()))
        if len(found) == known:
            doubt = f"nothing new came after {iso(start_ms)}, where more trades should be"
            break
        start_ms = max(trade.time_ms for trade in page)
    return Fetched(list(found.values()), (doubt,))


def _trade_page(client: PublicClient, coin: str, span: Span) -> _Page[Trade]:
    asked: dict[str, str | int] = {"currency": coin, "kind": "option", "count": TRADES_A_PAGE, "sorting": "asc"}
    result = client.ask(deribit.TRADES, asked | _times(span.start_ms, span.end_ms))
    trades = rows.read_trades(result)
    page = _Page(trade for trade in trades if span.start_ms <= trade.time_ms < span.end_ms)
    # Of a full page the rest is asked for, whatever the exchange says.
    page.has_more = Reply(result).get("has_more") is True or len(trades) >= TRADES_A_PAGE
    return page


# --- delivery prices by offset, instruments whole ---------------------------------------------------


def fetch_delivery_prices(client: PublicClient, coin: str, _span: Span) -> Fetched:
    """All there are, whatever the span: pages by offset until as many came as the exchange says it has."""
    found: dict[str, Row] = {}
    offset = 0
    while True:
        page = _asked_until_filled(client, partial(_price_page, client, coin, offset))
        found |= {row[0]: row for row in page}
        offset += len(page)
        if len(page) == 0:
            return Fetched(list(found.values()), (f"an empty page after {offset} delivery prices",))
        if not page.has_more:
            return Fetched(list(found.values()))


def _price_page(client: PublicClient, coin: str, offset: int) -> _Page[Row]:
    asked: dict[str, str | int] = {"index_name": f"{coin.lower()}_usd", "offset": offset, "count": PRICES_A_PAGE}
    result = client.ask(deribit.DELIVERY_PRICES, asked)
    page = _Page(rows.read_delivery_prices(result))
    page.has_more = offset + len(page) < rows.whole(Reply(result).need("records_total"))
    return page


def fetch_instruments(client: PublicClient, coin: str, _span: Span) -> Fetched:
    """Every option there was, whatever the span: listed ones from the main host, expired ones from the history host."""
    listed = _asked_until_filled(client, partial(_instruments, client, deribit.LISTED_INSTRUMENTS, coin, "false"))
    expired = _asked_until_filled(client, partial(_instruments, client, deribit.EXPIRED_INSTRUMENTS, coin, "true"))
    named = (("listed", listed), ("expired", expired))
    return Fetched(listed + expired, tuple(f"no {name} options came" for name, options in named if len(options) == 0))


def _instruments(client: PublicClient, question: Question, coin: str, expired: str) -> list[Row]:
    return rows.read_instruments(client.ask(question, {"currency": coin, "kind": "option", "expired": expired}))


# --- asking ------------------------------------------------------------------------------------------


def _asked_until_filled(client: PublicClient, ask: Callable[[], Answer]) -> Answer:
    """The first answer with anything in it, or the last of EMPTY_ATTEMPTS empty ones."""
    answer = ask()
    for _ in range(EMPTY_ATTEMPTS - 1):
        if len(answer) > 0:
            break
        client.clock.sleep(EMPTY_PAUSE_SECONDS)
        answer = ask()
    return answer


def _times(start_ms: int, end_ms: int) -> dict[str, str | int]:
    """Deribit's spans hold their end, ours do not."""
    return {"start_timestamp": start_ms, "end_timestamp": end_ms - 1}
