"""The page of one line: everything of its record, its neighbours, and what other settings would have come to.

In: a run and the number of an iteration; settings typed into the form. Out: HTML, or the line's own JSON.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, Response

from dashboard.line.choices import choice_rows
from dashboard.line.what_if import what_if
from dashboard.live.chain_map import as_in_the_run, chain_map
from dashboard.live.chains import chain_of_line
from dashboard.log_index.line import Line
from dashboard.pages import Context, context_of, page
from logging_utils import IterationRecord

router = APIRouter()
Iteration = Annotated[int, Path(ge=0, le=2_000_000_000)]


@router.get("/line/{run_id}/{iteration}")
def line_page(request: Request, run_id: str, iteration: Iteration, coin: str = "") -> HTMLResponse:
    """Everything of a line."""
    context = context_of(request)
    line = _line(context, run_id, iteration)
    record, raw = context.index.iteration_record(line), context.index.record_of(line)
    if record is None or raw is None:
        raise HTTPException(404, "This line was in the log, and its file is gone or cut.")
    given = dict(request.query_params)
    return page(request, "line.html", line_values(context, line, record, coin, given) | {"raw": _pretty(raw)})


@router.get("/line/{run_id}/{iteration}/json")
def line_json(request: Request, run_id: str, iteration: Iteration) -> Response:
    """The line as it stands in the log."""
    context = context_of(request)
    raw = context.index.raw(_line(context, run_id, iteration))
    if raw is None:
        raise HTTPException(404, "This line was in the log, and its file is gone or cut.")
    return Response(raw, media_type="application/json")


def _line(context: Context, run_id: str, iteration: int) -> Line:
    line = context.index.line(run_id, iteration)
    if line is None:
        raise HTTPException(404, f"The log has no line {iteration} of a run {run_id[:60]}.")
    return line


def _pretty(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False)


def line_values(
    context: Context, line: Line, record: IterationRecord, coin: str, given: dict[str, str]
) -> dict[str, Any]:
    """What the template shows."""
    state = record.agent_state
    coins = [] if state is None else [str(market.underlying) for market in state.markets]
    coin = coin if coin in coins else line.underlying if line.underlying in coins else next(iter(coins), "BTC")
    config = as_in_the_run(context.config, record.market or "", bool(record.requires_bid))
    market = None if state is None else state.market(coin)
    seen = None if state is None else chain_of_line(context.settings.data_dir, coin, state.timestamp)
    answer = None if state is None else what_if(state, coin, config, given, seen, record.policy or "")
    mapped = None
    if seen is not None and state is not None and market is not None:
        mapped = chain_map(seen, state, market, config)
    return {
        "title": f"Line {line.iteration}",
        "line": line,
        "record": record,
        "choices": choice_rows(record),
        "state": state,
        "coin": coin,
        "coins": coins,
        "market": market,
        "neighbours": context.index.neighbours(line),
        "what_if": answer,
        "chain": mapped,
        "candidates": () if state is None else state.candidates_for(coin),
        "misses": () if state is None else [miss for miss in state.near_misses if miss.underlying == coin],
    }
