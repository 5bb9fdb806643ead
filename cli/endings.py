"""How a run ends: whether a fatal answer is believed, and what is done with orders that may still rest.

In: an Agent. Out: cancelled orders, words on stderr. An answer that would end the process (certificate, redirect to
another host, 13004, not testnet) is asked again once, unless it came before the first iteration had read its state:
one bad answer is often a captive portal or a maintenance page. Talks to Deribit through the client.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from cli.arguments import STOPPED_AT_ONCE
from cli.assembly import Agent
from cli.console import complain
from cli.signals import ignore_signals
from core.iteration import Steps
from models import ActionType, AgentError, AuthenticationError, ProposedAction, WrongEnvironmentError
from orders.recovery import cancel_leftovers
from policies.call import traceback_text

ASKED_AGAIN_AFTER_SECONDS = 10.0
LAST_WORDS = ProposedAction(type=ActionType.DO_NOTHING, reason="the run has ended: what was booked since its last line")


def looped(agent: Agent, loop: Callable[[], int]) -> int:
    """The loop's exit code. A second signal leaves no time to ask the exchange, but the order log knows what may rest.

    A fault of our own outside an iteration ends the run as a signal does: what rests is taken back or named.
    """
    try:
        return loop()
    except AgentError:
        raise
    except KeyboardInterrupt:
        ignore_signals()
        left = ", ".join(labels_left(agent))
        orders = f"may still be open: {left} (the next start cancels it)" if left else "no order of ours is open"
        complain(f"stopped at once by a second signal; {orders}")
        return STOPPED_AT_ONCE
    except Exception:  # noqa: BLE001 - whatever it is, no order may be left behind without a word
        complain(f"stopped by a fault of the agent itself, please report it:\n{traceback_text()}")
        end_run(agent)
        return 1


def end_if_fatal(agent: Agent) -> None:
    """End the run where an answer ends the process; one that was heard once is asked again."""
    error, agent.fatal = agent.fatal, None
    if error is not None and must_end(agent, error):
        end_run(agent)
        raise error


def must_end(agent: Agent, error: AgentError) -> bool:
    """Whether an error that ended an iteration, its code set, ends the process too; waits where it asks again."""
    if not isinstance(error, (AuthenticationError, WrongEnvironmentError)) or not agent.has_read_a_state:
        return True
    complain(f"{error}: nothing private is sent; asked once more in {ASKED_AGAIN_AFTER_SECONDS:g} s")
    agent.clock.sleep(ASKED_AGAIN_AFTER_SECONDS)
    if agent.stop_requested:
        return False  # the wait was cut short: the answer stands, and the run ends without a private request
    return agent.client.repeats_fatal_answer()


def end_run(agent: Agent) -> None:
    """Cancel what may still rest of ours, say which orders may be left, write the lines that wait.

    After a fatal answer the client sends nothing private: then nothing is cancelled, and what may rest is named.
    """
    agent.client.begin_iteration()
    problem = "its outcome is not known"
    try:
        agent.resting.take_all_back("the run ends")
        cancel_leftovers(agent.client, agent.order_log)
    except AgentError as error:
        problem = str(error)
    if agent.trading.halt_if_duplicated():
        complain(f"halted: {agent.trading.breaker.why}")
    left = labels_left(agent)
    if left:
        complain(f"{', '.join(left)}: an order of ours may stay open until 08:00 UTC: {problem}")
    with suppress(AgentError):  # the end is not held up for it
        log_rest_of_ledger(agent)
    if agent.recorder.unwritten:
        write_lines(agent)


def labels_left(agent: Agent) -> list[str]:
    """Orders of ours of which the order log does not know that they have ended."""
    return [order.label for order in (*agent.order_log.unresolved(), *agent.order_log.unclosed())]


def leave(code: int) -> NoReturn:
    """End the process with an exit code, whatever a policy left running: a thread or process would keep it for ever."""
    threads = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    processes = multiprocessing.active_children()
    if not all([thread.daemon for thread in threads] + [process.daemon for process in processes]):
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def log_rest_of_ledger(agent: Agent) -> None:
    """One more line for what is in none yet: an order that ended, a fill at the very end, a reading that failed."""
    reading, ended = agent.ledger.read_rest(), agent.resting.take_ended()
    if reading.entries or ended:
        agent.recorder.begin(agent.client)
        steps = Steps(ended=ended, action=LAST_WORDS, ledger=reading)
        agent.recorder.end(agent.client, steps, agent.trading.breaker, agent.ledger.read_until)


def write_lines(agent: Agent) -> None:
    """Write what waits for the disk; what the disk does not take is tried again with the next line."""
    problem = agent.recorder.write()
    if problem is not None:
        complain(problem)
