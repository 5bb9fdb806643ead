"""build_agent_state: read the account and the markets, then compute everything a decision needs.

In: a client (network), settings. Out: one AgentState, or an error; never an incomplete state. `fetch` talks to
Deribit: open orders before positions, so that a fill in between is counted twice, never not at all. `assemble_state`
is pure; core/candidates.py says which calls may be sold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Literal, NamedTuple

from config import AgentConfig
from core.candidates import scan_chains
from core.chain import NOTHING_LISTED, Chain, Listing, Quotes, chain_of, options_in
from core.choices.action_set import possible_choices, scored
from core.context.year import Year, finished_days, with_newer_days
from core.exposure import coin_risk, expiry_exposures, portfolio_value_usd, restrictions
from core.market_context import Closes, CoinData, market_snapshot
from core.plausibility import LastSeen
from core.pricing import days_between
from core.trading_hours import last_delivery
from deribit.history.closes import dvol_days_of, levels_of_a_year, read_closes
from models import (
    UNDERLYINGS,
    AgentState,
    CoinAccount,
    ExchangeClient,
    ExecutionResult,
    InvalidReplyError,
    OptionInstrument,
    OptionPosition,
    Order,
    PortfolioState,
    RawPosition,
    RequestRefusedError,
    TradingState,
    Underlying,
)
from risk_engine import are_allowed

HISTORY_OLDEST = timedelta(hours=4)  # older hourly data is renewed at once
YEAR_OLDEST = timedelta(hours=28)
MAX_SNAPSHOT_SECONDS = 60.0
PRIVATE_READS = 3  # open orders, positions, accounts: always first
UNKNOWN_INSTRUMENT_CODES = (10020, 13020)
NEW_SYMBOL_PAUSE = timedelta(minutes=15)  # new strikes are looked up at once, but no more often
NEVER_READ = (NOTHING_LISTED, datetime.min.replace(tzinfo=UTC))
UNKNOWN_SYMBOL_PAUSE = timedelta(hours=1)  # those that were looked for in vain


class _Terms(NamedTuple):
    """What an option is; strike in USD."""

    underlying: Underlying
    option_type: Literal["call", "put"]
    strike: float
    expiry: datetime


TakeBack = Callable[[tuple[Order, ...]], bool]


@dataclass(frozen=True)
class RawState:
    """All that was read, before anything is computed.

    `instruments` cover the option positions: None for what is no plain option, nothing for what the exchange does not
    know.
    """

    now: datetime
    seed: int
    open_orders: tuple[Order, ...]
    positions: tuple[RawPosition, ...]
    accounts: tuple[CoinAccount, ...]
    coins: tuple[CoinData, ...]
    instruments: Mapping[str, OptionInstrument | None]
    kill_note: str | None


@dataclass
class MarketMemory:
    """What changes rarely, kept between iterations: instruments (08:00 UTC), closes and DVOL (hourly), a year of days.

    To keep requests few, an iteration renews one of them at most, as long as none is really old. `last` is what was
    seen before, to notice what cannot be; `refused_symbols` the exchange has said it does not know, `unlisted_symbols`
    its list of instruments lacked. `last_read` is all that the newest state was made of.
    """

    last: LastSeen = field(default_factory=LastSeen)
    refused_symbols: set[str] = field(default_factory=set)
    unlisted_symbols: set[str] = field(default_factory=set)

    listings: dict[str, tuple[Listing, datetime]] = field(default_factory=dict)
    closes: dict[str, tuple[Closes, datetime]] = field(default_factory=dict)
    dvol: dict[str, tuple[float | None, datetime]] = field(default_factory=dict)
    years: dict[str, Year] = field(default_factory=dict)
    spare_requests: int = 0
    last_read: RawState | None = None

    def remember_trade(self, execution: ExecutionResult) -> None:
        """What the next reading must know: calls bought back are gone, refused instruments do not exist."""
        for leg in execution.legs:
            if leg.direction == "buy" and leg.status not in ("not_sent", "rejected"):
                self.last.expect_smaller_position(leg.symbol)
            if leg.refusal_code in UNKNOWN_INSTRUMENT_CODES:
                self.refused_symbols.add(leg.symbol)


def build_agent_state(
    deribit_client: ExchangeClient,
    config: AgentConfig,
    memory: MarketMemory | None = None,
    take_back: TakeBack | None = None,
) -> AgentState:
    """The state of the account and of all enabled coins, now.

    `memory` saves requests from one iteration to the next; without it everything is read afresh. `take_back` is shown
    the open orders before anything else is read, and says whether it has cancelled any. Raises DeribitError when
    anything needed cannot be read: a failed query never looks like an empty account.
    """
    memory = MarketMemory() if memory is None else memory
    memory.last_read = raw = fetch(deribit_client, config, memory, take_back)
    state = assemble_state(raw, config)
    memory.last.remember_state(state)
    doubts = [*memory.last.doubts_about(state.markets, state.timestamp)]
    if doubts:
        raise InvalidReplyError("; ".join(doubts))
    return state


def with_choices(state: AgentState, config: AgentConfig) -> AgentState:
    """The state with the score of every candidate, and with every action that the risk engine allows. Pure.

    The last step of a state: what limits the agent (orders of today, a breaker, a full disk) must be in it by then.
    """
    state = state.model_copy(update={"candidates": tuple(scored(call, state, config) for call in state.candidates)})
    possible = tuple(possible_choices(state, config))
    return state.model_copy(update={"choices": tuple(compress(possible, are_allowed(state, possible, config)))})


# --- fetch ------------------------------------------------------------------------------


def fetch(
    client: ExchangeClient, config: AgentConfig, memory: MarketMemory, take_back: TakeBack | None = None
) -> RawState:
    """Read everything, orders before positions. Raises DeribitError on the first failure."""
    started_seconds = client.clock.monotonic()
    open_orders = client.get_open_orders()
    if take_back is not None and take_back(open_orders):
        open_orders = client.get_open_orders()
    positions = client.get_positions()
    accounts = client.get_account_summaries()
    _require_accounts(accounts, config.enabled_underlyings)
    positions = _believed_positions(client, positions, accounts, memory.last)
    memory.spare_requests = 1 - (client.requests_made - PRIVATE_READS)  # a new token uses it up
    chains = [_fetch_chain(client, coin, memory) for coin in config.enabled_underlyings]
    _renew_histories(client, config, memory, chains)  # what is left to spare: new strikes come first
    coins = tuple(_coin_data(chain, memory) for chain in chains)
    took_seconds = client.clock.monotonic() - started_seconds
    if took_seconds > MAX_SNAPSHOT_SECONDS:
        raise InvalidReplyError(f"reading took {took_seconds:.0f} s: what was read first is too old to decide on")
    return RawState(
        now=client.server_now(),
        seed=config.run.seed,
        open_orders=open_orders,
        positions=positions,
        accounts=accounts,
        coins=coins,
        instruments=_instruments_of(client, positions, memory),
        kill_note=client.kill_note(),
    )


def _believed_positions(
    client: ExchangeClient,
    positions: tuple[RawPosition, ...],
    accounts: tuple[CoinAccount, ...],
    last: LastSeen,
) -> tuple[RawPosition, ...]:
    """Positions that agree with what was there before. Those that do not are read again, then not believed once."""
    problem = last.missing_from(positions, accounts, client.server_now())
    if problem is not None:
        positions = client.get_positions()
        problem = last.missing_from(positions, accounts, client.server_now())
    if not last.believes(problem):
        raise InvalidReplyError(problem or "")
    return positions


def _require_accounts(accounts: tuple[CoinAccount, ...], coins: tuple[Underlying, ...]) -> None:
    missing = set(coins) - {account.currency for account in accounts}
    if missing:
        raise InvalidReplyError(f"the account summaries lack {', '.join(sorted(missing))}")


class _Shown(NamedTuple):
    """What one coin's market shows now."""

    coin: Underlying
    spot_usd: float
    chain: Chain


