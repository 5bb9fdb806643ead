"""The settings that each run of a log was decided with, as far as the log and today's settings tell.

In: the points of a log; `.env` and the environment as they are today. Out: settings by run, and the runs whose hash
says that they were others. A log decided again never calls a language model: only replies that are kept count, and what
was never asked stays a cache miss. Reads `.env`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise, product
from typing import Any

from backtest.replay.logged import Log, Point
from cli.assembly import config_hash
from config import ENV_FILE, AgentConfig, config_of_mode, load_config
from models import ConfigurationError

LONGEST_INTERVAL_SECONDS = 86_400.0


def settings_of_runs(log: Log, interval_seconds: float | None = None) -> tuple[dict[str, AgentConfig], list[str]]:
    """By run; raises ConfigurationError where today's settings cannot be read."""
    in_mode = cache(_todays_settings)
    found: dict[str, AgentConfig] = {}
    strange: list[str] = []
    for run_id, points in log.runs.items():
        config = in_mode(points[0].decision.settings_mode)
        found[run_id], is_known = settings_of(points, config, interval_seconds)
        strange += [] if is_known else [run_id]
    return found, strange


def _todays_settings(mode: str) -> AgentConfig:
    """In the mode that the run had; in that of today where `.env` contradicts it: then the hash says so."""
    today = load_config(ENV_FILE)
    if mode == today.run.mode:
        return today
    try:
        return config_of_mode(mode, ENV_FILE)
    except ConfigurationError:
        return today


def settings_of(
    points: Sequence[Point], config: AgentConfig, interval_seconds: float | None
) -> tuple[AgentConfig, bool]:
    """The settings a run was decided with, and whether its hash says so. `config`: today's, in the run's mode.

    Known from the log are its market, coins, seed, fills and policy; the interval (which decides whose turn it is) is
    the one most often seen between two lines, unless it is given. All else is as it is set today.
    """
    first = points[0].decision
    coins = {market.underlying for market in points[0].state.markets}
    intervals = [interval_seconds] if interval_seconds else [config.run.interval_seconds, *_intervals(points)]
    market = _asking_no_model(config).at_market(first.market).without_coins_beyond(coins)
    known: dict[str, Any] = {"seed": points[0].state.seed, "policy": first.policy, "fills": first.fills}
    with_bid = market.risk.model_copy(update={"require_bid": True})  # of profiles that were trained side by side
    for risk, interval, is_dry, records_chains in product(
        (market.risk, with_bid), intervals, (False, True), (False, True)
    ):
        run = known | {"interval_seconds": interval, "dry_run": is_dry, "record_chains": records_chains}
        guess = market.model_copy(update={"run": market.run.model_copy(update=run), "risk": risk})
        if config_hash(guess) == first.config_hash:
            return guess, True
    run = known | {"interval_seconds": intervals[-1]}
    return market.model_copy(update={"run": market.run.model_copy(update=run)}), False


def _asking_no_model(config: AgentConfig) -> AgentConfig:
    return config.model_copy(update={"llm": config.llm.model_copy(update={"cache": "only"})})


def _intervals(points: Sequence[Point]) -> Iterable[float]:
    """The usual time between two decisions; none of a log of one."""
    gaps = Counter(
        round((later.state.timestamp - earlier.state.timestamp).total_seconds(), 3)
        for earlier, later in pairwise(points)
    )
    usual = [seconds for seconds, _ in gaps.most_common(1) if 1.0 <= seconds <= LONGEST_INTERVAL_SECONDS]
    return [float(round(seconds)) for seconds in usual]
