"""Fifty real kills, and the checks of the kill campaign shown what they must find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paper_exchange.account.orders import OrderRequest
from tests.campaign.kills.files import LogWatch, join_problems
from tests.campaign.kills.kills import Report, run_kills
from tests.campaign.kills.world import WatchedExchange, has_intent

KILLS = 50
LABEL = "cc-260105083000-abcdef-sell"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run_kills(tmp_path_factory.mktemp("kills"), KILLS, seed=1)


def test_fifty_kills_leave_no_order_doubled_unlogged_or_unfinished(report: Report) -> None:
    assert report.violations == []
    assert report.ended_by_themselves == []
    assert (report.duplicates, report.unlogged, report.unparsable, report.zombies) == (0, 0, 0, 0)


def test_the_kills_hit_orders_in_the_making(report: Report) -> None:
    assert (report.kills, report.lives) == (KILLS, KILLS + 1)
    assert report.accepted > KILLS / 5
    hit = sum(count for phase, count in report.phases.items() if "private/" in phase or "order" in phase)
    assert hit > KILLS / 5


# --- the checks find what they are there for ---------------------------------------------------------------


@pytest.fixture
def exchange(tmp_path: Path) -> WatchedExchange:
    watched = WatchedExchange(seed=1, speed=1.0, log_folder=tmp_path)
    watched.account.advance()
    return watched


def _sell(exchange: WatchedExchange, amount: float, label: str = LABEL) -> None:
    """Offer the last call listed at a price nobody pays."""
    name = [listing.name for listing in exchange.market.listings("BTC") if listing.is_call][-1]
    quote = exchange.market.quote(name)
    assert quote is not None
    ask = quote.ask_coin or quote.mark_coin
    exchange.account.submit(OrderRequest(name, "sell", amount, round(ask + 0.002, 4), label=label))


def test_an_order_without_an_intent_in_the_file_is_found(exchange: WatchedExchange) -> None:
    _sell(exchange, 0.1)
    assert [problem[:3] for problem in exchange.ledger.violations] == ["I8:"]
    assert exchange.ledger.unlogged == [LABEL]


def test_two_orders_under_one_label_are_found(exchange: WatchedExchange) -> None:
    _sell(exchange, 0.1)
    _sell(exchange, 0.1)
    assert {problem[:3] for problem in exchange.ledger.violations} == {"I6:", "I7:", "I8:"}


def test_calls_on_offer_above_the_coins_held_are_found(exchange: WatchedExchange) -> None:
    _sell(exchange, 1.0)
    assert not any(problem.startswith("I1:") for problem in exchange.ledger.violations)
    _sell(exchange, 0.1, label="a person's own order")
    assert any(problem.startswith("I1: ") for problem in exchange.ledger.violations)


def test_an_intent_counts_only_once_its_line_is_whole(tmp_path: Path) -> None:
    line = json.dumps({"event": "intent", "label": LABEL})
    path = tmp_path / "orders-2026-01-05.jsonl"
    path.write_text(line)
    assert not has_intent(tmp_path, LABEL)
    path.write_text(line + "\n")
    assert has_intent(tmp_path, LABEL)


def test_lines_that_do_not_parse_and_lines_that_change_are_found(tmp_path: Path) -> None:
    path, watch = tmp_path / "orders-2026-01-05.jsonl", LogWatch(tmp_path)
    path.write_text('{"event": "intent", "label": "a"}\n{"event": "int')
    watch.look()
    assert (watch.unparsable, watch.torn_files(), watch.violations) == (0, [path.name], [])
    path.write_text('{"event": "intent", "label": "a"}\n{"event": "int{"event": "outcome"}\n{"x": NaN}\n')
    watch.look()
    assert watch.unparsable == 2
    path.write_text('{"event": "INTENT", "label": "a"}\n')
    watch.check_prefixes()
    assert [problem[:4] for problem in watch.violations] == ["I15:", "I15:", "I17:"]


@pytest.mark.parametrize(
    ("outcomes", "accepted", "found"),
    [
        (("accepted",), {"a": 1}, []),
        (("unknown", "resolved_present"), {"a": 1}, []),
        (("unknown", "resolved_absent"), {}, []),
        (("unknown",), {"a": 1}, ["I11: a has 0 terminal lines []"]),
        (("rejected", "not_sent"), {}, ["I11: a has 2 terminal lines ['rejected', 'not_sent']"]),
        (("resolved_absent",), {"a": 1}, ["I16: a is resolved_absent in the log, accepted 1 times in truth"]),
        (("accepted",), {}, ["I16: a is accepted in the log, accepted 0 times in truth"]),
        (("accepted",), {"a": 1, "b": 1}, ["I16: b was accepted and stands in no log"]),
    ],
)
def test_every_intent_ends_once_and_as_it_really_did(
    outcomes: tuple[str, ...], accepted: dict[str, int], found: list[str]
) -> None:
    lines = [{"event": "intent", "label": "a"}]
    lines += [{"event": "outcome", "label": "a", "outcome": outcome} for outcome in outcomes]
    assert join_problems(lines, accepted) == found


@pytest.mark.parametrize(
    ("outcomes", "accepted", "found"),
    [
        (("unknown", "resolved_absent"), {}, []),
        (("unknown",), {}, ["I11: a has 0 terminal lines []"]),
        (("resolved_absent",), {}, ["I11: a ends without having begun"]),
        (
            ("unknown", "resolved_present"),
            {"a": 1},
            ["I16: a was accepted and stands in no log"],
        ),
    ],
)
def test_an_order_that_the_mark_alone_knows_of_ends_once_and_never_left(
    outcomes: tuple[str, ...], accepted: dict[str, int], found: list[str]
) -> None:
    lines = [{"event": "outcome", "label": "a", "outcome": outcome} for outcome in outcomes]
    assert join_problems(lines, accepted) == found
