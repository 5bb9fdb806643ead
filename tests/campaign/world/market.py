"""The campaign's market: two coins, calls that expire every hour or so, quotes in closed form from a seeded walk.

In: a seed, the true time, a regime. Out: the Market protocol of the paper exchange (coin, USD, fractions, ms). Every
quote is a function of seed and time alone, except where a fault pushes a side of a book to an order (`push`). Cheap:
a chain costs less than a tenth of a millisecond. BTC stands near 100,000 and ETH near 20,000 USD, so that strikes carry
the hour of their expiry (names hold a date only).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from core import pricing
from paper_exchange.account.orders import Direction
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, MINUTE_MS, now_ms
from paper_exchange.market.market import (
    MIN_TRADE_AMOUNT,
    TICK_SIZE,
    TICK_STEPS,
    Bar,
    DeliveryPrice,
    Listing,
    MarketClock,
    Quote,
)
from paper_exchange.market.names import option_name

COINS = ("BTC", "ETH")
START_USD = {"BTC": 100_000.0, "ETH": 20_000.0}
STRIKE_STEP_USD = {"BTC": 50.0, "ETH": 25.0}
FIRST_STRIKES = (1.002, 1.007, 1.018)  # listed with the expiry, times spot
LATER_STRIKES = (1.003, 1.010)  # listed an expiry's step before it ends
LONG_STRIKES = (1.01, 1.04)
HISTORY_HOURS = 28
NEAR_EXPIRIES = 2
BUCKET_MS = 5_000
NO_BID_MS = 600_000
YEAR_MS = 365 * DAY_MS
MINUTES_PER_YEAR = 365 * 24 * 60


@dataclass(frozen=True)
class Regime:
    """How the market behaves in one schedule. Percentages 0 to 100."""

    expiry_hours: int = 1
    volatility_fraction: float = 1.0
    jumps_per_day: float = 6.0
    jump_fraction: float = 0.03
    half_spread_fraction: float = 0.05
    fill_pct: float = 10.0  # share of moments in which somebody meets a resting order
    empty_pct: float = 5.0  # share of books without a bid or without an ask
    no_bid_pct: float = 0.0  # share of books that nobody bids in for ten minutes
    amount_steps: int = 0  # largest amount shown, in minimum sizes; 0: without end


class CampaignMarket:
    """Quotes of two coins."""

    kind = "simulated"
    currencies: tuple[str, ...] = COINS

    def __init__(self, seed: str, clock: MarketClock, regime: Regime) -> None:
        self.clock = clock
        self._seed = seed
        self._regime = regime
        self._start_ms = now_ms(clock)
        self._walks = {coin: _Walk(f"{seed}:{coin}", START_USD[coin], self._start_ms, regime) for coin in COINS}
        self._by_expiry: dict[tuple[str, int, int], tuple[Listing, ...]] = {}
        self._by_name: dict[str, Listing] = {}
        self._quotes: dict[str, tuple[int, Quote]] = {}
        self._marks: dict[str, tuple[int, float]] = {}
        self._pushed: dict[str, Quote] = {}
        self._empty: dict[tuple[str, int], tuple[float, float]] = {}

    @property
    def now_ms(self) -> int:
        return now_ms(self.clock)

    def push(self, name: str, direction: Direction, limit_coin: float, amount: float | None) -> None:
        """Somebody meets an order at its limit, until the quotes change again."""
        quote = self.quote(name)
        if quote is None:
            return
        now = replace(quote, timestamp_ms=self.now_ms)
        if direction == "sell":
            self._pushed[name] = replace(now, bid_coin=limit_coin, bid_amount=amount)
        else:
            self._pushed[name] = replace(now, ask_coin=limit_coin, ask_amount=amount)

    # --- the Market protocol ---------------------------------------------------------

    def index_price(self, currency: str) -> float | None:
        walk = self._walks.get(currency)
        return None if walk is None else walk.price(self.now_ms)

    def listings(self, currency: str) -> Sequence[Listing]:
        return self._live(currency, self.now_ms) if currency in self._walks else ()

    def listing(self, name: str) -> Listing | None:
        if name not in self._by_name:
            self._live(name.partition("-")[0], self.now_ms)
        return self._by_name.get(name)

    def quote(self, name: str) -> Quote | None:
        at_ms, pushed = self.now_ms, self._pushed.get(name)
        if pushed is not None and at_ms - pushed.timestamp_ms < BUCKET_MS:
            return pushed
        listing = self.listing(name)
        return None if listing is None or listing.expires_at_ms <= at_ms else self._quote(listing, at_ms)

    def quotes(self, currency: str) -> Sequence[Quote]:
        at_ms = self.now_ms
        return [self._quote(listing, at_ms) for listing in self.listings(currency)]

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        if expires_at_ms > self.now_ms or currency not in self._walks:
            return None
        return DeliveryPrice(self._walks[currency].price(expires_at_ms), is_approximate=False)

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        """Hourly candles, the same whatever length is asked for: enough for a realised volatility."""
        walk = self._walks[currency]
        first = max(start_ms, self._start_ms - HISTORY_HOURS * HOUR_MS)
        opens = range(-(-first // HOUR_MS) * HOUR_MS, min(end_ms, self.now_ms) + 1, HOUR_MS)
        return [Bar(at, price, price, price, price) for at in opens for price in (walk.price(at),)]

    def volatility_index_bars(self, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
        at_ms = min(end_ms, self.now_ms) // (1_000 * seconds) * 1_000 * seconds
        level = 100.0 * self._regime.volatility_fraction
        return [Bar(at_ms, level, level, level, level)]

    # --- listings --------------------------------------------------------------------

    def _live(self, currency: str, at_ms: int) -> tuple[Listing, ...]:
        if currency not in self._walks:
            return ()
        step_ms = self._regime.expiry_hours * HOUR_MS
        first = at_ms // step_ms * step_ms + step_ms
        found: list[Listing] = []
        for number in range(NEAR_EXPIRIES):
            found += self._listed(currency, first + number * step_ms, at_ms)
        for day in range(self._start_ms // DAY_MS, at_ms // DAY_MS + 1):
            long_ms = (day + 2) * DAY_MS + 8 * HOUR_MS
            found += self._strikes(currency, long_ms, 3, day * DAY_MS, LONG_STRIKES) if long_ms > at_ms else ()
        return tuple({listing.name: listing for listing in found}.values())

    def _listed(self, currency: str, expires_at_ms: int, at_ms: int) -> tuple[Listing, ...]:
        step_ms = self._regime.expiry_hours * HOUR_MS
        early = self._strikes(currency, expires_at_ms, 1, expires_at_ms - NEAR_EXPIRIES * step_ms, FIRST_STRIKES)
        if at_ms < expires_at_ms - step_ms:
            return early
        late = self._strikes(currency, expires_at_ms, 2, expires_at_ms - step_ms, LATER_STRIKES)
        names = {listing.name for listing in early}
        return early + tuple(listing for listing in late if listing.name not in names)

    def _strikes(
        self, currency: str, expires_at_ms: int, batch: int, listed_at_ms: int, factors: Sequence[float]
    ) -> tuple[Listing, ...]:
        """The calls of an expiry that were listed together, and one put for long expiries."""
        key = (currency, expires_at_ms, batch)
        if key not in self._by_expiry:
            spot, step = self._walks[currency].price(listed_at_ms), STRIKE_STEP_USD[currency]
            strikes = dict.fromkeys(math.ceil(spot * factor / step) * step for factor in factors)
            terms = [(strike, True) for strike in strikes] + [(next(iter(strikes)), False)] * (batch == 3)
            made = tuple(_listing(currency, expires_at_ms, strike, is_call, listed_at_ms) for strike, is_call in terms)
            self._by_expiry[key] = made
            self._by_name |= {listing.name: listing for listing in made}
        return self._by_expiry[key]

    # --- quotes ----------------------------------------------------------------------

    def _quote(self, listing: Listing, at_ms: int) -> Quote:
        """The quote of this moment, made once in five seconds."""
        bucket = at_ms // BUCKET_MS
        kept = self._quotes.get(listing.name)
        if kept is None or kept[0] != bucket:
            kept = self._quotes[listing.name] = (bucket, self._fresh_quote(listing, at_ms, bucket))
        return kept[1]

    def _fresh_quote(self, listing: Listing, at_ms: int, bucket: int) -> Quote:
        regime, spot = self._regime, self._walks[listing.currency].price(at_ms)
        mark = self._mark(listing, spot, at_ms // MINUTE_MS)
        half = max(_tick(mark), mark * regime.half_spread_fraction)
        bid, ask = _tick_down(mark - half), _tick_up(mark + half)
        chance, size_chance = _chances(f"{self._seed}:{listing.name}:{bucket}")
        has_no_bid = self._has_no_bid(listing.name, at_ms // NO_BID_MS)
        bid = 0.0 if has_no_bid else bid
        if chance < regime.fill_pct / 100.0:  # somebody takes what rests on one side
            bid, ask = (ask, ask) if size_chance < 0.5 or has_no_bid else (bid, bid)
        empty, which = self._chances_of_hour(listing.name, at_ms // HOUR_MS)
        if empty < regime.empty_pct / 100.0:
            bid, ask = (0.0, ask) if which < 0.5 else (bid, 0.0)
        shown = None if regime.amount_steps == 0 else 1 + int(size_chance * 97) % regime.amount_steps
        amount = None if shown is None else round(shown * listing.min_trade_amount, 8)
        iv = regime.volatility_fraction
        return Quote(
            listing.name, bid or None, ask or None, amount, amount, mark, iv, spot, "SYN", at_ms, last_coin=mark
        )

    def _has_no_bid(self, name: str, span: int) -> bool:
        if self._regime.no_bid_pct == 0.0:
            return False
        return _chances(f"{self._seed}:{name}:{span}:bid")[0] < self._regime.no_bid_pct / 100.0

    def _chances_of_hour(self, name: str, hour: int) -> tuple[float, float]:
        if (name, hour) not in self._empty:
            self._empty[name, hour] = _chances(f"{self._seed}:{name}:{hour}:hour")
        return self._empty[name, hour]

    def _mark(self, listing: Listing, spot_usd: float, minute: int) -> float:
        """Black-76 to the tick, made once a minute, as the index."""
        kept = self._marks.get(listing.name)
        if kept is None or kept[0] != minute:
            years = max(0.0, (listing.expires_at_ms - minute * MINUTE_MS) / YEAR_MS)
            iv = self._regime.volatility_fraction
            raw = pricing.black76_price_coin(spot_usd, listing.strike_usd, iv, years, listing.is_call)
            kept = self._marks[listing.name] = (minute, max(TICK_SIZE, round(raw, 4)))
        return kept[1]


class _Walk:
    """The index of one coin: hourly before the start, by the minute from then on."""

    def __init__(self, seed: str, start_usd: float, start_ms: int, regime: Regime) -> None:
        self._dice = random.Random(seed)
        self._start_ms = start_ms // HOUR_MS * HOUR_MS
        self._minute_sigma = regime.volatility_fraction / math.sqrt(MINUTES_PER_YEAR)
        self._jump_chance = regime.jumps_per_day / (24 * 60)
        self._jump_fraction = regime.jump_fraction
        hourly_sigma = regime.volatility_fraction / math.sqrt(365 * 24)
        self._minutes = [start_usd]
        self._cents = [round(start_usd, 2)]  # the same, as they are shown
        self._hours = [start_usd]
        for _ in range(HISTORY_HOURS + 80):
            self._hours.append(self._hours[-1] * math.exp(self._dice.gauss(0.0, hourly_sigma)))

    def price(self, at_ms: int) -> float:
        """USD, to the cent; before the start the last hour's close."""
        if at_ms < self._start_ms:
            hour = min(-((at_ms - self._start_ms) // HOUR_MS), len(self._hours) - 1)
            return round(self._hours[hour], 2)
        minute = (at_ms - self._start_ms) // MINUTE_MS
        while len(self._minutes) <= minute:
            self._minutes.append(self._next())
            self._cents.append(round(self._minutes[-1], 2))
        return self._cents[minute]

    def _next(self) -> float:
        move = self._dice.gauss(0.0, self._minute_sigma)
        if self._dice.random() < self._jump_chance:  # upwards more often: calls are to end in the money now and then
            move += self._jump_fraction * (1.0 if self._dice.random() < 0.65 else -1.0)
        return self._minutes[-1] * math.exp(move)


def _listing(currency: str, expires_at_ms: int, strike_usd: float, is_call: bool, listed_at_ms: int) -> Listing:
    """A listed option; the hour of its expiry is added to the strike, so that names of one day differ."""
    hour = expires_at_ms // HOUR_MS % 24
    strike_usd += 0.0 if hour == 8 else float(hour or 24)
    return Listing(
        name=option_name(currency, expires_at_ms, strike_usd, is_call),
        currency=currency,
        strike_usd=strike_usd,
        expires_at_ms=expires_at_ms,
        is_call=is_call,
        created_at_ms=listed_at_ms,
        settlement_period="day",
        min_trade_amount=MIN_TRADE_AMOUNT[currency],
    )


def _chances(key: str) -> tuple[float, float]:
    """Two numbers in [0, 1) that belong to a key."""
    digest = blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "big") / 2.0**32, int.from_bytes(digest[4:], "big") / 2.0**32


def _tick(price: float) -> float:
    return TICK_SIZE if price < TICK_STEPS[0][0] else TICK_STEPS[0][1]


def _tick_down(price: float) -> float:
    return round(max(0.0, math.floor(price / _tick(price) + 1e-9) * _tick(price)), 6)


def _tick_up(price: float) -> float:
    return round(math.ceil(price / _tick(price) - 1e-9) * _tick(price), 6)
