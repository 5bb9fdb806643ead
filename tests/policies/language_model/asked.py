"""A state with three actions (A nothing, B and C a sale), and the policy asked about it at a stub of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config import AgentConfig
from models import ActionType, AgentState, ModelCall, ProposedAction
from policies.call import PolicyAnswer, ask_policy
from policies.llm import decide_action
from state_builder import with_choices
from tests.builders.configs import agent_config
from tests.builders.models_elsewhere.stub import MODEL, Answer, ModelStub, model_stub
from tests.builders.states import a_candidate, a_state

LETTERS = ("A", "B", "C")


def a_state_to_choose_in(config: AgentConfig, **fields: Any) -> AgentState:
    """Two candidates, a coin account without calls, and what the risk engine allows of it."""
    candidates = fields.pop("candidates", (a_candidate("BTC"), a_candidate("ETH")))
    return with_choices(a_state(candidates=candidates, **fields), config)


def a_model_config(folder: Path, url: str, **llm: Any) -> AgentConfig:
    settings = {"base_url": url, "model": MODEL, "timeout_seconds": 27.0, "cache_dir": folder / "cache", **llm}
    return agent_config(folder, llm=settings)


def asked(folder: Path, answer: Answer, **llm: Any) -> ProposedAction:
    """What comes of a model that answers like this; whatever it does, nothing is raised."""
    return asked_of(folder, answer, **llm)[0].action


def asked_of(folder: Path, answer: Answer, **llm: Any) -> tuple[PolicyAnswer, ModelStub]:
    with model_stub(answer) as stub:
        config = a_model_config(folder, stub.url, **llm)
        decided = ask_policy(decide_action, a_state_to_choose_in(config), config)
    assert decided.error is None
    return decided, stub


def call_of(action: ProposedAction) -> ModelCall:
    assert action.model_call is not None
    return action.model_call


def assert_nothing_for(action: ProposedAction, outcome: str, words: str) -> None:
    """DO_NOTHING under this name; never counted as what the model wanted."""
    assert action.type == ActionType.DO_NOTHING
    assert call_of(action).outcome == outcome
    assert action.reason.startswith(f"{outcome}: ")
    assert words in action.reason
    assert all(option.probability == (option.label == "nothing") for option in action.choices)
