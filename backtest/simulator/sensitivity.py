"""What a result depends on: volatility 10 % higher and lower, spreads twice as wide, no fees, other hours of decision.

In: the settings, market and policy of a run, and its result. Out: a row a change and coin, in coin against holding. The
changed markets show other quotes for the same index; without fees the trades are those of the run itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from backtest.simulator.changed_market import ChangedMarket, QuoteChange
from backtest.simulator.result import SimulationResult
from backtest.simulator.simulation import CoveredCallSimulator, MakeSetup, NamedPolicy, Period
from config import AgentConfig
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.setups import Setup
from paper_exchange.transport import PaperTransport

CHANGES = {
    "volatility 10 % higher": QuoteChange(iv_factor=1.1),
    "volatility 10 % lower": QuoteChange(iv_factor=0.9),
    "spreads twice as wide": QuoteChange(spread_factor=2.0),
}
HOURS_LATER = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class SensitivityRow:
    """What one coin would have made, and by how much that differs."""

    what: str
    coin: str
    net_coin: float
    change_coin: float


@dataclass(frozen=True)
class Case:
    """A run as it was asked for. `period.start` is known, so that it can be moved."""

    config: AgentConfig
    make_setup: MakeSetup
    policy: NamedPolicy
    period: Period


def sensitivity_rows(
    case: Case, result: SimulationResult, watch: Callable[[str, CoveredCallSimulator], SimulationResult]
) -> Iterator[SensitivityRow]:
    """One change after the other; `watch` runs a simulation and may show how far it is."""
    for what, change in CHANGES.items():
        changed = CoveredCallSimulator(case.config, changed_setup(case.make_setup, change), case.policy, case.period)
        yield from _rows(what, watch(what, changed), result)
    for coin in result.coins:
        fees_coin = coin.earnings.fees_coin
        yield SensitivityRow("no fees, same trades", coin.coin, coin.earnings.net_coin - fees_coin, -fees_coin)
    if result.source.kind != "recorded":  # whose snapshots set the hours
        yield from _hour_band(case, result, watch)


def changed_setup(make_setup: MakeSetup, change: QuoteChange) -> MakeSetup:
    """The same market with other quotes, and a fresh account on it."""

    def make(seed: int, coins: Mapping[str, float]) -> Setup:
        setup = make_setup(seed, coins)
        market = ChangedMarket(setup.exchange.market, change)
        account = PaperAccount(market, {coin: coins[coin] for coin in market.currencies if coin in coins})
        exchange = PaperExchange(market, account)
        return Setup(PaperTransport(exchange), setup.clock, exchange)

    return make


def _hour_band(
    case: Case, result: SimulationResult, watch: Callable[[str, CoveredCallSimulator], SimulationResult]
) -> Iterator[SensitivityRow]:
    """The least and the most that decisions at other hours would have made."""
    start = case.period.start or result.started_at
    if start is None:
        return
    moved: list[SimulationResult] = []
    for hours in HOURS_LATER:
        period = replace(case.period, start=start + timedelta(hours=hours))
        simulation = CoveredCallSimulator(case.config, case.make_setup, case.policy, period)
        moved.append(watch(f"decisions {hours} h later", simulation))
    for coin in result.coins:
        nets = [found.earnings.net_coin for other in moved for found in other.coins if found.coin == coin.coin]
        for word, net_coin in (("worst", min(nets)), ("best", max(nets))):
            what = f"decisions 1 to {HOURS_LATER[-1]} h later, {word}"
            yield SensitivityRow(what, coin.coin, net_coin, net_coin - coin.earnings.net_coin)


def _rows(what: str, changed: SimulationResult, result: SimulationResult) -> Sequence[SensitivityRow]:
    before = {coin.coin: coin.earnings.net_coin for coin in result.coins}
    nets = {coin.coin: coin.earnings.net_coin for coin in changed.coins}
    return [SensitivityRow(what, coin, net, net - before[coin]) for coin, net in nets.items() if coin in before]
