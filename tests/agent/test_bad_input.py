"""Whatever is wrong outside ends in one clear sentence and the right exit code, or in a logged DO_NOTHING.

Nothing is lost on the way, and no traceback reaches the console. Every kind of bad setting, file, policy and answer is
tried in `tests/campaign/bad_input`; here stand the journeys: what a start, a run and the next run make of it.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agent_loop
import config
from cli.arguments import parse_arguments
from cli.assembly import assemble_agent
from cli.setup import settings_from
from config import AgentConfig
from core.breaker import Breaker
from deribit_client import DeribitClient
from logging_utils import read_records
from models import ActionType, AgentState, ProposedAction, TradingState
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.server import PaperServer
from policy_rule_based import decide_action
from tests.builders.agent import (
    Desk,
    Ended,
    Policy,
    agent_at,
    copy_of_the_project,
    decision_lines,
    folders,
    in_one_line,
    opening,
    options,
    run_for,
    run_main,
    scripted_desk,
    simulated_agent,
    simulated_desk,
    simulated_run,
)
from tests.builders.disks import disk_full
from tests.builders.paper import market_with

DEAD_PORT = "http://127.0.0.1:9"


def assert_one_sentence(ended: Ended, code: int, *words: str) -> None:
    """The process ended with this code and one line on stderr that says these words."""
    assert ended.code == code, ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    assert "Traceback" not in ended.out + ended.err
    for word in words:
        assert word in ended.err


# --- keys and hosts -----------------------------------------------------------------------------


@pytest.fixture
def exchange_with_a_key() -> Iterator[PaperServer]:
    """An exchange on this machine that accepts one key only."""
    market = market_with()
    server = PaperServer(PaperExchange(market, PaperAccount(market), credentials=("right-id", "right-secret")))
    server.start()
    yield server
    server.stop()


def settings_are(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_a_wrong_key_ends_with_code_4_and_says_where_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange_with_a_key: PaperServer
) -> None:
    url = exchange_with_a_key.url
    settings_are(monkeypatch, DERIBIT_BASE_URL=url, DERIBIT_CLIENT_ID="right-id", DERIBIT_CLIENT_SECRET="wrong-9937")
    ended = run_main("--iterations", "3", *folders(tmp_path))
    assert_one_sentence(ended, 4, "does not accept this key", "test.deribit.com", ".env")
    (line,) = decision_lines(tmp_path)
    assert (line["action_type"], "13004" in line["error"]) == ("DO_NOTHING", True)
    assert "wrong-9937" not in ended.out + ended.err + json.dumps(line)


def test_the_right_key_gets_through_to_the_same_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange_with_a_key: PaperServer
) -> None:
    url = exchange_with_a_key.url
    settings_are(monkeypatch, DERIBIT_BASE_URL=url, DERIBIT_CLIENT_ID="right-id", DERIBIT_CLIENT_SECRET="right-secret")
    ended = run_main("--once", *folders(tmp_path))
    assert (ended.code, ended.err) == (0, "")
    line = decision_lines(tmp_path)[0]
    assert (line["mode"], line["market"]) == ("loopback", "loopback")


def test_an_exchange_on_this_machine_has_folders_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings_are(monkeypatch, DERIBIT_BASE_URL="http://127.0.0.1:8700")
    run = settings_from(parse_arguments([])).run
    assert (run.log_dir.name, run.data_dir.name) == ("loopback", "loopback")


# --- a run that halted itself -----------------------------------------------------------------------


@pytest.fixture
def halted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange_with_a_key: PaperServer
) -> tuple[str | Path, ...]:
    """The options of a run on testnet whose last run ended halted; its exchange is on this machine."""
    desk = scripted_desk(tmp_path)
    agent = assemble_agent(desk.config, desk.wire, desk.clock, "loopback", credentials=("paper-id", "paper-secret"))
    agent.trading.breaker = Breaker(state=TradingState.HALTED, why="10 rejected orders in a row")
    run_for(agent, 1)
    key = {"DERIBIT_CLIENT_ID": "right-id", "DERIBIT_CLIENT_SECRET": "right-secret"}
    settings_are(monkeypatch, DERIBIT_BASE_URL=exchange_with_a_key.url, **key)
    return "--once", *folders(tmp_path)


def test_after_a_halted_run_a_start_ends_with_code_6_before_any_request_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, halted_run: tuple[str | Path, ...]
) -> None:
    settings_are(monkeypatch, DERIBIT_BASE_URL=DEAD_PORT)
    for _ in range(2):
        assert_one_sentence(run_main(*halted_run), 6, "halted", "10 rejected orders in a row", "--resume")
    assert len(decision_lines(tmp_path)) == 1


def test_a_person_who_has_looked_resumes_a_halted_run_and_needs_no_such_option_the_next_time(
    tmp_path: Path, halted_run: tuple[str | Path, ...]
) -> None:
    assert run_main(*halted_run, "--resume").code == 0
    assert run_main(*halted_run).code == 0
    states = [line["breaker"]["state"] for line in decision_lines(tmp_path)]
    assert states == ["HALTED", "ACTIVE", "ACTIVE"]


def test_resuming_what_is_not_halted_changes_nothing(tmp_path: Path) -> None:
    assert simulated_run(tmp_path, "--once", "--resume").code == 0


def test_a_paper_account_does_not_stop_because_the_real_one_halted(
    tmp_path: Path, halted_run: tuple[str | Path, ...]
) -> None:
    assert run_main("--dry-run", "--market", "simulated", *halted_run).code == 0


def desk_without_network(folder: Path) -> Desk:
    """A desk whose client looks for its exchange where nobody listens."""
    desk = simulated_desk(folder, deribit={"base_url": DEAD_PORT})
    key = ("made-up-id", "made-up-secret")
    desk.client = DeribitClient(desk.config, clock=desk.clock, order_log=desk.order_log, credentials=key)
    return desk


def test_an_unreachable_host_is_a_logged_do_nothing_that_says_what_needs_no_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = agent_loop.run_loop(agent_at(desk_without_network(tmp_path)), options("--once"))
    shown = capsys.readouterr()
    (line,) = decision_lines(tmp_path)
    assert (code, line["action_type"], line["executed_status"]) == (1, "DO_NOTHING", "none")
    assert "cannot reach the exchange" in in_one_line(shown.out)
    assert "--market simulated needs no network" in in_one_line(shown.out)
    assert "Traceback" not in shown.out + shown.err


def test_an_unreachable_host_does_not_end_the_loop(tmp_path: Path) -> None:
    agent = agent_at(desk_without_network(tmp_path))
    run_for(agent, 3)
    assert [line["iteration"] for line in decision_lines(tmp_path)] == [1, 2, 3]


# --- .env -----------------------------------------------------------------------------------------


def test_a_misspelt_secret_is_named_but_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DERIBIT_CLIENT_SECRETT=made-up-9937\n")
    monkeypatch.setattr(config, "ENV_FILE", tmp_path / ".env")
    ended = simulated_run(tmp_path, "--once")
    assert_one_sentence(ended, 2, "DERIBIT_CLIENT_SECRETT", "DERIBIT_CLIENT_SECRET")
    assert "made-up-9937" not in ended.err


def test_a_broken_env_file_ends_a_process_of_its_own_the_same_way(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path)
    (project / ".env").write_text("ETH_DTE_MAXX=3\n")
    command = [sys.executable, "agent_loop.py", "--market", "simulated", "--once"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert_one_sentence(Ended(done.returncode, done.stdout, done.stderr), 2, "ETH_DTE_MAXX", "ETH_DTE_MAX")


# --- recordings -----------------------------------------------------------------------------------


def play(folder: Path, recording: Path) -> Ended:
    return run_main(
        "--dry-run", "--market", "recorded", "--recording", recording, *folders(folder), "--iterations", "5"
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A good recording of two snapshots, unpacked."""
    simulated_run(tmp_path / "recorder", "--iterations", "2", "--record-chains")
    target = tmp_path / "chains"
    target.mkdir()
    for packed in (tmp_path / "recorder" / "data" / "chains").iterdir():
        (target / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return target


def test_a_recording_that_is_not_there_ends_with_code_2(tmp_path: Path) -> None:
    assert_one_sentence(play(tmp_path, tmp_path / "nowhere"), 2, "nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("BTC.jsonl", b""),
        ("BTC.jsonl", b"\n"),
        ("BTC.jsonl", b"not json\n"),
        ("BTC.jsonl", b"[1, 2]\n"),
        ("BTC.jsonl", b'{"recorded_at": 1767614400000, "currency": "BTC"}\n'),
        ("BTC.jsonl", b'{"recorded_at": "noon", "currency": "BTC", "index_price": 1, "book_summaries": []}\n'),
        ("BTC.jsonl", b'{"recorded_at": 1767614400000, "currency": "BTC", "index_price": NaN, "book_summaries": []}\n'),
        ("BTC.jsonl.gz", b"not gzip"),
        ("BTC.jsonl.gz", gzip.compress(b"not json\n", mtime=0)),
        ("BTC.jsonl.gz", b""),
    ],
)
def test_a_recording_that_is_none_ends_with_code_2_and_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    chains = tmp_path / "chains"
    chains.mkdir()
    (chains / name).write_bytes(content)
    assert_one_sentence(play(tmp_path, chains), 2, str(chains))
    assert list((tmp_path / "logs").glob("*.jsonl")) == []


