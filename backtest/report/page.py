"""report.html: one file without an outside address, light and dark, readable on a phone. Pure.

In: a Report. Out: HTML text. Under each table and chart stands where its quotes come from. Everything that came from
outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from html import escape

from backtest.report.contents import Report
from backtest.report.files import SUM_PARTS, usd_parts
from backtest.report.parts import figure, table
from backtest.report.side_by_side import over_holding, side_by_side_parts
from backtest.report.svg import Series
from backtest.simulator.result import CoinResult, SimulationResult
from backtest.simulator.sensitivity import SensitivityRow
from core.results.sold_calls import CallChain

MOST_CHAINS = 1000
PART_WORDS = ("premium", "buy-backs", "settlement", "fees", "open calls, change of value")
STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #ddd; --a: #0a6; --b: #b50; --c: #36c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --paper: #181a1c; --soft: #444; --a: #3c9; --b: #f93; --c: #8af; }
}
body { font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
       max-width: 60rem; padding: 1rem; }
div.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--soft); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } svg { width: 100%; height: auto; }
.axis { stroke: var(--soft); } .label { fill: var(--ink); font-size: 11px; } polyline { fill: none; stroke-width: 1.5; }
.line-1 { stroke: var(--a); } .line-2 { stroke: var(--b); } .line-3 { stroke: var(--c); }
.name-1 { fill: var(--a); } .name-2 { fill: var(--b); } .name-3 { fill: var(--c); }
.source { font-size: .8rem; opacity: .75; }
.careful { border-left: 4px solid var(--b); padding-left: .6rem; }
"""


def report_page(report: Report) -> str:
    """The whole page."""
    title = escape(f"{report.result.policy}, {report.result.source.kind} market")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n" + "\n".join(_body(report)) + "\n</body></html>\n"
    )


def _body(report: Report) -> Iterator[str]:
    result = report.result
    if result.started_at is not None and result.ended_at is not None:
        yield (
            f"<p>{result.started_at:%Y-%m-%d %H:%M} to {result.ended_at:%Y-%m-%d %H:%M} UTC, "
            f"{len(result.decisions)} decisions, fills {escape(result.fills)}, seed {result.seed}. "
            "Research on a paper account, not financial advice.</p>"
        )
    notes = [*report.warnings, *([result.source.extrapolated] if result.source.extrapolated else [])]
    yield from (f'<p class="careful">{escape(note)}</p>' for note in notes)
    yield "<h2>Against holding and simple policies</h2>"
    yield _comparison([result, *report.presets])
    yield from side_by_side_parts(report)
    for coin in result.coins:
        yield from _coin_section(coin, result)
    if report.sensitivity:
        yield "<h2>How much it depends on</h2>"
        yield _sensitivity_table(report.sensitivity, result)
    yield "<h2>Chains</h2>"
    yield from _chains([chain for coin in result.coins for chain in coin.chains], result)


def _comparison(results: Sequence[SimulationResult]) -> str:
    head = ("policy", "coin", "net, coin", "net, USD", "calls", "rolls", "chains won", "drawdown", "without a call")
    rows = [
        (
            result.policy,
            coin.coin,
            f"{coin.earnings.net_coin + 0.0:+.5f}",
            f"{(coin.earnings.net_usd or 0.0) + 0.0:+,.0f}",
            str(coin.earnings.sold),
            str(coin.earnings.rolls),
            f"{coin.wins} of {coin.closed_chains}",
            f"{100.0 * coin.drawdown_fraction:.2f} %",
            "?" if coin.earnings.uncovered_fraction is None else f"{100.0 * coin.earnings.uncovered_fraction:.0f} %",
        )
        for result in results
        for coin in result.coins
    ]
    return table(head, rows, results[0].source.label)


def _coin_section(coin: CoinResult, result: SimulationResult) -> Iterator[str]:
    name = escape(coin.coin)
    yield f"<h2>{name}</h2>"
    over = Series("over holding", over_holding(coin))
    yield figure(f"{coin.coin} over holding, in coin", [over], result.source.label)
    with_usd = [(point.at, point.equity_usd, point.holding_usd) for point in coin.equity]
    equity = [(at, equity_usd) for at, equity_usd, _ in with_usd if equity_usd is not None]
    holding = [(at, holding_usd) for at, _, holding_usd in with_usd if holding_usd is not None]
    both = [Series("equity", equity), Series("holding", holding)]
    yield figure(f"{coin.coin} in USD: equity and holding", both, result.source.label)
    yield _sum_table(coin, result)
    yield _attribution_table(coin, result)


def _sum_table(coin: CoinResult, result: SimulationResult) -> str:
    found, usd = coin.earnings, usd_parts(coin.earnings) or {}
    names = [*zip(PART_WORDS, SUM_PARTS, strict=True), ("net against holding", "net_coin")]
    rows = [
        (word, f"{getattr(found, name) + 0.0:+.8f}", _usd(usd.get(name.replace("_coin", "_usd"))))
        for word, name in names
    ]
    rows += [
        ("not explained by the ledger", f"{found.unexplained_coin:+.1e}", ""),
        ("slippage of sales against mid", f"{coin.slippage_coin + 0.0:+.8f}", ""),
        ("upside given up at expiry", "", _usd(coin.upside_given_up_usd)),
        ("deepest fall of equity in USD", "", f"{100.0 * coin.drawdown_usd_fraction:.1f} %"),
    ]
    return table(("sum", "coin", "USD at the last spot"), rows, result.source.label)


def _usd(amount_usd: float | None) -> str:
    return "?" if amount_usd is None else f"{amount_usd + 0.0:+,.2f}"


def _attribution_table(coin: CoinResult, result: SimulationResult) -> str:
    why = coin.attribution
    rows = [(field.name.removesuffix("_coin"), f"{getattr(why, field.name) + 0.0:+.8f}") for field in fields(why)]
    return table(
        ("what moved it", "coin"), [*rows, ("change of equity", f"{why.total_coin + 0.0:+.8f}")], result.source.label
    )


def _sensitivity_table(rows: Sequence[SensitivityRow], result: SimulationResult) -> str:
    shown = [(row.what, row.coin, f"{row.net_coin + 0.0:+.5f}", f"{row.change_coin + 0.0:+.5f}") for row in rows]
    return table(("if", "coin", "net, coin", "change"), shown, result.source.label)


def _chains(chains: Sequence[CallChain], result: SimulationResult) -> Iterator[str]:
    if len(chains) > MOST_CHAINS:
        yield f"<p>The first {MOST_CHAINS} of {len(chains)}; all are in chains.csv.</p>"
    rows = [
        (
            " > ".join(leg.symbol for leg in chain.legs),
            "?" if chain.opened_at is None else f"{chain.opened_at:%Y-%m-%d}",
            "" if chain.closed_at is None else f"{chain.closed_at:%Y-%m-%d}",
            chain.exit,
            "?" if chain.pnl_coin is None else f"{chain.pnl_coin:+.5f}",
            "?" if chain.pnl_usd is None else f"{chain.pnl_usd:+,.0f}",
        )
        for chain in chains[:MOST_CHAINS]
    ]
    yield table(("calls", "opened", "closed", "exit", "coin", "USD"), rows, result.source.label)
