"""What happens in one schedule of the campaign, drawn from (campaign seed, index) and nothing else.

In: the two numbers. Out: a frozen Schedule that can be written as JSON, read back, and made smaller one fault at a
time. Faults of single requests are not listed: each request has a key (iteration:method:number), and what happens to
it follows from seed and key alone; `dropped` names the keys that are left in peace. Times in seconds, rates in
percent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from tests.campaign.world.market import Regime

TAIL_ITERATIONS = 12
INTENSITIES_PCT = (0, 5, 15, 40)
DOWNTIMES_SECONDS = (2.0, 20.0, 90.0, 400.0, 2_400.0)
CRASH_PLACES = {  # where an agent may be killed, and in which moments there
    "call": ("before", "after"),
    "order_call": ("before", "after"),
    "order_write": ("before", "inside", "written", "synced"),
    "decision_write": ("before", "inside", "written"),
    "sleep": ("before",),
}
DISK_ROWS = ("D01", "D02", "D03", "D04", "D05", "D06", "D07", "D09")
ACTS = (  # outside acts, each at the start of an iteration or between its decision and its order
    *("X21", "X21", "X22", "X22", "X23", "X33", "X35", "P02", "P05", "P06", "P11", "R01", "R02", "C02"),
    *("X13", "X13", "X13", "X20", "X20", "X21"),
)
# Each drawn apart, so that what was drawn before there were these stays as it was.
LATER_ACTS = ("P12", "X37", "X37", "X38", "X39")
LATEST_ACTS = ("X40", "X40", "X41", "D11")
THIN_SHARE = 1.0 / 6.0
KILLED_AT_A_LOOK_SHARE = 0.5  # of thin schedules
SKEWS = ("none", "none", "none", "+5", "-5", "+600", "-600", "+day", "-day", "drift", "back")


@dataclass(frozen=True)
class Crash:
    """The agent dies at the nth time it comes to a place (counted over all its lives)."""

    place: str
    moment: str
    nth: int
    downtime_seconds: float
    is_power_cut: bool = False  # what was not forced to disk is lost


@dataclass(frozen=True)
class DiskFault:
    """From the nth write of a log on (counted over all lives), for so many writes."""

    row: str
    log: str  # "orders" or "decisions"
    nth: int
    writes: int = 1


@dataclass(frozen=True)
class Act:
    """Something that is not an answer to a request: people, other programs, the machine."""

    row: str
    iteration: int
    number: int  # which of its forms
    is_late: bool = False  # people and programs: between the next decision and its order, not before it


@dataclass(frozen=True)
class Schedule:
    """Everything that is drawn before the first request."""

    campaign_seed: int
    index: int
    start_at: str
    iterations: int
    tail: int
    interval_seconds: float
    order_wait_seconds: float
    intensity_pct: int
    skew: str
    policy: str
    regime: Regime
    settings: dict[str, dict[str, Any]]
    crashes: tuple[Crash, ...] = ()
    disk_faults: tuple[DiskFault, ...] = ()
    acts: tuple[Act, ...] = ()
    dropped: frozenset[str] = frozenset()
    shadows: tuple[str, ...] = ()  # who else is asked (tests/campaign/deciders)
    model_faults_pct: int = 0  # how many answers of the language model, where one is asked, are no good

    @property
    def seed(self) -> tuple[int, int]:
        return self.campaign_seed, self.index

    @property
    def started_at(self) -> datetime:
        return datetime.fromisoformat(self.start_at)

    def chances(self, key: str) -> tuple[float, float, int]:
        """Two numbers in [0, 1) and one whole one that belong to a key."""
        digest = blake2b(f"{self.campaign_seed}:{self.index}:{key}".encode(), digest_size=16).digest()
        first, second = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")
        return first / 2.0**32, second / 2.0**32, int.from_bytes(digest[8:], "big")

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"dropped": sorted(self.dropped)}, indent=1)


Draw = Callable[[int, int], Schedule]  # campaign seed and index to the schedule of both


def from_json(text: str) -> Schedule:
    """The schedule that `to_json` wrote."""
    values = json.loads(text)
    values["regime"] = Regime(**values["regime"])
    values["crashes"] = tuple(Crash(**crash) for crash in values["crashes"])
    values["disk_faults"] = tuple(DiskFault(**fault) for fault in values["disk_faults"])
    values["acts"] = tuple(Act(**act) for act in values["acts"])
    values["dropped"], values["shadows"] = frozenset(values["dropped"]), tuple(values["shadows"])
    return Schedule(**values)


def without_crash(schedule: Schedule, number: int) -> Schedule:
    """One crash fewer; disk faults and acts alike with `replace`."""
    return replace(schedule, crashes=schedule.crashes[:number] + schedule.crashes[number + 1 :])


def draw_schedule(campaign_seed: int, index: int) -> Schedule:
    """The schedule of one seed."""
    return _with_thin_books(_draw(campaign_seed, index))


def _draw(campaign_seed: int, index: int) -> Schedule:
    """All but the thin books."""
    dice = random.Random(f"{campaign_seed}:{index}")
    iterations = dice.randint(24, 48)
    interval_seconds = dice.choices((300.0, 60.0, 900.0), (7, 2, 2))[0]
    intensity = INTENSITIES_PCT[index % len(INTENSITIES_PCT)]
    return Schedule(
        campaign_seed=campaign_seed,
        index=index,
        start_at=_start(dice, iterations * interval_seconds).isoformat(),
        iterations=iterations,
        tail=TAIL_ITERATIONS,
        interval_seconds=interval_seconds,
        order_wait_seconds=dice.choice((1.0, 2.0, 5.0)),
        intensity_pct=intensity,
        skew=dice.choice(SKEWS),
        policy=dice.choices(("rule_based", "eager"), (6, 4))[0],
        regime=_regime(dice, interval_seconds),
        settings=_with_coins_of(_settings(dice, interval_seconds), index),
        crashes=tuple(_crash(dice) for _ in range(dice.choice((0, 0, 1, 1, 2, 3, 4)))),
        disk_faults=tuple(_disk_fault(dice) for _ in range(dice.choice((0, 0, 0, 1, 2)))),
        acts=(
            *(_act(dice, iterations) for _ in range(dice.choice((0, 1, 1, 2, 3)))),
            *_later_acts(random.Random(f"{campaign_seed}:{index}:later"), iterations, LATER_ACTS),
            *_later_acts(random.Random(f"{campaign_seed}:{index}:latest"), iterations, LATEST_ACTS),
        ),
    )


def _start(dice: random.Random, duration_seconds: float) -> datetime:
    """A quarter of the schedules cross 08:00 UTC, some a leap day or a year's end."""
    day = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=dice.randrange(360))
    if dice.random() < 0.06:
        day = dice.choice((datetime(2027, 12, 31, tzinfo=UTC), datetime(2028, 2, 28, tzinfo=UTC)))
    minute = dice.randrange(24 * 60)
    if dice.random() < 0.25:
        minute = round(8 * 60 - dice.uniform(0.2, 0.8) * duration_seconds / 60.0) % (24 * 60)
    return day + timedelta(minutes=minute, seconds=dice.randrange(60))


