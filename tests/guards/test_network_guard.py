"""Nothing leaves this machine: the guard that refuses and counts, and what a dry run passes on to testnet."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from cli import setup as agent_setup
from logging_utils import read_records
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.setups import SIMULATION_START, dry_run_setup
from paper_exchange.transport import PASSED_METHODS, PaperTransport
from tests.builders.agent import Ended, folders, run_main
from tests.builders.wire import Wire
from tests.campaign.canary import network_guard
from tests.campaign.canary.network_guard import OutsideConnectError, expected, is_inside
from tests.campaign.world.market import CampaignMarket, Regime

PROJECT = Path(__file__).resolve().parents[2]
TESTNET = ("test.deribit.com", 443)
NOBODY = ("192.0.2.1", 443)  # set aside for documentation: nobody answers there

READ_ONLY_PUBLIC_METHODS = {
    "public/get_book_summary_by_currency",
    "public/get_book_summary_by_instrument",
    "public/get_delivery_prices",
    "public/get_index_chart_data",
    "public/get_index_price",
    "public/get_instrument",
    "public/get_instruments",
    "public/get_order_book",
    "public/get_time",
    "public/get_tradingview_chart_data",
    "public/get_volatility_index_data",
    "public/status",
    "public/ticker",
}


# --- the guard ----------------------------------------------------------------------------------


def connect(address: tuple[str, int]) -> None:
    with socket.socket() as sock:
        sock.connect(address)


def connect_ex(address: tuple[str, int]) -> None:
    with socket.socket() as sock:
        sock.connect_ex(address)


def connect_with_tls(address: tuple[str, int]) -> None:
    with ssl.create_default_context().wrap_socket(socket.socket(), server_hostname=address[0]) as sock:
        sock.connect(address)


def look_up(address: tuple[str, int]) -> None:
    socket.getaddrinfo(*address)


def ask_over_http(address: tuple[str, int]) -> None:
    httpx.get(f"http://{address[0]}:{address[1]}/", trust_env=False)


@pytest.mark.parametrize("address", [TESTNET, NOBODY])
@pytest.mark.parametrize("attempt", [connect, connect_ex, connect_with_tls, look_up, socket.create_connection])
def test_every_way_out_is_refused_with_the_address_and_counted(
    attempt: Callable[[tuple[str, int]], object], address: tuple[str, int]
) -> None:
    with expected() as refused, pytest.raises(OutsideConnectError, match=address[0].replace(".", "[.]")):
        attempt(address)
    assert len(refused) == 1


def test_an_http_client_sees_a_network_that_is_down() -> None:
    with expected() as refused, pytest.raises(httpx.ConnectError, match=r"192\.0\.2\.1"):
        ask_over_http(NOBODY)
    assert len(refused) == 1


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, expected() as refused:
        port = server.getsockname()[1]
        socket.create_connection(("localhost", port)).close()
        connect(("127.0.0.1", port))
    assert refused == []


@pytest.mark.parametrize(
    "address",
    [("127.0.0.1", 1), ("127.8.9.10", 1), ("::1", 1, 0, 0), ("localhost", 1), ("::ffff:127.0.0.1", 1), (None,), "/a/b"],
)
def test_loopback_and_unix_sockets_are_inside(address: object) -> None:
    assert is_inside(address)


@pytest.mark.parametrize(
    "address",
    [
        ("0.0.0.0", 1),
        ("10.0.0.1", 1),
        ("169.254.169.254", 80),
        ("::", 1),
        ("::ffff:10.0.0.1", 1),
        ("127.0.0.1.evil.io", 1),
        ("localhost.evil.io", 1),
        ("2130706433", 1),
        (b"test.deribit.com", 443),
        (),
        7,
    ],
)
def test_everything_else_is_outside(address: object) -> None:
    assert not is_inside(address)


def test_a_child_started_through_the_guard_reports_what_it_tried(tmp_path: Path) -> None:
    script, report = tmp_path / "child.py", tmp_path / "report.txt"
    script.write_text("import socket, sys\ntry: socket.create_connection((sys.argv[1], 443))\nexcept OSError: pass\n")
    command = [sys.executable, "-m", "tests.campaign.canary.network_guard", str(report), str(script), "192.0.2.1"]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=60)
    assert report.read_text() == "create_connection to ('192.0.2.1', 443)\n"


def test_a_session_in_which_somebody_tried_to_leave_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import no_connects_outside_this_machine\n")
    (tmp_path / "test_quiet.py").write_text(
        "import contextlib, socket\n"
        "def test_it_looks_fine():\n"
        "    with contextlib.suppress(OSError): socket.create_connection(('192.0.2.1', 443))\n"
    )
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import pytest; sys.exit(pytest.main(['-q', '.']))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 passed, 1 error" in ended.stdout
    assert "192.0.2.1" in ended.stdout


def test_this_session_is_guarded() -> None:
    assert socket.socket.connect.__module__ == socket.getaddrinfo.__module__ == network_guard.__name__


# --- a dry run -------------------------------------------------------------------------------------


def network_at(clock: SimulatedClock) -> Wire:
    """Stands for the network: an exchange that would trade if it were asked to."""
    market = CampaignMarket("dry run", clock, Regime(expiry_hours=8, jumps_per_day=0.0, empty_pct=0.0))
    return Wire(PaperTransport(PaperExchange(market, PaperAccount(market, {"BTC": 1.0, "ETH": 10.0}))))


SETTINGS = {
    "DERIBIT_CLIENT_ID": "made-up-id",
    "DERIBIT_CLIENT_SECRET": "made-up-secret",
    "AGENT_RV_MIN_RETURNS": "5",
    "RISK_MAX_ORDERS_PER_DAY": "1000",
    "BTC_DTE_MIN": "0.1",
    "BTC_DELTA_MAX": "0.9",
    "BTC_IVRV_MIN": "0",
    "BTC_PREMIUM_MIN_USD": "1",
    "ETH_ENABLED": "false",
}


def dry_run_at(monkeypatch: pytest.MonkeyPatch, folder: Path, iterations: int) -> tuple[Wire, Ended]:
    """`--dry-run` from the command line, its clock and its network replaced, with a real key in the settings."""
    clock = SimulatedClock(SIMULATION_START)
    network = network_at(clock)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(agent_setup, "network_transport", lambda: network)
    arguments = ("--dry-run", "--iterations", str(iterations), "--interval", "1800", *folders(folder))
    return network, run_main(*arguments, clock=lambda: clock)


def test_in_a_dry_run_nothing_but_listed_reads_leaves_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network, ended = dry_run_at(monkeypatch, tmp_path, iterations=120)
    assert (ended.code, ended.err) == (0, "")
    decisions = read_records(tmp_path / "logs" / "decisions-*.jsonl")
    filled = {line["action_type"] for line in decisions if line["executed_status"] == "filled"}
    assert filled >= {"OPEN_COVERED_CALL", "ROLL_COVERED_CALL"}  # it traded, on paper
    assert set(network.methods()) <= READ_ONLY_PUBLIC_METHODS
    assert len(network.sent) > 120 * 2
    for request in (sent.request for sent in network.sent):
        assert "authorization" not in request.headers
        sent = request.url.query + request.read()
        assert b"made-up" not in sent
        assert b"private/" not in sent


def test_what_passes_is_the_list_and_each_method_on_it_only_reads() -> None:
    assert PASSED_METHODS == READ_ONLY_PUBLIC_METHODS


@pytest.mark.parametrize(
    "method",
    [
        *("public/auth", "public/fork_token", "public/exchange_token", "public/hello", "public/disable_heartbeat"),
        *("public/subscribe", "public/unsubscribe_all", "public/get_currencies", "public/something_new", "private/buy"),
    ],
)
def test_a_method_that_is_not_listed_is_answered_inside(method: str, tmp_path: Path) -> None:
    clock = SimulatedClock(SIMULATION_START)
    network = network_at(clock)
    setup = dry_run_setup(tmp_path / "account.json", {"BTC": 1.0}, clock, network)
    client = httpx.Client(transport=setup.transport, base_url="https://test.deribit.com")
    for http_method in ("GET", "POST"):
        client.request(http_method, f"/api/v2/{method}", content=json.dumps({"id": 1, "method": method, "params": {}}))
    assert set(network.methods()) <= {"public/get_time"}  # its own question, before the paper account is asked anything
