"""How things stand: the account now, and what has changed between two moments.

In: a log and what was asked. Out: Answers. Coverage is coins sold or on offer as a share of the coins held, in percent.
Reads the log, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.results.sold_calls import SoldCall
from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer, Fact, coin_unit, missing, slug
from dashboard.ask.log_view import LogView, Span
from dashboard.log_index.line import Line
from dashboard.log_index.span_questions import HAS_ERROR
from models import AgentState


def status(view: LogView, asked: Asked) -> Answer:
    """What is held, what is sold, what may be done, as of the newest line (of the span, where one is given)."""
    line = view.newest(asked.span)
    state = None if line is None else view.state(line)
    if line is None or state is None:
        return missing("status", "How things stand", f"a state of the account{asked.span_words}")
    coins = [coin for coin in asked.coins() if state.account(coin) is not None]
    about = [
        Fact("as_of", "newest line with a state", line.at, "time", line.link),
        Fact("mode", "mode", line.mode, "text", line.link),
        Fact("trading_state", "trading state", str(line.trading_state), "text", line.link),
        Fact("value", "value of all coins", state.portfolio.value_usd, "USD", line.link),
    ]
    held = [fact for coin in coins for fact in _held_facts(state, coin, line)]
    facts = [*about, *(fact for coin in coins for fact in _coin_facts(state, coin, line)), *held]
    sentences = [
        "As of {as_of} the {mode} run is {trading_state}; all coins are worth {value}.",
        *map(_coin_sentence, coins),
        *_held_sentences(held),
    ]
    return Answer("status", "How things stand", tuple(facts), tuple(sentences))


def _coin_facts(state: AgentState, coin: str, line: Line) -> Iterator[Fact]:
    market, risk, account = state.market(coin), state.risk(coin), state.account(coin)
    key, unit = coin.lower(), coin_unit(coin)
    sold = None if risk is None else risk.short_calls_coin
    offered = None if risk is None else risk.resting_sells_coin
    held = None if risk is None else risk.coins_held
    covered_pct = None if risk is None or not held else 100.0 * (risk.short_calls_coin + risk.resting_sells_coin) / held
    yield Fact(f"spot_{key}", f"{coin} price", None if market is None else market.spot_usd, "USD", line.link)
    yield Fact(f"equity_{key}", f"{coin} equity", None if account is None else account.equity_coin, unit, line.link)
    yield Fact(f"coins_{key}", f"{coin} that can stand behind calls", held, unit, line.link)
    yield Fact(f"sold_{key}", f"{coin} behind calls sold", sold, unit, line.link)
    yield Fact(f"offered_{key}", f"{coin} on offer", offered, unit, line.link)
    yield Fact(f"free_{key}", f"{coin} free", None if risk is None else risk.room_coin, unit, line.link)
    yield Fact(f"covered_{key}", f"share of {coin} sold or on offer", covered_pct, "%", line.link)


def _coin_sentence(coin: str) -> str:
    key = coin.lower()
    return (
        f"{coin} at {{spot_{key}}}: equity {{equity_{key}}}; of {{coins_{key}}} there are {{sold_{key}}} behind calls "
        f"sold, {{offered_{key}}} on offer and {{free_{key}}} free ({{covered_{key}}} covered)."
    )


def _held_facts(state: AgentState, coin: str, line: Line) -> Iterator[Fact]:
    for call in (held for held in state.portfolio.positions if held.is_short_call and held.underlying == coin):
        key, name = slug(call.symbol), call.symbol
        yield Fact(f"held_{key}", "call sold", name, "text", line.link)
        yield Fact(f"size_{key}", f"size of {name}", call.size, coin_unit(coin), line.link)
        yield Fact(f"days_{key}", f"days to expiry of {name}", call.dte_days, "days", line.link)
        yield Fact(
            f"captured_{key}", f"share of the premium of {name} earned", call.captured_premium_pct, "%", line.link
        )


def _held_sentences(held: Sequence[Fact]) -> Iterator[str]:
    keys = [fact.name.removeprefix("held_") for fact in held if fact.name.startswith("held_")]
    if not keys:
        yield "No call is sold."
    for key in keys:
        yield f"Sold: {{size_{key}}} of {{held_{key}}}, {{days_{key}}} left, {{captured_{key}}} of the premium earned."


def what_changed(view: LogView, asked: Asked) -> Answer:
    """Equity, prices, calls and settings between the first and the last state of a span."""
    title = f"What changed{asked.span_words}"
    first, last = view.first(asked.span), view.newest(asked.span)
    if first is None or last is None or first.id == last.id:
        return missing("what_changed", title, f"two states of the account{asked.span_words}")
    calls = [call for call in view.calls() if asked.coin in (None, call.currency)]
    facts = [
        Fact("from_at", "first state", first.at, "time", first.link),
        Fact("to_at", "last state", last.at, "time", last.link),
        *_count_facts(view, asked.span, calls, first, last),
        *_coin_changes(view, asked, first, last),
    ]
    sentences = [
        "From {from_at} to {to_at}: {lines} lines, {opened} calls sold, {closed} ended, {errors} errors, {blocked} "
        "blocked, settings changed {new_settings} times and the policy {new_policies} times.",
        *(_change_sentence(fact.name[-3:]) for fact in facts if fact.name.startswith("equity_change_")),
    ]
    return Answer("what_changed", title, tuple(facts), tuple(sentences))


def _count_facts(view: LogView, span: Span, calls: Sequence[SoldCall], first: Line, last: Line) -> Iterator[Fact]:
    until = max(span.end, last.at)  # what the last line did is booked after the moment of its state
    opened = [call for call in calls if call.opened_at is not None and first.at <= call.opened_at < until]
    closed = [call for call in calls if call.closed_at is not None and first.at <= call.closed_at < until]
    counts, erring = view.counts(span), view.newest(span, HAS_ERROR)
    settings, policies = view.index.changes_between(view.account, span.start, span.end)
    yield Fact("lines", "lines", counts.lines, "count", last.link)
    yield Fact("opened", "calls sold", len(opened), "count", last.link)
    yield Fact("closed", "calls that ended", len(closed), "count", last.link)
    yield Fact("errors", "lines with an error", counts.errors, "count", last.link if erring is None else erring.link)
    yield Fact("blocked", "blocked actions", counts.blocked, "count", last.link)
    yield Fact("new_settings", "changes of the settings", settings, "count")
    yield Fact("new_policies", "changes of the policy", policies, "count")


def _coin_changes(view: LogView, asked: Asked, first: Line, last: Line) -> Iterator[Fact]:
    before, after = view.state(first), view.state(last)
    for coin in asked.coins():
        one, other = (None if state is None else state.account(coin) for state in (before, after))
        spots = [None if state is None else state.market(coin) for state in (before, after)]
        if one is None or other is None:
            continue
        change, key = other.equity_coin - one.equity_coin, coin.lower()
        moved = None if spots[0] is None or spots[1] is None else 100.0 * (spots[1].spot_usd / spots[0].spot_usd - 1.0)
        yield Fact(f"equity_change_{key}", f"change of {coin} equity", change, coin_unit(coin), last.link)
        yield Fact(f"equity_{key}", f"{coin} equity at the end", other.equity_coin, coin_unit(coin), last.link)
        yield Fact(f"spot_change_{key}", f"change of the {coin} price", moved, "%", last.link)


def _change_sentence(key: str) -> str:
    return (
        f"{key.upper()}: equity changed by {{equity_change_{key}}} to {{equity_{key}}}, "
        f"the price by {{spot_change_{key}}}."
    )