def test_an_empty_folder_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "chains").mkdir()
    assert_one_sentence(play(tmp_path, tmp_path / "chains"), 2, "chains")


def test_a_recording_without_the_end_of_its_last_line_is_played_up_to_there_and_says_so(
    tmp_path: Path, recording: Path
) -> None:
    path = recording / "BTC_2026-01-05.jsonl"
    path.write_bytes(path.read_bytes()[:-100])
    ended = play(tmp_path, recording)
    assert ended.code == 0
    assert "BTC_2026-01-05.jsonl, line 2: unfinished last line left out" in ended.err


def test_a_packed_recording_that_is_cut_off_names_file_and_line(tmp_path: Path, recording: Path) -> None:
    packed = gzip.compress((recording / "BTC_2026-01-05.jsonl").read_bytes())
    (tmp_path / "BTC.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    assert_one_sentence(play(tmp_path, tmp_path / "BTC.jsonl.gz"), 2, "BTC.jsonl.gz", "cut off")


def test_a_recording_with_a_damaged_row_is_refused_before_the_run(tmp_path: Path, recording: Path) -> None:
    path = recording / "BTC_2026-01-05.jsonl"
    first, second = path.read_text().splitlines()
    damaged = second.replace('"mark_price":', '"mark_price":"x","was":', 1)
    path.write_text(f"{first}\n{damaged}\n")
    assert_one_sentence(play(tmp_path, recording), 2, "BTC_2026-01-05.jsonl, line 2", "mark_price")


# --- policies ---------------------------------------------------------------------------------------


def raises(state: AgentState, config: object) -> object:
    return 1 / 0


POLICIES = [
    (raises, "ZeroDivisionError"),
    (lambda state, config: None, "NoneType"),
    (lambda state, config: "OPEN_COVERED_CALL", "str"),
    (lambda state, config: ActionType.DO_NOTHING, "ActionType"),
    (lambda state, config: [], "list"),
    (lambda state: None, "TypeError"),
    (lambda state, config: setattr(state, "seed", 2), "ValidationError"),
    (lambda state, config: raises_deeply(), "RecursionError"),
    (lambda state, config: sys.exit(0), "SystemExit"),
]


def raises_deeply() -> object:
    return raises_deeply()


@pytest.mark.parametrize(("policy", "words"), POLICIES)
def test_a_policy_that_raises_or_returns_nonsense_is_a_logged_do_nothing(
    tmp_path: Path, policy: Policy, words: str
) -> None:
    desk = simulated_desk(tmp_path)
    run_for(agent_at(desk, policy), 2)
    lines = decision_lines(tmp_path)
    assert [(line["action_type"], line["executed_status"]) for line in lines] == [("DO_NOTHING", "none")] * 2
    assert all(words in line["error"] and line["agent_state"] for line in lines)
    assert words in lines[0]["proposed_action"]["reason"]
    assert desk.wire.methods("private/buy", "private/sell") == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {"size": float("nan")},
        {"size": "0.1"},
        {"size": 10**400},
        {"reason": None},
        {"reason": "\udcff"},
        {"type": "open_covered_call"},
    ],
)
def test_an_action_changed_behind_its_checks_is_checked_again(tmp_path: Path, nonsense: dict[str, object]) -> None:
    agent = simulated_agent(tmp_path, lambda state, config: decide_action(state, config).model_copy(update=nonsense))
    (record,) = run_for(agent, 1)
    assert (record.action_type, record.executed_status) == ("DO_NOTHING", "none")
    assert record.error is not None
    assert len(decision_lines(tmp_path)) == 1


