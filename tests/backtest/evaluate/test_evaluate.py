"""An edited policy on the decisions of a log: exact by settlement, weighted against a simulated truth, or refused."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backtest.training_data.__main__ as training_data
from backtest.evaluate.__main__ import main
from backtest.evaluate.considered import Considered, considered, key_of, odds_of
from backtest.evaluate.estimates import Weighted, evaluate, weighted
from backtest.replay.logged import Log, read_log
from backtest.replay.settings import settings_of
from backtest.replay.settled import PricesOfRuns, SettlementPrices, made_by_settlement
from cli.policy_file import load_policy
from config import PROJECT_FOLDER, AgentConfig, load_config
from models import ActionOption, ActionType, ProposedAction
from policy_rule_based import decide_action
from tests.builders.agent import simulated_run
from tests.builders.configs import a_config
from tests.builders.states import a_candidate, a_state

RULES = (PROJECT_FOLDER / "policy_rule_based.py").read_text()
NO_PRICES = SettlementPrices()


@pytest.fixture(autouse=True)
def explores_as_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EXPLORATION_PCT", "60")


@pytest.fixture(scope="module")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days, more than half of the decisions drawn at random from the best few."""
    return explored_log(tmp_path_factory.mktemp("explored"), "3")


@pytest.fixture(scope="module")
def wide_log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The same with so many drawn that the log can answer for the edit."""
    return read_log(explored_log(tmp_path_factory.mktemp("wide"), "12"))


def explored_log(folder: Path, best: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_EXPLORATION_PCT", "60")
        patch.setenv("AGENT_EXPLORATION_BEST", best)
        assert simulated_run(folder, "--iterations", "40", "--interval", "21600", "--quiet").code == 0
    return folder / "logs"


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_policy(tmp_path_factory.mktemp("edited") / "warier_policy.py", "-360.0")


@pytest.fixture(scope="module")
def bolder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_policy(tmp_path_factory.mktemp("bolder") / "bolder_policy.py", "4040.0")


def a_policy(path: Path, points: str) -> Path:
    path.write_text(RULES.replace("OWN_POINTS_PER_DELTA = 0.0", f"OWN_POINTS_PER_DELTA = {points}"))
    return path


@pytest.fixture(scope="module")
def log(log_folder: Path) -> Log:
    return read_log(log_folder)


def every_price(log: Log, factor: float = 1.01) -> SettlementPrices:
    """Each expiry of each coin is settled at a price near the coin's last spot."""
    last = log.points[-1].state
    expiries = {(call.underlying, call.expiry) for point in log.points for call in point.state.candidates}
    expiries |= {(call.underlying, call.expiry) for point in log.points for call in point.state.portfolio.positions}
    spots: dict[str, float] = {market.underlying: market.spot_usd for market in last.markets}
    return SettlementPrices({(coin, expiry): factor * spots[coin] for coin, expiry in expiries})


