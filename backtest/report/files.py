"""trades.csv, equity.csv, chains.csv, decisions.csv and summary.json of a run.

In: a SimulationResult, a folder. Out: files, each written whole. Amounts in coin, in USD where the name says so, times
ISO and UTC. `source` stands in every row: how true its quotes are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from backtest.report.contents import Report
from backtest.simulator.result import CoinResult, Decision, SimulationResult
from core.results.earnings import CoinEarnings, EquityPoint
from core.results.sold_calls import CallChain, SoldCall

DECISION_COLUMNS = tuple(field.name for field in fields(Decision))
TRADE_COLUMNS = (*(field.name for field in fields(SoldCall)), "pnl_coin", "pnl_usd")
CHAIN_COLUMNS = ("chain_id", "currency", "opened_at", "closed_at", "exit", "rolls", "symbols", "pnl_coin", "pnl_usd")
EQUITY_COLUMNS = ("at", "currency", "equity_coin", "holding_coin", "spot_usd", "equity_usd", "holding_usd")
SUM_PARTS = ("premium_coin", "bought_back_coin", "settled_coin", "fees_coin", "open_value_coin")


def write_tables(result: SimulationResult, folder: Path) -> None:
    """The four tables; a run without a trade leaves their headings."""
    calls = [call for coin in result.coins for call in coin.calls]
    chains = [chain for coin in result.coins for chain in coin.chains]
    points = [point for coin in result.coins for point in coin.equity]
    label = result.source.label
    _write(folder / "trades.csv", TRADE_COLUMNS, (_values(call, TRADE_COLUMNS) for call in calls), label)
    _write(folder / "chains.csv", CHAIN_COLUMNS, map(_chain_row, chains), label)
    _write(folder / "equity.csv", EQUITY_COLUMNS, (_values(point, EQUITY_COLUMNS) for point in points), label)
    _write(folder / "decisions.csv", DECISION_COLUMNS, map(asdict, result.decisions), label)


def write_summary(summary: Mapping[str, Any], folder: Path) -> None:
    write_whole(folder / "summary.json", json.dumps(summary, indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def summary_of_report(report: Report) -> dict[str, Any]:
    """The run's figures, those of the policies beside it, of what it depends on, and of other quotes."""
    return {
        **summary_of(report.result),
        "warnings": list(report.warnings),
        "compared_with": list(map(summary_of, report.presets)),
        "sensitivity": [{"if": row.what, "coin": row.coin, "net_coin": row.net_coin} for row in report.sensitivity],
        "on_other_quotes": [{"quotes": other.name, **summary_of(other.result)} for other in report.other_quotes],
    }


def summary_of(result: SimulationResult) -> dict[str, Any]:
    """All figures of a run but its rows."""
    return {
        "policy": result.policy,
        "source": asdict(result.source),
        "fills": result.fills,
        "seed": result.seed,
        "started_at": _time(result.started_at),
        "ended_at": _time(result.ended_at),
        "decisions": len(result.decisions),
        "warnings": list(result.warnings),
        "net_usd": result.net_usd,
        "coins": {coin.coin: _coin_summary(coin) for coin in result.coins},
    }


def _coin_summary(coin: CoinResult) -> dict[str, Any]:
    found = coin.earnings
    return {
        "coin": {**{name: getattr(found, name) for name in SUM_PARTS}, "net_coin": found.net_coin},
        "usd": usd_parts(found),
        "equity_first_coin": found.equity_first_coin,
        "equity_last_coin": found.equity_last_coin,
        "holding_coin": found.holding_coin,
        "unexplained_coin": found.unexplained_coin,
        "spot_last_usd": found.spot_last_usd,
        "upside_given_up_usd": coin.upside_given_up_usd,
        "slippage_coin": coin.slippage_coin,
        "drawdown_fraction": coin.drawdown_fraction,
        "drawdown_usd_fraction": coin.drawdown_usd_fraction,
        "uncovered_fraction": found.uncovered_fraction,
        "sold": found.sold,
        "rolls": found.rolls,
        "chains": len(coin.chains),
        "closed_chains": coin.closed_chains,
        "wins": coin.wins,
        "attribution_coin": asdict(coin.attribution),
    }


def usd_parts(found: CoinEarnings) -> dict[str, float] | None:
    """The parts of the sum in USD, all at the last spot, so that they add up too."""
    spot_usd = found.spot_last_usd
    if spot_usd is None:
        return None
    parts = {name.replace("_coin", "_usd"): getattr(found, name) * spot_usd for name in SUM_PARTS}
    return {**parts, "net_usd": found.net_coin * spot_usd}


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _values(row: SoldCall | EquityPoint, columns: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in columns}


def _chain_row(chain: CallChain) -> dict[str, Any]:
    names = (name for name in CHAIN_COLUMNS if name != "symbols")
    return {**{name: getattr(chain, name) for name in names}, "symbols": " > ".join(leg.symbol for leg in chain.legs)}


def _write(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]], source: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*columns, "source"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "source": source} for row in rows)
    write_whole(path, text.getvalue())
