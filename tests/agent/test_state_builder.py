"""The state: what is read and in which order, what follows from it, and what a failed read does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from models import (
    AgentState,
    DeribitConnectionError,
    DeribitError,
    InvalidReplyError,
    OrderRequest,
    RequestRefusedError,
)
from paper_exchange.setups import Setup, simulated_setup
from state_builder import MarketMemory, assemble_state, build_agent_state, fetch
from tests.builders.agent import NEXT_CALL, Desk, ScriptedDesk, scripted_desk
from tests.builders.configs import a_config
from tests.builders.paper import CALL, market_with, place
from tests.builders.states import (
    COINS_HELD,
    EXPIRY,
    NOW,
    a_chain,
    a_client_on,
    a_coin,
    a_raw_position,
    a_raw_state,
    a_simulated_client,
    an_account,
    an_instrument,
    an_order,
    calm_bars,
    simulated_raw,
)
from tests.builders.wire import Answer, Fault, Wire, meanwhile, method_of, reply_changed, result_of

FIVE_MINUTES = 300.0

# --- positions, orders, value -------------------------------------------------------------------------------


def test_a_position_gets_its_terms_and_its_quote() -> None:
    held = a_raw_position(size=-0.3, delta=-0.06)
    (position,) = assemble_state(a_raw_state(positions=(held,)), a_config()).portfolio.positions
    assert (position.side, position.size, position.strike, position.expiry) == ("short", 0.3, 110_000.0, EXPIRY)
    assert (position.bid_price_coin, position.ask_price_coin, position.quoted_at) == (0.0100, 0.0110, NOW)
    assert position.dte_days == pytest.approx(10.8333, abs=1e-4)


def test_a_position_outside_the_chain_has_no_quote_and_says_so() -> None:
    option = an_instrument(strike=200_000.0)
    raw = a_raw_state(positions=(a_raw_position(option.symbol),), instruments={option.symbol: option})
    (position,) = assemble_state(raw, a_config()).portfolio.positions
    assert (position.bid_price_coin, position.ask_price_coin, position.quoted_at) == (None, None, None)


@pytest.mark.parametrize(
    "foreign", [a_raw_position("BTC-PERPETUAL", kind="future"), a_raw_position("BTC_USDC-16JAN26-110000-C")]
)
def test_what_is_not_a_plain_option_stays_among_the_other_positions(foreign: Any) -> None:
    portfolio = assemble_state(a_raw_state(positions=(foreign,)), a_config()).portfolio
    assert (portfolio.positions, portfolio.other_positions) == ((), (foreign,))


def test_risk_and_exposure_count_positions_and_offers() -> None:
    raw = a_raw_state(positions=(a_raw_position(size=-0.3),), open_orders=(an_order(amount_coin=0.2),))
    state = assemble_state(raw, a_config())
    risk = state.risk("BTC")
    assert risk is not None
    assert (risk.short_calls_coin, risk.resting_sells_coin) == (0.3, 0.2)
    assert [row.short_calls_coin for row in state.expiry_exposures] == [0.5]


def test_the_portfolio_is_worth_its_equity_at_spot() -> None:
    eth = a_coin(underlying="ETH", spot_usd=4_000.0, chain=a_chain())
    accounts = (an_account("BTC", equity_coin=0.9), an_account("ETH", equity_coin=10.0))
    state = assemble_state(a_raw_state(a_coin(), eth, accounts=accounts), a_config())
    assert state.portfolio.value_usd == pytest.approx(0.9 * 100_000.0 + 10.0 * 4_000.0)


@pytest.mark.parametrize(("eth_coins", "value"), [(10.0, None), (0.0, 100_000.0)])
def test_a_coin_without_a_spot_makes_the_value_unknown_unless_there_is_none_of_it(
    eth_coins: float, value: float | None
) -> None:
    raw = a_raw_state(accounts=(an_account("BTC"), an_account("ETH", coins=eth_coins)))
    assert assemble_state(raw, a_config()).portfolio.value_usd == value


def test_decision_ids_follow_from_seed_and_time_alone() -> None:
    first = assemble_state(a_raw_state(), a_config()).decision_id
    assert first == assemble_state(a_raw_state(positions=(a_raw_position(),)), a_config()).decision_id
    assert first.startswith("260105120000-")
    assert first != assemble_state(a_raw_state(seed=2), a_config()).decision_id
    assert first != assemble_state(a_raw_state(now=NOW + timedelta(milliseconds=1)), a_config()).decision_id


def test_the_same_input_gives_the_same_state() -> None:
    raw = simulated_raw(seed=9)
    assert assemble_state(raw, a_config()) == assemble_state(raw, a_config())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_state_of_the_simulated_market_survives_the_journey_through_json(seed: int) -> None:
    state = assemble_state(simulated_raw(seed), a_config(btc={"ivrv_min": 0}))
    assert len(state.candidates) > 2
    assert AgentState.model_validate_json(state.model_dump_json()) == state


# --- reading: order, failures, caching ------------------------------------------------------------------


def wire_to(setup: Setup, refused: str = "", reply: Callable[[], httpx.Response] | None = None) -> Wire:
    """Lets requests through to an exchange, unless there is another reply to the method."""

    def always(request: httpx.Request, answer: Answer) -> httpx.Response:
        return answer() if reply is None or method_of(request) != refused else reply()

    return Wire(setup.transport, always)


@cache
def shared_setup() -> Setup:
    """One exchange for the tests that only read."""
    return simulated_setup(1, COINS_HELD)


def gateway_error() -> httpx.Response:
    return httpx.Response(502, text="<html>bad gateway</html>")


def settling() -> httpx.Response:
    error = {"code": 11051, "message": "system_maintenance"}
    return httpx.Response(400, json={"jsonrpc": "2.0", "error": error, "testnet": True})


def a_reply(result: Any) -> httpx.Response:
    return httpx.Response(200, json={"jsonrpc": "2.0", "result": result, "testnet": True})


def not_what_is_documented() -> httpx.Response:
    return a_reply({"unexpected": True})


def no_summaries() -> httpx.Response:
    return a_reply({"summaries": []})


NEEDED_READS = (
    "private/get_open_orders",
    "private/get_positions",
    "private/get_account_summaries",
    "public/get_index_price",
    "public/get_book_summary_by_currency",
    "public/get_instruments",
)
HISTORIES = ("public/get_index_chart_data", "public/get_volatility_index_data")
FAULTS: Mapping[Callable[[], httpx.Response], type[DeribitError]] = {
    gateway_error: DeribitConnectionError,
    settling: RequestRefusedError,
    not_what_is_documented: InvalidReplyError,
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", NEEDED_READS)
def test_a_read_that_fails_ends_the_iteration_and_never_looks_like_an_empty_account(
    method: str, fault: Callable[[], httpx.Response]
) -> None:
    setup = shared_setup()
    wire = wire_to(setup, method, fault)
    with pytest.raises(FAULTS[fault]):
        build_agent_state(a_client_on(replace(setup, transport=wire)), a_config())


@pytest.mark.parametrize("method", HISTORIES)
def test_a_history_that_cannot_be_read_ends_the_iteration_too(method: str) -> None:
    setup = shared_setup()
    wire = wire_to(setup, method, gateway_error)
    with pytest.raises(DeribitConnectionError):
        build_agent_state(a_client_on(replace(setup, transport=wire)), a_config())


def test_account_summaries_that_lack_a_traded_coin_are_an_error() -> None:
    setup = shared_setup()
    wire = wire_to(setup, "private/get_account_summaries", no_summaries)
    with pytest.raises(InvalidReplyError, match="BTC, ETH"):
        build_agent_state(a_client_on(replace(setup, transport=wire)), a_config())


def test_open_orders_are_read_before_positions_and_both_before_anything_else() -> None:
    setup = simulated_setup(1, COINS_HELD)
    wire = wire_to(setup)
    build_agent_state(a_client_on(replace(setup, transport=wire)), a_config())
    assert wire.methods()[:4] == [
        "public/auth",
        "private/get_open_orders",
        "private/get_positions",
        "private/get_account_summaries",
    ]


def test_a_fill_between_the_two_reads_is_counted_twice_and_never_not_at_all() -> None:
    setup = simulated_setup(1, COINS_HELD)
    client = a_client_on(setup, a_config(btc={"ivrv_min": 0}))
    call = build_agent_state(client, a_config(btc={"ivrv_min": 0})).candidates_for("BTC")[0]
    request = OrderRequest(
        label="cc-test-1",
        symbol=call.symbol,
        direction="sell",
        amount_coin=0.1,
        price_coin=call.sale_price_coin,
        quoted_at=call.quoted_at,
    )
    first, second = client.get_open_orders(), client.place_limit_order(request)
    assert second.order is not None
    resting = second.order.model_copy(update={"order_state": "open", "filled_amount_coin": 0.0})
    raw = fetch(client, a_config(), MarketMemory())
    risk = assemble_state(replace(raw, open_orders=(*first, resting)), a_config()).risk("BTC")
    assert risk is not None
    assert (risk.short_calls_coin, risk.resting_sells_coin) == (0.1, 0.1)


def test_a_steady_iteration_makes_at_most_eight_requests() -> None:
    client, memory, config = a_simulated_client(), MarketMemory(), a_config()
    build_agent_state(client, config, memory)
    counts = []
    for _ in range(40):
        client.end_iteration()
        client.clock.wait_for_next(FIVE_MINUTES)
        build_agent_state(client, config, memory)
        counts.append(client.requests_made)
    assert max(counts) <= 8
    assert min(counts) == 7


def test_instruments_are_read_anew_after_eight_and_not_before() -> None:
    setup = simulated_setup(1, COINS_HELD, start=datetime(2026, 1, 6, 7, 50, tzinfo=UTC))
    wire, memory = wire_to(setup), MarketMemory()
    client, reads = a_client_on(replace(setup, transport=wire)), []
    for _ in range(5):  # 07:50, 07:55, 08:00, 08:05, 08:10
        wire.sent.clear()
        build_agent_state(client, a_config(), memory)
        reads.append(wire.methods().count("public/get_instruments"))
        client.clock.wait_for_next(FIVE_MINUTES)
    assert reads == [2, 0, 2, 0, 0]


def test_closes_and_dvol_are_renewed_within_the_hour_after_they_change() -> None:
    setup = simulated_setup(1, COINS_HELD, start=datetime(2026, 1, 5, 12, 30, tzinfo=UTC))
    wire, memory = wire_to(setup), MarketMemory()
    client = a_client_on(replace(setup, transport=wire))
    build_agent_state(client, a_config(), memory)
    wire.sent.clear()
    for _ in range(12):  # 12:35 to 13:30
        client.end_iteration()
        client.clock.wait_for_next(FIVE_MINUTES)
        build_agent_state(client, a_config(), memory)
    assert wire.methods().count("public/get_index_chart_data") == 2
    assert wire.methods().count("public/get_tradingview_chart_data") == 0
    assert wire.methods().count("public/get_volatility_index_data") == 2


def test_only_coins_that_are_enabled_are_read() -> None:
    setup = simulated_setup(1, COINS_HELD)
    config = a_config(eth={"enabled": False})
    wire = wire_to(setup)
    state = build_agent_state(a_client_on(replace(setup, transport=wire), config), config)
    assert [market.underlying for market in state.markets] == ["BTC"]
    assert wire.methods().count("public/get_book_summary_by_currency") == 1


def test_memory_changes_no_figure_of_the_state() -> None:
    client, memory = a_simulated_client(), MarketMemory()
    first = build_agent_state(client, a_config(), memory)
    assert build_agent_state(client, a_config(), memory) == build_agent_state(client, a_config()) == first


@pytest.mark.parametrize(
    ("content", "is_on", "note"), [(None, False, ""), ("", True, ""), ("a day off", True, "a day off")]
)
def test_the_kill_file_and_what_stands_in_it_are_seen(
    tmp_path: Path, content: str | None, is_on: bool, note: str
) -> None:
    desk = scripted_desk(tmp_path)
    if content is not None:
        desk.config.risk.kill_file.write_text(content)
    state = build_agent_state(desk.client, desk.config)
    assert (state.kill_switch_on, state.kill_note) == (is_on, note)


# --- what is not believed ------------------------------------------------------------------------------------


POSITIONS, INSTRUMENTS, INDEX = "private/get_positions", "public/get_instruments", "public/get_index_price"
NO_POSITIONS = result_of([])


@dataclass
class Reader:
    """A desk on a scripted market with a memory, read every five minutes. CALL and NEXT_CALL are quoted."""

    desk: ScriptedDesk
    memory: MarketMemory

    def read(self) -> AgentState:
        """A state, five minutes after the last one."""
        self.desk.clock.sleep(FIVE_MINUTES)
        return build_agent_state(self.desk.client, self.desk.config, self.memory)

    def held(self) -> list[str]:
        return [held.symbol for held in self.read().portfolio.positions]

    def is_refused(self, words: str) -> bool:
        """Whether the next reading is not believed, for a reason with these words."""
        with pytest.raises(InvalidReplyError, match=words):
            self.read()
        return True

    def spot_usd(self) -> float:
        return self.read().markets[0].spot_usd


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    market = market_with(CALL)
    market.show(NEXT_CALL, 0.03, 0.031)
    found = Reader(scripted_desk(tmp_path, market), MarketMemory())
    found.read()
    return found


@pytest.fixture
def seller(reader: Reader) -> Reader:
    """A reader that has seen that one CALL was sold."""
    place(reader.desk.account, "sell", 1.0, 0.02)
    assert reader.held() == [CALL]
    return reader


def index_times(ratio: float) -> Fault:
    """The exchange's own index, multiplied."""

    def change(reply: dict[str, Any]) -> None:
        reply["result"]["index_price"] *= ratio

    return reply_changed(change)