def points_of(log: Log, policy: Path | None, prices: SettlementPrices, best: str = "3") -> list[Considered]:
    decide = decide_action if policy is None else load_policy(str(policy))[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_EXPLORATION_PCT", "60")
        patch.setenv("AGENT_EXPLORATION_BEST", best)
        config = load_config()
    settings: dict[str, AgentConfig] = {}
    for run_id, points in log.runs.items():
        settings[run_id], is_known = settings_of(points, config, None)
        assert is_known
    return list(considered("log", log, decide, settings, PricesOfRuns(dict.fromkeys(log.runs, prices))))


def test_the_unchanged_policy_changes_nothing(log: Log) -> None:
    found = evaluate(points_of(log, None, every_price(log)))
    assert found.changed == 0
    assert found.exact is not None
    assert found.weighted is None
    assert found.exact.change.mean == 0.0


def test_known_settlements_make_it_exact(log: Log, edited: Path) -> None:
    """By hand: the mean over both policies' odds of what each action makes by settlement."""
    prices = every_price(log)
    points = points_of(log, edited, prices)
    found = evaluate(points)
    assert found.exact is not None
    assert found.exact.changed == found.changed >= 3
    by_hand = 0.0
    for point in points:
        state = point.point.state
        for sign, odds in ((1.0, point.after), (-1.0, point.before)):
            for odd in odds:
                market = next((m for m in state.markets if m.underlying == odd.action.underlying), None)
                spot_usd = 0.0 if market is None else market.spot_usd
                by_hand += sign * odd.probability * made_by_settlement(state, odd.action, prices) * spot_usd
    assert found.exact.change.mean * found.exact.decisions == pytest.approx(by_hand, abs=1e-9)
    assert found.exact.change.mean != 0.0


# --- weighted, against a simulated truth -------------------------------------------------------------


def drawn_again(points: Sequence[Considered], dice: np.random.Generator) -> Weighted:
    """Actions drawn anew from the odds of the log, each paid its outcome by settlement, with noise."""
    picks = [dice.choice(len(point.before), p=[odd.probability for odd in point.before]) for point in points]
    odds = [point.before[pick] for point, pick in zip(points, picks, strict=True)]
    rewards = np.array([odd.outcome_usd for odd in odds]) + dice.normal(scale=5.0, size=len(points))
    return weighted(points, [odd.action for odd in odds], rewards)


def can_answer(point: Considered) -> bool:
    """Whether the log may have drawn all that the edited policy would do."""
    return {odd.key for odd in point.after} <= {odd.key for odd in point.before}


@pytest.fixture(scope="module")
def worlds(wide_log: Log, bolder: Path) -> tuple[float, list[Weighted]]:
    """The exact value of a policy that sells the greatest delta, and estimates from 15 logs of other draws."""
    found = points_of(wide_log, bolder, every_price(wide_log), "12")
    points = [point for point in found if len(point.before) > 1 and can_answer(point)] * 200
    exact = evaluate(points).exact
    assert exact is not None
    dice = np.random.default_rng(1)
    drawn = [drawn_again(points, dice) for _ in range(15)]
    answered = [world for world in drawn if not world.refused]  # a rare action may come up too seldom
    assert len(answered) >= 12
    return exact.after.mean, answered


@pytest.mark.parametrize("name", ["IPS", "SNIPS", "doubly robust"])
def test_an_estimate_meets_the_exact_value(name: str, worlds: tuple[float, list[Weighted]]) -> None:
    truth, found = worlds
    errors = np.array([world.estimates[name].mean - truth for world in found])
    assert abs(errors.mean()) < 4.0 * errors.std() / math.sqrt(len(errors))
    before = np.mean([world.logged.mean for world in found if world.logged is not None])
    assert abs(errors.mean()) < 0.2 * abs(before - truth)  # far nearer than the value of the log's own policy


def test_a_model_of_the_rewards_takes_noise_away(worlds: tuple[float, list[Weighted]]) -> None:
    deviations = {
        name: np.std([world.estimates[name].mean for world in worlds[1]]) for name in ("IPS", "doubly robust")
    }
    assert deviations["doubly robust"] < deviations["IPS"]


def test_without_settlements_a_short_log_is_refused_with_every_reason(log: Log, edited: Path) -> None:
    found = evaluate(points_of(log, edited, NO_PRICES)).weighted
    assert found is not None
    assert found.estimates == {}
    assert any("decisions, 50 are needed" in reason for reason in found.refused), found.refused


def test_a_change_that_the_log_never_draws_is_refused_however_long_it_is(log: Log, edited: Path) -> None:
    """Only the best few are explored."""
    found = drawn_again(points_of(log, edited, every_price(log)) * 12, np.random.default_rng(2))
    assert found.estimates == {}
    assert found.refused
    assert all("never drawn, 5 are needed" in reason for reason in found.refused)


def nothing() -> ProposedAction:
    return ProposedAction(type=ActionType.DO_NOTHING, reason="never")


# --- odds --------------------------------------------------------------------------------------------


def a_choice(kind: ActionType, symbol: str | None, probability: float) -> ActionOption:
    return ActionOption(type=kind, symbol=symbol, probability=probability)


def odds(decided: ProposedAction) -> dict[tuple[object, ...], float]:
    state = a_state(candidates=(a_candidate(),))
    return {odd.key: odd.probability for odd in odds_of(decided, state, a_config(), NO_PRICES)}


def test_choices_that_do_not_add_up_leave_the_one_action() -> None:
    sale = ProposedAction(
        type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol=a_candidate().symbol, size=0.1, reason="sale",
        choices=(a_choice(ActionType.OPEN_COVERED_CALL, a_candidate().symbol, 0.4),),
    )  # fmt: skip
    assert odds(sale) == {key_of(sale): 1.0}


def test_odds_over_several_kinds_are_actions_of_their_own() -> None:
    sold = a_candidate().symbol
    choices = (a_choice(ActionType.OPEN_COVERED_CALL, sold, 0.3), a_choice(ActionType.DO_NOTHING, None, 0.7))
    decided = nothing().model_copy(update={"choices": choices})
    size = a_config().strategy("BTC").order_size
    sale = ProposedAction(type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol=sold, size=size, reason="sale")
    assert odds(decided) == {key_of(sale): 0.3, key_of(nothing()): 0.7}


def test_what_the_risk_engine_refuses_is_doing_nothing() -> None:
    sale = ProposedAction(
        type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol=a_candidate().symbol, size=99.0, reason="too large"
    )
    assert odds(sale) == {key_of(nothing()): 1.0}


# --- the command -------------------------------------------------------------------------------------


def test_the_command_says_what_the_log_cannot_answer_and_writes_its_figures(
    log_folder: Path, log: Log, edited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In ten days hardly any decision has settled outcomes alone; the README shows a log that has."""
    assert main([str(log_folder), "--policy", str(edited), "--json", str(tmp_path / "found.json")]) == 1
    out = capsys.readouterr().out
    assert "warier_policy on 40 states" in out
    assert "the log cannot say what this policy would have made" in " ".join(out.split())
    assert all(len(line) <= 80 for line in out.splitlines())
    figures: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
    assert figures["weighted"]["refused"]


def test_training_data_leads_back_to_its_logs(
    log_folder: Path, edited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_data.main([str(log_folder), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    main([str(log_folder), "--policy", str(edited)])
    of_the_log = capsys.readouterr().out
    main([str(tmp_path), "--policy", str(edited)])
    assert capsys.readouterr().out == of_the_log


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("nowhere", None, "nowhere"),
        ("decisions.jsonl", '{"source": 1', "is not the file of backtest.training_data, or was cut off"),
        ("decisions-2026-01-05.jsonl", "", "holds no decision with a state"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    name: str, content: str | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main([str(tmp_path / name), "--policy", "policy_rule_based"]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_policy_that_is_not_there_is_named(log_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(log_folder), "--policy", "no_such"]) == 2
    assert "policy no_such: there is no no_such.py here" in capsys.readouterr().err


def test_decisions_of_a_week_share_a_group(log: Log) -> None:
    points = points_of(log, None, NO_PRICES)
    first, last = points[0].point.state.timestamp, points[-1].point.state.timestamp
    assert len({point.week for point in points}) <= 1 + math.ceil((last - first) / timedelta(days=7))
