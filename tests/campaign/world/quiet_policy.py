"""A policy that never wants anything: for iterations in which only what is left over is put right. Pure."""

from __future__ import annotations

from config import AgentConfig
from models import ActionType, AgentState, ProposedAction


def decide_action(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """Always DO_NOTHING."""
    return ProposedAction(type=ActionType.DO_NOTHING, reason="a quiet iteration")
