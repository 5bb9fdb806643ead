"""What Deribit's replies mean: bytes in, models of models.py out. The one place where its units become ours.

Milliseconds become aware UTC times, percent IV a fraction, an empty side of a book (null or 0.0) None. A missing
field that is needed, text where a number belongs, NaN and infinity raise InvalidReplyError: nothing is guessed.
Unknown fields are ignored, because new ones appear on testnet first. Pure: no network, no disk, no clock.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from core.text import printable, quotable
from deribit.failures import short_text
from deribit.symbols import SymbolParts, option_symbol, parse_symbol
from deribit.vocabulary import OWN_LABEL, UNKNOWN_AMOUNT_COIN, MarginQuote
from models import (
    SETTLEMENT_TYPES,
    UNDERLYINGS,
    CoinAccount,
    Fill,
    InvalidReplyError,
    LedgerEntry,
    OptionInstrument,
    Order,
    RawPosition,
    Ticker,
)

LARGEST_NUMBER = sys.float_info.max  # JSON's whole numbers have no limit of their own

POSITION_FIELDS = ("instrument_name", "kind", "size", "average_price", "mark_price", "delta")
# Untriggered orders carry neither fills nor an average price; whatever else is absent counts as the worst it can be.
FOREIGN_ORDER: Mapping[str, Any] = {
    "order_id": "",
    "label": "",
    "instrument_name": "",
    "direction": "sell",
    "amount": UNKNOWN_AMOUNT_COIN,
    "filled_amount": 0.0,
    "average_price": 0.0,
    "order_state": "open",
    "creation_timestamp": 0,
}

# --- Deribit's units to ours ------------------------------------------------------------


@lru_cache(maxsize=1024, typed=True)
def utc_from_ms(milliseconds: int) -> datetime:
    """Aware UTC time of Deribit's milliseconds; raises InvalidReplyError outside the years 1970 to 2200."""
    if type(milliseconds) is not int or not 0 <= milliseconds <= 7_258_118_400_000:
        raise InvalidReplyError(f"{quotable(milliseconds, 40)} is not a time in milliseconds")
    return datetime.fromtimestamp(milliseconds / 1000.0, UTC)