def _fetch_chain(client: ExchangeClient, coin: Underlying, memory: MarketMemory) -> _Shown:
    spot_usd = client.get_index_price(coin)
    quotes = client.get_book_summaries(coin).without(memory.refused_symbols)
    return _Shown(coin, spot_usd, _known_chain(client, coin, quotes, memory))


def _coin_data(shown: _Shown, memory: MarketMemory) -> CoinData:
    return CoinData(
        underlying=shown.coin,
        spot_usd=shown.spot_usd,
        chain=shown.chain,
        closes=memory.closes[shown.coin][0],
        dvol_fraction=memory.dvol[shown.coin][0],
        year=memory.years[shown.coin],
    )


def _known_chain(client: ExchangeClient, coin: Underlying, quotes: Quotes, memory: MarketMemory) -> Chain:
    """By the cached list of instruments, read anew after 08:00 UTC, or when the chain shows symbols not on it."""
    now = client.server_now()
    listing, read_at = memory.listings.get(coin, NEVER_READ)
    chain = chain_of(quotes, listing)
    unknown = chain.unlisted_symbols()
    pause = UNKNOWN_SYMBOL_PAUSE if unknown <= memory.unlisted_symbols else NEW_SYMBOL_PAUSE
    if not (read_at < last_delivery(now) or (unknown and now - read_at >= pause)):
        return chain
    memory.spare_requests -= 1
    listing = client.get_instruments(coin)
    if len(quotes) > 0 and len(listing) == 0:
        raise InvalidReplyError(f"{coin}: the exchange quotes options but lists no instrument")
    memory.listings[coin] = listing, now
    memory.unlisted_symbols |= listing.lacking(unknown)
    return chain_of(quotes, listing)


