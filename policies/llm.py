"""decide_action: a language model picks one letter from the list of allowed actions. Run it with --policy llm.

Any endpoint with OpenAI's chat-completions interface (LLM_BASE_URL, LLM_MODEL, LLM_API_KEY). The model sees figures and
letters, and returns a letter: it cannot name an instrument, a size or anything else, and the risk engine judges its
choice like any other. Whatever goes wrong is doing nothing, under its own name: a fallback is never counted as the
model's decision. Talks to the endpoint, to the cache of replies and to the log of calls: the one policy that may.
"""

from __future__ import annotations

from config import AgentConfig
from models import AgentState, ProposedAction, TradingState
from policies.language_model.asking import Asked, ask_model
from policies.language_model.labels import labelled_actions
from policies.language_model.outcome import chosen, nothing


def decide_action(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """The model's choice, or DO_NOTHING and why. Nobody is asked where there is nothing to choose."""
    if agent_state.kill_switch_on or agent_state.trading_state == TradingState.HALTED:
        return nothing(Asked("blocked", "blocked: no order is sent at all for now"))
    actions = labelled_actions(agent_state)
    if len(actions) == 1:
        return nothing(Asked("only_action", "only_action: nothing else is allowed"))
    asked = ask_model(agent_state, actions, config)
    if asked.outcome != "chosen":
        return nothing(asked)
    return chosen(asked, actions, config)
