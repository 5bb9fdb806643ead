"""Signals: the first one ends the loop after the call under way, a second one ends the process at once.

A hangup is never a second one: a terminal that closes sends it twice, by the shell and by the system, and nobody is
there to read what may rest.
"""

from __future__ import annotations

import signal
from types import FrameType

from cli.assembly import Agent
from policies.call import SecondSignalError


def stop_on_signals(*agents: Agent) -> None:
    """A signal ends the loop after the call under way; a sleeping clock is woken. All agents of the process stop."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if any(agent.stop_requested for agent in agents):
            if number == signal.SIGHUP:
                return
            raise SecondSignalError  # whatever is running does not end by itself
        for agent in agents:
            agent.stop_requested = True
            wake = getattr(agent.clock, "stop", None)
            if wake is not None:
                wake()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup: the terminal may go, the agent stays
        signal.signal(signal.SIGHUP, stop)


def ignore_signals() -> None:
    """The process is about to end: one more Ctrl-C must not turn its last sentence into a traceback."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)


def raise_on_interrupt() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again: what is under way is left in order."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
