"""From the command line to Jobs: which trials, on which market, with which settings, and what each is called.

In: options. Out: a Plan. A trial's name is a hash of all it depends on (settings, policy file, constants, market,
period), so that the same trial is known again whatever sweep it is in. Combinations that no settings can have are left
out and told. Loads policies; raises ConfigurationError before anything is run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backtest.sweep.space import SETTINGS_TRIED, Trial, drawn, grid, read_axis, refuse_double_names
from backtest.sweep.trials import RANDOM_ENTRIES, Job, MarketFiles, constants_of
from cli.assembly import config_hash, policy_hash
from cli.policy_file import load_policy
from config import ENV_FILE, AgentConfig, DeribitConfig, load_config
from logging_utils import short_hash
from models import ConfigurationError

SIX_HOURS_SECONDS = 21_600.0
DAY_SECONDS = 86_400.0
WEEK_DAYS = 7.0
FIRST_DICE = 1_000  # of random entries; far from the seeds people use for markets


@dataclass(frozen=True)
class Plan:
    """`jobs` are the trials of this sweep, then its random entries; `left_out` says why others were no settings."""

    market: str
    axes: tuple[str, ...]
    jobs: tuple[Job, ...]
    left_out: tuple[str, ...]
    longest_call_days: float


def plan_of(options: argparse.Namespace) -> Plan:
    """All jobs of a sweep, run before or not."""
    files = MarketFiles(**{name: getattr(options, name) for name in MarketFiles.__dataclass_fields__})
    base = _settings(options, {})
    return_days = WEEK_DAYS if options.weekdays else max(1.0, base.run.interval_seconds / DAY_SECONDS)
    market = _market_name(files, base, return_days)
    policies = {name: _loaded(name) for name in options.policy}
    axes = [read_axis(text, _shared_constants(policies)) for text in options.set]
    refuse_double_names(axes)
    trials = _trials(options, axes)
    jobs, left_out = [], []
    for trial in trials:
        try:
            config = _settings(options, trial.settings)
        except ConfigurationError as error:
            left_out.append(str(error))
            continue
        name = _trial_name(market, config, policies[trial.policy].hash, trial.constants)
        jobs.append(Job(name, market, trial.policy, trial.values, trial.constants, config, files, return_days))
    if not jobs:
        raise ConfigurationError(left_out[0] if left_out else "nothing to try")
    by_chance = [
        _by_chance(market, base, files, return_days, FIRST_DICE + dice) for dice in range(options.random_entries)
    ]
    longest = max(max(job.config.strategy(coin).dte_max for coin in job.config.enabled_underlyings) for job in jobs)
    names = tuple(axis.name for axis in axes)
    unique = tuple({job.trial: job for job in (*jobs, *by_chance)}.values())
    return Plan(market, names, unique, tuple(dict.fromkeys(left_out)), longest)


@dataclass(frozen=True)
class LoadedPolicy:
    hash: str
    constants: Mapping[str, float]


def _loaded(name: str) -> LoadedPolicy:
    decide, source = load_policy(name)
    return LoadedPolicy(policy_hash(source), constants_of(decide))


def _shared_constants(policies: Mapping[str, LoadedPolicy]) -> Sequence[str]:
    first, *others = policies.values()
    return [name for name in first.constants if all(name in other.constants for other in others)]


def _trials(options: argparse.Namespace, axes: Sequence[Any]) -> list[Trial]:
    if len(options.policy) * (1 + len(axes)) < 2:
        raise ConfigurationError(
            "one trial is no sweep: give values to try, such as --set DELTA_MAX=0.2,0.25,0.3, or a second policy"
        )
    if options.random is None:
        return grid(options.policy, axes)
    return drawn(options.policy, axes, options.random, options.random_seed)


def _settings(options: argparse.Namespace, tried: Mapping[str, str]) -> AgentConfig:
    """Those of `.env` and the command line, with the values tried; without the key, which no trial needs."""
    asked = {"fills": options.fills, "seed": options.seed, "interval_seconds": options.interval}
    run = {"interval_seconds": SIX_HOURS_SECONDS} | {key: value for key, value in asked.items() if value is not None}
    sections: dict[str, dict[str, Any]] = {"run": run}
    for name, value in tried.items():
        setting = SETTINGS_TRIED[name]
        sections.setdefault(setting.section, {})[setting.field] = value
    return load_config(ENV_FILE, sections, warn=lambda _: None).model_copy(update={"deribit": DeribitConfig()})


def _by_chance(market: str, base: AgentConfig, files: MarketFiles, return_days: float, dice: int) -> Job:
    name = _trial_name(market, base, RANDOM_ENTRIES, {"dice": dice})
    return Job(name, market, RANDOM_ENTRIES, (), {}, base, files, return_days, dice)


def _trial_name(market: str, config: AgentConfig, policy: str, constants: Mapping[str, float]) -> str:
    return "t-" + short_hash(json.dumps([market, config_hash(config), policy, sorted(constants.items())]))


def _market_name(files: MarketFiles, config: AgentConfig, return_days: float) -> str:
    """Of what is told about it, and of the names and sizes of its files: their content is not read for it."""
    run = config.run
    told = {name: str(value) for name, value in asdict(files).items() if not isinstance(value, Path)}
    account = [run.fills, run.seed, run.interval_seconds, run.paper_btc_coin, run.paper_eth_coin, return_days]
    return "m-" + short_hash(json.dumps([told, account, [list(_sizes(path)) for path in files.paths]]))


def _sizes(path: Path) -> Iterator[tuple[str, int]]:
    """Nothing of a path that is not there: reading it will say so."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in found:
        if file.is_file():
            yield file.name, file.stat().st_size