def test_an_index_that_leaps_skips_one_reading_and_one_that_comes_back_is_believed_at_once(reader: Reader) -> None:
    reader.desk.wire.disturb(INDEX, index_times(1.3))
    assert reader.is_refused("BTC spot jumped from 90000 to 117000")
    assert reader.spot_usd() == 90_000.0


def test_an_index_that_stays_where_it_leapt_to_is_believed_at_the_second_reading(reader: Reader) -> None:
    reader.desk.market.index_usd["BTC"] = 60_000.0
    assert reader.is_refused("BTC spot jumped from 90000 to 60000")
    assert reader.spot_usd() == 60_000.0


def test_an_index_that_moves_by_a_fifth_is_believed_at_once(reader: Reader) -> None:
    reader.desk.market.index_usd["BTC"] = 108_000.0
    assert reader.spot_usd() == 108_000.0


def test_without_a_memory_nothing_can_leap_but_an_index_far_from_its_forward_is_not_believed(reader: Reader) -> None:
    reader.desk.wire.disturb(INDEX, index_times(1.4), index_times(1.0), index_times(10.0))
    assert build_agent_state(reader.desk.client, reader.desk.config).markets[0].spot_usd == pytest.approx(126_000.0)
    with pytest.raises(InvalidReplyError, match="while its forward is"):
        build_agent_state(reader.desk.client, reader.desk.config)


