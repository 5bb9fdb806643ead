"""The transports in front of the paper exchange, and the testnet market that learns from what passes by."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock, from_ms, to_ms
from paper_exchange.market.names import parse_option_name
from paper_exchange.testnet import market as testnet
from paper_exchange.transport import DryRunTransport, PaperTransport
from tests.builders.paper import CALL, NEAR_CALL, START, exchange_on, market_with, recorded

HOST = "https://test.deribit.com"
AUTH = {"Authorization": "Basic cGFwZXI6c2VjcmV0"}


class Network:
    """Stands for the real network: keeps what reaches it and answers from a table of results."""

    def __init__(self, results: dict[str, Any] | None = None) -> None:
        self.results = {} if results is None else results
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        method = request.url.path.removeprefix("/api/v2/")
        return httpx.Response(200, json={"jsonrpc": "2.0", "result": self.results.get(method), "testnet": True})

    @property
    def methods(self) -> list[str]:
        return [request.url.path.removeprefix("/api/v2/") for request in self.requests]


class DryRun:
    """A client whose public calls go to a `Network` and whose private calls stay."""

    def __init__(self, network: Callable[[httpx.Request], httpx.Response], knows_the_time: bool = True) -> None:
        self.clock = SimulatedClock(START)
        self.market = testnet.TestnetMarket(self.clock)
        if knows_the_time:
            self.market.observe("public/get_time", {}, time_reply(START))
        self.exchange = PaperExchange(self.market, PaperAccount(self.market))
        transport = DryRunTransport(self.exchange, httpx.MockTransport(network))
        self.client = httpx.Client(transport=transport, base_url=f"{HOST}/api/v2/")

    def get(self, method: str, **params: Any) -> Any:
        return self.client.get(method, params=params, headers=AUTH).json()


def time_reply(at: datetime) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "result": to_ms(at), "usOut": to_ms(at) * 1000}).encode()


def instrument_row(name: str = CALL) -> dict[str, Any]:
    parts = parse_option_name(name)
    assert parts is not None
    return {
        "instrument_name": name,
        "kind": "option",
        "expiration_timestamp": parts.expires_at_ms,
        "creation_timestamp": 0,
        "settlement_period": "week",
        "min_trade_amount": 0.1,
        "tick_size": 0.0001,
        "tick_size_steps": [{"above_price": 0.005, "tick_size": 0.0005}],
    }


def ticker(name: str = CALL, bid: float | None = 0.02, at: int = 0, **more: Any) -> dict[str, Any]:
    row = {
        "instrument_name": name,
        "state": "open",
        "timestamp": to_ms(START) + at,
        "best_bid_price": bid,
        "best_bid_amount": 5.0,
        "best_ask_price": 0.0,
        "best_ask_amount": 0.0,
        "mark_price": 0.02,
        "mark_iv": 50.0,
        "underlying_price": 90_000.0,
        "index_price": 90_000.0,
        "min_price": 0.0001,
        "max_price": 0.05,
    }
    return {**row, **more}


def quoted_network() -> Network:
    return Network({"public/get_instruments": [instrument_row()], "public/ticker": ticker()})


def trading_run(network: Network, name: str = CALL) -> DryRun:
    run = DryRun(network)
    network.results |= {"public/get_instruments": [instrument_row(name)], "public/ticker": ticker(name)}
    run.get("public/get_instruments", currency="BTC")
    run.get("public/ticker", instrument_name=name)
    return run


# --- the paper transport ------------------------------------------------------------------


def test_a_client_talks_to_the_paper_exchange_without_sockets() -> None:
    transport = PaperTransport(exchange_on(market_with()))
    client = httpx.Client(transport=transport, base_url=f"{HOST}/api/v2/", headers=AUTH)
    sold = client.get("private/sell", params={"instrument_name": CALL, "amount": 1, "price": 0.02})
    assert (sold.status_code, sold.json()["result"]["order"]["order_state"]) == (200, "filled")
    assert client.get("private/cancel", params={"order_id": "1"}).status_code == 400


def test_a_reply_can_be_streamed() -> None:
    client = httpx.Client(transport=PaperTransport(exchange_on(market_with())))
    with client.stream("GET", f"{HOST}/api/v2/public/get_time") as response:
        assert json.loads(b"".join(response.iter_raw()))["testnet"] is True


# --- whose time it is ---------------------------------------------------------------------


def test_the_paper_account_lives_by_testnet_s_time_not_by_this_machine_s() -> None:
    later = START + timedelta(hours=3)
    run = DryRun(lambda _: httpx.Response(200, content=time_reply(later)), knows_the_time=False)
    reply = run.get("private/get_positions", currency="any")
    assert reply["usOut"] == to_ms(later) * 1000


def test_the_time_is_asked_for_once_before_the_first_private_call() -> None:
    network = Network()
    run = DryRun(lambda request: [network(request), httpx.Response(200, content=time_reply(START))][1], False)
    run.get("private/get_positions", currency="any")
    run.get("private/get_positions", currency="any")
    assert network.methods == ["public/get_time"]


# --- what stays inside --------------------------------------------------------------------


def test_public_calls_pass_and_private_ones_never_leave() -> None:
    network = quoted_network()
    run = trading_run(network)
    order = run.get("private/sell", instrument_name=CALL, amount=1, price=0.02)["result"]["order"]
    run.get("private/get_positions", currency="any")
    run.get("public/auth", grant_type="client_credentials", client_id="a", client_secret="b")
    assert order["order_state"] == "filled"
    assert network.methods == ["public/get_instruments", "public/ticker"]


def test_credentials_do_not_leave_with_public_calls() -> None:
    network = quoted_network()
    trading_run(network)
    assert all("authorization" not in request.headers for request in network.requests)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/private/buy",
        "/api/v2/PUBLIC/ticker",
        "/api/v2/public/../private/buy",
        "/api/v2/public/%2e%2e/private/buy",
        "/api/v2//public/ticker",
        "/api/v2/public/ticker/",
        "/api/v2/public/auth",
        "/api/v2/public/exchange_token",
        "/api/v2",
        "/ws/api/v2",
        "/",
    ],
)
def test_a_path_that_is_not_plainly_public_stays(path: str) -> None:
    network = Network()
    run = DryRun(network)
    run.client.get(HOST + path)
    run.client.post(HOST + path, json={"method": "private/buy", "params": {}})
    assert network.requests == []


def test_a_public_path_that_carries_another_method_stays() -> None:
    network = Network()
    run = DryRun(network)
    run.client.post(f"{HOST}/api/v2/public/ticker", json={"method": "private/buy", "params": {}})
    run.client.get(f"{HOST}/api/v2/public/ticker", params={"method": "private/buy"})
    run.client.post(f"{HOST}/api/v2/public/ticker", content=b"{not json")
    assert network.requests == []


def test_an_error_of_the_network_reaches_the_client_as_it_is() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with pytest.raises(httpx.ConnectError):
        DryRun(unreachable).get("public/get_time")


# --- learning ------------------------------------------------------------------------------


def test_a_compressed_reply_is_handed_on_and_understood() -> None:
    packed = gzip.compress(json.dumps({"result": {"index_price": 91_000.0}}).encode())
    run = DryRun(lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, content=packed))
    assert run.get("public/get_index_price", index_name="btc_usd")["result"] == {"index_price": 91_000.0}
    assert run.market.index_price("BTC") == 91_000.0


def test_an_empty_side_written_as_zero_is_no_quote() -> None:
    quote = trading_run(quoted_network()).market.quote(CALL)
    assert quote is not None
    assert (quote.bid_coin, quote.bid_amount, quote.ask_coin, quote.ask_amount) == (0.02, 5.0, None, None)
    assert (quote.mark_iv_fraction, quote.max_price_coin) == (0.5, 0.05)


def test_an_older_quote_does_not_replace_a_newer_one() -> None:
    run = trading_run(quoted_network())
    for at, bid in ((1_000, 0.03), (500, 0.01)):
        reply = json.dumps({"result": ticker(bid=bid, at=at)}).encode()
        run.market.observe("public/ticker", {}, reply)
    quote = run.market.quote(CALL)
    assert quote is not None
    assert quote.bid_coin == 0.03


def test_instruments_that_are_not_open_and_crossed_books_show_no_quotes() -> None:
    market = testnet.TestnetMarket(SimulatedClock(START))
    for more in ({"state": "settlement"}, {"best_ask_price": 0.01}):
        market.observe("public/ticker", {}, json.dumps({"result": ticker(**more)}).encode())
        quote = market.quote(CALL)
        assert quote is not None
        assert quote.bid_coin is None


@pytest.mark.parametrize("method", list(testnet.TestnetMarket(SimulatedClock(START))._readers))
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"result": null}',
        b'{"result": [null, 3, []]}',
        b'{"result": {"data": 4, "instrument_name": 5}}',
        b'{"result": {"data": [{"date": "x", "delivery_price": "y"}, {"date": 5, "delivery_price": 1e999}]}}',
        b'{"result": {"instrument_name": "BTC-16JAN26-100000-C", "mark_price": NaN, "mark_iv": "x"}}',
        b'{"result": {"instrument_name": "BTC-16JAN26-100000-C", "tick_size_steps": [3], "tick_size": null}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_garbage_teaches_nothing_and_breaks_nothing(method: str, reply: bytes) -> None:
    market = testnet.TestnetMarket(SimulatedClock(START))
    market.observe(method, {"index_name": ["btc_usd"]}, reply)
    assert market.index_price("BTC") is None
    assert list(market.quotes("BTC")) == []


def test_recorded_replies_are_understood() -> None:
    market = testnet.TestnetMarket(SimulatedClock(START.replace(year=2025)))
    rows = recorded("public_get_book_summary_by_currency__testnet_rows_20250117.json")
    market.observe("public/get_book_summary_by_currency", {}, json.dumps({"result": rows}).encode())
    quote = market.quote("BTC-31JAN25-92000-P")
    assert quote is not None
    assert (quote.bid_coin, quote.ask_coin, quote.mark_coin) == (0.018, 0.019, 0.01866323)
    assert market.index_price("BTC") == 100143.63


def test_recorded_instruments_are_understood() -> None:
    market = testnet.TestnetMarket(SimulatedClock(START))
    reply = recorded("public_get_instruments__BTC_option_mainnet_20260715.json")
    market.observe("public/get_instruments", {}, json.dumps(reply).encode())
    listings = market.listings("BTC")
    assert len(listings) == len(reply["result"])
    assert {(listing.min_trade_amount, listing.tick_steps) for listing in listings} == {(0.1, ((0.005, 0.0005),))}


# --- delivery -------------------------------------------------------------------------------


def short_dry_run(network: Network) -> DryRun:
    run = trading_run(network, NEAR_CALL)
    run.get("private/sell", instrument_name=NEAR_CALL, amount=1, price=0.02)
    return run


def sleep_past_expiry(run: DryRun, seconds: float) -> int:
    parts = parse_option_name(NEAR_CALL)
    assert parts is not None
    run.clock.sleep((from_ms(parts.expires_at_ms) - run.clock.now()).total_seconds() + seconds)
    return parts.expires_at_ms


def test_the_delivery_price_is_fetched_when_a_position_waits_for_it() -> None:
    network = quoted_network()
    run = short_dry_run(network)
    network.results["public/get_delivery_prices"] = {
        "data": [{"date": "2026-01-06", "delivery_price": 100_000.0}, {"date": "2026-01-05", "delivery_price": 1.0}]
    }
    sleep_past_expiry(run, 30.0)
    line = run.get("private/get_transaction_log", currency="BTC")["result"]["logs"][0]
    assert line["info"] == {"delivery_price": 100_000.0, "is_approximate": False, "payoff": 0.05}


def test_a_missing_delivery_price_is_asked_for_once_a_minute() -> None:
    network = quoted_network()
    run = short_dry_run(network)
    sleep_past_expiry(run, 30.0)
    for _ in range(6):
        run.get("private/get_positions", currency="BTC")
        run.clock.sleep(20.0)
    assert network.methods.count("public/get_delivery_prices") == 2


def test_a_failing_fetch_of_delivery_prices_leaves_the_position_waiting() -> None:
    network = quoted_network()
    run = short_dry_run(network)
    sleep_past_expiry(run, 30.0)
    network.results["public/get_delivery_prices"] = "nonsense"
    assert run.get("private/get_positions", currency="BTC")["result"][0]["size"] == -1.0


def test_after_ten_minutes_the_index_seen_before_expiry_stands_in() -> None:
    run = short_dry_run(quoted_network())
    expires_at_ms = sleep_past_expiry(run, -60.0)
    run.market.observe("public/get_index_price", {"index_name": "btc_usd"}, b'{"result": {"index_price": 94000}}')
    run.clock.sleep(120.0)
    assert run.market.delivery_price("BTC", expires_at_ms) is None
    run.clock.sleep(600.0)
    price = run.market.delivery_price("BTC", expires_at_ms)
    assert price is not None
    assert (price.price_usd, price.is_approximate) == (94_000.0, True)


def test_a_dry_run_needs_a_testnet_market() -> None:
    with pytest.raises(TypeError, match="TestnetMarket"):
        DryRunTransport(exchange_on(market_with()), httpx.MockTransport(Network()))