def test_a_policy_that_rewrites_its_arguments_does_not_reach_the_risk_engine(tmp_path: Path) -> None:
    def rewrites(state: AgentState, config: AgentConfig) -> ProposedAction:
        state.risks[0].__dict__["coins_held"] = 1e6
        config.btc.__dict__["max_order_size"] = 1e6
        return decide_action(state, config).model_copy(update={"size": 5.0})

    (record,) = run_for(simulated_agent(tmp_path, rewrites), 1)
    assert {reason.rule for reason in record.risk_engine_result.reasons} >= {"coverage", "order_size"}


def test_of_a_policy_that_raises_the_console_shows_a_sentence_and_the_log_the_traceback(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    code = agent_loop.run_loop(agent_at(desk, raises), options("--once"))  # type: ignore[arg-type]
    (line,) = decision_lines(tmp_path)
    assert code == 1
    assert "in raises" in line["error"]
    assert line["proposed_action"]["reason"].startswith("policy_error: ")


@pytest.fixture
def owners_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder an owner works in; modules made there are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("owners_policy", None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def decide_action(agent_state, config)\n", "SyntaxError"),
        ("import no_such_library\n", "it imports no_such_library, which is not installed"),
        ("from config import NoSuchThing\n", "ImportError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("decide = 3\n", "it has no function decide_action"),
        ("decide_action = 3\n", "it has no function decide_action"),
        ("raise SystemExit(0)\n", "SystemExit"),
    ],
)
def test_a_policy_that_cannot_be_used_ends_with_code_2_before_any_request(
    owners_folder: Path, source: str, words: str
) -> None:
    (owners_folder / "owners_policy.py").write_text(source)
    ended = simulated_run(owners_folder, "--once", "--policy", "owners_policy")
    assert_one_sentence(ended, 2, "policy owners_policy", words)
    assert list((owners_folder / "logs").glob("*.jsonl")) == []


@pytest.mark.parametrize("name", ["no_such_policy", "no_such.policy", "no such policy", "../policy"])
def test_a_policy_that_is_not_there_ends_with_code_2(owners_folder: Path, name: str) -> None:
    assert_one_sentence(simulated_run(owners_folder, "--once", "--policy", name), 2, f"policy {name}")


# --- disks ---------------------------------------------------------------------------------------------


def test_lines_that_a_full_disk_does_not_take_are_kept_and_written_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = agent_at(simulated_desk(tmp_path))
    with disk_full(tmp_path / "logs" / "decisions-2026-01-05.jsonl"):
        run_for(agent, 3)
    shown = capsys.readouterr()
    assert decision_lines(tmp_path) == []
    assert "No space left on device; 3 lines are kept in memory and will be written later" in in_one_line(shown.err)
    assert "Traceback" not in shown.out + shown.err
    run_for(agent, 1)
    assert [line["iteration"] for line in decision_lines(tmp_path)] == [1, 2, 3, 4]


def test_with_a_full_disk_for_the_order_log_no_order_leaves_and_the_line_says_why(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk)
    with disk_full(tmp_path / "logs" / "orders-2026-01-05.jsonl"):
        (blocked,) = run_for(agent, 1)
    assert desk.wire.methods("private/buy", "private/sell") == []
    assert "No space left on device" in blocked.executed_action.note
    (sold,) = run_for(agent, 1)
    assert sold.executed_status == "filled"


@pytest.mark.parametrize("text", ["three", "-1", "1.5"])
def test_a_damaged_run_count_ends_with_code_2_and_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "run_count").write_text(text)
    assert_one_sentence(simulated_run(tmp_path, "--once"), 2, "run_count", "remove it")


