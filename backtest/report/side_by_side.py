"""The part of a page that holds the same policy on several quotes against each other. Pure.

In: a Report. Out: HTML: what each of the quotes would have paid, and week by week. Under each table stand the sources
of all of them. Right premiums are not right P&L: the weeks in the money decide, and a strike beside the real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from html import escape

from backtest.report.contents import OtherQuotes, Report, Week, same_calls, weeks_of
from backtest.report.parts import table
from backtest.simulator.result import CoinResult

MOST_WEEKS = 520
HEAD = ("quotes", "premium, coin", "net, coin", "net, USD", "calls", "chains won")


def side_by_side_parts(report: Report) -> Iterator[str]:
    """Nothing where only one kind of quotes was run."""
    shown = report.side_by_side
    if not shown:
        return
    yield f"<h2>{'Real and modelled' if report.result.source.kind == 'recorded' else 'Two coefficient sets'}</h2>"
    source = ". ".join(f"{one.name}: {one.result.source.label}" for one in shown)
    for coin in report.result.coins:
        yield f"<h3>{escape(coin.coin)}</h3>"
        yield table(HEAD, [_row(one.name, found) for one in shown for found in _of(one, coin.coin)], source)
        yield from (f"<p>{escape(found.sentence)}.</p>" for found in same_calls(shown, coin.coin))
        weeks = list(weeks_of(shown, coin.coin))
        names = [f"{one.name}, {word}" for one in shown for word in ("call", "coin")]
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


def _week_cells(week: Week) -> tuple[str, ...]:
    cells = [
        cell
        for calls, pnl_coin in zip(week.calls, week.pnl_coin, strict=True)
        for cell in (calls, "" if pnl_coin is None else f"{pnl_coin + 0.0:+.5f}")
    ]
    return f"{week.monday:%Y-%m-%d} to {week.monday + timedelta(days=6):%m-%d}", *cells
