"""What it earned: in all, month by month, call by call.

In: a log and what was asked. Out: Answers. Premium, buy-backs, deliveries, fees and the change of open value add up to
what the calls earned against holding; with what was moved and what no entry explains, to the change of equity. Amounts
in coin, costs negative; USD of a sum at the last price, of a call at the price of each moment. Reads the log.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from core.results.earnings import CoinEarnings
from core.results.sold_calls import SoldCall
from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer, Fact, Unit, coin_unit, facts_of, missing
from dashboard.ask.log_view import LogView, Span
from dashboard.log_index.line import Line

PARTS = (
    ("premium_coin", "premium"),
    ("bought_back_coin", "buy-backs"),
    ("settled_coin", "deliveries"),
    ("fees_coin", "fees"),
    ("open_value_coin", "change of open value"),
    ("net_coin", "net against holding"),
    ("moved_coin", "deposits and transfers"),
    ("unexplained_coin", "not in the ledger of the log"),
)
CALL_PARTS = (*PARTS[:4], ("open_value_coin", "open value"), ("pnl_coin", "result"))
SUM_SENTENCE = (
    "{about}: premium {{{key}_premium_coin}}, buy-backs {{{key}_bought_back_coin}}, deliveries {{{key}_settled_coin}}, "
    "fees {{{key}_fees_coin}}, open value {{{key}_open_value_coin}}: net {{{key}_net_coin}} against holding."
)


def earned(view: LogView, asked: Asked) -> Answer:
    """What the calls earned against holding, in a span or in all."""
    title = f"What it earned against holding{asked.span_words}"
    first, last = view.first(asked.span), view.newest(asked.span)
    if first is None or last is None or first.id == last.id:
        return missing("earned", title, f"two states of the account{asked.span_words}")
    rows = [row for row in view.earned(first, last) if row.currency in asked.coins()]
    facts = [fact for row in rows for fact in _sum_facts(row, row.currency.lower(), row.currency, last)]
    known_usd = [row.net_usd for row in rows if row.net_usd is not None]
    net_usd = math.fsum(known_usd) if known_usd and len(known_usd) == len(rows) else None
    facts = [
        Fact("from_at", "first state", first.at, "time", first.link),
        Fact("to_at", "last state", last.at, "time", last.link),
        Fact("net_usd", "net against holding, at the last prices", net_usd, "USD", last.link),
        *facts,
    ]
    sums = [SUM_SENTENCE.format(about=row.currency, key=row.currency.lower()) for row in rows]
    sentences = ["From {from_at} to {to_at} the calls earned {net_usd} against holding.", *sums]
    return Answer("earned", title, tuple(facts), tuple(sentences))


def _sum_facts(row: CoinEarnings, key: str, about: str, line: Line) -> Iterator[Fact]:
    unit = coin_unit(row.currency)
    yield from facts_of(row, [(name, label, unit) for name, label in PARTS], key, about, line.link)
    yield Fact(f"{key}_net_usd", f"net in USD, {about}", row.net_usd, "USD", line.link)
    yield Fact(f"{key}_sold", f"calls sold, {about}", row.sold, "count", line.link)
    yield Fact(f"{key}_rolls", f"of them by rolls, {about}", row.rolls, "count", line.link)


def income_by_month(view: LogView, asked: Asked) -> Answer:
    """The same, calendar month by calendar month (UTC); a month ends with the first state of the next."""
    title = f"Income by month{asked.span_words}"
    marks = _month_marks(view, asked.span)
    if len(marks) < 2:
        return missing("income_by_month", title, f"two states of the account{asked.span_words}")
    facts: list[Fact] = []
    sentences: list[str] = []
    for first, last in pairwise(marks):
        for row in (found for found in view.earned(first, last) if found.currency in asked.coins()):
            key, about = f"{row.currency.lower()}_{first.at:%Y_%m}", f"{row.currency} {first.at:%Y-%m}"
            facts += [Fact(f"{key}_month", "month", about, "text", last.link), *_sum_facts(row, key, about, last)]
            sentences.append(SUM_SENTENCE.format(about=f"{{{key}_month}}", key=key))
    return Answer("income_by_month", title, tuple(facts), tuple(sentences))


def _month_marks(view: LogView, span: Span) -> list[Line]:
    """The first state of the span, the first one of each later month in it, and the last."""
    first, last = view.first(span), view.newest(span)
    if first is None or last is None or first.id == last.id:
        return []
    marks, month = [first], _next_month(first.at)
    while month <= last.at:
        line = view.first(Span(month, span.end))
        if line is None:
            break
        marks.append(line)
        month = _next_month(line.at)
    return marks if marks[-1].id == last.id else [*marks, last]


def _next_month(at: datetime) -> datetime:
    return datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)


def chain_of_call(view: LogView, asked: Asked) -> Answer:
    """A call with all that it was rolled from and to; the newest chain with that call."""
    if asked.symbol is None:
        return Answer("chain_of_call", "The chain of a call", problem="Name a call, such as BTC-9JAN26-93000-C.")
    title = f"The chain of {asked.symbol}"
    chains = [chain for chain in view.chains() if any(leg.symbol == asked.symbol for leg in chain.legs)]
    if not chains:
        return missing("chain_of_call", title, f"a sale of {asked.symbol}")
    chain = chains[-1]
    unit = coin_unit(chain.currency)
    facts = [
        Fact("legs", "calls in the chain", len(chain.legs), "count"),
        Fact("rolls", "rolls", chain.rolls, "count"),
        Fact("opened_at", "sold at", chain.opened_at, "time"),
        Fact("exit", "how it ended", chain.exit.replace("_", " "), "text"),
        Fact("pnl_coin", "result of the chain", chain.pnl_coin, unit),
        Fact("pnl_usd", "result of the chain in USD", chain.pnl_usd, "USD"),
    ]
    for leg in chain.legs:
        facts += _call_facts(view, leg, f"leg_{leg.leg}")
    sentences = ["{legs} calls, {rolls} rolls, sold first at {opened_at}; {exit}: {pnl_coin} ({pnl_usd})."]
    sentences += [_call_sentence(f"leg_{leg.leg}") for leg in chain.legs]
    return Answer("chain_of_call", title, tuple(facts), tuple(sentences))


def _call_facts(view: LogView, call: SoldCall, key: str) -> list[Fact]:
    unit: Unit = coin_unit(call.currency)
    link = None if call.opened_at is None else _link_at(view, call.opened_at)
    about = [
        Fact(f"{key}_symbol", "call", call.symbol, "text", link),
        Fact(f"{key}_size", f"size of {call.symbol}", call.size_coin, unit, link),
        Fact(f"{key}_opened_at", f"{call.symbol} sold at", call.opened_at, "time", link),
        Fact(f"{key}_closed_at", f"{call.symbol} over at", call.closed_at, "time"),
        Fact(f"{key}_exit", f"how {call.symbol} ended", call.exit.replace("_", " "), "text"),
        Fact(f"{key}_pnl_usd", f"result of {call.symbol} in USD", call.pnl_usd, "USD"),
    ]
    return about + facts_of(call, [(name, label, unit) for name, label in CALL_PARTS], key, call.symbol, link)


def _link_at(view: LogView, at: datetime) -> str | None:
    line = view.index.end_line(view.account, Span().start, at, is_last=True)
    later = view.first(Span(at, Span().end))
    found = later if later is not None and later.at == at else line
    return None if found is None else found.link


def _call_sentence(key: str) -> str:
    return (
        f"{{{key}_size}} of {{{key}_symbol}}, sold {{{key}_opened_at}}, {{{key}_exit}}: "
        f"premium {{{key}_premium_coin}}, buy-backs {{{key}_bought_back_coin}}, deliveries {{{key}_settled_coin}}, "
        f"fees {{{key}_fees_coin}}, open value {{{key}_open_value_coin}}, "
        f"result {{{key}_pnl_coin}} ({{{key}_pnl_usd}})."
    )


def worst_calls(view: LogView, asked: Asked) -> Answer:
    """The calls that cost most (or brought most), by their result in USD; those without a known result are left out."""
    what = "Best calls" if asked.best else "Worst calls"
    calls = [call for call in view.calls() if call.currency in asked.coins() and _is_in(call, asked.span)]
    known = sorted((call for call in calls if call.pnl_usd is not None), key=lambda call: call.pnl_usd or 0.0)
    if not known:
        return missing("worst_calls", f"{what}{asked.span_words}", f"a call with a known result{asked.span_words}")
    picked: Sequence[SoldCall] = (known[::-1] if asked.best else known)[: asked.count]
    facts = [Fact("calls", "calls with a known result", len(known), "count")]
    for number, call in enumerate(picked, 1):
        facts += _call_facts(view, call, f"call_{number}")
    sentences = ["Of {calls} calls with a known result:"]
    sentences += [_call_sentence(f"call_{number}") for number in range(1, len(picked) + 1)]
    return Answer("worst_calls", f"{what}{asked.span_words}", tuple(facts), tuple(sentences))


def _is_in(call: SoldCall, span: Span) -> bool:
    return call.opened_at is not None and span.holds(call.opened_at)
