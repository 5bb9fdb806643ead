"""ranking.csv and summary.json of a sweep.

In: a Judgement, a folder. Out: two files, each written whole. Sharpe ratios are per period of `return_days` and per
year; USD and coin over holding. `source` stands in every row: how true its quotes are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backtest.report.files import write_whole
from backtest.sweep.judging import (
    LEAST_DEFLATED,
    MOST_BY_CHANCE,
    MOST_OVERFITTING,
    Judgement,
    Ranked,
    Step,
    WalkForward,
)
from backtest.sweep.text import a_year

COLUMNS = (
    *("rank", "trial", "policy", "net_usd", "net_btc", "net_eth", "sold", "rolls", "drawdown_usd_fraction"),
    *("sharpe", "sharpe_a_year", "later_sharpe_a_year", "deflated_sharpe", "by_chance", "chosen_by_pasts"),
    *("return_days", "decisions", "source"),
)


def write_sweep(found: Judgement, lengths: WalkForward, market: str, folder: Path) -> None:
    """Both files; a sweep of which nothing could be ranked leaves the headings."""
    names = list(dict.fromkeys(name for one in found.ranked for name in one.row.values))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*COLUMNS, *names], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(number, one) for number, one in enumerate(found.ranked, 1))
    write_whole(folder / "ranking.csv", text.getvalue())
    write_whole(folder / "summary.json", json.dumps(_summary(found, lengths, market), indent=1) + "\n")


def _row(number: int, one: Ranked) -> dict[str, Any]:
    row = one.row
    return {
        "rank": number,
        "trial": row.trial,
        "policy": row.policy,
        "net_usd": row.net_usd,
        "net_btc": row.net_coin.get("BTC"),
        "net_eth": row.net_coin.get("ETH"),
        "sold": row.sold,
        "rolls": row.rolls,
        "drawdown_usd_fraction": row.drawdown_usd_fraction,
        "sharpe": one.sharpe,
        "sharpe_a_year": a_year(one.sharpe, row.return_days),
        "later_sharpe_a_year": None if one.later is None else a_year(one.later, row.return_days),
        "deflated_sharpe": one.deflated,
        "by_chance": one.by_chance,
        "chosen_by_pasts": one.chosen,
        "return_days": row.return_days,
        "decisions": row.decisions,
        "source": row.source,
        **row.values,
    }


def _summary(found: Judgement, lengths: WalkForward, market: str) -> dict[str, Any]:
    first = found.ranked[0].row if found.ranked else None
    return {
        "market": market,
        "source": None if first is None else first.source,
        "start": None if first is None or first.start is None else first.start.isoformat(),
        "periods": 0 if first is None else len(first.returns),
        "return_days": None if first is None else first.return_days,
        "ranked": len(found.ranked),
        "not_ranked": {row.trial: "ended early" if row.ended_early else "never traded" for row in found.left_out},
        "trials_ever": found.trials_ever,
        "deflated_sharpe_of_first": found.ranked[0].deflated if found.ranked else None,
        "overfitting_probability": found.overfitting,
        "no_overfitting_because": found.no_overfitting,
        "walk_forward": {
            "lengths_days": {"choose": lengths.choose_days, "judge": lengths.judge_days, "pause": lengths.pause_days},
            "sharpe_a_year": None
            if found.walked_sharpe is None or first is None
            else a_year(found.walked_sharpe, first.return_days),
            "none_because": found.no_windows,
            "steps": list(_steps(found.steps)),
        },
        "random_sharpes": list(found.random_sharpes),
        "limits": {"deflated": LEAST_DEFLATED, "overfitting": MOST_OVERFITTING, "by_chance": MOST_BY_CHANCE},
        "is_luck": bool(found.why_luck) or not found.ranked,
        "why_luck": list(found.why_luck),
    }


def _steps(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield {
            "chosen_on": [moment.isoformat() for moment in step.window.chosen_on],
            "judged_on": [moment.isoformat() for moment in step.window.judged_on],
            "trial": step.chosen.trial,
            "policy": step.chosen.policy,
            "values": step.chosen.values,
            "past_sharpe": step.past_sharpe,
            "later_return": step.later_return,
            "later_rank": step.later_rank,
        }
