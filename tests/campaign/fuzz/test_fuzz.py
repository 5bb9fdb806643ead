"""Spoilt replies: a sample of the fuzz in every test run, and each reply that once did harm, for ever.

`python -m tests.campaign.fuzz` does the same with 200,000 replies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from models import DeribitError, Ticker
from tests.builders.agent import client_answered_with
from tests.builders.paper import CALL, place
from tests.builders.wire import reply_changed
from tests.campaign.fuzz.calls import CALLS, READS, paper_samples
from tests.campaign.fuzz.fuzz import Finding, has_non_finite, problem_with, reduced, run
from tests.campaign.fuzz.reply_mutations import KINDS, MARKER, SPOILS, Reply, answer_to
from tests.campaign.fuzz.world import ORDER_METHODS, SmallWorld, eager, restless

SAMPLE = 3_000


def framed(result: Any, **members: Any) -> Reply:
    """A reply in good order around a result."""
    frame = {"jsonrpc": "2.0", "id": MARKER, "result": result, "testnet": True}
    return Reply(json.dumps(frame | members).encode())


def paper_result(name: str) -> Any:
    """What the paper exchange answers to a call, before it is spoilt."""
    return json.loads(paper_samples()[CALLS[name][0]][0].body)["result"]


# --- a sample ---------------------------------------------------------------------------------------


def test_a_sample_of_spoilt_replies_does_no_harm() -> None:
    figures = run(SAMPLE, seed=7)
    assert "\n".join(map(str, figures.findings)) == ""
    assert figures.replies >= SAMPLE
    assert set(figures.by_kind) == set(KINDS)
    assert figures.orders > 0  # the iterations had something to spoil


def test_the_same_seed_spoils_the_same_replies() -> None:
    first, second = run(200, seed=3), run(200, seed=3)
    assert (first.by_kind, first.orders) == (second.by_kind, second.orders)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage_changes_a_reply(kind: str) -> None:
    whole = paper_samples()["private/get_positions"][0]
    assert any(SPOILS[kind](Random(number), whole) != whole for number in range(5))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_an_undamaged_reply_is_understood_by_the_call_it_answers(name: str) -> None:
    whole = paper_samples()[CALLS[name][0]][0]
    assert "result" in json.loads(whole.body)
    assert problem_with(name, whole) is None


# --- the fuzz can find something --------------------------------------------------------------------------


def test_an_error_that_is_not_ours_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.campaign.fuzz.fuzz.CALLS", {"get_time": ("public/get_time", _fails_on_a_word)})
    found = problem_with("get_time", framed("leads to a KeyError"))
    assert found is not None
    assert found.startswith("uncaught KeyError")


def _fails_on_a_word(client: Any) -> object:
    try:
        return client.get_time()
    except DeribitError:
        raise KeyError("of a reader that forgot something") from None


def test_a_finding_is_reduced_to_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.campaign.fuzz.fuzz.problem_with", lambda _, reply: "uncaught: x" if b"needle" in reply.body else None
    )
    finding = Finding("get_time", "text", Reply(b"much hay " * 50 + b"needle" + b" and more hay" * 50), "uncaught: x")
    assert reduced(finding).reply.body == b"needle"


@pytest.mark.parametrize("value", [float("nan"), (1.0, float("inf")), {"a": [float("-inf")]}])
def test_a_number_that_is_none_is_found_wherever_it_is(value: object) -> None:
    assert has_non_finite(value)
    assert not has_non_finite((1.0, {"a": [2]}, "nan"))


@pytest.mark.parametrize(("amount", "is_covered"), [(1.0, True), (1.1, False)])
def test_an_uncovered_sale_is_seen_in_the_ledger(tmp_path: Path, amount: float, is_covered: bool) -> None:
    world = SmallWorld(tmp_path, Random(1), eager)
    call = world.market.listings("BTC")[-2]
    assert call.is_call
    place(world.exchange.account, "sell", amount, 0.02, call.name)
    assert (world.uncovered == []) == is_covered


# --- pinned: replies to the client ---------------------------------------------------------------------------


def changed_row(name: str, **fields: Any) -> Reply:
    """The paper exchange's answer with some fields of its (first) row replaced."""
    result = paper_result(name)
    row = result["summaries"][0] if isinstance(result, dict) and "summaries" in result else result
    (row[0] if isinstance(row, list) else row).update(fields)
    return framed(result)


def raw(name: str, old: str, new: str) -> Reply:
    """The paper exchange's answer with a piece of its text replaced, JSON or not."""
    whole = paper_samples()[CALLS[name][0]][0]
    assert old.encode() in whole.body
    return Reply(whole.body.replace(old.encode(), new.encode(), 1))


