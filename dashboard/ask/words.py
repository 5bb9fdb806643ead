"""Dates, calls, coins, runs and settings in a question in plain English. Pure.

In: words, and the time of the log's newest line, which "today" and "last week" count from. Out: what they name; None
where they name nothing. Days are UTC; a month without a year is the latest one that is not after the newest line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from dashboard.ask.filters import FILTERS
from dashboard.ask.log_view import Span
from deribit.symbols import MONTHS

MONTH_NAMES = {
    name: number
    for number, names in enumerate(
        (
            *("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug"),
            *("september sept sep", "october oct", "november nov", "december dec"),
        ),
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(MONTH_NAMES)
SYMBOL = re.compile(rf"\b[A-Z]+-\d{{1,2}}(?:{'|'.join(MONTHS)})\d\d-\d+(?:D\d+)?-[CP]\b", re.IGNORECASE)
ISO_DAY = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
ISO_MONTH = re.compile(r"\b(\d{4})-(\d{1,2})\b(?!-)")
NAMED_DAY = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b(?:,? (\d{{4}}))?", re.IGNORECASE)
DAY_AFTER_MONTH = re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?!\d)(?:,? (\d{{4}}))?", re.IGNORECASE)
NAMED_MONTH = re.compile(rf"\b({_MONTH})\b(?:,? (\d{{4}}))?", re.IGNORECASE)
YEAR = re.compile(r"\b(?:in|of|for|during) (\d{4})\b")
RECENT = re.compile(r"\b(?:last|past) (\d{1,3} )?(day|week|hour)s?\b", re.IGNORECASE)
RUN = re.compile(r"\b[a-z_]+-\d{4,9}\b")
ITERATION = re.compile(r"(?:#|\b(?:line|iteration)\b\s*(?:number|no\.?)?\s*#?\s*)(\d{1,9})\b", re.IGNORECASE)
VALUE = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w-])")
COINS = {"BTC": re.compile(r"\b(?:btc|bitcoin)\b", re.I), "ETH": re.compile(r"\b(?:eth|ether|ethereum)\b", re.I)}
FOREIGN_COINS = re.compile(r"\b(?:sol|solana|xrp|doge|dogecoin|ada|matic|bnb|ltc|litecoin|paxg|usdc|usdt)\b", re.I)
HOURS = {"day": 24, "week": 168, "hour": 1}


class NoSuchDayError(ValueError):
    """A date that no calendar has."""


def symbols_in(text: str) -> list[str]:
    return [found.upper() for found in SYMBOL.findall(text)]


def coin_in(text: str) -> str | None:
    """The one coin that is named; None for none and for both."""
    named = [coin for coin, pattern in COINS.items() if pattern.search(SYMBOL.sub(" ", text))]
    return named[0] if len(named) == 1 else None


def runs_in(text: str) -> list[str]:
    return RUN.findall(text)


def iteration_in(text: str) -> int | None:
    found = ITERATION.search(RUN.sub(" ", text))
    return None if found is None else int(found[1])


def setting_in(text: str) -> str | None:
    """delta_max, BTC_DELTA_MAX or "delta max"."""
    plain = text.lower().replace("-", " ").replace("_", " ")
    return next((name for name in FILTERS if name.replace("_", " ") in plain), None)


def value_in(text: str) -> float | None:
    """The last number that belongs to no date, call or run."""
    for pattern in (SYMBOL, RUN, ISO_DAY, ISO_MONTH, NAMED_DAY, DAY_AFTER_MONTH, RECENT):
        text = pattern.sub(" ", text)
    found = VALUE.findall(text)
    value = float(found[-1]) if found else math.inf
    return value if math.isfinite(value) else None


def span_in(text: str, newest: datetime) -> Span | None:
    """The days, months or hours that are named; from the first to the last where there are two."""
    text = RUN.sub(" ", SYMBOL.sub(" ", text))
    recent = RECENT.search(text)
    if recent is not None:
        hours = HOURS[recent[2].lower()] * int(recent[1] or 1)
        return Span(newest - timedelta(hours=hours), newest + timedelta(microseconds=1))
    spans = [*_relative(text.lower(), newest), *_dates(text, newest)]
    if not spans:
        return None
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def _relative(text: str, newest: datetime) -> Iterable[Span]:
    today = newest.replace(hour=0, minute=0, second=0, microsecond=0)
    for word, days_ago in (("today", 0), ("yesterday", 1)):
        if re.search(rf"\b{word}\b", text):
            yield _days(today - timedelta(days=days_ago))
    if re.search(r"\bthis month\b", text):
        yield _month(newest.year, newest.month)
    if re.search(r"\blast month\b", text):
        yield _month(*((newest.year, newest.month - 1) if newest.month > 1 else (newest.year - 1, 12)))
    if re.search(r"\bthis year\b", text):
        yield _year(newest.year)
    if re.search(r"\blast year\b", text):
        yield _year(newest.year - 1)


def _dates(text: str, newest: datetime) -> Iterable[Span]:
    """Each pattern takes its words away, so that no part of a day is read as a month or a year again."""
    readers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Span]], ...] = (
        (ISO_DAY, lambda found: _day(int(found[1]), int(found[2]), int(found[3]))),
        (ISO_MONTH, lambda found: _month(int(found[1]), int(found[2]))),
        (NAMED_DAY, lambda found: _latest_day(found[2], int(found[1]), found[3], newest)),
        (DAY_AFTER_MONTH, lambda found: _latest_day(found[1], int(found[2]), found[3], newest)),
        (NAMED_MONTH, lambda found: _latest_month(found[1], found[2], newest)),
        (YEAR, lambda found: _year(int(found[1]))),
    )
    for pattern, reader in readers:
        for found in pattern.finditer(text):
            if not _is_the_verb(found):
                yield reader(found)
        text = pattern.sub(lambda found: found[0] if _is_the_verb(found) else " ", text)


def _is_the_verb(found: re.Match[str]) -> bool:
    """ "may" and "march" in small letters, with no year, are no months."""
    return found[0] in ("may", "march", "mar", "dec", "sep")


def _latest_day(month: str, day: int, year: str | None, newest: datetime) -> Span:
    number = MONTH_NAMES[month.lower()]
    if year is not None:
        return _day(int(year), number, day)
    found = _day(newest.year, number, day)
    return found if found.start <= newest else _day(newest.year - 1, number, day)


def _latest_month(month: str, year: str | None, newest: datetime) -> Span:
    number = MONTH_NAMES[month.lower()]
    if year is not None:
        return _month(int(year), number)
    return _month(newest.year if number <= newest.month else newest.year - 1, number)


def _day(year: int, month: int, day: int) -> Span:
    return _days(_moment(year, month, day))


def _days(start: datetime) -> Span:
    return Span(start, start + timedelta(days=1))


def _month(year: int, month: int) -> Span:
    start = _moment(year, month, 1)
    return Span(start, _moment(year + month // 12, month % 12 + 1, 1))


def _year(year: int) -> Span:
    return Span(_moment(year, 1, 1), _moment(year + 1, 1, 1))


def _moment(year: int, month: int, day: int) -> datetime:
    """Raises NoSuchDayError for 30 February, and for years that no log can hold."""
    try:
        found = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        raise NoSuchDayError(f"{year}-{month:02d}-{day:02d} is no date") from None
    if not 2009 <= year <= 2199:
        raise NoSuchDayError(f"{year} is no year of a log")
    return found