def test_a_call_that_vanishes_for_one_answer_is_read_again_and_nothing_is_lost(seller: Reader) -> None:
    seller.desk.wire.disturb(POSITIONS, NO_POSITIONS)
    assert seller.held() == [CALL]


def test_a_call_that_stays_away_skips_one_reading_and_is_then_believed_to_be_gone(seller: Reader) -> None:
    seller.desk.wire.disturb(POSITIONS, *[NO_POSITIONS] * 6)
    place(seller.desk.account, "buy", 1.0, 0.021)  # by somebody else, so that the account agrees
    assert seller.is_refused(f"{CALL} was -1 and is 0")
    assert seller.held() == []


def test_a_call_that_comes_back_after_the_skipped_reading_is_there_again(seller: Reader) -> None:
    seller.desk.wire.disturb(POSITIONS, *[NO_POSITIONS] * 2)
    assert seller.is_refused("bought nothing back")
    assert seller.held() == [CALL]


def test_a_call_of_which_somebody_bought_back_a_part_skips_one_reading(seller: Reader) -> None:
    place(seller.desk.account, "buy", 0.4, 0.021)
    assert seller.is_refused(f"{CALL} was -1 and is -0.6")
    assert [held.size for held in seller.read().portfolio.positions] == [0.6]


def test_a_call_that_we_bought_back_is_not_missed(seller: Reader) -> None:
    place(seller.desk.account, "buy", 1.0, 0.021)
    seller.memory.last.expect_smaller_position(CALL)
    before = len(seller.desk.wire.methods(POSITIONS))
    assert seller.held() == []
    assert len(seller.desk.wire.methods(POSITIONS)) == before + 1


