"""build_agent_state: read the account and the markets, then compute everything a decision needs.

In: a client (network), settings. Out: one AgentState, or an error; never a state with a hole in it. `fetch` talks to
Deribit: open orders before positions, so that a fill in between is counted twice, never not at all. `assemble_state`
is pure. Premiums are USD per contract at the bid after the fee, yields percent of spot.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from config import AgentConfig, StrategyConfig
from deribit_client import DeribitClient
from market_context import CoinData, market_snapshot
from models import (
    AgentState,
    CandidateOption,
    CoinAccount,
    FilterFunnel,
    FunnelStep,
    InvalidReplyError,
    MarketSnapshot,
    NearMiss,
    OptionInstrument,
    OptionPosition,
    OptionQuote,
    Order,
    PortfolioState,
    PriceBar,
    RawPosition,
    RequestRefusedError,
    Underlying,
)
from pricing import black76_delta, days_between, trade_fee_coin, years_between
from risk_engine import coin_risk, expiry_exposures

MAX_CANDIDATES = 5
MAX_NEAR_MISSES = 3
HISTORY_OLDEST = timedelta(hours=4)  # older hourly data is renewed at once
PRIVATE_READS = 3  # open orders, positions, accounts: always first
FINE_MINUTES = 5
UNKNOWN_SYMBOL_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class RawState:
    """All that was read, before anything is computed. `instruments` cover every option position."""

    now: datetime
    seed: int
    open_orders: tuple[Order, ...]
    positions: tuple[RawPosition, ...]
    accounts: tuple[CoinAccount, ...]
    coins: tuple[CoinData, ...]
    instruments: Mapping[str, OptionInstrument]
    kill_switch_on: bool


@dataclass
class MarketMemory:
    """What changes rarely, kept between iterations: instruments (08:00 UTC), closes and DVOL (hourly).

    To keep requests few, an iteration renews one of them at most, as long as none is really old.
    """

    instruments: dict[str, tuple[dict[str, OptionInstrument], datetime]] = field(default_factory=dict)
    bars: dict[str, tuple[tuple[PriceBar, ...], datetime]] = field(default_factory=dict)
    dvol: dict[str, tuple[float | None, datetime]] = field(default_factory=dict)
    spare_requests: int = 0


def build_agent_state(
    deribit_client: DeribitClient, config: AgentConfig, memory: MarketMemory | None = None
) -> AgentState:
    """The state of the account and of all enabled coins, now.

    `memory` saves requests from one iteration to the next; without it everything is read afresh. Raises DeribitError
    when anything needed cannot be read: a failed query never looks like an empty account.
    """
    return assemble_state(fetch(deribit_client, config, MarketMemory() if memory is None else memory), config)


# --- fetch ------------------------------------------------------------------------------


def fetch(client: DeribitClient, config: AgentConfig, memory: MarketMemory) -> RawState:
    """Read everything, orders before positions. Raises DeribitError on the first failure."""
    open_orders = client.get_open_orders()
    positions = client.get_positions()
    accounts = client.get_account_summaries()
    _require_accounts(accounts, config.enabled_underlyings)
    memory.spare_requests = 1 - (client.requests_made - PRIVATE_READS)  # a new token uses it up
    _renew_histories(client, config, memory)
    coins = tuple(_fetch_coin(client, coin, memory) for coin in config.enabled_underlyings)
    return RawState(
        now=client.server_now(),
        seed=config.agent.seed,
        open_orders=open_orders,
        positions=positions,
        accounts=accounts,
        coins=coins,
        instruments=_instruments_of(client, positions, memory),
        kill_switch_on=config.risk.kill_file.exists(),
    )


def _require_accounts(accounts: tuple[CoinAccount, ...], coins: tuple[Underlying, ...]) -> None:
    missing = set(coins) - {account.currency for account in accounts}
    if missing:
        raise InvalidReplyError(f"the account summaries lack {', '.join(sorted(missing))}")


def _fetch_coin(client: DeribitClient, coin: Underlying, memory: MarketMemory) -> CoinData:
    spot_usd = client.get_index_price(coin)
    quotes = client.get_book_summaries(coin)
    return CoinData(
        underlying=coin,
        spot_usd=spot_usd,
        instruments=_instruments(client, coin, quotes, memory),
        quotes=quotes,
        bars=memory.bars[coin][0],
        dvol_fraction=memory.dvol[coin][0],
    )


def _instruments(
    client: DeribitClient, coin: Underlying, quotes: tuple[OptionQuote, ...], memory: MarketMemory
) -> dict[str, OptionInstrument]:
    """The cached list, read anew after 08:00 UTC, or when the chain shows symbols it does not know."""
    now = client.server_now()
    known, read_at = memory.instruments.get(coin, ({}, datetime.min.replace(tzinfo=now.tzinfo)))
    is_old = read_at < last_delivery(now)
    may_look = memory.spare_requests > 0 and now - read_at > UNKNOWN_SYMBOL_PAUSE
    if is_old or (may_look and any(quote.symbol not in known for quote in quotes)):
        memory.spare_requests -= 1
        known = client.get_instruments(coin)
        memory.instruments[coin] = (known, now)
    return known


def last_delivery(now: datetime) -> datetime:
    """The last 08:00 UTC: when options expire and new ones are listed."""
    today = now.replace(hour=8, minute=0, second=0, microsecond=0)
    return today if now >= today else today - timedelta(days=1)


def _instruments_of(
    client: DeribitClient, positions: tuple[RawPosition, ...], memory: MarketMemory
) -> dict[str, OptionInstrument]:
    """The instruments behind the option positions; those no longer listed are asked for one by one."""
    listed = {symbol: option for known, _ in memory.instruments.values() for symbol, option in known.items()}
    found: dict[str, OptionInstrument] = {}
    for position in positions:
        if position.kind != "option":
            continue
        option = listed.get(position.symbol) or _ask_for_instrument(client, position.symbol)
        if option is not None:
            found[position.symbol] = option
    return found


def _ask_for_instrument(client: DeribitClient, symbol: str) -> OptionInstrument | None:
    """None where the exchange does not know it: the position then counts as one that cannot be judged."""
    try:
        return client.get_instrument(symbol)
    except RequestRefusedError:
        return None


def _renew_histories(client: DeribitClient, config: AgentConfig, memory: MarketMemory) -> None:
    """Hourly series are read again once a new hour has begun."""
    now = client.server_now()
    for coin in config.enabled_underlyings:
        if _is_due(memory.bars.get(coin), now, memory):
            memory.bars[coin] = (_read_bars(client, coin, now, config), now)
        if _is_due(memory.dvol.get(coin), now, memory):
            memory.dvol[coin] = (client.get_dvol(coin, now - timedelta(hours=6), now), now)


def _read_bars(client: DeribitClient, coin: Underlying, now: datetime, config: AgentConfig) -> tuple[PriceBar, ...]:
    """Hourly closes; finer ones where there are too few, as in a recording of a single day."""
    start = now - timedelta(days=config.agent.rv_window_days + 1)
    bars = client.get_bars(coin, start, now)
    return bars if len(bars) > config.agent.rv_min_returns else client.get_bars(coin, start, now, FINE_MINUTES)


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
    scans = [
        scan_chain(coin, market, raw.now, config.strategy(coin.underlying), config.risk.max_quote_age_seconds)
        for coin, market in zip(raw.coins, markets, strict=True)
    ]
    portfolio = PortfolioState(
        accounts=raw.accounts,
        positions=positions,
        open_orders=raw.open_orders,
        other_positions=others,
        value_usd=_value_usd(raw),
    )
    return AgentState(
        decision_id=_decision_id(raw),
        timestamp=raw.now,
        seed=raw.seed,
        markets=markets,
        portfolio=portfolio,
        risks=tuple(coin_risk(account, portfolio) for account in raw.accounts),
        expiry_exposures=tuple(expiry_exposures(portfolio, _listed(raw))),
        candidates=tuple(option for scan in scans for option in scan.candidates),
        funnels=tuple(scan.funnel for scan in scans),
        near_misses=tuple(miss for scan in scans for miss in scan.near_misses),
        kill_switch_on=raw.kill_switch_on,
    )


def _decision_id(raw: RawState) -> str:
    """Short, unique per decision, the same for the same state: it becomes part of the orders' labels."""
    digest = hashlib.sha256(f"{raw.seed}:{raw.now.isoformat()}".encode()).hexdigest()
    return f"{raw.now:%y%m%d%H%M%S}-{digest[:6]}"