def test_a_log_with_a_torn_last_line_is_gone_on_with_and_nothing_is_lost(tmp_path: Path) -> None:
    simulated_run(tmp_path, "--iterations", "2")
    log = tmp_path / "logs" / "decisions-2026-01-05.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"schema_version":1,"run_id":"simul')
    assert simulated_run(tmp_path, "--once").code == 0
    assert log.read_bytes().startswith(whole)
    assert len(read_records(log)) == 3
    assert (tmp_path / "logs" / "decisions-2026-01-05.torn").read_bytes() == b'{"schema_version":1,"run_id":"simul\n'


# --- the kill file and the paper account ----------------------------------------------------------------


def test_while_the_kill_file_exists_every_sale_is_blocked_and_the_reason_is_logged(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.config.risk.kill_file.touch()
    agent = agent_at(desk)
    (blocked,) = run_for(agent, 1)
    assert (blocked.allowed, blocked.executed_status) == (False, "none")
    (reason,) = (reason for reason in blocked.risk_engine_result.reasons if reason.rule == "kill_switch")
    assert reason.text.startswith("the kill file exists")
    desk.config.risk.kill_file.unlink()
    assert run_for(agent, 1)[0].executed_status == "filled"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"balances_coin": {"BTC": NaN}}', b'{"balances_coin": 3}', b"\xff\xfe"]
)
def test_a_damaged_paper_account_ends_with_code_2_and_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    account_file = tmp_path / "data" / "paper_account.json"
    account_file.parent.mkdir()
    account_file.write_bytes(content)
    ended = run_main("--dry-run", "--once", *folders(tmp_path))
    assert_one_sentence(ended, 2, "does not hold a paper account", "paper_account.json")
    assert account_file.read_bytes() == content


def test_an_action_on_an_option_that_does_not_exist_is_blocked_and_logged(tmp_path: Path) -> None:
    agent = agent_at(simulated_desk(tmp_path), lambda state, config: opening("BTC-31FEB27-1-C", size=0.1))
    (record,) = run_for(agent, 1)
    assert (record.allowed, record.executed_status, record.error) == (False, "none", None)
    assert any(reason.rule == "symbol_not_in_state" for reason in record.risk_engine_result.reasons)