def _instruments_of(
    client: ExchangeClient, positions: tuple[RawPosition, ...], memory: MarketMemory
) -> dict[str, OptionInstrument | None]:
    """The instruments behind the option positions; those no longer listed are asked for one by one."""
    symbols = [position.symbol for position in positions if position.kind == "option"]
    listings = [listing for listing, _ in memory.listings.values()]
    found: dict[str, OptionInstrument | None] = {**options_in(listings, symbols)}
    for symbol in symbols:
        if symbol not in found:
            with suppress(RequestRefusedError):  # not listed any more: its name still says what it is
                found[symbol] = client.get_instrument(symbol)
    return found


def _renew_histories(
    client: ExchangeClient, config: AgentConfig, memory: MarketMemory, chains: Sequence[_Shown]
) -> None:
    """Hourly series are read again once a new hour has begun."""
    now = client.server_now()
    for coin, spot_usd in ((chain.coin, chain.spot_usd) for chain in chains):
        if _is_due(memory.closes.get(coin), now, memory):
            before = memory.closes[coin][0] if coin in memory.closes else None
            memory.closes[coin] = (read_closes(client, coin, spot_usd, config, before), now)
        if _is_due(memory.dvol.get(coin), now, memory):
            memory.dvol[coin] = (client.get_dvol(coin, now - timedelta(hours=6), now), now)
        _renew_year(client, coin, memory, now)


def _renew_year(client: ExchangeClient, coin: Underlying, memory: MarketMemory, now: datetime) -> None:
    """A year of days, read once. Then new days follow from the closes of their hours; only DVOL's are asked for."""
    year = memory.years.get(coin)
    if year is None:
        memory.spare_requests -= 2
        year = Year(finished_days(levels_of_a_year(client, coin), now), dvol_days_of(client, coin, now), now)
    days = with_newer_days(year.days, memory.closes[coin][0].of_index, now)
    dvol_days, dvol_read_at = year.dvol_days, year.dvol_read_at
    if _is_new_day(dvol_read_at, now) and (memory.spare_requests > 0 or now - dvol_read_at > YEAR_OLDEST):
        memory.spare_requests -= 1
        dvol_days, dvol_read_at = dvol_days_of(client, coin, now), now
    is_changed = len(days) != len(year.days) or days[-1:] != year.days[-1:] or dvol_read_at != year.dvol_read_at
    memory.years[coin] = Year(days, dvol_days, dvol_read_at) if is_changed else year


def _is_new_day(since: datetime, now: datetime) -> bool:
    return since.date() != now.date()


def _is_due(cached: tuple[object, datetime] | None, now: datetime, memory: MarketMemory) -> bool:
    """At once when old, else when a new hour has begun and this iteration has a request to spare."""
    if cached is not None and now - cached[1] <= HISTORY_OLDEST:
        this_hour = now.replace(minute=0, second=0, microsecond=0)
        if cached[1] >= this_hour or memory.spare_requests <= 0:
            return False
    memory.spare_requests -= 1
    return True


