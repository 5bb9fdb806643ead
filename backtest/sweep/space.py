"""What is tried: values of settings and of a policy's constants, and the policies, as a grid or drawn at random.

In: texts such as `BTC_DELTA_MAX=0.2,0.3` (values) or `DTE_MAX=7..28` (a range to draw from, as fine as it is written);
a name without a coin is that setting of both coins. Out: Trials, always the same for the same texts and seed. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product

from config import SECRET_NAMES, SETTINGS
from core.settings.names import meant_name
from core.settings.texts import Setting
from models import ConfigurationError

COINS = ("BTC", "ETH")
# Where files are, which market, which luck and whose key: none of these makes a policy better.
NOT_TRIED = (
    *sorted(SECRET_NAMES),
    *("AGENT_DRY_RUN", "AGENT_POLICY", "AGENT_LOG_DIR", "AGENT_DATA_DIR", "AGENT_RECORD_CHAINS", "AGENT_SEED"),
    *("AGENT_FILLS", "AGENT_INTERVAL_SECONDS", "AGENT_PAPER_BTC_COIN", "AGENT_PAPER_ETH_COIN", "RISK_KILL_FILE"),
)
SETTINGS_TRIED: Mapping[str, Setting] = {
    setting.name: setting for setting in SETTINGS if setting.section != "deribit" and setting.name not in NOT_TRIED
}
OF_BOTH_COINS = tuple(
    name.removeprefix("BTC_")
    for name in SETTINGS_TRIED
    if name.startswith("BTC_") and f"ETH_{name.removeprefix('BTC_')}" in SETTINGS_TRIED
)
DRAWS_A_TRIAL = 50  # a space that has given nothing new for so long has nothing more to give


@dataclass(frozen=True)
class Axis:
    """One name and what is tried of it: `values` as they were written, or a range from `low` to `high`."""

    name: str
    values: tuple[str, ...] = ()
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)

    @property
    def is_range(self) -> bool:
        return not self.values

    def drawn(self, dice: random.Random) -> str:
        """One value; of a range one with as many decimals as its ends have."""
        if self.values:
            return dice.choice(self.values)
        step = min(Decimal(1).scaleb(int(end.as_tuple().exponent)) for end in (self.low, self.high))
        steps = int((self.high - self.low) / step)
        return f"{self.low + dice.randint(0, steps) * step:f}"


@dataclass(frozen=True)
class Trial:
    """A policy by its name, and the values tried by the names they were given under."""

    policy: str
    values: tuple[tuple[str, str], ...]

    @property
    def settings(self) -> dict[str, str]:
        """The settings among the values, those of both coins once for each."""
        found: dict[str, str] = {}
        for name, value in self.values:
            if name in OF_BOTH_COINS:
                found |= {f"{coin}_{name}": value for coin in COINS}
            elif name in SETTINGS_TRIED:
                found[name] = value
        return found

    @property
    def constants(self) -> dict[str, float]:
        """The policy's own constants among them."""
        return {name: float(value) for name, value in self.values if not is_setting(name)}


def is_setting(name: str) -> bool:
    return name in SETTINGS_TRIED or name in OF_BOTH_COINS


def read_axis(text: str, constants: Sequence[str]) -> Axis:
    """One `--set`; `constants` are those of the policies. Raises ConfigurationError."""
    name, sign, values = text.partition("=")
    name = _known_name(name.strip().upper(), constants)
    if not sign or not values.strip():
        raise ConfigurationError(f"--set {text}: wanted {name}=VALUE,VALUE or {name}=LOW..HIGH")
    if ".." in values:
        return _range(name, values)
    parts = [part.strip() for part in values.split(",")]
    twice = next((part for part in parts if parts.count(part) > 1), None)
    if "" in parts or twice is not None:
        raise ConfigurationError(f"--set {text}: " + (f"{twice} stands there twice" if twice else "a value is missing"))
    if name in constants:
        for part in parts:
            _number(name, part)
    return Axis(name, tuple(parts))


def refuse_double_names(axes: Sequence[Axis]) -> None:
    """A setting that two axes move would be that of the last one."""
    moved: set[str] = set()
    for axis in axes:
        names = {f"{coin}_{axis.name}" for coin in COINS} if axis.name in OF_BOTH_COINS else {axis.name}
        if names & moved:
            raise ConfigurationError(f"--set {axis.name}: {sorted(names & moved)[0]} is set twice")
        moved |= names


def grid(policies: Sequence[str], axes: Sequence[Axis]) -> list[Trial]:
    """Every value with every other. Raises ConfigurationError where one is a range."""
    for axis in axes:
        if axis.is_range:
            raise ConfigurationError(f"--set {axis.name}={axis.low}..{axis.high}: a range needs --random TRIALS")
    names = [axis.name for axis in axes]
    combined = product(policies, *(axis.values for axis in axes))
    return [Trial(policy, tuple(zip(names, values, strict=True))) for policy, *values in combined]


def drawn(policies: Sequence[str], axes: Sequence[Axis], trials: int, seed: int) -> list[Trial]:
    """So many different ones, fewer where there are no more; the first of them are the same for any number."""
    return list(dict.fromkeys(_draws(policies, axes, trials, seed)))


def _draws(policies: Sequence[str], axes: Sequence[Axis], trials: int, seed: int) -> Iterator[Trial]:
    dice = random.Random(seed)
    seen: set[Trial] = set()
    misses = 0
    while len(seen) < trials and misses < DRAWS_A_TRIAL * trials:
        policy = dice.choice(list(policies))
        trial = Trial(policy, tuple((axis.name, axis.drawn(dice)) for axis in axes))
        misses += trial in seen
        seen.add(trial)
        yield trial


def _known_name(name: str, constants: Sequence[str]) -> str:
    valid = [*SETTINGS_TRIED, *OF_BOTH_COINS, *constants]
    if name in valid:
        return name
    if name in NOT_TRIED or name.startswith("DERIBIT_"):
        raise ConfigurationError(f"--set {name}: no policy becomes better by it, so it is not tried")
    nearest = meant_name(name, valid)
    raise ConfigurationError(
        f"--set {name}: no setting, and no constant of every policy; the nearest valid name is {nearest}"
    )


def _range(name: str, values: str) -> Axis:
    low, _, high = values.partition("..")
    ends = _number(name, low), _number(name, high)
    if not ends[0] < ends[1]:
        raise ConfigurationError(f"--set {name}={values}: a range goes from a lower to a higher number")
    return Axis(name, low=ends[0], high=ends[1])


def _number(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise ConfigurationError(f"--set {name}: {text.strip()!r} is not a number")
    return number