def test_a_call_that_was_settled_is_not_missed(seller: Reader) -> None:
    seller.desk.market.deliver(CALL, 90_000.0)
    seller.desk.market.sleep_until_expiry(CALL)
    assert seller.held() == []


def test_an_account_that_values_options_and_lists_none_is_not_believed_even_by_a_fresh_memory(seller: Reader) -> None:
    seller.memory = MarketMemory()
    seller.desk.wire.disturb(POSITIONS, *[NO_POSITIONS] * 2)
    assert seller.is_refused("has options in its value, but lists no position")
    assert seller.held() == [CALL]


def slowly(desk: Desk, seconds: float) -> Fault:
    """An answer that takes its time."""
    return meanwhile(lambda: desk.clock.sleep(seconds))


@pytest.mark.parametrize(("seconds", "is_used"), [(59.0, True), (60.0, True), (60.5, False)])
def test_a_reading_that_took_more_than_a_minute_is_not_used(reader: Reader, seconds: float, is_used: bool) -> None:
    desk = reader.desk
    desk.client.authenticate()
    for method in ("private/get_open_orders", POSITIONS, "private/get_account_summaries"):
        desk.wire.disturb(method, slowly(desk, 9.0))
    desk.wire.disturb(INDEX, slowly(desk, 9.0), slowly(desk, 9.0))
    desk.wire.disturb("public/get_book_summary_by_currency", slowly(desk, 9.0), slowly(desk, seconds - 54.0))
    if is_used:
        assert reader.read().markets != ()
    else:
        assert reader.is_refused("too old to decide on")


