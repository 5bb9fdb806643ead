"""Market data that lies or is broken, rows M01 to M16 and C03 of the catalogue: changed replies of public methods.

In: a Fault. Out: the exchange's own reply, changed: chain rows, tickers, instruments, the index, the time of the reply.
Options' prices in coin, the index in USD. A change hits one row or all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.campaign.faults.exchange_rows import changed, replaced
from tests.campaign.faults.transport_rows import Fault, Injection

TICKER_NAMES = {"bid_price": "best_bid_price", "ask_price": "best_ask_price", "last": "last_price"}
TEN_MINUTES_MS = 600_000
HOUR_MS = 3_600_000
MANY_INSTRUMENTS = 5_000


def on_rows(change: Callable[[dict[str, Any], Fault], bool]) -> Injection:
    """The same change to one row of a list, to all of them, or to a single object."""

    def change_some(result: Any, fault: Fault) -> bool:
        rows = result if isinstance(result, list) else [result]
        if not rows:
            return False
        chosen = rows if fault.dice.random() < 0.5 else [fault.dice.choice(rows)]
        done = [change(row, fault) for row in chosen]
        return any(done)

    return changed(change_some)


def put(row: dict[str, Any], name: str, value: object) -> bool:
    """Set a field under the name it has in a chain or in a ticker; False where the row has no such field."""
    for known in (name, TICKER_NAMES.get(name, "")):
        if known in row:
            row[known] = value
            return True
    return False


def no_bid(row: dict[str, Any], fault: Fault) -> bool:
    return put(row, "bid_price", fault.dice.choice((None, 0, 0.0)))


def no_ask(row: dict[str, Any], fault: Fault) -> bool:
    return put(row, "ask_price", fault.dice.choice((None, 0, 0.0)))


def no_prices(row: dict[str, Any], fault: Fault) -> bool:
    done = [put(row, name, None) for name in ("bid_price", "ask_price", "last")]
    return any(done)


def bad_greeks(row: dict[str, Any], fault: Fault) -> bool:
    """A ticker's greeks, a chain's volatility, from which the agent makes its own."""
    if "greeks" in row:
        row["greeks"] = fault.dice.choice((None, {}, {"delta": 1.7}, {"delta": -0.2}, {"delta": "NaN"}))
        return True
    return put(row, "mark_iv", fault.dice.choice((None, 0, -50.0, "NaN", 1e9)))


def bad_mark(row: dict[str, Any], fault: Fault) -> bool:
    return put(row, "mark_price", fault.dice.choice((None, 0, 0.0, -0.01, "0.01")))


def crossed(row: dict[str, Any], fault: Fault) -> bool:
    """Bid above ask; or equal, which is allowed."""
    bid = row.get("bid_price", row.get("best_bid_price"))
    if not bid:
        return False
    return put(row, "ask_price", bid if fault.dice.random() < 0.3 else max(0.0001, round(bid * 0.5, 4)))


def odd_spread(row: dict[str, Any], fault: Fault) -> bool:
    """A spread of one tick, or one as wide as testnet shows."""
    if fault.dice.random() < 0.5:
        return put(row, "bid_price", 0.0001) and put(row, "ask_price", 5.0)
    return put(row, "bid_price", 0.0002) and put(row, "ask_price", 0.0003)


def bad_time(row: dict[str, Any], fault: Fault) -> bool:
    """Ten minutes old, or from the next hour."""
    name = "creation_timestamp" if "creation_timestamp" in row else "timestamp"
    if name not in row:
        return False
    row[name] += fault.dice.choice((-TEN_MINUTES_MS, HOUR_MS))
    return True


def index_jump(row: dict[str, Any], fault: Fault) -> bool:
    if "index_price" not in row:
        return False
    row["index_price"] *= fault.dice.choice((0.7, 1.3))
    return True


def bad_index(row: dict[str, Any], fault: Fault) -> bool:
    return put(row, "index_price", fault.dice.choice((0, None, "90000", -1.0, 1e400)))


def not_open(row: dict[str, Any], fault: Fault) -> bool:
    """Closed, halted, inactive, or past its expiry and still listed."""
    if "greeks" in row:
        return put(row, "state", fault.dice.choice(("closed", "halted")))
    kind = fault.dice.randrange(3)
    if kind == 0:
        row["is_active"] = False
    elif kind == 1:
        row["state"] = fault.dice.choice(("closed", "halted", "settlement"))
    else:
        row["expiration_timestamp"] = round(fault.time.now().timestamp() * 1e3) - HOUR_MS
    return True


def name_differs(row: dict[str, Any], fault: Fault) -> bool:
    """Strike or expiry in the name are not those of the fields."""
    if "strike" not in row:
        return False
    if fault.dice.random() < 0.5:
        row["strike"] *= 1.02
    else:
        row["expiration_timestamp"] += 7 * 24 * HOUR_MS
    return True


def other_contract_size(row: dict[str, Any], fault: Fault) -> bool:
    return put(row, "contract_size", fault.dice.choice((0.1, 10.0, 0, None)))


def linear_options(result: Any, fault: Fault) -> Any:
    """USDC-settled options in the same list."""
    if not result:
        return None
    foreign = {"quote_currency": "USDC", "settlement_currency": "USDC", "counter_currency": "USDC"}
    rows = [row | foreign | {"instrument_name": row["instrument_name"].replace("-", "_USDC-", 1)} for row in result[:4]]
    return rows + result


def too_many(result: Any, fault: Fault) -> Any:
    """Five thousand rows."""
    if not result:
        return None
    row = result[0]
    base, _, side = row["instrument_name"].rpartition("-")
    start = fault.dice.randrange(1_000, 9_000)
    return result + [row | {"instrument_name": f"{base}{start + n}-{side}"} for n in range(MANY_INSTRUMENTS)]


def huge_price(row: dict[str, Any], fault: Fault) -> bool:
    """A premium that overflows once it is multiplied by the index."""
    return put(row, "bid_price", 1e308) and put(row, "ask_price", 1e308) and put(row, "underlying_price", 1e300)


def bad_server_time(fault: Fault) -> httpx.Response:
    """The reply's own time is missing, absurd, or minutes away."""
    status, body = fault.deliver()
    reply = json.loads(body)
    kind = fault.dice.randrange(4)
    if kind == 0:
        del reply["usOut"]
    elif kind == 1:
        reply["usOut"] = fault.dice.choice(("soon", -1, 0, 10**30, 1.5, True))
    else:
        reply["usOut"] += fault.dice.choice((-1, 1)) * fault.dice.choice((90, 600, 86_400)) * 1_000_000
    return fault.reply(status, json.dumps(reply).encode())


MARKET: dict[str, Injection] = {
    "M01": on_rows(no_bid),
    "M02": on_rows(no_ask),
    "M03": on_rows(no_prices),
    "M04": on_rows(bad_greeks),
    "M05": on_rows(bad_mark),
    "M06": on_rows(crossed),
    "M07": on_rows(odd_spread),
    "M08": on_rows(bad_time),
    "M09": on_rows(index_jump),
    "M10": on_rows(bad_index),
    "M11": on_rows(not_open),
    "M12": on_rows(name_differs),
    "M13": on_rows(other_contract_size),
    "M14": replaced(linear_options),
    "M15": replaced(too_many),
    "M16": on_rows(huge_price),
    "C03": bad_server_time,
}
