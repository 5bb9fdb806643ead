"""What is told of a log: every trade once, the same error hardly ever, and a dead address changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from pydantic import SecretStr

from cli.recorder import IterationEnd
from dashboard.ask.log_view import LogView, Span
from dashboard.log_index.index import LogIndex
from dashboard.log_index.line import Line
from dashboard.log_index.span_questions import HAS_STATE
from dashboard.notify.__main__ import main
from dashboard.notify.channels import Channel, DeliveryError, http_client
from dashboard.notify.follow import STATE_FILE, Follower
from dashboard.notify.messages import Message
from dashboard.notify.outbox import Outbox
from dashboard.notify.settings import NotifySettings, load_notify_settings
from dashboard.notify.summary import daily_summary
from logging_utils import RunInfo
from models import ConfigurationError
from tests.builders.records import record_of
from tests.dashboard.ask.truth import Truth

RUN = RunInfo("dry_run-0001", "dry_run", "testnet", "policy_rule_based", "c-1", "p-1")
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOOK = Channel("webhook", SecretStr("http://127.0.0.1/hook"))
NTFY = Channel("ntfy", SecretStr("http://127.0.0.1/topic"))


class Desk:
    """A follower of a folder, at a time that a test moves; what it sent, and the channels that are dead."""

    def __init__(self, folder: Path, log_dir: Path | None = None) -> None:
        self.folder, self.log_dir = folder, log_dir or folder / "logs"
        self.log_dir.mkdir(exist_ok=True)
        self.at = START
        self.sent: list[tuple[str, Message]] = []
        self.dead: set[str] = set()
        self.follower = self.started()

    def started(self) -> Follower:
        outbox = Outbox((NTFY, HOOK))
        index = LogIndex(self.log_dir, None)
        self.follower = Follower(index, NotifySettings(), outbox, self.folder, lambda: self.at, self._send)
        self.follower.restore()
        return self.follower

    def _send(self, channel: Channel, message: Message) -> None:
        if channel.name in self.dead:
            raise DeliveryError(f"{channel.name} does not answer: ConnectError")
        self.sent.append((channel.name, message))

    def write(self, count: int, error: str | None = None, trading_state: str | None = None) -> None:
        """Lines of an agent every five minutes, each of which failed."""
        with (self.log_dir / "decisions-2026-01-05.jsonl").open("a") as file:
            for number in range(count):
                self.at += timedelta(minutes=5)
                record = record_of(RUN, IterationEnd(iteration=number + 1, now=self.at), error=error)
                if error is not None:
                    record = record.model_copy(update={"error": f"{error} after {number}.5 s"})
                if trading_state is not None:
                    record = record.model_copy(update={"trading_state": trading_state})
                file.write(record.model_dump_json() + "\n")

    def texts(self, channel: str = "webhook") -> list[str]:
        return [message.text for name, message in self.sent if name == channel]

    def state(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / STATE_FILE).read_text())
        return found


def test_the_same_error_a_thousand_times_gives_ten_messages(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.follower.look()
    for _ in range(4):  # over restarts, too
        desk.write(250, error="timeout")
        desk.started().look()
    counts = [message.count for name, message in desk.sent if name == "webhook" and message.kind == "error"]
    assert counts == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_what_stood_in_the_log_before_the_first_start_is_not_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(5, error="old")
    desk.follower.look()
    assert desk.sent == []


def test_a_dead_address_changes_nothing_for_the_others_and_is_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.dead = {"ntfy"}
    desk.follower.look()
    desk.write(4, error="timeout")
    problems = desk.follower.look()
    assert problems == ["ntfy does not answer: ConnectError"]
    assert len(desk.texts()) == 3
    shown = {row["channel"]: row for row in desk.state()["channels"]}  # type: ignore[attr-defined]
    assert (shown["ntfy"]["problem"], shown["ntfy"]["waiting"]) == ("ntfy does not answer: ConnectError", 3)
    assert (shown["webhook"]["problem"], shown["webhook"]["waiting"]) == (None, 0)


def test_what_waited_for_a_dead_address_arrives_once_it_lives_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.dead = {"ntfy"}
    desk.follower.look()
    desk.write(1, error="timeout")
    desk.follower.look()
    desk.dead = set()
    desk.follower.look()  # too soon: it is left alone for half a minute
    assert desk.texts("ntfy") == []
    desk.at += timedelta(seconds=31)
    desk.started().look()
    assert len(desk.texts("ntfy")) == len(desk.texts("webhook")) == 1


def test_a_change_of_the_trading_state_is_told_both_ways(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.follower.look()
    for state in ("ACTIVE", "REDUCING", "REDUCING", "HALTED", "ACTIVE"):
        desk.write(1, trading_state=state)
    desk.follower.look()
    assert [text.partition(":")[0] for text in desk.texts()] == [
        *("ACTIVE before, now REDUCING", "still REDUCING", "REDUCING before, now HALTED"),
        "HALTED before, now ACTIVE",
    ]


def test_no_line_for_two_intervals_is_told_and_told_again_less_and_less_often(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(5)
    desk.follower.look()
    for _ in range(40):
        desk.at += timedelta(minutes=5)
        desk.follower.look()
    assert [text.split()[3] for text in desk.texts()] == ["10", "20", "40", "80", "160"]
    desk.write(1)
    desk.follower.look()
    assert "a line of" in desk.texts()[-1]


def test_every_trade_and_settlement_of_a_log_is_told_once(tmp_path: Path, log_folder: Path, truth: Truth) -> None:
    desk = Desk(tmp_path, log_folder)
    desk.follower.last_id = 0
    desk.follower.look()
    desk.started().look()
    kinds = [message.kind for _, message in desk.sent]
    assert kinds.count("trade") == 2 * int((truth.ledger["entry_type"] == "trade").sum())
    assert kinds.count("settlement") == 2 * int((truth.ledger["entry_type"] == "delivery").sum())


@pytest.mark.parametrize("day", [8, 12, 21, 25, 29])
def test_the_sum_of_a_day_adds_up(view: LogView, day: int) -> None:
    message = daily_summary(view, datetime(2026, 1, day, 8, 5, tzinfo=UTC))
    assert message is not None
    sums = [line for line in message.text.splitlines() if " = " in line]
    assert len(sums) == 4
    for line in sums[::2]:
        parts, _, net = line.partition(" = ")
        assert sum(figures(parts)) == pytest.approx(figures(net)[0], abs=3e-8)
    for line in sums[1::2]:
        change, _, parts = line.partition(" changed by ")[2].partition(" = ")
        assert figures(change)[0] == pytest.approx(sum(figures(parts)), abs=2e-8)


def figures(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"[+-]\d+\.\d{8}", text)]


def test_there_is_one_summary_a_day_after_five_past_eight(tmp_path: Path, log_folder: Path, view: LogView) -> None:
    desk = Desk(tmp_path, log_folder)
    desk.follower.index.refresh()
    days = 0
    for day in range(6, 20):
        for hour in (6, 12):
            at = datetime(2026, 1, day, hour, 30, tzinfo=UTC)
            newest = view.newest(Span(START - timedelta(days=1), at))
            assert newest is not None
            before = desk.follower.summary_at
            found = list(desk.follower._summaries(_UpTo(view.index, view.account, at)))
            days += len(found)
            assert not found or (hour == 12 and before is not None)
    assert days == 14


@dataclass(frozen=True)
class _UpTo(LogView):
    """The log as it was at a moment."""

    at: datetime = START

    def newest(self, span: Span | None = None, condition: str = HAS_STATE) -> Line | None:
        return super().newest(Span(end=self.at), condition)


# --- over HTTP, to this machine ---------------------------------------------------------------------------


@contextmanager
def a_server(status: int = 200) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """An address on this machine, and what was posted to it."""
    heard: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()


def test_the_command_sends_to_all_three_in_their_own_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_server() as (url, heard):
        monkeypatch.setenv("NOTIFY_NTFY_URL", f"{url}/topic")
        monkeypatch.setenv("NOTIFY_NTFY_TOKEN", "tk_canary")
        monkeypatch.setenv("NOTIFY_TELEGRAM_URL", url)
        monkeypatch.setenv("NOTIFY_TELEGRAM_TOKEN", "123:canary")
        monkeypatch.setenv("NOTIFY_TELEGRAM_CHAT_ID", "-42")
        monkeypatch.setenv("NOTIFY_WEBHOOK_URL", f"{url}/hook")
        code = main([str(tmp_path / "logs"), "--data-dir", str(tmp_path), "--once", "--test"], Event())
    assert code == 0
    by_path = {path: (headers, body) for path, headers, body in heard}
    assert set(by_path) == {"/topic", "/bot123:canary/sendMessage", "/hook"}
    assert by_path["/topic"][0]["Title"] == "covered calls: test"
    assert by_path["/topic"][0]["Authorization"] == "Bearer tk_canary"
    assert json.loads(by_path["/bot123:canary/sendMessage"][1])["chat_id"] == "-42"
    assert json.loads(by_path["/hook"][1])["kind"] == "test"
    assert "canary" not in (tmp_path / "notify" / STATE_FILE).read_text()


@pytest.mark.parametrize("status", [401, 302, 500])
def test_a_refusal_is_named_without_the_address(status: int) -> None:
    with a_server(status) as (url, _), http_client() as client:
        channel = Channel("telegram", SecretStr(f"{url}/bot123:canary/sendMessage"), chat_id="1")
        with pytest.raises(DeliveryError, match=f"telegram answered {status}") as caught:
            channel.send(Message("test", "k", "t", "x", START, "a"), client)
    assert "canary" not in str(caught.value) + repr(channel)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NOTIFY_NTFY_URL=http://ntfy.sh/canary-topic", "NOTIFY_NTFY_URL: must begin with https://"),
        ("NOTIFY_NTFY_URI=https://ntfy.sh/canary", "unknown setting"),
        ("NOTIFY_TELEGRAM_TOKEN=123:canary", "belong together"),
        ("NOTIFY_INTERVAL_SECONDS=-1", "NOTIFY_INTERVAL_SECONDS"),
        ("NOTIFY_SUMMARY=yes", "must be true or false"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_repeated(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / ".env.notify"
    file.write_text(f"{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_notify_settings(file, {})
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_without_an_address_it_says_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--settings", str(tmp_path / "none"), "--data-dir", str(tmp_path), "--once"]) == 2
    assert "NOTIFY_WEBHOOK_URL" in capsys.readouterr().out