def _positions(raw: RawState) -> Iterator[OptionPosition]:
    """Plain options with their terms and quotes; everything else stays among the other positions."""
    quotes = {quote.symbol: quote for coin in raw.coins for quote in coin.quotes}
    for held in raw.positions:
        option = raw.instruments.get(held.symbol)
        if held.kind != "option" or option is None:
            continue
        quote = quotes.get(held.symbol)
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


def _value_usd(raw: RawState) -> float | None:
    """Equity of all coins at spot; None when a coin with equity has no spot."""
    spots = {coin.underlying: coin.spot_usd for coin in raw.coins}
    held = [account for account in raw.accounts if account.equity_coin != 0.0]
    if any(account.currency not in spots for account in held):
        return None
    return sum((account.equity_coin * spots[account.currency] for account in held if account.currency in spots), 0.0)


def _listed(raw: RawState) -> dict[str, OptionInstrument]:
    return {symbol: option for coin in raw.coins for symbol, option in coin.instruments.items()}


# --- candidates, funnel, near misses (pure) -----------------------------------------------------

HARD_RULES = ("not_a_call", "not_tradable", "in_the_money", "no_usable_quote")
SETTING_RULES = ("dte", "delta", "spread", "premium", "ivrv")


class _Call(NamedTuple):
    """An out-of-the-money call with a usable quote and the figures that the settings are about."""

    option: OptionInstrument
    quote: OptionQuote
    dte_days: float
    delta: float
    spread_pct: float | None
    premium_usd: float


