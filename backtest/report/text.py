"""A run as text: what a terminal of 80 columns shows. Pure.

In: results. Out: lines of at most 80 columns. Coins with five decimals, because a fee of 0.00003 is not nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backtest.report.contents import Report, same_calls
from backtest.simulator.result import CoinResult, SimulationResult
from cli.results.earnings_report import earnings_lines
from core.text import wrapped

MOST_NAME_LETTERS = 24


def summary_lines(report: Report) -> Iterator[str]:
    """The run, coin by coin, the policies it is held against, and the same policy on other quotes."""
    result = report.result
    if result.started_at is None or result.ended_at is None:
        yield "no decision was made"
        return
    days = (result.ended_at - result.started_at).total_seconds() / 86_400.0
    yield wrapped(
        f"{result.policy}: {result.started_at:%Y-%m-%d} to {result.ended_at:%Y-%m-%d}, {days:.0f} days, "
        f"{len(result.decisions)} decisions, fills {result.fills}"
    )
    yield wrapped(result.source.label)
    if result.source.extrapolated is not None:
        yield wrapped(result.source.extrapolated)
    yield from (wrapped(f"careful: {warning}") for warning in report.warnings)
    yield from earnings_lines(coin.earnings for coin in result.coins)
    yield from map(_chain_line, result.coins)
    if report.presets:
        yield from _comparison("against holding", [(one.policy, one) for one in (result, *report.presets)])
    if report.side_by_side:
        yield from (wrapped(f"{one.name}: {one.result.source.label}") for one in report.other_quotes)
        yield from _comparison("same policy, quotes", [(one.name, one.result) for one in report.side_by_side])
        for coin in result.coins:
            yield from (wrapped(found.sentence) for found in same_calls(report.side_by_side, coin.coin))


def _chain_line(coin: CoinResult) -> str:
    return (
        f"{coin.coin}  {coin.wins} of {coin.closed_chains} chains won, "
        f"drawdown {100.0 * coin.drawdown_fraction:.2f} %, upside given up {coin.upside_given_up_usd:,.0f} USD"
    )


def _comparison(title: str, results: Sequence[tuple[str, SimulationResult]]) -> Iterator[str]:
    coins = [coin.coin for coin in results[0][1].coins]
    yield f"{title:<{MOST_NAME_LETTERS}}" + "".join(f"{coin:>12}" for coin in coins) + f"{'USD':>12}"
    for name, result in results:
        nets = {coin.coin: coin.earnings.net_coin for coin in result.coins}
        cells = "".join(f"{nets.get(coin, 0.0) + 0.0:>+12.5f}" for coin in coins)
        yield f"{name[:MOST_NAME_LETTERS]:<{MOST_NAME_LETTERS}}{cells}{result.net_usd + 0.0:>+12,.0f}"
