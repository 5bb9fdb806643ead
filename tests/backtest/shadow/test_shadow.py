"""python -m backtest.shadow: every figure it prints is worked out a second time from the lines of the log.

The second computation reads the log as plain JSON and shares no code with the command: agreement and Cohen's kappa by a
table of both policies' kinds of action, money by the formulas of a call's life, intervals by drawing blocks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.shadow.__main__ import main
from backtest.shadow.compared import cohens_kappa
from config import PROJECT_FOLDER
from tests.builders.agent import simulated_run

RULES = (PROJECT_FOLDER / "policy_rule_based.py").read_text()
STEEP = RULES.replace("OWN_POINTS_PER_DELTA = 0.0", "OWN_POINTS_PER_DELTA = -360.0")
IDLE = 'def decide_action(agent_state, config):\n    return {"type": "DO_NOTHING", "reason": "not today"}\n'
RAISING = "def decide_action(agent_state, config):\n    raise ValueError('no idea')\n"
ACTING, STEEPER, LAZY, BROKEN = "acting", "steeper", "lazy", "broken"
LINES = 80
SETTLED_AT_USD = {"BTC": 91_500.0, "ETH": 3_180.0}  # of every expiry that the log has no delivery of
DRAWS = 2_000

Decision = Mapping[str, Any]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty days with three shadows: one that prefers calls far away, one that never acts, one that fails."""
    folder = tmp_path_factory.mktemp("shadowed")
    shadows: list[str] = []
    for name, text in ((STEEPER, STEEP), (LAZY, IDLE), (BROKEN, RAISING)):
        (folder / f"{name}.py").write_text(text)
        shadows += ["--shadow", str(folder / f"{name}.py")]
    pace = ("--iterations", str(LINES), "--interval", "21600", "--quiet")
    ended = simulated_run(folder, *pace, *shadows)
    assert ended.code == 0, ended.err
    return folder / "logs"


@pytest.fixture(scope="module")
def prices(log: Path) -> Path:
    """A delivery price for every 08:00 UTC that a call of the log can expire at."""
    for coin, price_usd in SETTLED_AT_USD.items():
        days = sorted({call["expiry"][:10] for line in lines_of(log) for call in calls_of(line)})
        rows = "".join(f"{day},{price_usd}\n" for day in days)
        (log.parent / f"{coin}_prices.csv").write_text(f"date,price\n{rows}")
    return log.parent


def said_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def in_one_line(text: str) -> str:
    return re.sub(r"\n +", " ", text)


# --- the second computation --------------------------------------------------------------------------


