"""Training mode: profiles side by side, on one reading of the market."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.training import side_by_side
from logging_utils import read_records
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.setups import SIMULATION_START
from paper_exchange.transport import PaperTransport
from tests.builders.agent import Ended, folders, run_main
from tests.builders.wire import Wire
from tests.campaign.world.market import CampaignMarket, Regime

THREE = ("conservative", "moderate", "aggressive")


def trained(folder: Path, *arguments: str, profiles: tuple[str, ...] = THREE) -> Ended:
    """A training run whose files are below the folder."""
    return run_main("--profiles", ",".join(profiles), "--quiet", *folders(folder), *arguments)


def lines_of(folder: Path, profile: str) -> list[dict[str, object]]:
    return read_records(folder / "logs" / profile / "decisions-*.jsonl")


def test_every_profile_has_its_own_log_and_account_and_all_see_the_same_moment(tmp_path: Path) -> None:
    ended = trained(tmp_path, "--market", "simulated", "--iterations", "2", "--interval", "21600")
    assert (ended.code, ended.err) == (0, "")
    logs = {profile: lines_of(tmp_path, profile) for profile in THREE}
    assert {profile: {line["settings_mode"] for line in lines} for profile, lines in logs.items()} == {
        profile: {profile} for profile in THREE
    }
    seen = {tuple((line["timestamp"], line["spot_btc"]) for line in lines) for lines in logs.values()}
    assert len(seen) == 1
    assert len({tuple(line["symbol"] for line in lines) for lines in logs.values()}) == 3  # they sold other calls


def test_a_profile_trades_as_if_it_were_alone(tmp_path: Path) -> None:
    arguments = ("--market", "simulated", "--iterations", "2", "--interval", "21600")
    trained(tmp_path / "all", *arguments)
    trained(tmp_path / "one", *arguments, profiles=("aggressive",))
    names = ("timestamp", "action_type", "symbol", "executed_status", "equity_btc", "equity_eth")
    told = [
        [[line[name] for name in names] for line in lines_of(tmp_path / folder, "aggressive")]
        for folder in ("all", "one")
    ]
    assert told[0] == told[1]
    assert {line[3] for line in told[0]} >= {"filled"}


def requests_of(folder: Path, patch: pytest.MonkeyPatch, profiles: tuple[str, ...]) -> list[str]:
    """What testnet is asked in three intervals of a training run."""
    clock = SimulatedClock(SIMULATION_START)
    market = CampaignMarket("training", clock, Regime(expiry_hours=8, jumps_per_day=0.0, empty_pct=0.0))
    network = Wire(PaperTransport(PaperExchange(market, PaperAccount(market, {"BTC": 1.0, "ETH": 10.0}))))
    patch.setattr(side_by_side, "network_transport", lambda: network)
    patch.setattr(side_by_side, "SystemClock", lambda: clock)
    ended = trained(folder, "--iterations", "3", "--interval", "1800", profiles=profiles)
    assert (ended.code, ended.err) == (0, "")
    assert all(len(lines_of(folder, profile)) == 3 for profile in profiles)
    return network.methods()


def test_testnet_is_asked_once_for_all_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_RV_MIN_RETURNS", "5")
    alone = requests_of(tmp_path / "one", monkeypatch, ("moderate",))
    together = requests_of(tmp_path / "three", monkeypatch, THREE)
    assert sorted(together) == sorted(alone)
    assert not [method for method in together if method.startswith("private/")]


@pytest.mark.parametrize(
    ("profiles", "arguments", "said"),
    [
        ("careful", (), "'careful' is no profile or mode; there are research, production, conservative"),
        ("moderate,moderate", (), "must be different names with commas between them"),
        ("moderate", ("--shadow", "llm"), "takes no --mode and no --shadow"),
        ("moderate", ("--check",), "--profiles runs"),
    ],
)
def test_what_cannot_be_trained_is_said(tmp_path: Path, profiles: str, arguments: tuple[str, ...], said: str) -> None:
    ended = run_main("--profiles", profiles, *folders(tmp_path), *arguments)
    assert ended.code == 2
    assert said in ended.err
