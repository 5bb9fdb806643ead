"""The covered-call agent: one iteration, and the loop around it.

`run_iteration` is the whole agent: state, decision, check, execution, log. The command line, locks and signals around
it are in cli/, orders left over by earlier iterations in orders/recovery.py. Out: orders (through execution), one log
line an iteration, an exit code (cli/commands.py lists them).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import cli.first_words  # noqa: F401 - before all others: answers --help at once, and says which package is missing
from cli.arguments import parse_arguments
from cli.assembly import Agent
from cli.commands import run_command
from cli.console import RunDisplay, complain, say
from cli.endings import end_if_fatal, end_run, labels_left, leave, write_lines
from cli.latest_chain import keep_latest_chains
from cli.locks import require_held
from cli.training.side_by_side import Class
from core.iteration import Steps
from execution import execute_action, move_order, read_room, reason_not_to_trade, send_order
from logging_utils import IterationRecord
from models import ActionType, AgentError, AgentState, ProposedAction, ShadowDecision, TradingState
from orders.finishing import end_order
from orders.order_trial import OrderHands, OrderTrial
from orders.recovery import LeftOvers
from policies.call import PolicyAnswer, ask_policy, traceback_text
from policies.garbage import searched_afterwards
from policies.shadow import shadow_decisions
from risk_engine import judge_action
from state_builder import build_agent_state, with_choices

# An order whose answer was lost, or that could not be cancelled, may rest and nobody watches it: the next iteration
# comes so soon, looks it up and cancels it. After one that failed the interval stands: the exchange cannot be asked.
LOOKED_UP_AFTER_SECONDS = 30.0
NEXT_COIN_AFTER_SECONDS = 1.0  # labels are made of the time: two decisions never share one


@searched_afterwards()
def run_iteration(
    agent: Agent, state_just_read: AgentState | None = None, action: ProposedAction | None = None
) -> IterationRecord:
    """State, decision, check, execution, log. Whatever fails is in the log, with the steps reached before it.

    An environment shows the state before it is told what to do: it hands over both, and no policy is asked.
    """
    agent.recorder.begin(agent.client)
    steps = Steps(ended=agent.resting.take_ended())
    try:
        steps.state = state = read_state(agent) if state_just_read is None else state_just_read

        answer = ask_policy(agent.policy, state, agent.config) if action is None else PolicyAnswer(action)
        steps.action, steps.policy_error = answer.action, answer.error
        agent.let_think(answer.action)

        steps.check = verdict = judge_action(state, answer.action, agent.config)

        if verdict.allowed and answer.action.type != ActionType.DO_NOTHING and not agent.stop_requested:
            steps.execution = execute_action(agent.client, answer.action, agent.config, state)
            agent.memory.remember_trade(steps.execution)
            agent.resting.add(steps.execution, state)
        steps.ledger = agent.ledger.read_new_entries(state, steps.execution)
        steps.ledger = agent.ledger.with_equities(steps.ledger, state, steps.execution)
    except AgentError as error:
        steps.fail(error)
    except Exception:  # noqa: BLE001 - no fault in one iteration may end the loop; the traceback is in its line
        steps.failure = traceback_text()
    return log_iteration(agent, steps)


def read_state(agent: Agent) -> AgentState:
    """The state with all that could be done in it, judged."""
    return with_choices(read_limited_state(agent), agent.config)


def read_limited_state(agent: Agent) -> AgentState:
    """The state, once earlier orders were looked up, and those of ours cancelled that are not meant to rest."""
    require_held(agent.locks)
    disk_problem = agent.disk_problem()
    left_overs = LeftOvers(agent.client, agent.order_log, agent.expect_trade, agent.resting.labels_left_alone())
    left_overs.look_up()
    state = build_agent_state(agent.client, agent.config, agent.memory, left_overs.take_back)
    if left_overs.problem is not None:
        raise left_overs.problem
    agent.ledger.begin_at(state.timestamp)
    return agent.trading.limit(state, disk_problem, agent.client.may_trade, left_overs.cancelled)


def log_iteration(agent: Agent, steps: Steps) -> IterationRecord:
    """Ask the shadows and write the line, which no shadow can hold back; a second signal still passes."""
    try:
        steps.shadows = ask_shadows(agent, steps)
    finally:
        record = write_iteration(agent, steps)
    return record


def ask_shadows(agent: Agent, steps: Steps) -> tuple[ShadowDecision, ...]:
    """What other policies would have done: only now, when the acting one's orders are out. Nothing of it is sent."""
    if not agent.shadows or steps.state is None or steps.fatal is not None:
        return ()
    asked = shadow_decisions(agent.shadows, steps.state, agent.config, judge_action, lambda: agent.stop_requested)
    try:
        return tuple(asked)
    except Exception:  # noqa: BLE001 - a shadow is never worth an iteration
        complain(f"the shadows could not be asked: {traceback_text().splitlines()[-1]}")
        return ()


def write_iteration(agent: Agent, steps: Steps) -> IterationRecord:
    """Write the line of the iteration. What of it may end the process is left in `agent.fatal`."""
    if steps.fatal is None and agent.client.fatal_answer is not None:
        steps.fail(agent.client.fatal_answer)  # heard where a failure is tolerated, as while fees are read
    breaker = agent.trading.note_iteration(steps, agent.client.server_now())
    record = agent.recorder.end(agent.client, steps, breaker, agent.ledger.read_until)
    write_lines(agent)
    agent.fatal = steps.fatal
    agent.has_read_a_state = agent.has_read_a_state or steps.state is not None
    return record


