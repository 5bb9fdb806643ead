"""Settings for tests; nothing of the machine's own settings gets in: every section is given.

In: a folder for the run's files, changes by section. Out: an AgentConfig. `a_config` has the defaults, `agent_config`
keeps every file below a folder, `loose_config` allows nearly every sale and works orders fast. KEY is made up, its
secret is the canary that must appear nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import AgentConfig, BtcConfig, DeribitConfig, EthConfig, LlmConfig, RiskConfig, RunConfig, ScoreConfig

KEY = ("made-up-id", "made-up-canary-secret")
ANYTHING: Mapping[str, Any] = {
    "ivrv_min": 0.0,
    "delta_min": 0.001,
    "delta_max": 0.999,
    "dte_min": 0.0,
    "premium_min_usd": 0.0,
    "max_spread_pct": 200.0,
}
LIMITS: Mapping[str, Any] = {
    "max_margin_pct": 100.0,
    "new_short_margin_pct_of_limit": 100.0,
    "max_net_delta_fraction": 1.0,
    "max_orders_per_day": 1000,
}
WORKING: Mapping[str, Any] = {"interval_seconds": 30.0, "order_wait_seconds": 3.0, "order_price_steps": 3}


def a_config(**sections: Mapping[str, Any]) -> AgentConfig:
    """Defaults with changes by section: a_config(btc={"delta_min": 0.2}). Every section is given: no environment."""
    risk = {"kill_file": Path("no-such-folder/KILL")} | dict(sections.get("risk", {}))
    return AgentConfig(
        deribit=DeribitConfig(**sections.get("deribit", {})),
        risk=RiskConfig(**risk),
        btc=BtcConfig(**sections.get("btc", {})),
        eth=EthConfig(**sections.get("eth", {})),
        score=ScoreConfig(**sections.get("score", {})),
        run=RunConfig(**sections.get("run", {})),
        llm=LlmConfig(**sections.get("llm", {})),
    )


def agent_config(folder: Path, **sections: Mapping[str, Any]) -> AgentConfig:
    """Defaults with changes by section; every file is below the folder."""
    files = {"log_dir": folder / "logs", "data_dir": folder / "data"}
    agent = files | dict(sections.get("run", {}))
    risk = {"kill_file": folder / "KILL"} | dict(sections.get("risk", {}))
    return a_config(**{**sections, "run": agent, "risk": risk})


def loose_config(url: str, folder: Path, policy: str, **sections: Mapping[str, Any]) -> AgentConfig:
    """Nearly everything may be sold at this exchange; `policy` is the name of a module with decide_action."""
    defaults: dict[str, Mapping[str, Any]] = {
        "deribit": {"base_url": url, "client_id": KEY[0], "client_secret": KEY[1]},
        "risk": LIMITS,
        "btc": {**ANYTHING, "order_size": 0.1, "max_order_size": 0.5},
        "eth": {**ANYTHING, "order_size": 1.0, "max_order_size": 5.0},
        "run": {"policy": policy, **WORKING},
    }
    changed = {name: {**section, **sections.get(name, {})} for name, section in defaults.items()}
    return agent_config(folder, **changed)
