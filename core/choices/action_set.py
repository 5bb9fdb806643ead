"""Everything that could be done in a state: nothing; per coin sell each candidate, buy back, roll to each candidate.

In: a state whose candidates have their scores, settings. Out: Choices, not judged yet; which of them are allowed is
the risk engine's word. A sale is of order_size, a buy-back and a roll of the whole call, but no more than
max_order_size; both in coin. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from config import AgentConfig
from core.choices.scoring import buy_back_parts, sale_parts, total
from models import ActionType, AgentState, CandidateOption, Choice, OptionPosition

NOTHING = Choice(type=ActionType.DO_NOTHING, label="nothing")


def scored(call: CandidateOption, state: AgentState, config: AgentConfig) -> CandidateOption:
    """The same call with the parts of its score."""
    parts = sale_parts(call, state.market(call.underlying), config)
    return call.model_copy(update={"score_parts": parts})


def possible_choices(state: AgentState, config: AgentConfig) -> Iterator[Choice]:
    """Doing nothing first, then coin by coin; candidates in the order of the state."""
    yield NOTHING
    for coin in config.enabled_underlyings:
        calls = state.candidates_for(coin)
        yield from (_sale(call, config) for call in calls)
        for held in state.short_calls(coin):
            yield from _buy_backs(held, calls, state, config)


def _sale(call: CandidateOption, config: AgentConfig) -> Choice:
    return Choice(
        type=ActionType.OPEN_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=config.strategy(call.underlying).order_size,
        label=f"open {call.symbol}",
        score=call.score,
    )


def _buy_backs(
    held: OptionPosition, calls: tuple[CandidateOption, ...], state: AgentState, config: AgentConfig
) -> Iterator[Choice]:
    coin, symbol, market = held.underlying, held.symbol, state.market(held.underlying)
    size = min(held.size, config.strategy(coin).max_order_size)
    parts = () if market is None else buy_back_parts(held, market.spot_usd, config.score)
    score_of_closing = total(parts)
    yield Choice(
        type=ActionType.CLOSE_COVERED_CALL,
        underlying=coin,
        symbol=symbol,
        size=size,
        label=f"close {symbol}",
        score=score_of_closing,
        score_parts=parts,
    )
    for call in calls:
        yield Choice(
            type=ActionType.ROLL_COVERED_CALL,
            underlying=coin,
            symbol=symbol,
            new_symbol=call.symbol,
            size=size,
            label=f"roll {symbol} > {call.symbol}",
            score=score_of_closing + call.score,
        )