# --- the loop ------------------------------------------------------------------------------------


def run_loop(agent: Agent, options: argparse.Namespace) -> int:
    """Iterate until told to stop, until the market ends, or for the number of iterations asked for; the exit code."""
    wanted = 1 if options.once else options.iterations
    display = RunDisplay(wanted, options.quiet)
    record: IterationRecord | None = None
    wait_for_earlier_orders(agent)
    while not agent.stop_requested:
        record = run_iteration(agent)
        display.show(record)
        if record.request_count is not None:  # in process an iteration takes less time than the file
            keep_chains(agent)
        end_if_fatal(agent)
        if wanted is not None and agent.recorder.iteration >= wanted:
            break
        if not wait_for_next(agent, record):
            break
        end_if_fatal(agent)
    end_run(agent)
    keep_chains(agent)
    display.end()
    failed = record is not None and record.error is not None and wanted is not None
    if agent.stop_requested:
        return 0
    if agent.trading.is_halted:
        return 6
    return 1 if failed or agent.recorder.unwritten else 0


def keep_chains(agent: Agent) -> None:
    """The chains behind the newest state, for whoever wants to look at them."""
    seen = agent.memory.last_read
    if seen is not None:
        keep_latest_chains(agent.config.run.data_dir, seen.coins, seen.now)


def run_profiles(trained: Class, options: argparse.Namespace) -> int:
    """Training mode: every profile decides on one reading of the market, then all wait for the next."""
    agents, wanted = trained.agents, 1 if options.once else options.iterations
    displays = {name: RunDisplay(wanted, options.quiet) for name in agents}
    first = next(iter(agents.values()))
    has_failed, rounds, interval_seconds = False, 0, first.config.run.interval_seconds
    while not is_stopped(agents):
        trained.begin_round()
        for name, agent in agents.items():
            say(f"=== {name}")
            record = run_iteration(agent)
            displays[name].show(record)
            has_failed = has_failed or record.error is not None
            end_if_fatal(agent)
        rounds += 1
        if rounds == wanted or not first.clock.wait_for_next(interval_seconds):
            break
    for name, agent in agents.items():
        end_run(agent)
        say(f"=== {name}")
        displays[name].end()
    return 1 if has_failed and wanted is not None and not is_stopped(agents) else 0


def is_stopped(agents: Mapping[str, Agent]) -> bool:
    return any(agent.stop_requested for agent in agents.values())


def wait_for_next(agent: Agent, record: IterationRecord) -> bool:
    """Until the next decision is due; False where none will come. Orders that rest are watched and taken back before.

    While an order of one coin rests and the other coin has none, a decision on that one follows at once.
    """
    others = set(agent.config.enabled_underlyings) - agent.resting.coins
    if record.executed_status == "resting" and others and reason_not_to_rest(agent) is None:
        agent.resting.let_rest_on()
        agent.clock.sleep(NEXT_COIN_AFTER_SECONDS)
        return True
    interval_seconds = agent.config.run.interval_seconds
    waited_seconds = watch_resting_orders(agent, interval_seconds)
    if agent.fatal is not None:
        return True  # asked again at once; the iteration that follows takes back what nobody watches any more
    left_seconds = max(0.0, interval_seconds - waited_seconds)
    if record.error is None and labels_left(agent):
        left_seconds = min(left_seconds, LOOKED_UP_AFTER_SECONDS)
    return agent.clock.wait_for_next(left_seconds)


def watch_resting_orders(agent: Agent, interval_seconds: float) -> float:
    """How long orders rested; an answer that may end the process is left in `agent.fatal`."""
    started_seconds = agent.clock.monotonic()
    try:
        agent.resting.watch(interval_seconds, lambda: reason_not_to_rest(agent))
    except AgentError as error:
        agent.fatal = error
    return agent.clock.monotonic() - started_seconds


def reason_not_to_rest(agent: Agent) -> str | None:
    """Why no order of ours may rest, as far as this process knows by itself."""
    if agent.stop_requested:
        return "the run is being stopped"
    return None if agent.trading.breaker.state == TradingState.ACTIVE else "nothing is sold for now"


def wait_for_earlier_orders(agent: Agent) -> None:
    """Wait until no order of an earlier run can still be executed, even if its log is lost."""
    seconds = agent.order_log.lapse_left_seconds()
    if seconds > 0.0:
        complain(f"waiting {seconds:.0f} s: an order of an earlier run may still be on its way")
        agent.clock.sleep(seconds)


def order_trial(agent: Agent) -> OrderTrial:
    """The one order of --check --with-order; without what is handed over here cli has no way to an order."""
    wait_for_earlier_orders(agent)
    hands = OrderHands(reason_not_to_trade, read_room, send_order, move_order, end_order)
    return OrderTrial(agent.client, agent.config, agent.order_log, lambda: read_state(agent), hands)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    return run_command(parse_arguments(arguments), run_loop, order_trial, run_profiles)


if __name__ == "__main__":
    leave(main())
