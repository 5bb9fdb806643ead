"""Faults of the machine that meet a single request: memory that runs out, a suspended computer, an expiry that passes.

In: a Fault. Out: the reply the agent gets, or an error that is not the network's. Rows P06, P08 and X12.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from tests.campaign.faults.transport_rows import TIMEOUT_SECONDS, Fault, Injection, streamed

SUSPENDED_SECONDS = 6 * 3600.0
LONGEST_WAIT_SECONDS = 4 * 3600.0


def memory_error(fault: Fault) -> httpx.Response:
    """The reply does not fit into memory, or nests too deeply for whoever reads it."""
    status, body = fault.deliver()
    error = MemoryError() if fault.dice.random() < 0.5 else RecursionError("maximum recursion depth exceeded")

    def chunks() -> Iterator[bytes]:
        yield body[:10]
        raise error

    return streamed(fault, status, chunks(), body[:10])


def suspended(fault: Fault) -> httpx.Response:
    """The computer sleeps for six hours in the middle of a request."""
    return _after(fault, SUSPENDED_SECONDS)


def settles_on_the_way(fault: Fault) -> httpx.Response:
    """Time passes until a call that is held has expired: before the request arrives, or after."""
    seconds = fault.venue.seconds_to_expiry()
    if seconds is None or seconds > LONGEST_WAIT_SECONDS:
        fault.missed = True
        return fault.reply(*fault.deliver())
    return _after(fault, seconds + 1.0)


def _after(fault: Fault, seconds: float) -> httpx.Response:
    """The pause lies before or after the exchange acts; then the answer is there, or the connection is gone."""
    if fault.dice.random() < 0.5:
        fault.time.sleep(seconds)
        answer = fault.deliver()
    else:
        answer = fault.deliver()
        fault.time.sleep(seconds)
    if fault.dice.random() < 0.5:
        return fault.reply(*answer)
    fault.time.sleep(TIMEOUT_SECONDS)
    raise httpx.ReadTimeout("timed out", request=fault.request)


MACHINE: dict[str, Injection] = {"P06": memory_error, "P08": suspended, "X12": settles_on_the_way}
