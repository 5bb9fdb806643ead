"""The paper exchange behind a socket on this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from paper_exchange import server as server_module
from paper_exchange.__main__ import main
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.server import PaperServer
from paper_exchange.testnet import market as testnet
from paper_exchange.transport import DryRunTransport
from tests.builders.paper import CALL, START, exchange_on, market_with

PROJECT = Path(__file__).resolve().parents[2]
AUTH = ("paper", "secret")


@pytest.fixture
def server() -> Iterator[PaperServer]:
    running = PaperServer(exchange_on(market_with()))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(server: PaperServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/api/v2/", trust_env=False) as connected:
        yield connected


def test_it_answers_get_and_post_on_one_connection(client: httpx.Client) -> None:
    by_get = client.get("public/get_time")
    by_post = client.post("private/get_positions", json={"id": 5, "params": {"currency": "any"}}, auth=AUTH)
    assert by_get.json()["result"] == 1767614400000
    assert (by_post.json()["id"], by_post.json()["result"]) == (5, [])
    assert by_get.http_version == "HTTP/1.1"
    assert "close" not in by_post.headers.get("connection", "")


def test_errors_are_http_400_with_a_json_body(client: httpx.Client) -> None:
    reply = client.get("private/cancel", params={"order_id": "1"}, auth=AUTH)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, 10004)


def test_a_body_above_32_kilobytes_is_refused(client: httpx.Client) -> None:
    reply = client.post("private/buy", content=b"x" * 33_000)
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "request entity too large")


def test_many_clients_at_once_leave_one_consistent_account(server: PaperServer) -> None:
    def sell_ten() -> None:
        with httpx.Client(base_url=f"{server.url}/api/v2/", trust_env=False, auth=AUTH) as own:
            for _ in range(10):
                own.get("private/sell", params={"instrument_name": CALL, "amount": 0.1, "price": 0.02})

    threads = [Thread(target=sell_ten) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = server._server.exchange.account
    assert account.state.size_of(CALL) == -5.0
    assert len({trade.trade_id for trade in account.state.trades}) == 50


def test_it_listens_on_this_machine_only(server: PaperServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")


def test_a_dry_run_takes_its_quotes_over_the_network_and_keeps_its_orders(server: PaperServer) -> None:
    seen = testnet.TestnetMarket(SimulatedClock(START))
    own = PaperExchange(seen, PaperAccount(seen))
    transport = DryRunTransport(own, httpx.HTTPTransport(trust_env=False))
    with httpx.Client(base_url=f"{server.url}/api/v2/", transport=transport, auth=AUTH) as agent:
        agent.get("public/get_instruments", params={"currency": "BTC"})
        agent.get("public/ticker", params={"instrument_name": CALL})
        sold = agent.get("private/sell", params={"instrument_name": CALL, "amount": 0.1, "price": 0.02})
    assert sold.json()["result"]["order"]["order_state"] == "filled"
    assert own.account.state.size_of(CALL) == -0.1
    assert server._server.exchange.account.state.size_of(CALL) == 0.0


def test_a_port_in_use_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("wrong", ["--prot=1", "--port=99999", "--speed=0", "--btc=-1", "--key=onlyid", "--start=x"])
def test_a_wrong_option_is_exit_code_2(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([wrong])
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "paper_exchange", "--port", "0", "--key", "paper:secret"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3]
        reply = httpx.get(f"{url}/private/get_account_summary?currency=BTC", auth=AUTH, trust_env=False)
        process.send_signal(ending)
        assert reply.json()["result"]["balance"] == 10.0
        assert process.wait(timeout=60) == 0


# --- connections ----------------------------------------------------------------------------


def test_a_request_that_does_not_arrive_whole_frees_its_connection(
    server: PaperServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.1)
    with socket.create_connection(address_of(server)) as half_open:
        half_open.sendall(b"POST /api/v2 HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        half_open.settimeout(5.0)
        assert half_open.recv(100) == b""


def test_a_connection_beyond_the_thirty_second_is_refused(server: PaperServer) -> None:
    held = [socket.create_connection(address_of(server)) for _ in range(server_module.CONNECTIONS_MAX)]
    try:
        with socket.create_connection(address_of(server)) as refused:
            refused.settimeout(5.0)
            assert refused.recv(100).startswith(b"HTTP/1.1 429")
    finally:
        for connection in held:
            connection.close()


def test_the_agent_is_refused_with_a_sentence_where_time_runs_faster() -> None:
    fast = PaperServer(exchange_on(market_with(), speed=60.0))
    fast.start()
    try:
        with httpx.Client(base_url=f"{fast.url}/api/v2/", trust_env=False) as connected:
            assert connected.get("public/get_time").status_code == 200
            reply = connected.get("public/get_time", headers={"User-Agent": "covered-call-agent"})
        assert "runs at --speed 60" in reply.json()["error"]["data"]["reason"]
    finally:
        fast.stop()


def address_of(server: PaperServer) -> tuple[str, int]:
    url = httpx.URL(server.url)
    return url.host, url.port or 0
