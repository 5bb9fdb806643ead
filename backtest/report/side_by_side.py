"""The part of a page that holds the same policy on several quotes against each other. Pure.

In: a Report. Out: HTML: what each of the quotes would have paid, and week by week. Under each table stand the sources
of all of them. Right premiums are not right P&L: the weeks in the money decide, and a strike beside the real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from backtest.report.contents import OtherQuotes, Report, Week, same_calls, weeks_of
from backtest.report.parts import figure, table
from backtest.report.svg import Series
from backtest.simulator.result import CoinResult

MOST_WEEKS = 520
HEAD = ("quotes", "premium, coin", "net, coin", "net, USD", "calls", "chains won")


def side_by_side_parts(report: Report) -> Iterator[str]:
    """Nothing where only one kind of quotes was run."""
    shown = report.side_by_side
    if not shown:
        return
    yield f"<h2>{'Real and modelled' if report.result.source.kind == 'recorded' else 'Two coefficient sets'}</h2>"
    for coin in report.result.coins:
        source = ". ".join(f"{one.name}: {one.result.source.label_of(coin.coin)}" for one in shown)
        yield f"<h3>{escape(coin.coin)}</h3>"
        yield table(HEAD, [_row(one.name, found) for one in shown for found in _of(one, coin.coin)], source)
        yield from (f"<p>{escape(found.sentence)}.</p>" for found in same_calls(shown, coin.coin))
        weeks = list(weeks_of(shown, coin.coin))
        over = [Series(one.name, over_holding(found)) for one in shown for found in _of(one, coin.coin)]
        yield figure(f"{coin.coin} over holding by quotes, in coin", over, source)
        names = [f"{one.name}{word}" for word in (", coin", ": calls") for one in shown]
        if weeks:
            yield table(("week of", *names), map(_week_cells, weeks[:MOST_WEEKS]), source)


def _of(one: OtherQuotes, coin: str) -> Sequence[CoinResult]:
    return [found for found in one.result.coins if found.coin == coin]


def _row(name: str, found: CoinResult) -> tuple[str, ...]:
    earned = found.earnings
    return (
        name,
        f"{earned.premium_coin + 0.0:+.5f}",
        f"{earned.net_coin + 0.0:+.5f}",
        f"{(earned.net_usd or 0.0) + 0.0:+,.0f}",
        str(earned.sold),
        f"{found.wins} of {found.closed_chains}",
    )


def over_holding(found: CoinResult) -> list[tuple[datetime, float]]:
    """Equity less that of holding, in coin."""
    return [(point.at, point.equity_coin - point.holding_coin) for point in found.equity]


def _week_cells(week: Week) -> tuple[str, ...]:
    """What each of them made first: these figures are to be seen beside each other, on a phone too."""
    made = ["" if pnl_coin is None else f"{pnl_coin + 0.0:+.5f}" for pnl_coin in week.pnl_coin]
    calls = [calls.replace(f"{week.coin}-", "") for calls in week.calls]
    return f"{week.monday:%Y-%m-%d}", *made, *calls
