"""Settings under which nearly every call may be sold and orders are worked fast; every file is below one folder.

In: the exchange's URL, a folder, changes by section. Out: an AgentConfig. Nothing of the machine's own settings gets
in: every section is given. The key is made up, its secret is the canary that must appear nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import AgentConfig, BtcConfig, DeribitConfig, EthConfig, RiskConfig, RunConfig

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


def loose_config(url: str, folder: Path, policy: str, **sections: Mapping[str, Any]) -> AgentConfig:
    """The settings; `policy` is the name of a module with decide_action."""
    files = {"log_dir": folder / "logs", "data_dir": folder / "data"}
    sizes_btc, sizes_eth = {"order_size": 0.1, "max_order_size": 0.5}, {"order_size": 1.0, "max_order_size": 5.0}
    deribit = {"base_url": url, "client_id": KEY[0], "client_secret": KEY[1]}
    return AgentConfig(
        deribit=DeribitConfig(**{**deribit, **sections.get("deribit", {})}),
        risk=RiskConfig(**{"kill_file": folder / "KILL", **LIMITS, **sections.get("risk", {})}),
        btc=BtcConfig(**{**ANYTHING, **sizes_btc, **sections.get("btc", {})}),
        eth=EthConfig(**{**ANYTHING, **sizes_eth, **sections.get("eth", {})}),
        agent=RunConfig(**{"policy": policy, **files, **WORKING, **sections.get("agent", {})}),
    )
