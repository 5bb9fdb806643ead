"""The addresses of the live page: the page, and the stream that says when a line has come.

In: which account and coin to show. Out: HTML; server-sent events, one a line of the log, each with the line's own
number, so that a reader who comes back is told all that it missed, once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from dashboard.live.account import AccountView, Views
from dashboard.live.chain_map import ChainMap, as_in_the_run, chain_map
from dashboard.live.chains import chain_of_line
from dashboard.live.payoff import short_calls
from dashboard.live.sections import coverage, held_calls, next_settlement, strip, sum_rows
from dashboard.live.sentence import sentence
from dashboard.live.timeline import timeline
from dashboard.pages import Context, context_of, page
from dashboard.pictures import live_pictures as pictures
from models import MarketSnapshot

router = APIRouter()
HEARTBEAT_LOOKS = 30  # looks without news until a comment keeps the connection open


@router.get("/")
def live(request: Request, account: str = "", coin: str = "") -> HTMLResponse:
    """The live page of an account, the one with the newest line unless it is named."""
    context = context_of(request)
    accounts = context.index.accounts()
    view = views_of(request).of(account or next(iter(accounts), ""))
    if view is None:
        sentence_ = f"The log has no account {account}." if account else "No line has been written yet."
        values = {"title": "Live", "sentence": sentence_, "progress": context.index.progress}
        return page(request, "empty.html", values, 404 if account else 200)
    return page(request, "live.html", live_values(context, view, coin) | {"accounts": accounts})


def views_of(request: Request) -> Views:
    """One for the application, made when it is first asked for."""
    state = request.app.state
    if not hasattr(state, "views"):
        state.views = Views(context_of(request).index)
    found: Views = state.views
    return found


def live_values(context: Context, view: AccountView, coin: str) -> dict[str, Any]:
    """Everything the template shows."""
    coin = coin if coin in view.coins else next(iter(view.coins), "BTC")
    now = context.now() if view.is_live else view.last.at
    state = view.state
    market = None if state is None else state.market(coin)
    calls = [] if state is None else short_calls(state, coin, view.calls, state.timestamp)
    strategy = context.config.strategy(coin)
    thresholds = [
        (strategy.ivrv_min, f"sell {strategy.ivrv_min:g}"),
        (strategy.roll_ivrv_min, f"roll {strategy.roll_ivrv_min:g}"),
    ]
    return {
        "title": "Live",
        "view": view,
        "coin": coin,
        "market": market,
        "state": state,
        "strip": strip(view, context.now()),
        "settlement": next_settlement(state, now),
        "words": sentence(view, coin, context.config),
        "coverage": coverage(state, coin),
        "sums": sum_rows(view, coin),
        "held": held_calls(view, coin),
        "calls": calls,
        "strategy": strategy,
        "risk": context.config.risk,
        "funnel": _funnel(view, coin),
        "near_misses": [] if state is None else [miss for miss in state.near_misses if miss.underlying == coin],
        "candidates": () if state is None else state.candidates_for(coin),
        "items": timeline(context.index, view.last),
        "progress": context.index.progress,
        "chain": _chain(context, view, coin, market),
        "pictures": _pictures(view, coin, market, calls, thresholds),
    }


def _chain(context: Context, view: AccountView, coin: str, market: MarketSnapshot | None) -> ChainMap | None:
    """The map of calls, where the chain of the newest state is still there."""
    state, record = view.state, view.record
    seen = None if state is None else chain_of_line(context.settings.data_dir, coin, state.timestamp)
    if seen is None or state is None or record is None or market is None:
        return None
    return chain_map(seen, state, market, as_in_the_run(context.config, record.market, record.requires_bid))


def _pictures(
    view: AccountView, coin: str, market: MarketSnapshot | None, calls: Any, thresholds: Any
) -> dict[str, Any]:
    return {
        "price": pictures.price_picture(view.points, view.calls, coin, 215.0),
        "gain": pictures.gain_picture(view.points, coin, 84.0),
        "payoff": None
        if market is None or not calls
        else pictures.payoff_pictures(calls, market.spot_usd, coin, (112.0, 52.0)),
        "volatility": pictures.volatility_picture(view.samples, coin, 58.0),
        "ratio": pictures.ratio_picture(None if market is None else market.iv_rv_ratio, thresholds),
    }


def _funnel(view: AccountView, coin: str) -> list[tuple[str, int, int]]:
    """Rule by rule: what it is, how many calls were left after it, how many it turned away."""
    funnels = () if view.state is None else view.state.funnels
    found = next((funnel for funnel in funnels if funnel.underlying == coin), None)
    if found is None:
        return []
    left, rows = found.listed, [("options listed", found.listed, 0)]
    for step in found.steps:
        left -= step.rejected
        rows += [(step.rule.replace("_", " "), left, step.rejected)] if step.rejected else []
    return rows


@router.get("/events")
async def events(request: Request, after: int = -1) -> StreamingResponse:
    """A line's number, account and address whenever one comes; `Last-Event-ID` says up to where all is known."""
    known = request.headers.get("last-event-id", "")
    start = int(known) if known.isascii() and known.isdecimal() and len(known) < 16 else after
    headers = {"x-accel-buffering": "no"}
    return StreamingResponse(_stream(request, start), media_type="text/event-stream", headers=headers)


async def _stream(request: Request, after: int) -> AsyncIterator[str]:
    context = context_of(request)
    index, wait_seconds = context.index, context.settings.poll_seconds
    last = min(after, index.last_id) if after >= 0 else index.last_id
    looks = 0
    yield f"retry: 1000\nid: {last}\n\n"
    while not (index.has_ended or await request.is_disconnected()):
        for line in index.lines_after(last) if index.last_id > last else ():
            about = {"account": line.account, "run_id": line.run_id, "iteration": line.iteration}
            yield f"id: {line.id}\nevent: line\ndata: {json.dumps(about)}\n\n"
            last, looks = line.id, 0
        looks += 1
        if looks % HEARTBEAT_LOOKS == 0:
            yield ": still here\n\n"
        await asyncio.sleep(wait_seconds)
