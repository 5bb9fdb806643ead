"""Replies that were not expected: what a person is told, what is kept for a bug report, and what never is."""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from deribit import unexpected
from deribit.unexpected import MOST_BYTES, MOST_FILES, MOST_REPORTS, MOST_ROWS, UnexpectedReplies, redacted
from deribit_client import DeribitClient
from models import InvalidReplyError
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import ScriptedDesk, decision_lines, next_process, run_for, scripted_desk
from tests.builders.configs import KEY, a_config
from tests.builders.paper import CALL, START
from tests.builders.wire import Fault, Wire, reply_changed, result_of

METHOD = "private/get_positions"
CANARY = KEY[1]


class Desk:
    """A watcher with its folder, what it has said, and a clock that moves on by a second with each reply."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "unexpected"
        self.lines: list[str] = []
        self.clock = SimulatedClock(START)
        self.watch = UnexpectedReplies(self.folder, self.clock, self.lines.append)

    def hear(self, result: object, method: str = METHOD) -> None:
        self.clock.sleep(1.0)
        self.watch.look_at(method, result, without_canary)

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*")) if self.folder.exists() else []

    def kept(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.files()]


def without_canary(text: str) -> str:
    return text.replace(CANARY, "***")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- what is said and kept ----------------------------------------------------------------------


def test_a_field_that_nobody_has_met_is_said_and_its_reply_is_kept(desk: Desk) -> None:
    desk.hear([{"instrument_name": CALL, "size": -0.1, "risk_bucket": "small"}])
    assert desk.lines[0] == "private/get_positions: unexpected field risk_bucket"
    assert desk.lines[1].startswith("kept for a bug report: unexpected/private_get_positions-20260105T120001")
    assert desk.kept() == [
        {
            "method": METHOD,
            "received_at": "2026-01-05T12:00:01+00:00",
            "unexpected": ["risk_bucket"],
            "result": [{"instrument_name": CALL, "size": -0.1, "risk_bucket": "small"}],
        }
    ]


def test_replies_as_expected_leave_nothing_behind(desk: Desk) -> None:
    desk.hear([{"instrument_name": CALL, "size": -0.1}])
    assert (desk.lines, desk.files()) == ([], [])


def test_a_field_is_reported_once_a_run_and_for_each_method(desk: Desk) -> None:
    for method in (METHOD, METHOD, "private/get_open_orders"):
        desk.hear([{"made_up": 1}], method)
    desk.hear([{"made_up": 1, "another": 2}])
    said = [line for line in desk.lines if "unexpected field" in line]
    assert said == [
        "private/get_positions: unexpected field made_up",
        "private/get_open_orders: unexpected field made_up",
        "private/get_positions: unexpected field another",
    ]
    assert len(desk.files()) == 3


def test_a_field_beside_the_result_is_said_and_kept_too(desk: Desk) -> None:
    desk.watch.look_at_envelope(METHOD, {"made_up": 1}, without_canary)
    assert desk.lines[0] == "private/get_positions: unexpected field envelope.made_up"
    assert desk.kept()[0]["result"] == {"made_up": 1}


def test_a_reply_that_cannot_be_read_is_kept_without_a_word(desk: Desk) -> None:
    desk.watch.note_unreadable(METHOD, [{"size": "many"}], without_canary)
    desk.watch.note_unreadable(METHOD, [{"size": "many"}], without_canary)
    (kept,) = desk.kept()
    assert (kept["unexpected"], kept["result"]) == (["could not be read"], [{"size": "many"}])
    assert [line.partition(":")[0] for line in desk.lines] == ["kept for a bug report"]


def test_the_row_that_differs_is_kept_however_many_are_alike(desk: Desk) -> None:
    alike = [{"size": float(number)} for number in range(2_000)]
    desk.hear([*alike, {"size": 1.0, "made_up": 1}, *alike])
    assert desk.kept()[0]["result"] == [{"size": 1.0, "made_up": 1}, {"size": 0.0}]


# --- bounds ---------------------------------------------------------------------------------------


def test_only_the_owner_can_read_what_is_kept(desk: Desk) -> None:
    desk.hear([{"made_up": 1}])
    assert stat.S_IMODE(desk.files()[0].stat().st_mode) == 0o600


def test_no_more_files_are_kept_than_a_folder_may_hold(desk: Desk) -> None:
    for number in range(MOST_FILES + 1):
        desk.hear([{f"made_up_{number}": 1}])
    assert len(desk.files()) == MOST_FILES
    assert len([line for line in desk.lines if "unexpected field" in line]) == MOST_FILES + 1


def test_a_server_that_makes_up_names_without_end_is_not_listened_to_for_ever(desk: Desk) -> None:
    desk.hear([{f"made_up_{number}": 1 for number in range(MOST_REPORTS + 1)}])
    desk.hear([{"one_more": 1}])
    assert len([line for line in desk.lines if "unexpected field" in line]) == MOST_REPORTS


@pytest.mark.parametrize(("fields", "is_whole"), [(10, True), (MOST_BYTES // 10, False)])
def test_a_reply_that_is_too_large_is_left_out(desk: Desk, fields: int, is_whole: bool) -> None:
    desk.hear(
        {"limits": {f"field_{number}": number for number in range(fields)}, "made_up": 1}, "private/get_account_summary"
    )
    assert desk.files()[0].stat().st_size <= MOST_BYTES
    assert (type(desk.kept()[0]["result"]) is dict) is is_whole


def test_of_a_list_of_all_kinds_of_rows_a_few_are_kept() -> None:
    rows = [{f"made_up_{number}": 1} for number in range(MOST_ROWS + 1)]
    assert redacted(rows, str) == rows[:MOST_ROWS]


def test_a_line_fits_the_console_whatever_a_field_is_called(desk: Desk) -> None:
    desk.hear({"a" * 500: 1, "tab\tand\nline": 2}, "private/get_account_summaries")
    assert all(len(line) <= 80 and line.isprintable() for line in desk.lines)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_takes_nothing_costs_no_more_than_the_report(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def failing(path: Path, text: str) -> None:
        raise OSError(code, "made up")

    monkeypatch.setattr(unexpected, "_write_new", failing)
    desk.hear([{"made_up": 1}])
    assert desk.lines == ["private/get_positions: unexpected field made_up"]


def test_a_file_in_the_place_of_the_folder_costs_no_more_than_the_report(desk: Desk) -> None:
    desk.folder.write_text("in the way")
    desk.hear([{"made_up": 1}])
    assert desk.lines == ["private/get_positions: unexpected field made_up"]


# --- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        {"made_up": CANARY},
        {CANARY: 1},
        {f"made_up_{CANARY}": {"deep": [[CANARY]]}},
        [{"made_up": f"Bearer {CANARY}"}],
        [{"made_up": 1, "label": CANARY}],
    ],
)
def test_a_secret_is_neither_said_nor_kept_wherever_it_stands(desk: Desk, result: object) -> None:
    desk.hear(result)
    assert len(desk.files()) == 1
    shown = "\n".join([*desk.lines, *(path.name + path.read_text() for path in desk.files())])
    assert CANARY not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "person@example.com"),
        ("username", "person"),
        ("user_id", 123_456),
        ("system_name", "person"),
        ("deposit_address", "3Fz"),
        ("ip", "10.0.0.1"),
        ("made_up", "10.0.0.1"),
        ("made_up", "aB3dEfG9"),
        ("made_up", "Person Name"),
        ("made_up", "4915112345678"),
        ("order_id", "113510807523"),
    ],
)
def test_what_belongs_to_a_person_or_may_be_a_key_is_masked(name: str, value: object) -> None:
    assert redacted({name: value}, str) == {name: "***"}


@pytest.mark.parametrize("value", [CALL, "BTC", "good_til_day", "open sell", "0.0055", -0.1, 12, None, True])
def test_what_a_bug_report_needs_stays(value: object) -> None:
    assert redacted({"made_up": value}, str) == {"made_up": value}


def test_a_reply_with_tokens_is_never_kept(desk: Desk) -> None:
    desk.hear({"access_token": "made-up-token", "made_up": 1}, "public/auth")
    assert desk.lines == ["public/auth: unexpected field made_up"]
    assert desk.files() == []


def test_the_client_masks_its_own_key_and_token(tmp_path: Path) -> None:
    token = "made-up-token-in-words"
    login = {"access_token": token, "expires_in": 900, "scope": "account:read"}
    echo = {"made_up": f"{token} {KEY[0]} {KEY[1]}", "label": "", token: 1}
    wire = Wire()
    wire.disturb("public/auth", result_of(login))
    wire.disturb("private/get_order_state", *[result_of(echo)] * 3)
    lines: list[str] = []
    clock = SimulatedClock(START)
    watch = UnexpectedReplies(tmp_path / "unexpected", clock, lines.append)
    client = DeribitClient(a_config(), transport=wire, clock=clock, credentials=KEY, unexpected=watch)
    with pytest.raises(InvalidReplyError):
        client.get_order_state("1")
    kept = "".join(path.read_text() for path in (tmp_path / "unexpected").iterdir())
    assert "made_up" in kept
    assert not [secret for secret in (token, *KEY) if secret in kept + "".join(lines)]


# --- the whole agent --------------------------------------------------------------------------------


def files_kept_by(desk: ScriptedDesk, method: str, *changes: Fault) -> list[str]:
    """What an iteration keeps in which the replies to a method are changed."""
    desk.wire.disturb(method, *changes)
    agent = next_process(desk)
    run_for(agent, 1)
    folder = agent.config.run.data_dir / "unexpected"
    return [json.loads(path.read_text())["unexpected"][0] for path in sorted(folder.iterdir())]


def test_an_agent_keeps_an_unexpected_field_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def changed(reply: dict[str, Any]) -> None:
        reply["result"]["summaries"][0]["made_up"] = 1

    desk = scripted_desk(tmp_path)
    assert files_kept_by(desk, "private/get_account_summaries", reply_changed(changed)) == ["summaries.made_up"]
    assert "private/get_account_summaries: unexpected field summaries.made_up\n" in capsys.readouterr().err
    assert decision_lines(tmp_path)[0]["error"] is None


@pytest.mark.parametrize("value", ["many", None])
def test_an_agent_keeps_the_reply_whose_field_is_missing_or_of_another_type(tmp_path: Path, value: object) -> None:
    def changed(reply: dict[str, Any]) -> None:
        reply["result"]["summaries"][0]["equity"] = value

    desk = scripted_desk(tmp_path)
    spoilt = [reply_changed(changed)] * 3
    assert files_kept_by(desk, "private/get_account_summaries", *spoilt) == ["could not be read"]
    assert "private/get_account_summaries" in decision_lines(tmp_path)[0]["error"]
