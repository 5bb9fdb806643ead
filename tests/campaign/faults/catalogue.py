"""All rows of the fault catalogue: what each is, where it is injected, and how often it is drawn there.

In: a method. Out: the rows that can happen to a request of it, with weights. `how` says who injects a row: "call"
(the fault layer, one request), "spell" (the fault layer, for a while), "act" (the world, between or during
iterations), "disk", "crash", "schedule" (a property of the whole schedule), "observed" (it happens by itself and is
counted), "scenario" (`live/`: the real thing, in small). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from tests.campaign.faults.exchange_rows import EXCHANGE
from tests.campaign.faults.machine_rows import MACHINE
from tests.campaign.faults.market_rows import MARKET
from tests.campaign.faults.spells import SPELLS
from tests.campaign.faults.transport_rows import TRANSPORT, Injection

AUTH = frozenset({"public/auth"})
PUBLIC = frozenset(
    f"public/{name}"
    for name in (
        "status",
        "get_index_price",
        "get_book_summary_by_currency",
        "get_instruments",
        "get_instrument",
        "ticker",
    )
) | {"public/get_index_chart_data", "public/get_tradingview_chart_data", "public/get_volatility_index_data"}
ORDERS = frozenset({"private/buy", "private/sell", "private/edit"})
NEW_ORDERS = frozenset({"private/buy", "private/sell"})
CANCEL = frozenset({"private/cancel"})
WRITES = ORDERS | CANCEL
LOOK_UPS = frozenset(
    f"private/{name}" for name in ("get_order_state", "get_order_state_by_label", "get_user_trades_by_order")
)
READS = (
    frozenset(f"private/{name}" for name in ("get_open_orders", "get_positions", "get_account_summaries"))
    | {"private/get_account_summary", "private/get_transaction_log"}
    | LOOK_UPS
)
PRIVATE = READS | WRITES
ALL = AUTH | PUBLIC | PRIVATE
CHAIN = frozenset({"public/get_book_summary_by_currency"})
TICKER = frozenset({"public/ticker"})
QUOTES = CHAIN | TICKER
TERMS = frozenset({"public/get_instruments", "public/get_instrument"})
INDEX = frozenset({"public/get_index_price"})
# Few requests are of these kinds: they meet faults more often, or some pair of row and site would never fire.
RARE = (
    WRITES
    | LOOK_UPS
    | AUTH
    | frozenset({"public/get_instrument", "public/get_instruments", "private/get_transaction_log"})
)
RAREST = frozenset({"private/buy", "private/get_order_state"})
# The least weight of a transport fault at a site, so that every pair of the two fires often enough: the fewer requests
# there are of a kind, the more. No more than that, as the faults that end the process end what else was to be tested.
LEAST_WEIGHT: Mapping[str, float] = {
    **dict.fromkeys(WRITES | LOOK_UPS | {"public/status", "public/ticker", "private/get_account_summary"}, 0.8),
    "private/buy": 1.2,
    "private/get_order_state_by_label": 0.3,
    **dict.fromkeys(("public/get_instrument", "public/get_instruments", "private/get_transaction_log"), 0.2),
    **dict.fromkeys(("public/get_tradingview_chart_data", "public/get_volatility_index_data"), 0.25),
    "public/get_index_chart_data": 0.25,
    "public/auth": 0.1,
}


@dataclass(frozen=True)
class Row:
    """One row of the catalogue. `weight` is relative to the other rows of the same site."""

    id: str
    text: str
    how: str
    sites: frozenset[str] = frozenset()
    weight: float = 1.0


ENDS_THE_PROCESS = 0.06  # such rows are drawn seldom: a schedule that only restarts tests nothing else
EXPENSIVE = 0.15


def _rows() -> dict[str, Row]:
    table = [
        Row("T01", "DNS failure", "call", ALL),
        Row("T02", "connection refused", "call", ALL),
        Row("T03", "connect or pool timeout", "call", ALL),
        Row("T04", "TLS certificate not valid", "call", ALL, ENDS_THE_PROCESS),
        Row("T05", "write timeout or reset in mid-request", "call", ALL),
        Row("T06", "read timeout, request carried out", "call", ALL, 1.5),
        Row("T07", "read timeout, request lost", "call", ALL),
        Row("T08", "request arrives 12 to 700 s after the client gave up", "call", WRITES, 1.5),
        Row("T09", "server closes after reading", "call", ALL),
        Row("T10", "reset after reading", "call", ALL, 1.5),
        Row("T11", "half a body", "call", ALL),
        Row("T12", "a byte every 100 ms", "call", ALL, EXPENSIVE),
        Row("T13", "100 MB body, zip bomb", "call", ALL, EXPENSIVE),
        Row("T14", "bad gzip", "call", ALL),
        Row("T15", "HTML 502, 503, 504", "call", ALL),
        Row("T16", "200 with HTML", "call", ALL),
        Row("T17", "200 with an empty body", "call", ALL),
        Row("T18", "JSON, but no object", "call", ALL),
        Row("T19", "neither result nor error", "call", ALL),
        Row("T20", "both result and error", "call", ALL),
        Row("T21", "answer to another request", "call", ALL),
        Row("T22", "duplicate keys, NaN, 1e999, deep nesting", "call", ALL),
        Row("T23", "redirect to another host", "call", ALL, ENDS_THE_PROCESS),
        Row("T24", "proxy variables set", "scenario"),
        Row("T25", "idle keep-alive closed by the server", "scenario"),
        Row("T26", "429 from a gateway, the request carried out or not", "call", ALL),
        Row("T27", "401, 403, 405 from a gateway, the request carried out or not", "call", ALL),
        Row("T28", "9.9 s for every reply", "spell", ALL, 0.5),
        Row("T29", "order reply after 9.9 s but valid", "call", WRITES),
        Row("T30", "request delivered twice", "call", WRITES, 0.6),
        Row("X01", "10009 not enough funds", "call", ORDERS),
        Row("X02", "unknown instrument", "call", ORDERS | TICKER | TERMS),
        Row("X03", "wrong tick", "call", ORDERS),
        Row("X04", "wrong amount", "call", ORDERS),
        Row("X05", "order at another price than asked", "call", ORDERS),
        Row("X06", "10028 for a minute", "spell", ALL, 0.4),
        Row("X07", "10040, 10047, 10066", "call", PRIVATE | PUBLIC),
        Row("X08", "13888 on an order", "call", ORDERS),
        Row("X09", "token ended", "call", PRIVATE),
        Row("X10", "maintenance, locked", "spell", PRIVATE | frozenset({"public/status"}), 0.4),
        Row("X11", "settlement in progress", "spell", PRIVATE, 0.5),
        Row("X12", "a held call settles before the request arrives", "call", WRITES | TICKER, 0.6),
        Row("X13", "settled in the money: a short future for a while", "act", frozenset({"private/get_positions"})),
        Row("X14", "partial fill", "observed", NEW_ORDERS),
        Row("X15", "roll: closed, the new call refused", "call", frozenset({"private/sell"}), 2.0),
        Row("X16", "roll: the outcome of the buy-back unknown", "call", frozenset({"private/buy"}), 2.0),
        Row("X17", "cancel of an order that was filled meanwhile", "call", CANCEL, 3.0),
        Row("X18", "outcome of a cancel unknown", "call", CANCEL),
        Row("X19", "fill between open orders and positions", "call", frozenset({"private/get_positions"}), 3.0),
        Row("X20", "positions lag behind fills", "act", frozenset({"private/get_positions"})),
        Row("X21", "foreign order", "act"),
        Row("X22", "foreign position", "act"),
        Row("X23", "half the balance withdrawn", "act"),
        Row("X24", "accepted, and ended in the same reply", "call", NEW_ORDERS),
        Row("X25", "unknown order state", "call", WRITES | LOOK_UPS | frozenset({"private/get_open_orders"})),
        Row("X26", "open orders in pages", "call", frozenset({"private/get_open_orders"})),
        Row("X27", "field missing, renamed, of another type, new", "call", ALL, 2.0),
        Row("X28", "positions empty once", "call", frozenset({"private/get_positions"}), 2.0),
        Row("X29", "instruments empty or tenfold", "call", frozenset({"public/get_instruments"})),
        Row("X30", "label look-up empty for an old order", "observed", frozenset({"private/get_order_state_by_label"})),
        Row("X31", "two orders of one label", "call", frozenset({"private/get_order_state_by_label"}), 2.0),
        Row("X32", "price adjusted by the venue", "call", NEW_ORDERS),
        Row("X33", "testnet wiped", "act"),
        Row("X34", "scope missing", "spell", AUTH, 0.5),
        Row("X35", "margin call, liquidation", "call", frozenset({"private/get_account_summaries"})),
        Row(
            "X36",
            "trades twice and out of order",
            "call",
            frozenset({"private/get_user_trades_by_order"}) | {"private/get_transaction_log"},
            2.0,
        ),
        Row("X37", "foreign order on a combo, a USDC option, a future, spot", "act"),
        Row("X38", "foreign orders lack fields, for good", "act"),
        Row("X39", "foreign label that begins as ours do", "act"),
        Row("X40", "every private read is half a minute behind", "act", READS),
        Row("X41", "more than ten pages of ledger at once", "act", frozenset({"private/get_transaction_log"})),
        Row("X42", "fields that nobody has met, beside a result and in it", "scenario"),
        Row("M01", "no bid", "call", QUOTES),
        Row("M02", "no ask", "call", QUOTES),
        Row("M03", "no prices at all", "call", QUOTES),
        Row("M04", "greeks or volatility absent or absurd", "call", QUOTES),
        Row("M05", "mark absent, zero, negative", "call", QUOTES),
        Row("M06", "crossed or locked book", "call", QUOTES),
        Row("M07", "spread of a tick, or of five coins", "call", QUOTES),
        Row("M08", "quote ten minutes old, or of the next hour", "call", QUOTES),
        Row("M09", "index jumps by 30 % and back", "call", INDEX | TICKER),
        Row("M10", "index zero, null, text", "call", INDEX | TICKER),
        Row("M11", "instrument closed, halted, expired", "call", TERMS | TICKER),
        Row("M12", "terms differ from the name", "call", TERMS),
        Row("M13", "contract size not one", "call", TERMS),
        Row("M14", "linear options in the list", "call", frozenset({"public/get_instruments"}) | CHAIN),
        Row("M15", "five thousand rows", "call", frozenset({"public/get_instruments"}) | CHAIN, 0.08),
        Row("M16", "prices that overflow", "call", CHAIN),
        Row("P01", "killed", "crash"),
        Row("P02", "asked to stop", "act"),
        Row("P03", "second instance", "scenario"),
        Row("P04", "stale lock", "scenario"),
        Row("P05", "policy raises or returns garbage", "act"),
        Row("P06", "memory or recursion error in parsing", "call", ALL, 0.5),
        Row("P07", "stdout closed", "scenario"),
        Row("P08", "suspended for six hours", "call", ALL, 0.04),
        Row("P09", "dependency missing", "scenario"),
        Row("P10", "folder cannot be written", "scenario"),
        Row("P11", "restarted again and again", "act"),
        Row("P12", "policy changes the process, or raises what cannot be told", "act"),
        Row("D01", "disk full on an intent", "disk"),
        Row("D02", "disk full on an iteration's line", "disk"),
        Row("D03", "fsync fails", "disk"),
        Row("D04", "short write", "disk"),
        Row("D05", "log deleted, renamed, emptied while running", "disk"),
        Row("D06", "torn last line at the start", "disk"),
        Row("D07", "middle of a log corrupted", "disk"),
        Row("D08", "2 GB log", "scenario"),
        Row("D09", "fsync takes 30 s", "disk"),
        Row("D10", "folder, pipe or device at the log's path", "scenario"),
        Row("D11", "all logs gone between a kill with an order in flight and the start", "act"),
        Row("C01", "local clock wrong or drifting", "schedule"),
        Row("C02", "local clock steps back an hour", "act"),
        Row("C03", "server time jumps, is missing or absurd", "call", ALL),
        Row("C04", "local time zone", "scenario"),
        Row("C05", "iteration longer than the interval", "observed"),
        Row("C06", "year end, leap day", "schedule"),
        Row("R01", "kill file appears between check and order", "act"),
        Row("R02", "kill file is a folder", "act"),
        Row("R03", ".env edited while running", "scenario"),
        Row("R04", "policy file replaced while running", "scenario"),
        Row("R05", "hostile text in an error message", "call", ALL, 0.3),
        Row("R06", "kill file appears while an order rests", "act"),
    ]
    return {row.id: row for row in table}


ROWS: Mapping[str, Row] = _rows()
CALL_ROWS: Mapping[str, Injection] = TRANSPORT | EXCHANGE | MARKET | MACHINE | SPELLS


@cache
def rows_at(site: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The rows that can be drawn for a request of a method, and their weights summed up to 1."""
    found = [row for row in ROWS.values() if site in row.sites and row.id in CALL_ROWS]
    weights = [_weight_at(row, site) for row in found]
    sums = [so_far / sum(weights) for so_far in accumulate(weights)]
    return tuple(row.id for row in found), tuple(sums)


def _weight_at(row: Row, site: str) -> float:
    return max(row.weight, LEAST_WEIGHT.get(site, 0.0)) if row.id in TRANSPORT else row.weight


def transport_pairs() -> list[tuple[str, str]]:
    """Every pair of a transport row and a call site that has to fire."""
    return [(row.id, site) for row in ROWS.values() if row.id in TRANSPORT for site in sorted(row.sites)]