def _regime(dice: random.Random, interval_seconds: float) -> Regime:
    is_wide = dice.random() < 0.5
    return Regime(
        expiry_hours=dice.choice((1, 2, 3)) if interval_seconds > 300.0 else dice.choice((1, 1, 2)),
        volatility_fraction=dice.choice((0.6, 1.0, 1.6)),
        jumps_per_day=dice.choice((0.0, 6.0, 16.0)),
        jump_fraction=dice.choice((0.02, 0.05)),
        half_spread_fraction=dice.choice((0.15, 0.3)) if is_wide else dice.choice((0.02, 0.08)),
        fill_pct=dice.choice((2.0, 10.0, 50.0)),
        empty_pct=dice.choice((0.0, 5.0, 40.0)),
        amount_steps=dice.choice((0, 0, 2, 4)),
    )


def _settings(dice: random.Random, interval_seconds: float) -> dict[str, dict[str, Any]]:
    strategy = {
        "ivrv_min": 0.0 if dice.random() < 0.8 else 0.2,
        "delta_min": 0.01,
        "delta_max": 0.6,
        "dte_min": 0.02,
        "dte_max": dice.choice((0.2, 0.5, 4.0)),
        "premium_min_usd": 0.0,
        "max_spread_pct": 200.0,
        "roll_dte_days": dice.choice((0.0, 0.05, 0.1, 0.3)),
        "roll_ivrv_min": dice.choice((0.0, 0.0, 5.0)),
        "take_profit_pct": dice.choice((0.0, 0.0, 30.0)),
    }
    share = dice.choice((0.3, 0.5, 0.9))
    return {
        "run": {
            "interval_seconds": interval_seconds,
            "rv_min_returns": 5,
            "rv_window_days": 2.0,
            "order_price_steps": dice.choice((1, 2, 4)),
            "order_concession_pct": dice.choice((15.0, 50.0)),
            "exploration_pct": dice.choice((0.0, 0.0, 30.0)),
        },
        "risk": {
            "max_margin_pct": dice.choice((50.0, 100.0)),
            "price_collar_pct": dice.choice((25.0, 50.0)),
            "max_net_delta_fraction": 1.0,
            "max_orders_per_day": dice.choices((1000, 20), (9, 1))[0],
        },
        "btc": strategy | {"order_size": round(share, 1), "max_order_size": 1.0},
        "eth": strategy | {"order_size": float(round(10 * share)), "max_order_size": 10.0},
    }


