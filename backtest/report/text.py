"""A run as text: what a terminal of 80 columns shows. Pure.

In: results. Out: lines of at most 80 columns. Coins with five decimals, because a fee of 0.00003 is not nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backtest.simulator.result import CoinResult, SimulationResult
from cli.results.earnings_report import earnings_lines
from core.text import wrapped

MOST_NAME_LETTERS = 24


def summary_lines(result: SimulationResult, others: Sequence[SimulationResult]) -> Iterator[str]:
    """The run, coin by coin, and the policies it is held against."""
    if result.started_at is None or result.ended_at is None:
        yield "no decision was made"
        return
    days = (result.ended_at - result.started_at).total_seconds() / 86_400.0
    yield wrapped(
        f"{result.policy}: {result.started_at:%Y-%m-%d} to {result.ended_at:%Y-%m-%d}, {days:.0f} days, "
        f"{len(result.decisions)} decisions, fills {result.fills}"
    )
    yield wrapped(result.source.label)
    yield from (wrapped(f"careful: {warning}") for warning in result.warnings)
    yield from earnings_lines(coin.earnings for coin in result.coins)
    yield from map(_chain_line, result.coins)
    if others:
        yield from _comparison([result, *others])


def _chain_line(coin: CoinResult) -> str:
    return (
        f"{coin.coin}  {coin.wins} of {coin.closed_chains} chains won, "
        f"drawdown {100.0 * coin.drawdown_fraction:.2f} %, upside given up {coin.upside_given_up_usd:,.0f} USD"
    )


def _comparison(results: Sequence[SimulationResult]) -> Iterator[str]:
    coins = [coin.coin for coin in results[0].coins]
    yield f"{'against holding':<{MOST_NAME_LETTERS}}" + "".join(f"{coin:>12}" for coin in coins) + f"{'USD':>12}"
    for result in results:
        nets = {coin.coin: coin.earnings.net_coin for coin in result.coins}
        name = result.policy[:MOST_NAME_LETTERS]
        cells = "".join(f"{nets.get(coin, 0.0) + 0.0:>+12.5f}" for coin in coins)
        yield f"{name:<{MOST_NAME_LETTERS}}{cells}{result.net_usd + 0.0:>+12,.0f}"