class _Failure(NamedTuple):
    """A setting that a call fails; `digits` is how finely a change of it is proposed."""

    rule: str
    setting: str
    value: float | None
    limit: float
    digits: int

    @property
    def distance(self) -> float:
        """How far off, relative to the limit: to tell a near miss from a far one."""
        return math.inf if self.value is None else abs(self.value - self.limit) / max(abs(self.limit), 1e-9)

    def change(self, coin: Underlying) -> str:
        """The line for .env that would admit the call, rounded so that it really does."""
        if self.value is None:
            return f"{coin}_{self.setting}=0 (IV/RV is not known)"
        exact = Decimal(repr(self.value))
        digits = max(self.digits, 1 - exact.adjusted())  # a delta of 0.00004 must not become 0
        rounding = ROUND_FLOOR if self.value < self.limit else ROUND_CEILING
        return f"{coin}_{self.setting}={float(exact.quantize(Decimal(1).scaleb(-digits), rounding)):.12g}"


class ChainScan(NamedTuple):
    """What one pass over a chain found."""

    candidates: tuple[CandidateOption, ...]
    funnel: FilterFunnel
    near_misses: tuple[NearMiss, ...]


def scan_chain(
    coin: CoinData, market: MarketSnapshot, now: datetime, strategy: StrategyConfig, max_quote_age_seconds: float
) -> ChainScan:
    """Every option falls at the first rule it fails, or becomes a candidate; the best MAX_CANDIDATES are kept."""
    rejected = dict.fromkeys((*HARD_RULES, *SETTING_RULES), 0)
    passed: list[_Call] = []
    missed: list[tuple[_Failure, _Call]] = []
    for quote in coin.quotes:
        option = coin.instruments.get(quote.symbol)
        rule = _hard_rule(option, quote, market.spot_usd, now, max_quote_age_seconds)
        if option is None or rule is not None:
            rejected[rule or "not_tradable"] += 1
            continue
        call = _measure(option, quote, market.spot_usd, now)
        failures = list(_failures(call, strategy, market.iv_rv_ratio))
        if failures:
            rejected[failures[0].rule] += 1
        if len(failures) == 1:
            missed.append((failures[0], call))
        if not failures:
            passed.append(call)
    funnel = _funnel(coin, rejected, len(passed))
    return ChainScan(_best(passed, market.spot_usd, now), funnel, _nearest(missed, coin.underlying))


def _funnel(coin: CoinData, rejected: Mapping[str, int], passed: int) -> FilterFunnel:
    steps = tuple(FunnelStep(rule=rule, rejected=count) for rule, count in rejected.items())
    return FilterFunnel(underlying=coin.underlying, listed=len(coin.quotes), steps=steps, passed=passed)


def _best(passed: list[_Call], spot_usd: float, now: datetime) -> tuple[CandidateOption, ...]:
    """The calls that pay most per day, net of the fee."""
    ranked = sorted(passed, key=lambda call: (-call.premium_usd / call.dte_days, call.option.symbol))
    return tuple(candidate_from(call.option, call.quote, spot_usd, now) for call in ranked[:MAX_CANDIDATES])


def _nearest(missed: list[tuple[_Failure, _Call]], coin: Underlying) -> tuple[NearMiss, ...]:
    ranked = sorted(missed, key=lambda pair: (pair[0].distance, -pair[1].premium_usd, pair[1].option.symbol))
    return tuple(
        NearMiss(
            symbol=call.option.symbol,
            underlying=coin,
            rule=failure.rule,
            value=failure.value,
            limit=failure.limit,
            premium_usd=call.premium_usd,
            change=failure.change(coin),
        )
        for failure, call in ranked[:MAX_NEAR_MISSES]
    )


def _hard_rule(
    option: OptionInstrument | None, quote: OptionQuote, spot_usd: float, now: datetime, max_quote_age_seconds: float
) -> str | None:
    """What no setting can admit, in the positive form: whatever is not surely fine falls."""
    if option is None:
        return "not_tradable"
    if option.option_type != "call":
        return "not_a_call"
    if not (option.is_tradable and option.contract_size_coin == 1.0 and option.expiry > now):
        return "not_tradable"
    if not option.strike > spot_usd:
        return "in_the_money"
    return None if _is_usable(quote, now, max_quote_age_seconds) else "no_usable_quote"


