"""The client looks and nothing else: where it goes, what it carries, how fast it asks, what it believes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from backtest.download import client as deribit
from backtest.download.client import (
    ATTEMPTS,
    Addresses,
    PublicClient,
    Question,
    TooFastError,
)
from models import (
    ConfigurationError,
    DeribitConnectionError,
    DeribitError,
    InvalidReplyError,
    RequestRefusedError,
    WrongEnvironmentError,
)
from tests.backtest.download.history_server import (
    NOW_MS,
    PRICES,
    START_MS,
    TRADES,
    Fault,
    World,
    cut_connection,
    cut_json,
    from_testnet,
    gateway_down,
    make_trades,
    no_answer,
    redirect,
    refused,
    serving,
    too_many,
    too_many_requests,
)

ASKED: dict[str, str | int] = {"index_name": "btc_usd", "offset": 0, "count": 10}
QUESTIONS = [value for value in vars(deribit).values() if isinstance(value, Question)]


def ask(client: PublicClient) -> object:
    return client.ask(deribit.DELIVERY_PRICES, ASKED)


# --- where it goes, and what it may ask -------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://test.deribit.com",
        "http://www.deribit.com",
        "https://www.deribit.com.example",
        "https://www.deribit.com:8443",
        "https://user@www.deribit.com",
        "https://example.org",
        "file:///etc/passwd",
        "https://192.0.2.1",
        "",
    ],
)
def test_no_other_host_can_be_named(address: str) -> None:
    with pytest.raises(ConfigurationError, match="or this machine alone"):
        Addresses(main=address)
    with pytest.raises(ConfigurationError, match="or this machine alone"):
        Addresses(history=address)


def test_the_two_hosts_and_this_machine_can_be_named() -> None:
    assert Addresses() == Addresses("https://www.deribit.com", "https://history.deribit.com")
    Addresses("http://127.0.0.1:8700", "http://localhost:1")


def test_every_question_is_public_and_asks_for_data() -> None:
    assert len(QUESTIONS) == 6
    assert all(question.method.startswith("public/get_") for question in QUESTIONS)


@pytest.mark.parametrize("method", ["private/buy", "public/auth", "private/get_positions"])
def test_any_other_method_is_refused_before_it_is_sent(method: str) -> None:
    with serving() as (server, client):
        with pytest.raises(WrongEnvironmentError, match="only data is asked for"):
            client.ask(Question(method, "main", 0.0), {})
        assert server.requests == []


def test_it_carries_no_key_and_no_cookie_and_takes_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    with serving() as (server, client):
        ask(client)
        ask(client)
    assert len(server.requests) == 2
    for request in server.requests:
        assert not {name.lower() for name in request.headers} & {"authorization", "cookie", "proxy-authorization"}


def test_the_method_decides_the_host() -> None:
    with serving(World(trades=make_trades(3))) as (server, client):
        client.ask(deribit.TRADES, {"start_timestamp": START_MS, "end_timestamp": NOW_MS})
        client.ask(deribit.EXPIRED_INSTRUMENTS, {"expired": "true"})
        client.ask(deribit.LISTED_INSTRUMENTS, {"expired": "false"})
        client.ask(deribit.DVOL, {"start_timestamp": START_MS, "end_timestamp": NOW_MS})
    assert [request.host for request in server.requests] == ["history", "history", "main", "main"]


def test_old_trades_on_the_main_host_are_an_empty_list_without_an_error() -> None:
    """The truncation that the choice of host is for."""
    with serving(World(trades=make_trades(3))) as (_, client):
        span: dict[str, str | int] = {"start_timestamp": START_MS, "end_timestamp": NOW_MS}
        wrong = client.ask(Question(TRADES, "main", 0.0), span)
        right = client.ask(deribit.TRADES, span)
    assert (len(wrong["trades"]), len(right["trades"])) == (0, 3)


# --- what it does not believe ---------------------------------------------------------------------------


def test_a_redirect_is_not_followed() -> None:
    with serving() as (server, client):
        server.fail(PRICES, redirect)
        with pytest.raises(WrongEnvironmentError, match="redirect"):
            ask(client)
        assert len(server.requests) == 1


def test_an_answer_of_testnet_is_no_data() -> None:
    with serving() as (server, client):
        server.fail(PRICES, from_testnet)
        with pytest.raises(WrongEnvironmentError, match="testnet, whose prices are no market prices"):
            ask(client)


def test_a_refusal_is_final_at_once() -> None:
    with serving() as (server, client):
        server.fail(PRICES, refused(-32602, "Invalid params", data={"param": "index_name", "reason": "wrong format"}))
        with pytest.raises(RequestRefusedError, match="index_name: wrong format"):
            ask(client)
        assert len(server.requests) == 1


def test_html_that_forbids_says_where_it_comes_from() -> None:
    with serving() as (server, client):
        server.fail(PRICES, lambda handler, _: handler.send_bytes(403, b"<html>not from here</html>"))
        with pytest.raises(RequestRefusedError, match="refused in front of the exchange"):
            ask(client)


# --- faults that pass -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        too_many(),
        too_many_requests(),
        gateway_down,
        cut_connection,
        cut_json,
        no_answer,
        refused(10041, "settlement_in_progress"),
        refused(11051, "system_maintenance"),
    ],
)
def test_a_fault_that_passes_is_asked_again(fault: Fault) -> None:
    with serving() as (server, client):
        expected = ask(client)
        server.fail(PRICES, fault)
        assert json.dumps(ask(client)) == json.dumps(expected)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (gateway_down, DeribitConnectionError),
        (cut_connection, DeribitConnectionError),
        (cut_json, InvalidReplyError),
        (too_many(), TooFastError),
    ],
)
def test_a_fault_that_stays_is_an_error_after_the_last_attempt(fault: Fault, error: type[DeribitError]) -> None:
    with serving() as (server, client):
        server.fail(PRICES, *[fault] * ATTEMPTS)
        with pytest.raises(error, match="public/get_delivery_prices"):
            ask(client)
        assert len(server.requests) == ATTEMPTS


def test_pauses_between_attempts_double() -> None:
    with serving() as (server, client):
        server.fail(PRICES, *[gateway_down] * 5)
        ask(client)
    times = [request.at_seconds for request in server.requests]
    assert [after - before for before, after in pairwise(times)] == [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize("fault", [too_many(retry_after="33"), too_many_requests(wait_seconds=33.0)])
def test_it_waits_as_long_as_it_is_told(fault: Fault) -> None:
    with serving() as (server, client):
        server.fail(PRICES, fault)
        ask(client)
    first, second = (request.at_seconds for request in server.requests)
    assert second - first == pytest.approx(33.0)


@pytest.mark.parametrize("told", ["Wed, 21 Oct 2026 07:28:00 GMT", "nan", "-5", "inf"])
def test_a_wait_that_is_no_number_of_seconds_is_not_taken(told: str) -> None:
    with serving() as (server, client):
        server.fail(PRICES, too_many(retry_after=told))
        ask(client)
    first, second = (request.at_seconds for request in server.requests)
    assert second - first == pytest.approx(1.0)


# --- the pace ---------------------------------------------------------------------------------------------


def seconds_between_requests(faults: int) -> float:
    with serving() as (server, client):
        server.fail(PRICES, *[too_many()] * faults)
        for _ in range(3):
            ask(client)
    return server.requests[-1].at_seconds - server.requests[-2].at_seconds


def test_requests_to_a_host_keep_their_distance() -> None:
    assert seconds_between_requests(faults=0) == pytest.approx(deribit.DELIVERY_PRICES.pause_seconds)


def test_having_been_too_fast_it_stays_slower() -> None:
    assert seconds_between_requests(faults=2) == pytest.approx(4 * deribit.DELIVERY_PRICES.pause_seconds)