# --- assemble (pure) ------------------------------------------------------------------------


def assemble_state(raw: RawState, config: AgentConfig) -> AgentState:
    """Everything that follows from what was read. Pure: the same input gives the same state."""
    positions = tuple(_positions(raw))
    known = {position.symbol for position in positions}
    others = tuple(position for position in raw.positions if position.symbol not in known)
    markets = tuple(market_snapshot(coin, raw.now, config) for coin in raw.coins)
    scans = scan_chains(raw.coins, markets, raw.now, config)
    portfolio = PortfolioState(
        accounts=raw.accounts,
        positions=positions,
        open_orders=raw.open_orders,
        other_positions=others,
        value_usd=_value_usd(raw),
    )
    risks = tuple(coin_risk(account, portfolio) for account in raw.accounts)
    why_less = tuple(restrictions(portfolio, risks))
    return AgentState(
        decision_id=_decision_id(raw),
        timestamp=raw.now,
        seed=raw.seed,
        markets=markets,
        portfolio=portfolio,
        risks=risks,
        expiry_exposures=tuple(expiry_exposures(portfolio, _ordered(raw))),
        candidates=tuple(option for scan in scans for option in scan.candidates),
        funnels=tuple(scan.funnel for scan in scans),
        near_misses=tuple(miss for scan in scans for miss in scan.near_misses),
        kill_switch_on=raw.kill_note is not None,
        kill_note=raw.kill_note or "",
        trading_state=TradingState.REDUCING if why_less else TradingState.ACTIVE,
        restrictions=why_less,
    )


def _decision_id(raw: RawState) -> str:
    """Short, unique per decision, the same for the same state: it becomes part of the orders' labels."""
    digest = hashlib.sha256(f"{raw.seed}:{raw.now.isoformat()}".encode()).hexdigest()
    return f"{raw.now:%y%m%d%H%M%S}-{digest[:6]}"


def _positions(raw: RawState) -> Iterator[OptionPosition]:
    """Plain options with their terms and quotes; everything else stays among the other positions."""
    for held in raw.positions:
        option = _terms_of(held, raw.instruments)
        if option is None:
            continue
        shown = (coin.chain.quotes.of(held.symbol) for coin in raw.coins if coin.underlying == option.underlying)
        quote = next(shown, None)
        yield OptionPosition(
            symbol=held.symbol,
            underlying=option.underlying,
            option_type=option.option_type,
            strike=option.strike,
            expiry=option.expiry,
            side="short" if held.size < 0 else "long",
            size=abs(held.size),
            avg_price=held.avg_price,
            mark_price_coin=held.mark_price,
            delta=held.delta,
            dte_days=days_between(raw.now, option.expiry),
            bid_price_coin=None if quote is None else quote.bid_price_coin,
            ask_price_coin=None if quote is None else quote.ask_price_coin,
            mark_iv_fraction=None if quote is None else quote.mark_iv_fraction,
            quoted_at=None if quote is None else quote.quoted_at or raw.now,
        )


def _terms_of(held: RawPosition, instruments: Mapping[str, OptionInstrument | None]) -> _Terms | None:
    """By its instrument, or by its name where the exchange does not know it now; None for what is no plain option."""
    if held.kind != "option":
        return None
    if held.symbol in instruments:
        option = instruments[held.symbol]
        return None if option is None else _Terms(option.underlying, option.option_type, option.strike, option.expiry)
    parts = held.parts
    coin = next((coin for coin in UNDERLYINGS if coin == parts.underlying), None)
    if coin is None or parts.option_type is None or parts.strike_usd is None or parts.expiry is None:
        return None
    return _Terms(coin, parts.option_type, parts.strike_usd, parts.expiry)


def _value_usd(raw: RawState) -> float | None:
    equities = {account.currency: account.equity_coin for account in raw.accounts}
    return portfolio_value_usd(equities, {coin.underlying: coin.spot_usd for coin in raw.coins})


def _ordered(raw: RawState) -> Mapping[str, OptionInstrument]:
    """The instruments that orders are open for."""
    return options_in([coin.chain.listing for coin in raw.coins], [order.symbol for order in raw.open_orders])
