"""The first line of the live page: what is held, what happens next, what it earned, as computed words. Pure.

In: an AccountView, a coin, the settings. Out: Words in a row: plain ones, figures with their full value, and links to
the line that a figure comes from. Every number was
computed from the log, or read from the settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from config import AgentConfig
from core.pricing import days_between
from dashboard.live.account import AccountView
from dashboard.live.payoff import ShortCall, short_calls
from dashboard.live.sections import coverage
from dashboard.pages import coin as coin_text
from dashboard.pages import number, percent, short_moment

SMALL_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


@dataclass(frozen=True)
class Word:
    """A piece of the sentence. `name` and `value` where it is a figure, `link` where it leads to a line."""

    text: str
    name: str | None = None
    value: float | None = None
    link: str | None = None
    is_strong: bool = False


def sentence(view: AccountView, coin: str, config: AgentConfig) -> list[Word]:
    """What is sold, the next to expire, what it earned."""
    return [*_sold(view), *_next_call(view, coin, config), *_earned(view)]


def _sold(view: AccountView) -> Iterator[Word]:
    if view.state is None or view.state_line is None:
        yield Word("The log holds no state of the account yet. ")
        return
    count = sum(held.is_short_call for held in view.state.portfolio.positions)
    yield Word(_in_words(count), "calls_sold", float(count), is_strong=True)
    yield Word(" call is sold" if count == 1 else " calls are sold")
    for number_, coin in enumerate(view.coins):
        found = coverage(view.state, coin)
        if found is not None:
            yield Word(" on " if number_ == 0 else " and ")
            share = found.share(found.sold_coin)
            yield Word(percent(share, 0), f"{coin}.sold_fraction", share, is_strong=True)
            yield Word(f" of the {coin}")
    yield Word(f"#{view.state_line.iteration}", link=view.state_line.link)
    yield Word(". ")


def _in_words(count: int) -> str:
    return SMALL_NUMBERS[count] if count < len(SMALL_NUMBERS) else str(count)


def _next_call(view: AccountView, coin: str, config: AgentConfig) -> Iterator[Word]:
    state, line = view.state, view.state_line
    if state is None or line is None:
        return
    calls = short_calls(state, coin, view.calls, state.timestamp)
    market = state.market(coin)
    if not calls or market is None:
        yield from _without_a_call(view, coin)
        return
    call = calls[0]
    away = call.strike_usd / market.spot_usd - 1.0
    yield Word(call.symbol, is_strong=True)
    yield Word(" is ")
    yield Word(percent(abs(away), 2), f"{coin}.out_of_the_money_fraction", away, is_strong=True)
    yield Word(f" {'out of' if away >= 0 else 'in'} the money with ")
    days = days_between(state.timestamp, call.expiry)
    yield Word(f"{number(days, 1)} days", f"{coin}.days_left", days, is_strong=True)
    yield Word(" left")
    odds = call.called_away_fraction(market.spot_usd)
    if odds is not None:
        yield Word("; its mark IV puts the odds of being called away at ")
        yield Word(percent(odds, 0), f"{coin}.called_away_fraction", odds, is_strong=True)
    yield from _rolling(view, coin, call, config)


def _rolling(view: AccountView, coin: str, call: ShortCall, config: AgentConfig) -> Iterator[Word]:
    """When the call is looked at again, by the settings that the dashboard knows."""
    strategy = config.strategy(coin)
    due_at = call.expiry - timedelta(days=strategy.roll_dte_days)
    market = None if view.state is None else view.state.market(coin)
    ratio = None if market is None else market.iv_rv_ratio
    is_due = view.state is not None and view.state.timestamp >= due_at
    yield Word("; it is due to roll" if is_due else f"; it is looked at for rolling from {short_moment(due_at)}")
    yield Word(f", and rolled if it is in the money or IV/RV is at least {strategy.roll_ivrv_min:g} (now ")
    yield Word(number(ratio, 2), f"{coin}.iv_rv_ratio", ratio)
    yield Word("). ")


def _without_a_call(view: AccountView, coin: str) -> Iterator[Word]:
    state = view.state
    if state is None:
        return
    found = len(state.candidates_for(coin))
    yield Word(f"No {coin} call is sold; ")
    yield Word(str(found), f"{coin}.candidates", float(found), is_strong=True)
    yield Word(f" candidate{'' if found == 1 else 's'} passed the filters. ")


def _earned(view: AccountView) -> Iterator[Word]:
    found = [view.earnings[coin] for coin in view.coins if coin in view.earnings]
    if not found:
        return
    yield Word(f"Since {short_moment(min(coin.first_at for coin in found))} the calls added ")
    for number_, coin in enumerate(found):
        yield Word(" and " if number_ else "")
        text = f"{coin_text(coin.net_coin, 5, sign=True)} {coin.currency}"
        yield Word(text, f"{coin.currency}.net_coin", coin.net_coin, is_strong=True)
    yield Word(" over holding the coins")
    ended = [call for call in view.calls if call.closed_at is not None and call.pnl_coin is not None]
    if ended:
        won = sum((call.pnl_coin or 0.0) > 0.0 for call in ended)
        yield Word("; ")
        yield Word(f"{won} of {len(ended)}", "calls_won", float(won), is_strong=True)
        yield Word(" finished calls made money")
    yield Word(".")
