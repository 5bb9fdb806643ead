"""How runs end: fatal answers are asked again, what rests is taken back or named."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

import agent_loop
from cli.endings import looped
from config import AgentConfig
from models import ActionType, AgentError, AgentState, AuthenticationError, ProposedAction, WrongEnvironmentError
from tests.builders.agent import (
    Answer,
    Fault,
    agent_at,
    an_order_request,
    decision_lines,
    options,
    scripted_desk,
)
from tests.builders.wire import answer_lost, answered, lost_on_the_way, refused, reply_changed

POSITIONS, TIME, LOGIN, SELL = "private/get_positions", "public/get_time", "public/auth", "private/sell"
NOT_TESTNET = reply_changed(lambda reply: reply.update(testnet=False))
WRONG_KEY = refused(13004, "invalid_credentials")


def bad_certificate(request: httpx.Request, answer: Answer) -> httpx.Response:
    raise httpx.ConnectError("no", request=request) from ssl.SSLCertVerificationError(1, "made up")


def redirect(request: httpx.Request, answer: Answer) -> httpx.Response:
    return httpx.Response(302, headers={"location": "https://portal.example/login"})


FATAL: list[tuple[Fault, str, type[AgentError]]] = [
    (bad_certificate, TIME, WrongEnvironmentError),
    (redirect, TIME, WrongEnvironmentError),
    (NOT_TESTNET, TIME, WrongEnvironmentError),
    (WRONG_KEY, LOGIN, AuthenticationError),
]


@pytest.mark.parametrize(("fault", "asking", "kind"), FATAL)
def test_a_fatal_answer_in_a_running_agent_ends_only_its_iteration_where_it_is_not_repeated(
    tmp_path: Path, fault: Fault, asking: str, kind: type[AgentError], capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(POSITIONS, lambda request, answer: answer(), fault)
    assert agent_loop.run_loop(agent_at(desk), options("--iterations", "3")) == 0
    errors = [line["error"] for line in decision_lines(tmp_path)]
    assert [error is None for error in errors] == [True, False, True]
    assert kind.__name__ in errors[1]
    assert "asked once more in 10 s" in capsys.readouterr().err


@pytest.mark.parametrize(("fault", "asking", "kind"), FATAL)
def test_between_a_fatal_answer_and_the_asking_again_nothing_is_sent_for_ten_seconds(
    tmp_path: Path, fault: Fault, asking: str, kind: type[AgentError]
) -> None:
    desk = scripted_desk(tmp_path)
    moments = []

    def note(request: httpx.Request, answer: Answer) -> httpx.Response:
        moments.append(desk.clock.monotonic())
        return fault(request, answer)

    desk.wire.disturb(POSITIONS, lambda request, answer: answer(), note)
    desk.wire.disturb(asking, *[lambda request, answer: answer()] * (asking == LOGIN), note)
    with pytest.raises(kind):
        agent_loop.run_loop(agent_at(desk), options("--iterations", "3"))
    assert len(moments) == 2
    assert moments[1] - moments[0] == pytest.approx(10.0, abs=0.5)
    assert desk.wire.methods()[-2:] == [POSITIONS, asking]


def test_another_failure_when_asked_again_ends_only_the_iteration(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(POSITIONS, lambda request, answer: answer(), bad_certificate)
    desk.wire.disturb(TIME, lost_on_the_way())
    assert agent_loop.run_loop(agent_at(desk), options("--iterations", "3")) == 0


@pytest.mark.parametrize(("fault", "asking", "kind"), FATAL)
def test_a_fatal_answer_before_any_state_was_read_ends_the_process_at_once(
    tmp_path: Path, fault: Fault, asking: str, kind: type[AgentError]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(POSITIONS, fault)
    with pytest.raises(kind):
        agent_loop.run_loop(agent_at(desk), options("--iterations", "3"))
    assert desk.wire.methods()[-1] == POSITIONS


@pytest.mark.parametrize(("fault", "asking", "kind"), FATAL)
def test_after_two_fatal_answers_the_order_that_may_rest_is_named_and_not_cancelled(
    tmp_path: Path, fault: Fault, asking: str, kind: type[AgentError], capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, answer_lost())
    desk.wire.disturb("private/get_order_state_by_label", fault)
    desk.wire.disturb(asking, lambda request, answer: answer(), fault)

    def sells(_state: AgentState, _config: AgentConfig) -> ProposedAction:
        desk.client.place_limit_order(an_order_request())
        return ProposedAction(type=ActionType.DO_NOTHING, reason="a test says so")

    agent = agent_at(desk, sells)
    with pytest.raises(kind):
        agent_loop.run_loop(agent, options("--iterations", "3"))
    assert f"{an_order_request().label}: an order of ours may stay open" in capsys.readouterr().err
    assert desk.wire.methods("private/cancel") == []


def test_a_gateways_page_is_no_fatal_answer(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(POSITIONS, lambda request, answer: answer(), answered(403, b"<html>maintenance</html>"))
    assert agent_loop.run_loop(agent_at(desk), options("--iterations", "3")) == 0
    assert desk.wire.methods(TIME) == []


@pytest.mark.parametrize(("fault", "asking", "kind"), FATAL)
def test_a_stop_while_a_fatal_answer_is_waited_out_ends_the_run_without_a_private_request(
    tmp_path: Path, fault: Fault, asking: str, kind: type[AgentError]
) -> None:
    desk = scripted_desk(tmp_path)
    agent = agent_at(desk)

    def and_a_stop(request: httpx.Request, answer: Answer) -> httpx.Response:
        agent.stop_requested = True
        return fault(request, answer)

    desk.wire.disturb(POSITIONS, lambda request, answer: answer(), and_a_stop)
    assert agent_loop.run_loop(agent, options("--iterations", "3")) == 0
    assert desk.wire.methods()[-1] == POSITIONS


def test_a_fault_of_our_own_outside_an_iteration_takes_back_what_rests_and_ends_with_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    agent = agent_at(desk)

    def loop() -> int:
        agent.client.place_limit_order(an_order_request(price_coin=0.03))
        assert len(desk.account.open_orders()) == 1
        raise ZeroDivisionError("between two iterations")

    assert looped(agent, loop) == 1
    assert desk.account.open_orders() == []
    assert "stopped by a fault of the agent itself" in capsys.readouterr().err
