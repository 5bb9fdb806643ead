"""Named sets of settings: two modes (research, production) and three profiles (conservative, moderate, aggressive).

In: the name of a set. Out: values by section and field, in the units of config.py; what is given in `.env`, in the
environment or on the command line wins over them, and everything they do not name keeps its default. Pure.
You can change any figure here. No set may name what is in UNTOUCHABLE: a test reads both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from core.settings.texts import Setting

Values = Mapping[str, Mapping[str, Any]]

SETS: Mapping[str, Values] = {
    "research": {},  # the defaults
    "production": {
        "risk": {
            "max_margin_pct": 30.0,
            "max_net_delta_fraction": 0.4,
            "max_expiry_exposure_fraction": 0.5,
            "max_quote_age_seconds": 60.0,
            "price_collar_pct": 15.0,
            "max_orders_per_day": 10,
            "max_unfilled_orders_per_day": 300,
        },
        "btc": {"delta_max": 0.20, "dte_min": 5.0, "dte_max": 14.0, "max_spread_pct": 20.0, "max_order_size": 0.2},
        "eth": {"delta_max": 0.20, "dte_min": 5.0, "dte_max": 14.0, "max_spread_pct": 20.0, "max_order_size": 2.0},
        "run": {"exploration_pct": 0.0, "order_concession_pct": 10.0},
    },
    "conservative": {
        "risk": {"max_margin_pct": 30.0, "max_net_delta_fraction": 0.3},
        "btc": {"delta_min": 0.05, "delta_max": 0.15, "dte_min": 7.0, "premium_min_usd": 50.0, "ivrv_min": 1.1},
        "eth": {"delta_min": 0.05, "delta_max": 0.15, "dte_min": 7.0, "premium_min_usd": 2.0, "ivrv_min": 1.1},
    },
    "moderate": {
        "btc": {"delta_min": 0.15, "delta_max": 0.25},
        "eth": {"delta_min": 0.15, "delta_max": 0.25},
    },
    "aggressive": {
        "risk": {"max_net_delta_fraction": 0.8},
        "btc": {"delta_min": 0.25, "delta_max": 0.45, "dte_min": 2.0, "dte_max": 14.0, "ivrv_min": 0.8},
        "eth": {"delta_min": 0.25, "delta_max": 0.45, "dte_min": 2.0, "dte_max": 14.0, "ivrv_min": 0.8},
    },
}
PROFILES = ("conservative", "moderate", "aggressive")
WITHOUT_EXPLORATION = ("production",)  # whatever `.env` says: asking for both is an error

# What no set may touch: where requests and orders go, as whom, and what stops them. That calls are covered by coins
# is no setting at all.
UNTOUCHABLE: Mapping[str, Sequence[str]] = {
    "deribit": ("base_url", "client_id", "client_secret", "timeout_seconds"),
    "risk": ("kill_file", "min_minutes_to_expiry"),
    "run": ("dry_run", "log_dir", "data_dir", "mode"),
    "llm": ("base_url", "api_key"),
}


def with_set(name: object, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The sections as they were given, on top of those of the set; one that is not known adds nothing."""
    chosen = SETS.get(str(name), {})
    return {section: {**chosen.get(section, {}), **given} for section, given in sections.items()}


def overruled(
    name: object,
    sections: Mapping[str, Mapping[str, Any]],
    settings: Sequence[Setting],
    config: BaseModel,
    name_of: Callable[[str], str],
) -> Iterator[str]:
    """A sentence for each setting of a set that was given another value elsewhere, under the name it was given by."""
    chosen = SETS.get(str(name), {})
    for setting in settings:
        wanted = chosen.get(setting.section, {})
        if setting.field in wanted and setting.field in sections.get(setting.section, {}):
            said = getattr(getattr(config, setting.section), setting.field)
            if said != wanted[setting.field]:
                yield f"{name_of(setting.name)}={said}: wins over the {wanted[setting.field]} of {name}"


def exploration_problems(mode: str, exploration_pct: float, name: str) -> list[str]:
    """What is wrong with exploring in a mode; `name` is what a message calls the setting."""
    if mode not in WITHOUT_EXPLORATION or exploration_pct == 0.0:
        return []
    return [f"{name}={exploration_pct:g}: {mode} never explores: use --mode research"]


def problem_of_diff(arguments: Sequence[str]) -> str | None:
    """Why these are not `--diff` and two sets to compare."""
    if arguments[:1] != ["--diff"]:
        return f"{arguments[0]!r} is no option; there are --table, --diff"
    names = arguments[1:]
    unknown = [name for name in names if name not in SETS]
    if len(names) == 2 and not unknown:
        return None
    wrong = f"{unknown[0]!r} is no mode or profile" if unknown else "--diff takes two names"
    return f"{wrong}; there are {', '.join(SETS)}"


def difference_lines(
    names: tuple[str, str], sides: tuple[BaseModel, BaseModel], settings: Sequence[Setting]
) -> Iterator[str]:
    """Every setting in which two sets differ, side by side, and what is the same in all of them."""
    rows = [(setting.name, *(_value(side, setting) for side in sides)) for setting in settings]
    differing = [row for row in rows if row[1] != row[2] and row[0] != "AGENT_MODE"]
    width = max((len(row[0]) for row in differing), default=0)
    yield f"{'setting'.ljust(width)}  {names[0]:>14}  {names[1]:>14}"
    yield from (f"{name.ljust(width)}  {left:>14}  {right:>14}" for name, left, right in differing)
    if not differing:
        yield "no setting differs"
    kept = [setting.name for setting in settings if setting.field in UNTOUCHABLE.get(setting.section, ())]
    yield ""
    yield textwrap.fill(
        f"No mode or profile touches {', '.join(kept)}. Testnet is the only exchange in all of them, and no call is "
        "ever sold without a coin behind it: that is no setting.",
        80,
    )


def _value(side: BaseModel, setting: Setting) -> str:
    value = getattr(getattr(side, setting.section), setting.field)
    return f"{value:g}" if isinstance(value, float) else str(value)
