"""Spoilt replies into the real client and the real agent: `python -m tests.campaign.fuzz --replies 200000 --seed 1`.

In: replies recorded from Deribit and the paper exchange's own, damaged by `reply_mutations.py`. Out: figures, and every
finding reduced to a small reply. Most replies go straight through one method of the client; one in forty goes into a
whole iteration of the agent (`fuzz/world.py`). Must hold: nothing but errors of models.AgentError leaves the client,
nothing infinite is in what it returns, and no order follows from a reply that it refused.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import httpx
from pydantic import BaseModel
from pydantic_core import to_json

from deribit.error_codes import TOKEN_CODES
from deribit_client import DeribitClient
from models import AgentError, AuthenticationError, OrderReceipt, SendOutcome, WrongEnvironmentError
from tests.builders.wire import Answer, Wire, method_of
from tests.campaign.fuzz.calls import CALLS, new_client, samples
from tests.campaign.fuzz.reply_mutations import Reply, answer_to, spoil
from tests.campaign.fuzz.world import PERSISTENCES, SmallWorld

SENT_ONCE = frozenset({"place_limit_order", "buy_back", "edit_order", "cancel_order"})
CASES_PER_CLIENT = 40
ITERATIONS_PER_WORLD = 6
SHARE_OF_ITERATIONS = 40  # one reply in so many


@dataclass(frozen=True, slots=True)
class Finding:
    """A reply that did what no reply may do."""

    call: str
    kind: str
    reply: Reply
    problem: str

    def __str__(self) -> str:
        shown = replace(self.reply, body=self.reply.body[:600])
        return f"{self.call} ({self.kind}): {self.problem}\n    {shown}"


@dataclass(slots=True)
class Figures:
    """What a run counted."""

    replies: int = 0
    iterations: int = 0
    orders: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)


# --- one case ---------------------------------------------------------------------------------------------------


class Answers:
    """Answers one method with what `next_reply` gives, everything else with an undamaged sample."""

    def __init__(self, undamaged: dict[str, list[Reply]], next_reply: Callable[[str], tuple[str, Reply]]) -> None:
        self._undamaged = undamaged
        self._next_reply = next_reply
        self.target = ""
        self.heard: list[tuple[str, Reply]] = []

    def __call__(self, request: httpx.Request, answer: Answer) -> httpx.Response:
        method = method_of(request)
        if method == self.target:
            self.heard.append(self._next_reply(method))
            reply = self.heard[-1][1]
        else:
            reply = self._undamaged[method][0]
        body = answer_to(reply.body, json.loads(request.read())["id"])
        return httpx.Response(reply.status, headers=list(reply.headers), stream=httpx.ByteStream(body))


def problem_of(client: DeribitClient, answers: Answers, name: str) -> str | None:
    """Make one call; what it did that no reply may make it do."""
    answers.target, call = CALLS[name]
    answers.heard = []
    client._rpc.fatal_answer = None  # each reply is judged by itself
    try:
        value = call(client)
        to_json([value, client.end_iteration()])  # whatever is returned ends up in a log
    except AgentError as error:
        return _wrong_error(error, [reply for _, reply in answers.heard])
    except BaseException as error:  # noqa: BLE001 - this is what is looked for
        return f"uncaught {type(error).__name__}: {str(error)[:200]}"
    if name in SENT_ONCE and len(answers.heard) > _times_allowed(name, answers.heard):
        return f"sent {len(answers.heard)} times"
    if (
        name in SENT_ONCE
        and isinstance(value, OrderReceipt)
        and value.outcome == SendOutcome.ACCEPTED
        and not value.order
    ):
        return "accepted without an order"
    return f"not finite: {value!r}"[:300] if has_non_finite(value) else None


def _times_allowed(name: str, heard: list[tuple[str, Reply]]) -> int:
    """Once; only a cancel, which does no harm twice, may follow a refusal of its token."""
    is_about_token = any(str(code).encode() in heard[0][1].body for code in TOKEN_CODES) if heard else False
    return 2 if name == "cancel_order" and is_about_token else 1


def _wrong_error(error: AgentError, heard: list[Reply]) -> str | None:
    """Errors that end the process need a reply that says so; all of them can be written down."""
    bodies = b"".join(reply.body for reply in heard)
    is_redirect = any(300 <= reply.status < 400 and reply.headers for reply in heard)
    if isinstance(error, WrongEnvironmentError) and not is_redirect and b"false" not in bodies:
        return f"wrong environment without a reason: {error}"
    if isinstance(error, AuthenticationError) and b"13004" not in bodies and b"wallet:read_write" not in bodies:
        return f"wrong credentials without a reason: {error}"
    try:
        str(error).encode()
    except UnicodeError:
        return f"uncaught UnicodeError where {type(error).__name__} is written down"
    return None


def has_non_finite(value: object) -> bool:
    """Whether NaN or infinity is anywhere in a value."""
    if isinstance(value, float):
        return not isfinite(value)
    if isinstance(value, BaseModel):
        return any(has_non_finite(part) for _, part in value)
    if isinstance(value, dict):
        return any(has_non_finite(part) for part in value.values())
    return isinstance(value, tuple | list) and any(map(has_non_finite, value))


def problem_with(name: str, reply: Reply) -> str | None:
    """What one reply, given at every attempt, makes a call do that it may not."""
    answers = Answers(samples(), lambda _: ("", reply))
    return problem_of(new_client(Wire(always=answers)), answers, name)


def reduced(finding: Finding) -> Finding:
    """The same problem from less: pieces of the body are left out as long as it stays."""
    known = finding.problem.partition(":")[0]
    piece = len(finding.reply.body) // 2
    while piece >= 1:
        at = 0
        while at < len(finding.reply.body):
            body = finding.reply.body[:at] + finding.reply.body[at + piece :]
            problem = problem_with(finding.call, replace(finding.reply, body=body))
            if problem is not None and problem.startswith(known):
                finding = replace(finding, reply=replace(finding.reply, body=body), problem=problem)
            else:
                at += piece
        piece //= 2
    return finding


# --- many -----------------------------------------------------------------------------------------------------------


def fuzz_client(dice: Random, replies: int, figures: Figures) -> None:
    """Spoilt replies through every method of the client, evenly."""
    undamaged = samples()
    names = sorted(CALLS)
    until = figures.replies + replies
    while figures.replies < until:
        answers = Answers(undamaged, lambda method: spoil(dice, dice.choice(undamaged[method])))
        client = new_client(Wire(always=answers))
        for _ in range(CASES_PER_CLIENT):
            name = dice.choice(names)
            problem = problem_of(client, answers, name)
            figures.replies += len(answers.heard)
            figures.by_kind.update(kind for kind, _ in answers.heard)
            if problem is not None:
                kind, reply = answers.heard[-1] if answers.heard else ("", Reply(b""))
                figures.findings.append(Finding(name, kind, reply, problem))
        client.close()


def fuzz_agent(dice: Random, iterations: int, figures: Figures) -> None:
    """Whole iterations in which one reply is spoilt, in a new world every few of them."""
    with tempfile.TemporaryDirectory() as folder:
        while figures.iterations < iterations:
            world = SmallWorld(Path(folder) / str(figures.iterations), dice)
            first = world.iterate(None)
            usual = len(first.heard)
            for _ in range(min(ITERATIONS_PER_WORLD, iterations - figures.iterations)):
                done = world.iterate(dice.randrange(usual), dice.choice(PERSISTENCES))
                usual = max(8, len(done.heard))
                _count(done.heard, done.problems, figures)
                if done.problems:
                    break  # what follows from it is no finding of its own
            world.close()


def _count(heard: list[Any], problems: list[str], figures: Figures) -> None:
    spoilt = [call for call in heard if call.kind]
    figures.iterations += 1
    figures.replies += len(spoilt)
    figures.by_kind.update(call.kind for call in spoilt)
    figures.orders += sum(call.method in ("private/buy", "private/sell") for call in heard)
    for problem in problems:
        at_fault = spoilt[0] if spoilt else heard[-1]
        figures.findings.append(Finding(f"agent, {at_fault.method}", at_fault.kind, at_fault.reply, problem))


def run(replies: int, seed: int) -> Figures:
    """The whole thing; the same seed gives the same figures."""
    figures = Figures()
    iterations = replies // SHARE_OF_ITERATIONS
    fuzz_agent(Random(f"agent {seed}"), iterations, figures)
    fuzz_client(Random(f"client {seed}"), replies - figures.replies, figures)
    return figures


def main() -> int:
    """Command line; 1 where anything was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign.fuzz", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--replies", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = perf_counter()
    figures = run(options.replies, options.seed)
    in_agent = [finding for finding in figures.findings if finding.call.startswith("agent")]
    for finding in figures.findings[:20]:
        is_callable = finding.call in CALLS and "uncaught" in finding.problem
        print(reduced(finding) if is_callable else finding)
    print(", ".join(f"{kind} {count}" for kind, count in sorted(figures.by_kind.items())))
    print(
        f"{figures.replies} spoilt replies, {figures.iterations} whole iterations ({figures.orders} orders): "
        f"{len(figures.findings) - len(in_agent)} wrong in the client, {len(in_agent)} in the agent, "
        f"{perf_counter() - started:.0f} s"
    )
    return 1 if figures.findings else 0