def lines_of(log: Path) -> list[Decision]:
    files = sorted(log.glob("decisions-*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def calls_of(line: Decision) -> list[Decision]:
    state = line["agent_state"]
    return [*state["candidates"], *state["portfolio"]["positions"]]


def points_of(log: Path) -> list[Decision]:
    return [line for line in lines_of(log) if len(line["agent_state"]["choices"]) > 1]


def shadow_of(line: Decision, name: str) -> Decision:
    (found,) = (shadow for shadow in line["shadows"] if Path(shadow["policy"]).stem == name)
    return dict(found)


def wanted(line: Decision, name: str) -> Decision:
    return dict(line["proposed_action"] if name == ACTING else shadow_of(line, name)["action"])


def is_allowed(line: Decision, name: str) -> bool:
    return bool(line["allowed"] if name == ACTING else shadow_of(line, name)["check"]["allowed"])


def terms(action: Decision) -> tuple[Any, ...]:
    return tuple(action[name] for name in ("type", "underlying", "symbol", "new_symbol", "size"))


def kind(line: Decision, action: Decision) -> str:
    """The kind of an action, its coin, and which of the candidates it sells."""
    if action["type"] == "DO_NOTHING":
        return "nothing"
    sold = action["new_symbol"] or action["symbol"]
    offered = [
        call["symbol"] for call in line["agent_state"]["candidates"] if call["underlying"] == action["underlying"]
    ]
    is_sale = action["type"] in ("OPEN_COVERED_CALL", "ROLL_COVERED_CALL") and sold in offered
    return f"{action['type']} {action['underlying']} {offered.index(sold) if is_sale else ''}"


def kappa(firsts: list[str], seconds: list[str]) -> float:
    """From the table of both: the diagonal against what the margins alone would give."""
    names = sorted({*firsts, *seconds})
    table = np.zeros((len(names), len(names)))
    for first, second in zip(firsts, seconds, strict=True):
        table[names.index(first), names.index(second)] += 1.0 / len(firsts)
    by_chance = float((table.sum(axis=1) * table.sum(axis=0)).sum())
    return float((np.trace(table) - by_chance) / (1.0 - by_chance))


Prices = Mapping[tuple[str, str], float]  # USD, by coin and expiry


def settled_at(log: Path) -> Prices:
    """What the exchange booked; of all other expiries what the file says."""
    lines = lines_of(log)
    calls = {call["symbol"]: call for line in lines for call in calls_of(line)}
    booked = [row for line in lines for row in line["ledger"] if row["entry_type"] == "delivery"]
    found = {(call["underlying"], call["expiry"]): SETTLED_AT_USD[call["underlying"]] for call in calls.values()}
    return found | {
        (calls[row["symbol"]]["underlying"], calls[row["symbol"]]["expiry"]): row["index_price_usd"] for row in booked
    }


def payoff(call: Decision, prices: Prices) -> float:
    """Of one coin, with the fee of its delivery."""
    price_usd = prices[call["underlying"], call["expiry"]]
    owed = max(0.0, price_usd - call["strike"]) / price_usd
    return float(owed + min(0.00015, 0.125 * owed))


def sale(line: Decision, symbol: str, prices: Prices) -> float:
    (call,) = (call for call in line["agent_state"]["candidates"] if call["symbol"] == symbol)
    price = call["bid_price_coin"]
    return float(price - min(0.0003, 0.125 * price) - payoff(call, prices))


def buy_back(line: Decision, symbol: str, prices: Prices) -> float:
    (call,) = (call for call in line["agent_state"]["portfolio"]["positions"] if call["symbol"] == symbol)
    price = call["mark_price_coin"] if call["ask_price_coin"] is None else call["ask_price_coin"]
    return float(payoff(call, prices) - price - min(0.0003, 0.125 * price))


def made_usd(line: Decision, action: Decision, prices: Prices) -> float:
    sold = action["new_symbol"] or action["symbol"]
    each = 0.0
    if action["type"] in ("OPEN_COVERED_CALL", "ROLL_COVERED_CALL"):
        each += sale(line, sold, prices)
    if action["type"] in ("CLOSE_COVERED_CALL", "ROLL_COVERED_CALL"):
        each += buy_back(line, action["symbol"], prices)
    spots = {market["underlying"]: market["spot_usd"] for market in line["agent_state"]["markets"]}
    return float(each * action["size"] * spots.get(action["underlying"], 0.0))


def of_policy(points: list[Decision], name: str, prices: Prices) -> list[float]:
    return [made_usd(line, wanted(line, name), prices) if is_allowed(line, name) else 0.0 for line in points]


def of_dice(points: list[Decision], prices: Prices) -> list[float]:
    each = [[made_usd(line, choice, prices) for choice in line["agent_state"]["choices"]] for line in points]
    return [math.fsum(made) / len(made) for made in each]


def interval(values: list[float]) -> tuple[float, float]:
    """Ninety percent of the means of series put together from blocks, drawn with other dice than the command's."""
    dice, block = np.random.default_rng(77), math.ceil(len(values) ** (1.0 / 3.0))
    ring = np.array(values + values[:block])
    means = []
    for _ in range(DRAWS):
        starts = dice.integers(len(values), size=math.ceil(len(values) / block))
        drawn = np.concatenate([ring[start : start + block] for start in starts])[: len(values)]
        means.append(float(drawn.mean()))
    low, high = np.quantile(means, [0.05, 0.95])
    return float(low), float(high)


# --- coverage and agreement --------------------------------------------------------------------------


def test_only_lines_with_a_choice_are_decision_points(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = points_of(log)
    assert 10 < len(points) <= LINES
    assert said_of(capsys, log).startswith(f"{LINES} lines with a state, {len(points)} decision points")


def test_agreement_and_kappa_are_those_of_the_table_of_both_policies(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, out = points_of(log), in_one_line(said_of(capsys, log))
    for name in (STEEPER, LAZY):
        pairs = [(line, wanted(line, ACTING), wanted(line, name)) for line in points]
        same = sum(terms(first) == terms(second) for _, first, second in pairs)
        expected = kappa(
            [kind(line, first) for line, first, _ in pairs], [kind(line, other) for line, _, other in pairs]
        )
        share = f"{same} of {len(points)} ({100.0 * same / len(points):.0f} %), Cohen's kappa {expected:.2f}"
        assert f"{name}.py and the acting policy: the same action at {share}" in out
        assert 0 < same < len(points)


def test_each_place_where_they_differ_is_counted_by_kind(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, out = points_of(log), said_of(capsys, log)
    part = out[out.index(f"{LAZY}.py and the acting") :]
    counted = [int(count) for count, _ in re.findall(r"^ {5} +(\d+)  (.+ -> NOTHING)$", part, re.MULTILINE)]
    assert sum(counted) == sum(wanted(line, ACTING)["type"] != "DO_NOTHING" for line in points)


def test_a_shadow_that_fails_has_decided_nothing_and_agrees_with_nobody(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, out = points_of(log), in_one_line(said_of(capsys, log))
    assert f"{BROKEN}.py: decided itself at 0 of {len(points)} decision points (0 %), {len(points)} failed" in out
    assert f"{BROKEN}.py and the acting policy" not in out


def test_a_shadow_is_measured_where_it_was_asked(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without it went before."""
    points = points_of(log)
    for file in log.glob("decisions-*.jsonl"):
        lines = [json.loads(text) for text in file.read_text().splitlines()]
        alone = (json.dumps(line | {"shadows": []}) for line in lines if line in points[:5])
        kept = (json.dumps(line) for line in lines if line not in points[:5])
        (tmp_path / file.name).write_text("\n".join([*alone, *kept]) + "\n")
    asked = len(points) - 5
    out = in_one_line(said_of(capsys, tmp_path))
    assert f"{LAZY}.py: decided itself at {asked} of {asked} decision points (100 %); not asked at 5 others" in out


def test_kappa_of_the_published_example() -> None:
    """Cohen 1960, as it is usually shown: 20 and 15 agreements of 50, 5 and 10 disagreements: 0.4."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)


def test_kappa_is_not_defined_where_both_always_say_the_same_one_thing() -> None:
    assert cohens_kappa([("nothing", "nothing")] * 9) is None


# --- money -------------------------------------------------------------------------------------------


def money_rows(out: str) -> dict[str, tuple[int, float, float, float]]:
    """By policy: n, the mean, both ends of its interval."""
    row = re.compile(r"^ {5}(\S.*?) +n (\d+) +([+-][\d.]+) +90 % interval ([+-][\d.]+) to ([+-][\d.]+)$", re.MULTILINE)
    return {
        Path(name).name: (int(n), float(mean), float(low), float(high)) for name, n, mean, low, high in row.findall(out)
    }


def test_what_each_would_have_made_by_settlement_is_worked_out_by_hand_for_all_of_them(
    log: Path, prices: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, rows = points_of(log), money_rows(said_of(capsys, log, "--delivery-prices", prices))
    known = settled_at(log)
    by_hand = {name: of_policy(points, name, known) for name in (ACTING, STEEPER, LAZY, BROKEN)}
    by_hand |= {"random": of_dice(points, known), "rule-based": by_hand[ACTING], "holding": [0.0] * len(points)}
    for name, values in by_hand.items():
        n, mean, low, high = rows[name if name not in (STEEPER, LAZY, BROKEN) else f"{name}.py"]
        assert n == len(points)
        assert mean == pytest.approx(math.fsum(values) / len(values), abs=0.0051), name
        expected = interval(values)
        width = expected[1] - expected[0]
        assert (low, high) == pytest.approx(expected, abs=0.01 + 0.1 * width), name
    assert len({rows[name][1] for name in ("acting", "random", "holding")}) == 3


def test_without_any_price_the_log_says_that_it_does_not_know(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two days alone: no call of theirs has been settled."""
    for path in sorted(log.glob("decisions-*.jsonl"))[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert "is not known from this log" in in_one_line(said_of(capsys, tmp_path))


# --- the stamp of a model's cut-off ------------------------------------------------------------------


@pytest.fixture
def by_a_model(log: Path, tmp_path: Path) -> Path:
    """The same log, in which a language model chose what the lazy shadow did."""
    for path in log.glob("decisions-*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for shadow in (shadow_of(line, LAZY) for line in lines):
            shadow["action"]["model_call"] = {"outcome": "chosen", "model": "m"}
        (tmp_path / path.name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.mark.parametrize(
    ("cutoff", "stamp"),
    [
        ("", "TRAINING CUT-OFF NOT KNOWN"),
        ("2025-12-31", "all decision points lie after the model's training cut-off, 2025-12-31"),
        ("2026-01-12", "NOT TO BE TRUSTED: {before} of {points} decision points lie before"),
    ],
)
def test_results_of_days_that_a_model_may_have_read_about_are_stamped(
    cutoff: str, stamp: str, by_a_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_TRAINING_CUTOFF", cutoff)
    points = points_of(by_a_model)
    before = sum(line["timestamp"][:10] <= cutoff for line in points)
    wanted_words = stamp.format(before=before, points=len(points))
    assert wanted_words in in_one_line(said_of(capsys, by_a_model))


def test_without_a_model_no_cut_off_is_spoken_of(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cut-off" not in said_of(capsys, log).lower()


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "why"), [("nowhere", "no log file"), ("empty", "holds no decision with a state")])
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "decisions-2026-01-05.jsonl").write_text("")
    assert main([str(tmp_path / name)]) == 2
    said = in_one_line(capsys.readouterr().err)
    assert said.startswith("backtest.shadow: ")
    assert why in said


def test_a_log_without_shadows_says_how_to_get_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated_run(tmp_path, "--iterations", "4", "--interval", "21600", "--quiet").code == 0
    assert "no line holds a shadow: run the agent with --shadow NAME" in said_of(capsys, tmp_path / "logs")