def _is_usable(quote: OptionQuote, now: datetime, max_age_seconds: float) -> bool:
    bid, ask, mark = quote.bid_price_coin, quote.ask_price_coin, quote.mark_price_coin
    if bid is None or mark is None or quote.underlying_price_usd is None or not (quote.mark_iv_fraction or 0.0) > 0.0:
        return False
    age_seconds = 0.0 if quote.quoted_at is None else (now - quote.quoted_at).total_seconds()
    return 0.0 < mark < 1.0 and (ask is None or bid <= ask) and age_seconds <= max_age_seconds


def _measure(option: OptionInstrument, quote: OptionQuote, spot_usd: float, now: datetime) -> _Call:
    bid, ask = quote.bid_price_coin or 0.0, quote.ask_price_coin
    iv, forward_usd = quote.mark_iv_fraction or 0.0, quote.underlying_price_usd or 0.0
    return _Call(
        option=option,
        quote=quote,
        dte_days=days_between(now, option.expiry),
        delta=black76_delta(forward_usd, option.strike, iv, years_between(now, option.expiry)),
        spread_pct=None if ask is None else 200.0 * (ask - bid) / (ask + bid),
        premium_usd=(bid - trade_fee_coin(bid, 1.0)) * spot_usd,
    )


def _failures(call: _Call, rules: StrategyConfig, iv_rv_ratio: float | None) -> Iterator[_Failure]:
    """The settings this call fails, in the order of the funnel."""
    if not call.dte_days >= rules.dte_min:
        yield _Failure("dte", "DTE_MIN", call.dte_days, rules.dte_min, 2)
    elif not call.dte_days <= rules.dte_max:
        yield _Failure("dte", "DTE_MAX", call.dte_days, rules.dte_max, 2)
    if not call.delta >= rules.delta_min:
        yield _Failure("delta", "DELTA_MIN", call.delta, rules.delta_min, 3)
    elif not call.delta <= rules.delta_max:
        yield _Failure("delta", "DELTA_MAX", call.delta, rules.delta_max, 3)
    if call.spread_pct is not None and not call.spread_pct <= rules.max_spread_pct:
        yield _Failure("spread", "MAX_SPREAD_PCT", call.spread_pct, rules.max_spread_pct, 1)
    if not call.premium_usd >= rules.premium_min_usd:
        yield _Failure("premium", "PREMIUM_MIN_USD", call.premium_usd, rules.premium_min_usd, 2)
    if rules.ivrv_min > 0.0 and (iv_rv_ratio is None or not iv_rv_ratio >= rules.ivrv_min):
        yield _Failure("ivrv", "IVRV_MIN", iv_rv_ratio, rules.ivrv_min, 3)


def candidate_from(option: OptionInstrument, quote: OptionQuote, spot_usd: float, now: datetime) -> CandidateOption:
    """The figures of one call, given a usable quote.

    premium: bid less fee, at spot. Yield if flat: premium / spot. Yield if called: (strike - spot + premium) / spot.
    Breakeven: spot - premium, the price below which holding coin and call loses against today.
    """
    call = _measure(option, quote, spot_usd, now)
    bid, mark = quote.bid_price_coin or 0.0, quote.mark_price_coin or 0.0
    flat_pct = 100.0 * call.premium_usd / spot_usd
    return CandidateOption(
        symbol=option.symbol,
        underlying=option.underlying,
        strike=option.strike,
        expiry=option.expiry,
        dte_days=call.dte_days,
        delta=call.delta,
        bid_price_coin=bid,
        ask_price_coin=quote.ask_price_coin,
        mid_price_coin=bid_ask_mid(quote.bid_price_coin, quote.ask_price_coin) or mark,
        mark_price_coin=mark,
        mark_iv_fraction=quote.mark_iv_fraction or 0.0,
        spread_pct=call.spread_pct,
        premium_usd=call.premium_usd,
        yield_if_flat_pct=flat_pct,
        yield_if_flat_annual_pct=flat_pct * 365.0 / call.dte_days,
        yield_if_called_pct=100.0 * (option.strike - spot_usd + call.premium_usd) / spot_usd,
        breakeven_usd=spot_usd - call.premium_usd,
        min_trade_amount_coin=option.min_trade_amount_coin,
        quoted_at=quote.quoted_at or now,
    )


def bid_ask_mid(bid: float | None, ask: float | None) -> float | None:
    """The middle of a two-sided quote, None where a side is missing."""
    return None if bid is None or ask is None else (bid + ask) / 2.0
