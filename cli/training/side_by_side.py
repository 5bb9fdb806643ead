"""Training mode: several profiles trade side by side, each on a paper account of its own, on one reading of the market.

In: the parsed command line with --profiles. Out: an agent a profile, its files in `<log-dir>/<profile>/` and
`<data-dir>/<profile>/`; an exit code. Quotes are testnet's (read once an interval for all of them), recorded or
simulated; no order leaves this machine. Orders fill at the other side of the book, at once (AGENT_FILLS=touch): while
one profile worked an order price by price, the others would see another market.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from cli.assembly import Agent, assemble_agent
from cli.console import say
from cli.locks import Lock, take_lock
from cli.setup import mode_and_market, paper_coins, refuse_missing_files, settings_from
from cli.signals import stop_on_signals
from config import AgentConfig, changed_settings
from core.settings.modes import SETS
from deribit.clocks import SystemClock
from deribit.wire import network_transport
from models import ConfigurationError
from paper_exchange import setups
from paper_exchange.account.account import PaperAccount
from paper_exchange.transport import SharedReads

PAPER_KEY = ("paper", "paper")


@dataclass(frozen=True)
class Class:
    """The agents of one training run, by profile. `begin_round`: what was read so far is old from here on."""

    agents: dict[str, Agent]
    begin_round: Callable[[], None]


RunProfiles = Callable[[Class, argparse.Namespace], int]


def run_training(options: argparse.Namespace, run_profiles: RunProfiles) -> int:
    """From the command line to the exit code."""
    configs = {name: _settings_of(name, options) for name in options.profiles}
    with _locked_class(configs, options) as trained:
        stop_on_signals(*trained.agents.values())
        for name, config in configs.items():
            say(f"{name}: {', '.join(changed_settings(config))}")
        code = run_profiles(trained, options)
        for name, agent in trained.agents.items():
            say(f"{name}: {agent.recorder.iteration} iterations; the log is in {agent.config.run.log_dir}")
        return code


def _settings_of(profile: str, options: argparse.Namespace) -> AgentConfig:
    """Those of the profile, on paper, in folders of its own."""
    if profile not in SETS:
        raise ConfigurationError(f"--profiles: {profile!r} is no profile or mode; there are {', '.join(SETS)}")
    own = argparse.Namespace(**{**vars(options), "mode": profile, "dry_run": options.market is None})
    config = settings_from(own)
    run = config.run.model_copy(
        update={
            "fills": "touch",
            "dry_run": True,
            "log_dir": config.run.log_dir / profile,
            "data_dir": config.run.data_dir / profile,
        }
    )
    risk = config.risk if config.risk.require_bid is not None else config.risk.model_copy(update={"require_bid": True})
    return config.model_copy(update={"run": run, "risk": risk})


@contextmanager
def _locked_class(configs: dict[str, AgentConfig], options: argparse.Namespace) -> Iterator[Class]:
    """All agents, with their folders held for this process."""
    locks: list[Lock] = []
    with ExitStack() as held:
        for config in configs.values():
            for folder, setting in ((config.run.data_dir, "AGENT_DATA_DIR"), (config.run.log_dir, "AGENT_LOG_DIR")):
                locks.append(take_lock(folder, config.name_of(setting)))
                held.callback(locks[-1].release)
        trained = _on_testnet(configs, options) if options.market is None else _in_process(configs, options)
        for agent in trained.agents.values():
            agent.locks = tuple(locks)
            agent.trading.resume_or_stay_halted(options.resume)
            held.enter_context(closing(agent.client))
        yield trained


def _in_process(configs: dict[str, AgentConfig], options: argparse.Namespace) -> Class:
    """One simulated or recorded market with many accounts: nothing is read twice, and all see the same moment."""
    first = next(iter(configs.values()))
    with refuse_missing_files():
        setup = _market_of(first, options)
    market = setup.exchange.market
    agents: dict[str, Agent] = {}
    for name, config in configs.items():
        played = _with_coins(config, setup.currencies)
        account = PaperAccount(market, _coins_of(config, setup.currencies))
        mode, kind = mode_and_market(played, options)
        agents[name] = assemble_agent(played, None, setup.clock, mode, kind, PAPER_KEY, None, account)
    return Class(agents, lambda: None)


def _market_of(config: AgentConfig, options: argparse.Namespace) -> setups.Setup:
    coins = paper_coins(config)
    if options.market == "simulated":
        return setups.simulated_setup(config.run.seed, coins)
    return setups.recorded_setup(options.recording, coins, options.candles, options.delivery_prices)


def _with_coins(config: AgentConfig, coins: Sequence[str]) -> AgentConfig:
    played = config.without_coins_beyond(coins)
    if not played.enabled_underlyings:
        raise ConfigurationError(f"{config.run.mode}: no coin to trade: none is enabled, or in the recording")
    return played


def _coins_of(config: AgentConfig, currencies: Sequence[str]) -> dict[str, float]:
    return {coin: amount for coin, amount in paper_coins(config).items() if coin in currencies}


def _on_testnet(configs: dict[str, AgentConfig], options: argparse.Namespace) -> Class:
    """Testnet's quotes for all of them through one door: what one has asked, the others are not asking again."""
    clock = SystemClock()
    shared = SharedReads(network_transport(), clock.monotonic)
    agents: dict[str, Agent] = {}
    for name, config in configs.items():
        account_file = config.run.data_dir / "paper_account.json"
        with refuse_missing_files():
            setup = setups.dry_run_setup(account_file, paper_coins(config), clock, shared)
        mode, kind = mode_and_market(config, options)
        agents[name] = assemble_agent(config, setup.transport, setup.clock, mode, kind, PAPER_KEY)
    return Class(agents, shared.forget)
