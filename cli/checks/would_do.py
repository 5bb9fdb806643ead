"""What an iteration would decide now, without doing it: the last line of --check.

In: a client that can look but not send, settings, the mode of the run. Out: one sentence. Asks the exchange and reads
what earlier runs have logged; takes no lock, cancels nothing, writes nothing. An order of ours that rests stays, though
the next iteration would take it back before it decides.
"""

from __future__ import annotations

from cli.assembly import LASTING_MODES, last_record_of
from cli.policy_file import load_policy
from config import AgentConfig
from core.breaker import Breaker
from models import ActionType, AgentError, AgentState, ExchangeClient, ProposedAction
from orders.order_log import OrderMemory
from orders.trading_state import TradingStateKeeper, breaker_of
from policies.call import ask_policy
from risk_engine import judge_action
from state_builder import build_agent_state, with_choices


def would_do(client: ExchangeClient, config: AgentConfig, mode: str) -> str:
    """The action and its reason, or why nothing would be done. Raises AgentError: no state, no policy, or it failed."""
    policy, _ = load_policy(config.run.policy)
    state = _limited(build_agent_state(client, config), client, config, mode)
    answer = ask_policy(policy, state, config)
    if answer.error is not None:
        raise AgentError(f"the policy failed: {answer.error.strip().splitlines()[-1]}")
    if answer.action.type == ActionType.DO_NOTHING:
        return f"nothing: {answer.action.reason}"
    verdict = judge_action(state, answer.action, config)
    if not verdict.allowed:
        reasons = "; ".join(map(str, verdict.reasons))
        return f"nothing: {_order(answer.action)} is blocked: {reasons}"
    return f"{_order(answer.action)}: {answer.action.reason}"


def _limited(state: AgentState, client: ExchangeClient, config: AgentConfig, mode: str) -> AgentState:
    """The state with what earlier runs forbid: a halt, orders whose fate is open, the orders of today."""
    orders, breaker = OrderMemory(), Breaker()
    if mode in LASTING_MODES and config.run.log_dir.is_dir():
        orders.read_back(config.run.log_dir, f"{client.clock.now():%Y-%m-%d}", mode)
        breaker = breaker_of(*last_record_of(config, mode), orders)
    keeper = TradingStateKeeper(orders, config.risk, breaker)
    limited = keeper.limit(state, disk_problem=None, may_trade=client.may_trade, cancelled=())
    return with_choices(limited, config)


def _order(action: ProposedAction) -> str:
    symbols = action.symbol if action.new_symbol is None else f"{action.symbol} for {action.new_symbol}"
    return f"{action.type} {action.size:g} {symbols}"