def test_an_empty_list_of_instruments_is_not_believed_and_not_kept(reader: Reader) -> None:
    reader.memory.listings.clear()
    reader.desk.wire.disturb(INSTRUMENTS, result_of([]))
    assert reader.is_refused("quotes options but lists no instrument")
    assert reader.read().markets[0].option_count == 2


def test_an_instrument_that_the_exchange_has_said_it_does_not_know_is_left_out(reader: Reader) -> None:
    reader.memory.refused_symbols.add(CALL)
    assert [funnel.listed for funnel in reader.read().funnels] == [1, 0]


def test_calm_bars_are_as_calm_as_they_say() -> None:
    (market,) = assemble_state(a_raw_state(a_coin(bars=calm_bars())), a_config()).markets
    assert market.rv_fraction == pytest.approx(0.28, abs=0.001)


# --- a held option that the chain lacks --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BTC-16JAN26-100000-C", "ETH-16JAN26-3600-P", "BTC-30JUN28-1000000-C"])
def test_a_held_option_that_the_exchange_does_not_know_now_is_what_its_name_says(name: str) -> None:
    held = a_raw_position(name, size=-1.0)
    state = assemble_state(a_raw_state(positions=(held,), instruments={}), a_config())
    (position,) = state.portfolio.positions
    assert (position.symbol, position.side, position.underlying) == (name, "short", name[:3])
    assert (position.bid_price_coin, position.ask_price_coin, position.quoted_at) == (None, None, None)
    assert state.portfolio.other_positions == ()


@pytest.mark.parametrize("name", ["BTC_USDC-16JAN26-100000-C", "BTC-CS-16JAN26-90000_100000", "BTC-99JAN26-100000-C"])
def test_what_no_name_of_a_plain_option_says_cannot_be_judged(name: str) -> None:
    held = a_raw_position(name, size=-1.0)
    state = assemble_state(a_raw_state(positions=(held,), instruments={}), a_config())
    assert (state.portfolio.positions, state.portfolio.other_positions) == ((), (held,))


def test_a_sold_call_that_the_chain_lacks_for_a_while_stays_a_sold_call(seller: Reader) -> None:
    market = seller.desk.market
    quote, listing = market.known_quotes.pop(CALL), market.known_listings.pop(CALL)
    market.show(NEXT_CALL, 0.02, 0.021)
    market.clock.sleep(86_400.0)
    assert seller.held() == [CALL]
    market.known_quotes[CALL], market.known_listings[CALL] = quote, listing
    assert seller.held() == [CALL]


# --- strikes that are new ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "rejected"), [(14.8, 1), (15.0, 0), (60.0, 0), (360.0, 0)])
def test_a_new_strike_is_seen_at_the_next_iteration_after_a_quarter_of_an_hour(
    reader: Reader, minutes: float, rejected: int
) -> None:
    reader.desk.clock.sleep(60.0 * minutes - FIVE_MINUTES)
    reader.desk.market.show(NEXT_CALL.replace("105000", "110000"), 0.02, 0.021)
    (funnel, _) = reader.read().funnels
    assert {step.rule: step.rejected for step in funnel.steps}["not_listed_yet"] == rejected


def test_a_symbol_that_is_never_listed_is_looked_up_once_an_hour(reader: Reader) -> None:
    stranger = reply_changed(lambda reply: reply["result"].append({"instrument_name": "BTC-9JAN26-1-C"}))
    before = len(reader.desk.wire.methods(INSTRUMENTS))
    for _ in range(12):  # three hours
        reader.desk.clock.sleep(900.0 - FIVE_MINUTES)
        reader.desk.wire.disturb("public/get_book_summary_by_currency", stranger)
        reader.read()
    assert len(reader.desk.wire.methods(INSTRUMENTS)) - before == 3
