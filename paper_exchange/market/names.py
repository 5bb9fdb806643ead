"""Option names as Deribit writes them: BTC-9JAN26-95000-C.

In: currency, strike in USD, expiry in milliseconds. Out: the name, or the parts of a name. The name holds a date
only; expiry is 08:00 UTC of that date. Decimal strikes write a "d" for the point (0d625). Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from paper_exchange.market.clocks import from_ms, to_ms

EXPIRY_HOUR_UTC = 8
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_OPTION = re.compile(r"(BTC|ETH)-(\d{1,2})([A-Z]{3})(\d{2})-(\d+(?:d\d+)?)-([CP])", re.ASCII)
_INSTRUMENT = re.compile(
    r"[A-Z]+_[A-Z]+|[A-Z]+(_[A-Z]+)?-(PERPETUAL|\d{1,2}[A-Z]{3}\d{2}(-\d+(d\d+)?-[CP])?)", re.ASCII
)


class OptionParts(NamedTuple):
    """What an option's name says."""

    currency: str
    expires_at_ms: int
    strike_usd: float
    is_call: bool


def currency_of(instrument_name: str) -> str:
    """BTC of BTC-27MAR26-90000-C."""
    return instrument_name.split("-", 1)[0]


def option_name(currency: str, expires_at_ms: int, strike_usd: float, is_call: bool) -> str:
    """The name of an option."""
    call, put = option_names(currency, expires_at_ms, strike_usd)
    return call if is_call else put


def option_names(currency: str, expires_at_ms: int, strike_usd: float) -> tuple[str, str]:
    """The names of call and put at one strike, the day without a leading zero."""
    strike = f"{strike_usd:.10g}".replace(".", "d")
    stem = f"{currency}-{expiry_code(expires_at_ms)}-{strike}"
    return f"{stem}-C", f"{stem}-P"


@lru_cache(maxsize=1_024)
def expiry_code(expires_at_ms: int) -> str:
    """The date part of a name: 9JAN26."""
    day = from_ms(expires_at_ms)
    return f"{day.day}{MONTHS[day.month - 1]}{day.year % 100:02d}"


@lru_cache(maxsize=16_384)  # half a year of recorded options
def parse_option_name(name: str) -> OptionParts | None:
    """The parts of an inverse BTC or ETH option's name, None for anything else."""
    match = _OPTION.fullmatch(name)
    if match is None:
        return None
    currency, day, month, year, strike, side = match.groups()
    expires_at_ms = _expiry_ms(int(day), month, 2000 + int(year))
    strike_usd = float(strike.replace("d", "."))
    if expires_at_ms is None or strike_usd <= 0.0:
        return None
    return OptionParts(currency, expires_at_ms, strike_usd, side == "C")


def _expiry_ms(day: int, month: str, year: int) -> int | None:
    if month not in MONTHS:
        return None
    try:
        return to_ms(datetime(year, MONTHS.index(month) + 1, day, EXPIRY_HOUR_UTC, tzinfo=UTC))
    except ValueError:  # 31FEB26
        return None


def is_instrument_name(text: str) -> bool:
    """Whether this has the form of any Deribit instrument: spot, perpetual, future or option."""
    return _INSTRUMENT.fullmatch(text) is not None
