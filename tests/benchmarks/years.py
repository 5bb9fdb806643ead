"""Two years of decisions every six hours on the historical market, and a report of a thousand trades.

In: candles and DVOL beside the project. Out: two lines: CPU seconds from the files to the last decision, and those of
the tables and the page of a thousand trades. Reads disk, writes into a folder that is thrown away.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time

from backtest.report.contents import Report
from backtest.report.files import summary_of_report, write_summary, write_tables, write_whole
from backtest.report.page import report_page
from backtest.simulator.markets import add_data_options, markets_of
from backtest.simulator.result import SimulationResult
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy
from config import PROJECT_FOLDER, load_config
from policy_rule_based import decide_action

DATA = PROJECT_FOLDER.parent / "shared" / "market_data"
SIX_HOURS_SECONDS = 21_600.0
TRADES = 1_000


def historical_years() -> None:
    """Nothing where the data are not beside the project."""
    if not DATA.is_dir():
        print(f"historical years: left out, there is no {DATA}")
        return
    started = process_time()
    files = [
        "--candles",
        str(DATA / "spot"),
        "--dvol",
        str(DATA / "dvol"),
        "--delivery-prices",
        str(DATA / "settlement"),
    ]
    parser = argparse.ArgumentParser()
    add_data_options(parser)
    markets = markets_of(parser.parse_args([*files, "--start", "2022-01-01", "--end", "2024-01-01"]))
    read_seconds = process_time() - started
    config = load_config(env_file=None, overrides={"run": {"interval_seconds": SIX_HOURS_SECONDS}})
    policy = NamedPolicy("policy_rule_based", decide_action)
    result = CoveredCallSimulator(config, markets.make_setup, policy, markets.period).run()
    seconds = process_time() - started
    count = len(result.decisions)
    print(f"historical market: {count} decisions in {seconds:.1f} s CPU, {read_seconds:.1f} s of it reading the files")
    _thousand_trades(result)


def _thousand_trades(result: SimulationResult) -> None:
    """The calls and chains of the run, repeated until there are enough."""
    sold = sum(len(coin.calls) for coin in result.coins)
    times = -(-TRADES // max(1, sold))
    coins = [replace(coin, calls=coin.calls * times, chains=coin.chains * times) for coin in result.coins]
    long = Report(replace(result, coins=tuple(coins)))
    with tempfile.TemporaryDirectory() as folder:
        started = process_time()
        write_tables(long.result, Path(folder))
        write_summary(summary_of_report(long), Path(folder))
        write_whole(Path(folder) / "report.html", report_page(long))
        print(f"report of {sold * times} trades: {process_time() - started:.2f} s CPU")