class Row:
    """One JSON object of a reply. A missing key raises; an absent optional and a null are the same."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise InvalidReplyError("an object was expected in the reply")
        self._values: dict[str, Any] = value

    def need(self, key: str) -> Any:
        if self._values.get(key) is None:
            raise InvalidReplyError(f"the reply lacks {key!r}")
        return self._values[key]

    def get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key)
        return default if value is None else value

    def has(self, *keys: str) -> bool:
        return all(self._values.get(key) is not None for key in keys)

    def besides(self, known: Collection[str]) -> dict[str, Any]:
        """What the row holds under other names than these."""
        return {name: value for name, value in self._values.items() if name not in known}

    def completed_with(self, defaults: Mapping[str, Any]) -> Row:
        """The row with something in place of what it does not say."""
        return Row({**self._values, **{key: value for key, value in defaults.items() if not self.has(key)}})

    def changed(self, **values: Any) -> Row:
        return Row({**self._values, **values})

    def time(self, key: str) -> datetime:
        return utc_from_ms(self.need(key))

    def number(self, key: str) -> float | None:
        value = self._values.get(key)
        return None if value is None else finite(value)

    def quoted(self, key: str) -> float | None:
        """A price or an amount; an empty side comes as null or as 0.0."""
        return _quoted(self._values.get(key))

    def said(self, key: str) -> Any:
        """What must be spoken of, even if only to say that there is none (null)."""
        if key not in self._values:
            raise InvalidReplyError(f"the reply lacks {key!r}")
        return self._values[key]

    def side(self, key: str) -> float | None:
        """A side of a book: null or 0.0 where it is empty, but never left out."""
        return _quoted(self.said(key))

    def is_open(self) -> bool:
        """Whether an instrument can be traded; the exchange did not speak of states before 2026."""
        return "state" not in self._values or self._values["state"] == "open"

    def fraction(self, key: str) -> float | None:
        """Percent to fraction; Deribit writes 0 where it has no volatility."""
        value = self.quoted(key)
        return None if value is None else value / 100.0

    def rows(self, key: str) -> Iterator[Row]:
        return rows(self.get(key, []))


def rows(value: object) -> Iterator[Row]:
    """The objects of a JSON list."""
    if not isinstance(value, list):
        raise InvalidReplyError("a list was expected in the reply")
    return (Row(item) for item in value)


def finite(value: object) -> float:
    """A JSON number as float; raises InvalidReplyError on text, booleans, NaN and infinity."""
    if type(value) not in (int, float) or not abs(value) <= LARGEST_NUMBER:  # type: ignore[arg-type]
        raise InvalidReplyError(f"{quotable(value, 40)!r} is not a finite number")
    return float(value)  # type: ignore[arg-type]


def read_instrument(row: Row) -> OptionInstrument | None:
    """A plain BTC or ETH option settled in its own coin; None for anything else (futures, combos, linear)."""
    coin = row.get("base_currency")
    is_plain = row.need("kind") == "option" and coin in ("BTC", "ETH") and row.get("quote_currency") == coin
    if not is_plain:
        return None
    steps = tuple(
        (finite(s.need("above_price")), finite(s.need("tick_size"))) for s in rows(row.need("tick_size_steps"))
    )
    option = OptionInstrument(
        symbol=row.need("instrument_name"),
        underlying=coin,
        strike=row.need("strike"),
        expiry=row.time("expiration_timestamp"),
        option_type=row.need("option_type"),
        contract_size_coin=row.need("contract_size"),
        min_trade_amount_coin=row.need("min_trade_amount"),
        tick_size_coin=row.need("tick_size"),
        tick_steps=steps,
        is_tradable=row.get("is_active", False) is True and row.is_open(),
    )
    return option if _name_fits(option) else None


def _name_fits(option: OptionInstrument) -> bool:
    """Whether BTC-9JAN26-95000-C says what the fields say, for one coin a contract; else neither can be trusted."""
    name = option_symbol(option.underlying, option.expiry, option.strike, option.option_type)
    return option.symbol == name and option.contract_size_coin == 1.0


def _quoted(value: Any) -> float | None:
    """A number above zero, None for null and 0.0; raises InvalidReplyError on anything else."""
    if type(value) is float and 0.0 < value < math.inf:
        return value
    if value is None:
        return None
    number = finite(value)
    return number if number > 0.0 else None


def read_ticker(row: Row) -> Ticker:
    return Ticker(
        symbol=row.need("instrument_name"),
        quoted_at=row.time("timestamp"),
        state=row.need("state"),
        bid_price_coin=row.side("best_bid_price"),
        bid_amount_coin=row.quoted("best_bid_amount"),
        ask_price_coin=row.side("best_ask_price"),
        ask_amount_coin=row.quoted("best_ask_amount"),
        mark_price_coin=row.need("mark_price"),
        last_price_coin=row.quoted("last_price"),
        min_price_coin=row.quoted("min_price"),
        max_price_coin=row.quoted("max_price"),
        index_price_usd=row.need("index_price"),
        underlying_price_usd=row.quoted("underlying_price"),
        mark_iv_fraction=row.fraction("mark_iv"),
        delta=Row(row.get("greeks", {})).number("delta"),
    )


@contextmanager
def _named(what: str) -> Iterator[None]:
    """A row that cannot be read says which one it is."""
    try:
        yield
    except InvalidReplyError as error:
        raise InvalidReplyError(f"{printable(what)[:120]}: {error}") from None
    except ValidationError as error:
        raise InvalidReplyError(f"{printable(what)[:120]}: {short_text(error)}") from None


def read_account(row: Row) -> CoinAccount:
    is_cross = row.get("cross_collateral_enabled", False) is True
    equity, margin_balance = finite(row.need("equity")), finite(row.need("margin_balance"))
    old_model = "segregated_pm" if row.get("portfolio_margining_enabled") is True else "segregated_sm"
    return CoinAccount(
        currency=row.need("currency"),
        balance_coin=row.need("balance"),
        equity_coin=equity,
        margin_balance_coin=margin_balance,
        initial_margin_coin=row.need("initial_margin"),
        maintenance_margin_coin=row.need("maintenance_margin"),
        available_funds_coin=row.need("available_funds"),
        options_value_coin=row.get("options_value", 0.0 if is_cross else equity - margin_balance),
        options_delta=row.get("options_delta", 0.0),
        delta_total=row.get("delta_total", 0.0),
        margin_model=row.get("margin_model", old_model),
        is_cross_margin=is_cross,
        total_margin_balance_usd=row.number("total_margin_balance_usd") if is_cross else None,
        total_initial_margin_usd=row.number("total_initial_margin_usd") if is_cross else None,
    )


def read_position(row: Row) -> RawPosition:
    """A position. One that cannot be ours and says too little is of a kind that nobody can judge."""
    symbol, size = row.get("instrument_name", ""), row.get("size")
    parts = parse_symbol(symbol) if isinstance(symbol, str) else SymbolParts("")
    may_be_ours = parts.is_call and parts.underlying in UNDERLYINGS and not (type(size) in (int, float) and size > 0)
    if not may_be_ours and not row.has(*POSITION_FIELDS):
        row = row.completed_with(
            {"instrument_name": "", "size": -UNKNOWN_AMOUNT_COIN, "average_price": 0.0, "mark_price": 0.0, "delta": 0.0}
        ).changed(kind="unknown")
    with _named(f"position in {symbol}"):
        return _position(row)


def _position(row: Row) -> RawPosition:
    return RawPosition(
        symbol=row.need("instrument_name"),
        kind=row.need("kind"),
        size=row.need("size"),
        avg_price=row.need("average_price"),
        mark_price=row.need("mark_price"),
        delta=row.need("delta"),
    )


def read_open_order(row: Row, is_in_order_log: Callable[[str], bool]) -> Order:
    """One of all open orders. What a foreign one does not say counts to the careful side; ours say everything."""
    label = row.get("label", "")
    if isinstance(label, str) and OWN_LABEL.fullmatch(label):
        return read_order(row)
    if isinstance(label, str) and is_in_order_log(label):
        return read_order(row).model_copy(update={"is_in_order_log": True})
    return read_order(row.completed_with(FOREIGN_ORDER))


def read_order(row: Row) -> Order:
    with _named(f"order {row.get('order_id', '')} {row.get('label', '')}".rstrip()):
        return _order(row)


def _order(row: Row) -> Order:
    price = row.get("price")
    return Order(
        order_id=row.need("order_id"),
        label=row.need("label"),
        symbol=row.need("instrument_name"),
        direction=row.need("direction"),
        amount_coin=row.need("amount"),
        filled_amount_coin=row.need("filled_amount"),
        avg_price_coin=row.need("average_price"),
        price_coin=None if price == "market_price" else price,
        order_state=row.need("order_state"),
        post_only=row.get("post_only"),
        reduce_only=row.get("reduce_only"),
        is_liquidation=row.get("is_liquidation", False),
        created_at=row.time("creation_timestamp"),
    )


def read_trade(row: Row) -> Fill:
    return Fill(
        trade_id=row.need("trade_id"),
        order_id=row.need("order_id"),
        symbol=row.need("instrument_name"),
        direction=row.need("direction"),
        amount_coin=row.need("amount"),
        price_coin=row.need("price"),
        fee_coin=row.need("fee"),
        traded_at=row.time("timestamp"),
    )


def read_ledger_entry(row: Row, currency: str) -> LedgerEntry:
    """One line of the transaction log; refused, and so asked for again, where it hides what of ours it moved."""
    note = row.get("info")
    is_trade = row.need("type") == "trade"  # a settlement need not name side and amount
    is_about_contract = is_trade or row.need("type") in SETTLEMENT_TYPES  # deposits and the like have no instrument
    of_trade, of_contract = (row.need if is_trade else row.get), (row.need if is_about_contract else row.get)
    # Since 2026 a settlement has its price in a field of its own; `index_price` is the index of that moment.
    settled_at_usd = row.number("settlement_price")
    return LedgerEntry(
        currency=row.get("currency", currency),
        entry_type=row.need("type"),
        symbol=of_contract("instrument_name"),
        booked_at=row.time("timestamp"),
        side=of_trade("side"),
        amount_coin=finite(row.need("amount")) if is_trade else row.number("amount"),
        price_coin=row.number("price"),
        index_price_usd=settled_at_usd if settled_at_usd is not None else row.number("index_price"),
        fee_coin=row.get("commission", 0.0),
        change_coin=of_contract("change") or 0.0,
        balance_coin=row.number("balance"),
        note=None if note is None else json.dumps(note),
    )


def read_margins(row: Row) -> MarginQuote:
    return MarginQuote(
        buy_coin=row.need("buy"),
        sell_coin=row.need("sell"),
        min_price_coin=row.need("min_price"),
        max_price_coin=row.need("max_price"),
    )


def read_index_price(result: object) -> float:
    """Index in USD; an index of zero or below is not an answer."""
    price = finite(Row(result).need("index_price"))
    if price <= 0.0:
        raise InvalidReplyError(f"an index of {price} USD is not a price")
    return price


def read_instruments(result: object) -> dict[str, OptionInstrument]:
    """The plain options of a list of instruments, by symbol."""
    found = (read_instrument(row) for row in rows(result))
    return {option.symbol: option for option in found if option is not None}


def read_dvol(result: object) -> float | None:
    """The last close of a volatility index, as a fraction; None where there is none."""
    candles = Row(result).need("data")
    return finite(candles[-1][4]) / 100.0 if candles else None


def read_accounts(result: object) -> tuple[CoinAccount, ...]:
    """The BTC and ETH accounts among all currencies."""
    return tuple(
        read_account(row) for row in rows(Row(result).need("summaries")) if row.get("currency") in ("BTC", "ETH")
    )


def read_trades(result: object) -> tuple[Fill, ...]:
    """Fills; some methods wrap the list in an object, some do not."""
    listed = result if isinstance(result, list) else Row(result).need("trades")
    return tuple(read_trade(row) for row in rows(listed))


def read_ledger(row: Row, currency: str) -> tuple[LedgerEntry, ...]:
    """Transaction log entries, oldest first; Deribit lists the newest first."""
    entries = [read_ledger_entry(entry, currency) for entry in rows(row.need("logs"))]
    entries.reverse()  # so that entries of the same millisecond come in the right order too
    entries.sort(key=lambda entry: entry.booked_at)
    return tuple(entries)