PINNED: dict[str, tuple[str, Callable[[], Reply]]] = {
    "half a surrogate pair in a word for the log": (
        "get_account_summaries",
        lambda: raw("get_account_summaries", '"margin_model": "', r'"margin_model": "\ud800'),
    ),
    "half a surrogate pair in an order's id": (
        "get_order_state",
        lambda: raw("get_order_state", '"order_id": "', r'"order_id": "\ud800'),
    ),
    "half a surrogate pair in a symbol": (
        "get_positions",
        lambda: changed_row("get_positions", instrument_name="\udfff"),
    ),
    "half a surrogate pair in an error": (
        "get_positions",
        lambda: Reply(rb'{"id":%d,"error":{"code":10001,"message":"\ud800"}}' % MARKER, 400),
    ),
    "a number beyond all numbers": (
        "get_index_price",
        lambda: raw("get_index_price", '"index_price": ', '"index_price": 1e999'),
    ),
    "a whole number of 5,000 digits": (
        "get_index_price",
        lambda: Reply(b'{"id":%d,"result":{"index_price":%s}}' % (MARKER, b"9" * 5_000)),
    ),
    "boxes in boxes": ("get_positions", lambda: Reply(b'{"result":' + b"[" * 10_000 + b"]" * 10_000 + b"}")),
    "objects in objects": ("get_positions", lambda: Reply(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
    "nothing": ("get_time", lambda: Reply(b"")),
    "a byte order mark": ("get_time", lambda: Reply(b"\xef\xbb\xbf" + framed(1_767_614_400_000).body)),
    "UTF-16": ("get_time", lambda: Reply(framed(1_767_614_400_000).body.decode().encode("utf-16"))),
    "a token with a line break": (
        "authenticate",
        lambda: framed({"access_token": "a\r\nHost: evil.io", "expires_in": 900}),
    ),
    "a token of other letters": ("authenticate", lambda: framed({"access_token": "жж", "expires_in": 900})),
    "packed, and not": ("get_time", lambda: Reply(b"not packed", headers=(("content-encoding", "gzip"),))),
    "an address that is none": ("get_time", lambda: Reply(b"", 307, (("location", "http://[::1"),))),
    "a year nobody lives in": ("get_time", lambda: framed(32_503_680_000_000)),
    "an order without its fields": ("place_limit_order", lambda: framed({"order": {}})),
    "trades that are no list": (
        "place_limit_order",
        lambda: framed({"order": paper_result("get_order_state"), "trades": 5}),
    ),
    "an error without a number": ("cancel_order", lambda: Reply(b'{"id":%d,"error":{"code":"x"}}' % MARKER, 400)),
}


@pytest.mark.parametrize("what", PINNED)
def test_a_pinned_reply_does_no_harm(what: str) -> None:
    name, reply = PINNED[what]
    assert problem_with(name, reply()) is None


# --- pinned: replies about something else -----------------------------------------------------------------------


def test_a_ticker_of_another_option_is_no_answer() -> None:
    other = paper_result("get_ticker") | {"instrument_name": "BTC-16JAN26-120000-C"}
    with pytest.raises(DeribitError):
        client_answered_with(other).get_ticker(CALL)


def test_the_ticker_that_was_asked_for_is_one() -> None:
    assert isinstance(client_answered_with(paper_result("get_ticker")).get_ticker(CALL), Ticker)


# --- pinned: whole iterations --------------------------------------------------------------------------------------


def test_an_order_whose_reply_names_another_amount_is_never_edited_to_that_amount(tmp_path: Path) -> None:
    world = SmallWorld(tmp_path, Random(5), eager)
    larger = reply_changed(lambda reply: reply["result"]["order"].update(amount=2.5))
    for method in ("private/sell", "private/edit"):
        world.inner_wire.disturb(method, larger, larger)
    done = [world.iterate(None) for _ in range(3)]
    amounts = [
        call["amount"] for method in (*ORDER_METHODS, "private/edit") for call in world.inner_wire.params(method)
    ]
    assert set(amounts) == {0.5}
    assert [iteration.problems for iteration in done] == [[], [], []]


def test_an_edit_that_came_back_larger_is_not_followed_by_another(tmp_path: Path) -> None:
    world = SmallWorld(tmp_path, Random(5), restless)
    world.inner_wire.disturb("private/edit", reply_changed(lambda reply: reply["result"]["order"].update(amount=2.5)))
    done = [world.iterate(None) for _ in range(4)]
    assert {call["amount"] for call in world.inner_wire.params("private/edit")} == {0.5}
    assert [iteration.problems for iteration in done] == [[], [], [], []]


def test_half_a_surrogate_pair_does_not_end_the_agent(tmp_path: Path) -> None:
    world = SmallWorld(tmp_path, Random(5), eager)
    odd = reply_changed(lambda reply: reply["result"]["summaries"][0].update(margin_model="\ud800"))
    world.inner_wire.disturb("private/get_account_summaries", odd, odd, odd)
    assert [world.iterate(None).problems for _ in range(3)] == [[], [], []]
    assert world.spoiler.heard != []
    world.close()


def test_the_id_of_the_request_is_put_into_a_reply() -> None:
    assert answer_to(framed(1).body, 42) == framed(1, id=42).body
    assert set(READS) < set(CALLS)