def _with_thin_books(schedule: Schedule) -> Schedule:
    """In one schedule of six no bid is required and most calls have none, so that orders rest at the mark.

    Drawn apart, so that the others stay as they were. They are short, as every look at such an order costs requests.
    """
    dice = random.Random(f"{schedule.campaign_seed}:{schedule.index}:nobody bids")
    if dice.random() >= THIN_SHARE:
        return schedule
    iterations, interval_seconds = dice.randint(8, 16), dice.choices((60.0, 300.0), (5, 1))[0]
    acts = tuple(replace(act, iteration=2 + act.iteration % (iterations - 2)) for act in schedule.acts)
    start_at = _start(dice, iterations * interval_seconds).isoformat()
    thin = with_few_bids(schedule, interval_seconds, dice.choice((60.0, 80.0, 95.0)))
    if dice.random() < KILLED_AT_A_LOOK_SHARE:
        acts += (_act(dice, iterations, ("R06",)),)
    return replace(thin, start_at=start_at, iterations=iterations, acts=acts)


def with_few_bids(schedule: Schedule, interval_seconds: float, no_bid_pct: float) -> Schedule:
    """The schedule on books most of which have no bid, with orders that rest at the mark."""
    settings = schedule.settings
    return replace(
        schedule,
        interval_seconds=interval_seconds,
        regime=replace(schedule.regime, no_bid_pct=no_bid_pct),
        settings=settings
        | {"risk": settings["risk"] | {"require_bid": False}}
        | {"run": settings["run"] | {"interval_seconds": interval_seconds}},
    )


def _with_coins_of(settings: dict[str, dict[str, Any]], index: int) -> dict[str, dict[str, Any]]:
    """Two schedules of five trade both coins, the others one: they cost a quarter less and break as well."""
    left_out = {2: "btc", 3: "eth", 4: ("btc", "eth")[index % 2]}.get(index % 5)
    return settings if left_out is None else settings | {left_out: settings[left_out] | {"enabled": False}}


def _crash(dice: random.Random) -> Crash:
    place = dice.choices(tuple(CRASH_PLACES), (2, 4, 4, 1, 1))[0]
    most = {"call": 400, "order_call": 14, "order_write": 24, "decision_write": 36, "sleep": 60}[place]
    return Crash(
        place=place,
        moment=dice.choice(CRASH_PLACES[place]),
        nth=dice.randint(1, most),
        downtime_seconds=dice.choice(DOWNTIMES_SECONDS),
        is_power_cut=dice.random() < 0.3,
    )


def _disk_fault(dice: random.Random) -> DiskFault:
    row = dice.choice(DISK_ROWS)
    log = {"D01": "orders", "D02": "decisions", "D09": "orders"}.get(row) or dice.choice(
        ("orders", "orders", "decisions")
    )
    most = 16 if log == "orders" else 40
    return DiskFault(row, log, dice.randint(1, most), dice.choice((1, 1, 2, 5)))


def _later_acts(dice: random.Random, iterations: int, rows: tuple[str, ...]) -> Iterator[Act]:
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        yield _act(dice, iterations, rows)


def _act(dice: random.Random, iterations: int, rows: tuple[str, ...] = ACTS) -> Act:
    row, iteration, number = dice.choice(rows), dice.randint(2, iterations - 1), dice.randrange(1_000)
    return Act(row, iteration, number, is_late=number % 2 == 1)
