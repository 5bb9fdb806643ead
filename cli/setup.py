"""From the command line to an Agent: settings, folders, and which exchange stands behind the run.

In: the parsed command line. Out: an AgentConfig, an Agent ready for run_iteration, or a client for the doctor;
ConfigurationError where that cannot be. Reads files and makes folders; sends no request.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import config as settings
from cli.assembly import ORDER_MODES, Agent, assemble_agent, load_shadows, unexpected_replies
from cli.console import complain
from cli.locks import account_file
from config import AgentConfig
from core.settings.texts import Setting
from deribit.clocks import SystemClock
from deribit.wire import network_transport
from deribit_client import DeribitClient
from models import UNDERLYINGS, ConfigurationError
from paper_exchange import setups
from paper_exchange.recorded.chain_recorder import ChainRecorder
from paper_exchange.recorded.files import RecordingError
from paper_exchange.storage import PaperAccountFileError

# The options that set a setting of the run section, by its field: messages name what was typed.
OPTION_OF = {
    "dry_run": "--dry-run",
    "interval_seconds": "--interval",
    "mode": "--mode",
    "policy": "--policy",
    "seed": "--seed",
    "log_dir": "--log-dir",
    "data_dir": "--data-dir",
    "record_chains": "--record-chains",
}


def settings_from(options: argparse.Namespace) -> AgentConfig:
    """Settings with the market and the folders of this way to run."""
    overrides = _overrides(options)
    typed_as = {setting.name: OPTION_OF[setting.field] for setting in settings.SETTINGS if _is_in(overrides, setting)}
    config = settings.load_config(settings.ENV_FILE, overrides, typed_as, complain)
    market = _market(config, options)
    if options.market is None and config.run.fills != "ladder":
        raise ConfigurationError("AGENT_FILLS=touch is for research: --market simulated or --market recorded")
    config = config.at_market(market)
    if market == "testnet":
        return config
    folders = {
        name: getattr(config.run, name) / market for name in ("log_dir", "data_dir") if name not in overrides["run"]
    }
    return config.model_copy(update={"run": config.run.model_copy(update=folders)})


def trades_for_real(config: AgentConfig, options: argparse.Namespace) -> bool:
    """Whether orders go to testnet or to an exchange on this machine, and not to a paper account."""
    return options.market is None and not config.run.dry_run


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the command line says, as settings of the agent section."""
    given = {
        "dry_run": True if options.dry_run else None,
        "interval_seconds": options.interval,
        "mode": options.mode,
        "policy": options.policy,
        "seed": options.seed,
        "log_dir": None if options.log_dir is None else options.log_dir.resolve(),
        "data_dir": None if options.data_dir is None else options.data_dir.resolve(),
        "record_chains": True if options.record_chains else None,
    }
    return {"run": {name: value for name, value in given.items() if value is not None}}


def _is_in(overrides: dict[str, dict[str, Any]], setting: Setting) -> bool:
    return setting.field in overrides.get(setting.section, {})


def build_agent(config: AgentConfig, options: argparse.Namespace) -> Agent:
    """Make the agent for one of the four ways to run; raises ConfigurationError."""
    config.run.data_dir.mkdir(parents=True, exist_ok=True)
    if trades_for_real(config, options):
        settings.require_credentials(config)
    setup = _paper_setup(config, options)
    transport, clock = (None, SystemClock()) if setup is None else (setup.transport, setup.clock)
    config = _without_missing_coins(config, UNDERLYINGS if setup is None else setup.currencies)
    if config.run.record_chains:
        transport = _recording(transport, config)
    mode, market = mode_and_market(config, options)
    paper_key = None if mode in ORDER_MODES else ("paper", "paper")  # a paper account never sees the real key
    mark = account_file(config, "last_order") if mode in ORDER_MODES else None
    account = setup.account if setup is not None and _needs_no_wire(config, options) else None
    agent = assemble_agent(config, transport, clock, mode, market, paper_key, mark, account)
    agent.shadows = load_shadows(options.shadow)
    return agent


def _needs_no_wire(config: AgentConfig, options: argparse.Namespace) -> bool:
    """Whether the exchange is asked in this process; a recorder of chains listens on the wire."""
    return options.market is not None and not options.wire and not config.run.record_chains


def client_for_check(config: AgentConfig, options: argparse.Namespace) -> tuple[DeribitClient, AgentConfig]:
    """A client that can look but not send an order, and the settings of its coins; raises ConfigurationError."""
    if trades_for_real(config, options):
        settings.require_credentials(config)
    setup = _paper_setup(config, options, keeps_account=False)
    transport, clock = (None, SystemClock()) if setup is None else (setup.transport, setup.clock)
    config = _without_missing_coins(config, UNDERLYINGS if setup is None else setup.currencies)
    paper_key = None if trades_for_real(config, options) else ("paper", "paper")
    unexpected = unexpected_replies(config, clock)
    client = DeribitClient(config, transport=transport, clock=clock, credentials=paper_key, unexpected=unexpected)
    return client, config


def _without_missing_coins(config: AgentConfig, coins: tuple[str, ...]) -> AgentConfig:
    """A recording of one coin is played without the other."""
    played = config.without_coins_beyond(coins)
    for coin in config.enabled_underlyings:
        if coin not in played.enabled_underlyings:
            complain(f"{coin} is not in the recording and is left out")
    if not played.enabled_underlyings:
        raise ConfigurationError("no coin to trade: BTC_ENABLED and ETH_ENABLED are false, or not in the recording")
    return played


def _paper_setup(config: AgentConfig, options: argparse.Namespace, keeps_account: bool = True) -> setups.Setup | None:
    """The paper exchange of three of the four ways to run; None where the real network is asked."""
    if trades_for_real(config, options):
        return None
    coins = paper_coins(config)
    with refuse_missing_files():
        if options.market == "simulated":
            return setups.simulated_setup(config.run.seed, coins)
        if options.market == "recorded":
            columns_folder = config.run.data_dir / "columns" if keeps_account else None  # a check leaves no file
            return setups.recorded_setup(
                options.recording, coins, options.candles, options.delivery_prices, columns_folder
            )
        account_file = config.run.data_dir / "paper_account.json"
        return setups.dry_run_setup(account_file, coins, SystemClock(), network_transport(), keeps_account)


def paper_coins(config: AgentConfig) -> dict[str, float]:
    """What a new paper account begins with."""
    return {"BTC": config.run.paper_btc_coin, "ETH": config.run.paper_eth_coin}


@contextmanager
def refuse_missing_files() -> Iterator[None]:
    """A recording or an account that cannot be read is a ConfigurationError."""
    try:
        yield
    except (RecordingError, PaperAccountFileError) as error:
        raise ConfigurationError(str(error)) from None


def _recording(transport: httpx.BaseTransport | None, config: AgentConfig) -> httpx.BaseTransport:
    return ChainRecorder(transport or network_transport(), config.run.data_dir / "chains")


def mode_and_market(config: AgentConfig, options: argparse.Namespace) -> tuple[str, str]:
    """How and where, for the log: (mode, market)."""
    market = _market(config, options)
    return ("dry_run" if options.market is None and config.run.dry_run else market), market


def _market(config: AgentConfig, options: argparse.Namespace) -> str:
    """Where quotes come from: simulated, recorded, an exchange on this machine, or testnet."""
    return options.market or ("loopback" if config.is_loopback else "testnet")
