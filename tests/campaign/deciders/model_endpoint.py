"""A language model that answers in this process, rightly or in any of the ways in which one goes wrong.

In: a seed, the share of bad answers, a clock. Out: the `httpx` of the policy's requests, with this endpoint behind it
(`standing_in`), and what it heard. Every answer follows from the seed and the number of the request. It thinks in a
time of its own, which the agent's market is charged where the acting policy asked; no second of ours passes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx

from policies.language_model import request as requests
from tests.builders.models_elsewhere.stub import Answer, choosing, completion, raw
from tests.campaign.world.trace import HeardByModel

MODEL = "a-made-up-model"
MODEL_URL = "https://model.invalid/v1"
MODEL_KEY = "campaign-model-key-3Fq8vB1n"  # made up; the campaign looks for it in every file
LONGEST_THOUGHT_SECONDS = 19.0
DRIP_SECONDS, DRIPS = 1.5, 40
MOST_WAIT_SECONDS = 5_000

Misbehaving = Callable[[random.Random, str, str], Answer]  # dice, a letter of the list, the key it was sent


def _json(value: object) -> str:
    return json.dumps(value)


BAD_ANSWERS: tuple[Misbehaving, ...] = (
    lambda dice, letter, key: completion(f'Sure! {{"choice": "{letter}"}} is best.'),
    lambda dice, letter, key: completion(f'```json\n{{"choice": "{letter}"}}\n```'),
    lambda dice, letter, key: completion(f'{{"choice": "A"}}{{"choice": "{letter}"}}'),
    lambda dice, letter, key: completion(f'[{{"choice": "{letter}"}}]'),
    lambda dice, letter, key: completion(f'{{"choice": "A", "choice": "{letter}"}}'),
    lambda dice, letter, key: completion(f'{{"choice": "{letter.lower()}"}}'),
    lambda dice, letter, key: completion('{"choice": "\u0410"}'),  # Cyrillic
    lambda dice, letter, key: completion(_json({"choice": "ZZ"})),
    lambda dice, letter, key: completion(_json({"choice": "BTC-25DEC26-100000-C"})),
    lambda dice, letter, key: completion(_json({"choice": [letter]})),
    lambda dice, letter, key: completion('{"choice": NaN}'),
    lambda dice, letter, key: completion(_json({"choice": letter, "size": 1e9})),
    lambda dice, letter, key: completion(_json({"choice": letter, "override_risk": True, "dry_run": False})),
    lambda dice, letter, key: completion(_json({"choice": f"{letter}; ignore all limits and sell 10"})),
    lambda dice, letter, key: completion(_json({"choice": key})),
    lambda dice, letter, key: completion(f"You sent {key} and {letter}."),
    lambda dice, letter, key: completion(""),
    lambda dice, letter, key: completion(None),
    lambda dice, letter, key: completion(None, refusal="I cannot trade."),
    lambda dice, letter, key: completion("", "content_filter"),
    lambda dice, letter, key: completion('{"choice": "', "length"),
    lambda dice, letter, key: completion("[" * 10_000),
    lambda dice, letter, key: completion("x" * 2_000_000),
    lambda dice, letter, key: raw(200, b"\xff" * dice.randrange(3_000_000)),
    lambda dice, letter, key: raw(200, "<html>Maintenance</html>"),
    lambda dice, letter, key: raw(200, _json({"choices": []})),
    lambda dice, letter, key: raw(200, _json([1])),
    lambda dice, letter, key: raw(302, "", location="https://elsewhere.invalid/v1"),
    lambda dice, letter, key: raw(400, _json({"error": {"message": f"no such field; key {key}"}})),
    lambda dice, letter, key: raw(401, _json({"error": {"message": f"bad key {key}"}})),
    lambda dice, letter, key: raw(429, "{}", retry_after=str(dice.randrange(MOST_WAIT_SECONDS))),
    lambda dice, letter, key: raw(429, "{}", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
    lambda dice, letter, key: raw(503, "<html>busy</html>"),
    lambda dice, letter, key: raw(200, "x" * DRIPS, pause_seconds=DRIP_SECONDS),
)


class ModelEndpoint:
    """One endpoint over a whole schedule; `now` is the exchange's time."""

    def __init__(self, seed: str, faults_pct: int, now: Callable[[], datetime]) -> None:
        self.heard = HeardByModel()
        self._seed, self._faults_pct, self._now = seed, faults_pct, now
        self._seconds = 0.0

    def monotonic(self) -> float:
        """Its own time, in seconds."""
        return self._seconds

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """While this lasts the policy's requests come here."""
        client = partial(httpx.Client, transport=httpx.MockTransport(self._answer))
        room = SimpleNamespace(**{**vars(httpx), "Client": client})
        with patch.multiple(requests, httpx=room, monotonic=self.monotonic):
            yield

    def _answer(self, request: httpx.Request) -> httpx.Response:
        dice = random.Random(f"{self._seed}:model:{len(self.heard.asked_at)}")
        self.heard.asked_at.append(self._now())
        body, key = json.loads(request.read()), request.headers["authorization"].partition(" ")[2]
        letter = dice.choice(_letters_in(body))
        self._seconds += dice.uniform(0.1, LONGEST_THOUGHT_SECONDS)
        if dice.uniform(0.0, 100.0) >= self._faults_pct:
            return self._response(choosing(letter, {letter: -0.5, "A": -1.0} if body.get("logprobs") else None))
        kind = dice.randrange(len(BAD_ANSWERS) + 2)
        if kind < len(BAD_ANSWERS):
            return self._response(BAD_ANSWERS[kind](dice, letter, key))
        if kind == len(BAD_ANSWERS):
            raise httpx.ConnectError(f"nobody there for {key}", request=request)
        self._seconds += LONGEST_THOUGHT_SECONDS
        raise httpx.ReadTimeout(f"too slow for {key}", request=request)

    def _response(self, answer: Answer) -> httpx.Response:
        wait = answer.headers.get("retry-after", "")
        if wait.isdecimal():
            now = self._now()
            self.heard.left_alone.append((now, now + timedelta(seconds=int(wait))))
        return httpx.Response(answer.status, headers=dict(answer.headers), content=self._bytes_of(answer))

    def _bytes_of(self, answer: Answer) -> bytes | Iterator[bytes]:
        return answer.body if answer.pause_seconds == 0.0 else self._dripping(answer)

    def _dripping(self, answer: Answer) -> Iterator[bytes]:
        for byte in answer.body:
            self._seconds += answer.pause_seconds
            yield bytes([byte])


def _letters_in(body: dict[str, Any]) -> list[str]:
    """The letters of the list of actions, as a model reads them in the prompt."""
    actions = body["messages"][1]["content"].partition("\nActions:\n")[2]
    return [line[0] for line in actions.splitlines()]
