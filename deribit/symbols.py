"""What a symbol says: BTC-9JAN26-95000-C is a BTC call at 95,000 USD that expires on 9 January 2026, 08:00 UTC.

In: an instrument's name, whatever its kind. Out: its parts, read once per name; None where it has no such part (a
perpetual has no strike). Strikes in USD. The ground floor: imports nothing of ours. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
EXPIRY_HOUR = timedelta(hours=8)  # UTC

OptionType = Literal["call", "put"]
Kind = Literal["option", "future", "spot", "combo", "unknown"]

DAY = re.compile(r"(?P<day>\d{1,2})(?P<month>[A-Z]{3})(?P<year>\d{2})", re.ASCII)
_BASE, _DAY = r"[A-Z0-9]+(_[A-Z]+)?", r"\d{1,2}[A-Z]{3}\d{2}"
FORMS: dict[Kind, re.Pattern[str]] = {
    "option": re.compile(rf"{_BASE}-{_DAY}-\d+(d\d+)?-[CP]", re.ASCII),
    "future": re.compile(rf"{_BASE}-({_DAY}|PERPETUAL)", re.ASCII),
    "spot": re.compile(r"[A-Z0-9]+_[A-Z]+", re.ASCII),
    "combo": re.compile(rf"{_BASE}-[A-Z][A-Z0-9]*-{_DAY}.*", re.ASCII),  # BTC-CS-9JAN26-95000_99000
}


class SymbolParts(NamedTuple):
    """The parts of a symbol. `underlying` is all before the first dash: BTC, or BTC_USDC of a linear instrument."""

    underlying: str
    expiry: datetime | None = None
    strike_usd: float | None = None
    option_type: OptionType | None = None

    @property
    def is_call(self) -> bool:
        return self.option_type == "call"

    def concerns(self, coin: str) -> bool:
        """Whether its value hangs on a coin, however it is settled: BTC-PERPETUAL and BTC_USDC-PERPETUAL on BTC.

        Without a name it may be anything.
        """
        return self.underlying == "" or self.underlying.startswith(coin)


@lru_cache(maxsize=4096)
def kind_of(symbol: str) -> Kind:
    """What a symbol names, by its form alone; "unknown" for a form that nobody has seen."""
    return next((kind for kind, form in FORMS.items() if form.fullmatch(symbol)), "unknown")


@lru_cache(maxsize=4096)
def parse_symbol(symbol: str) -> SymbolParts:
    """The parts of a symbol. Never raises: what cannot be read is None."""
    underlying, *rest = symbol.split("-")
    if not rest:
        return SymbolParts(underlying)
    strike_usd = _strike(rest[1]) if len(rest) == 3 else None
    return SymbolParts(underlying, _expiry(rest[0]), strike_usd, _option_type(rest[-1]))


def _expiry(day: str) -> datetime | None:
    """9JAN26. Not by strptime, which knows the months by the names of the process's locale."""
    found = DAY.fullmatch(day)
    if found is None or found["month"] not in MONTHS:
        return None
    try:
        date = datetime(2000 + int(found["year"]), 1 + MONTHS.index(found["month"]), int(found["day"]), tzinfo=UTC)
    except ValueError:  # the 31st of a month that has 30
        return None
    return date + EXPIRY_HOUR


def _strike(text: str) -> float | None:
    """Deribit writes 0.75 as 0d75."""
    whole, _, decimals = text.partition("d")
    return float(f"{whole}.{decimals or 0}") if f"{whole}{decimals}".isdecimal() and text.isascii() else None


def _option_type(letter: str) -> OptionType | None:
    return "call" if letter == "C" else "put" if letter == "P" else None


def future_of(option: str) -> str:
    """BTC-2OCT26-90000-C settles into BTC-2OCT26."""
    return option.rsplit("-", 2)[0]


def option_symbol(underlying: str, expiry: datetime, strike_usd: float, option_type: OptionType) -> str:
    """The name that Deribit gives to an option."""
    day = f"{expiry.day}{MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"
    strike = f"{strike_usd:.10g}".replace(".", "d")
    return f"{underlying}-{day}-{strike}-{'C' if option_type == 'call' else 'P'}"
