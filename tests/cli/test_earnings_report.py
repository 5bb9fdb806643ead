"""What was earned, as text: after a run, in --status, and as the page of --report."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.results.earnings_report import earnings_lines, report_text
from core.results.earnings import earnings
from tests.builders.agent import simulated_run
from tests.builders.results import a_booking, a_buy_back, a_sale, a_step

CALL = "BTC-9JAN26-93000-C"
ENTRIES = [a_sale(CALL, 1, 0.1), a_buy_back(CALL, 6, 0.04)]
BALANCE_COIN = 1.0 + sum(entry.change_coin for entry in ENTRIES)
FOUND = earnings(ENTRIES, [a_step(), a_step(10, BALANCE_COIN)])


def test_two_lines_a_coin_say_each_part_the_net_in_coin_and_usd_the_trades_and_the_time_without_a_call() -> None:
    assert earnings_lines(FOUND) == [
        "BTC  premium +0.01000  buy-backs -0.00400  deliveries 0.00000  fees -0.00006",
        "     open +0.00000  net +0.00594 BTC (+535 USD)  1 sold, 0 rolls, 50 % idle",
    ]


def test_nothing_is_said_after_a_run_of_a_coin_in_which_nothing_happened() -> None:
    assert earnings_lines(earnings([], [a_step(), a_step(10)])) == []


def test_the_page_has_every_part_and_equity_beside_holding() -> None:
    page = report_text({"testnet": FOUND})
    for words in ("premium ", "buy-backs ", "deliveries ", "fees ", "open calls", "net against holding", "holding  "):
        assert words in page
    assert "90,534.60 USD" in page  # equity
    assert "90,000.00 USD" in page  # holding
    assert "not in the ledger" not in page


def test_the_page_names_deposits_and_what_the_ledger_of_the_log_does_not_explain() -> None:
    deposit = a_booking("deposit", None, 2, 0.5, None, fee_coin=0.0)
    page = report_text({"testnet": earnings([*ENTRIES, deposit], [a_step(), a_step(10, BALANCE_COIN + 0.75)])})
    assert "deposits, transfers, others   +0.50000000 BTC" in page
    assert "not in the ledger of the log  +0.25000000 BTC" in page


def test_an_account_of_which_nothing_was_read_is_named() -> None:
    assert report_text({"testnet": ()}) == "testnet: no state of its account was read"


def test_the_command_line_reports_what_the_run_has_said_at_its_end_and_so_does_the_status(tmp_path: Path) -> None:
    run = simulated_run(tmp_path, "--iterations", "30", "--interval", "21600")
    last_words = [line for line in run.out.splitlines() if "  premium +" in line or "     open +" in line]
    status = simulated_run(tmp_path, "--status").out.splitlines()
    assert len(last_words) >= 2
    assert set(last_words) <= set(status)
    report = simulated_run(tmp_path, "--report")
    assert report.code == 0
    assert "net against holding" in report.out
    assert max(map(len, report.out.splitlines())) <= 80


@pytest.mark.parametrize("option", ["--report", "--status"])
def test_without_a_log_there_is_nothing_to_report(option: str, tmp_path: Path) -> None:
    ended = simulated_run(tmp_path, option)
    assert (ended.code, "there is no decision log" in ended.err) == (1, True)


def test_logs_of_profiles_are_named_where_the_folder_above_them_is_asked(tmp_path: Path) -> None:
    for profile in ("moderate", "aggressive"):
        (tmp_path / "logs" / profile).mkdir(parents=True)
        (tmp_path / "logs" / profile / "decisions-2026-01-05.jsonl").touch()
    ended = simulated_run(tmp_path, "--report")
    assert "there are some in aggressive, moderate: say which with --log-dir" in " ".join(ended.err.split())


def test_a_torn_line_is_said_in_plain_words_and_the_rest_is_reported(tmp_path: Path) -> None:
    simulated_run(tmp_path, "--iterations", "6", "--interval", "21600", "--quiet")
    last = max((tmp_path / "logs").glob("decisions-*.jsonl"))
    last.write_bytes(last.read_bytes()[:-700])
    ended = simulated_run(tmp_path, "--report")
    assert (ended.code, "net against holding" in ended.out) == (0, True)
    assert "a line cannot be read and is left out" in ended.err
    assert "UserWarning" not in ended.err
