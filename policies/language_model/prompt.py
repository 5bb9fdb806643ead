"""The prompt: what a model is told of a state, in our own words and rounded numbers.

In: a state, the labelled actions, settings. Out: two messages (rules first, which never change and so can be cached by
a server; then the state) and the schema of the answer. No symbol, no note and no error text of anybody else's gets in:
only numbers, letters and the words below. Raises PromptTooLongError. Pure.
You can change the words; then change TEMPLATE too, which stands in every record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from config import AgentConfig
from models import ActionType, AgentState, CandidateOption, MarketSnapshot, OptionPosition, Underlying
from policies.language_model.labels import LabelledAction

TEMPLATE = "1"
MOST_PROMPT_BYTES = 12_000
RULES = """\
You manage covered calls: call options on bitcoin (BTC) and ether (ETH), sold against coins that are held.
Selling a call earns its premium now. If the price ends above the strike, the gain above the strike is given up.
Worth knowing: implied volatility (IV) above realised volatility (RV) means that premiums are rich. A small delta means
that the call will probably expire worthless. Buying back or rolling costs the spread and fees; waiting costs nothing.
Strikes come with their distance from the price, premiums are for one coin and net of the fee, yields a year are those
if the price stays where it is.
You get the state and a list of actions, each under one letter. Every action on the list is allowed; no other exists.
Choose the one that is best for the value of the account until the calls expire.
Answer with one JSON object and nothing else, for example {"choice": "A"}."""


class PromptTooLongError(Exception):
    """The state makes a longer prompt than any that is sent."""


def messages_of(
    state: AgentState, actions: Sequence[LabelledAction], config: AgentConfig
) -> tuple[dict[str, str], ...]:
    """What is sent, as chat messages."""
    user = "\n".join([*_state_lines(state, config), "", "Actions:", *_action_lines(state, actions, config)])
    size_bytes = len((RULES + user).encode())
    if size_bytes > MOST_PROMPT_BYTES:
        raise PromptTooLongError(f"the prompt would have {size_bytes} bytes, at most {MOST_PROMPT_BYTES} are sent")
    return ({"role": "system", "content": RULES}, {"role": "user", "content": user})


def schema_of(actions: Sequence[LabelledAction]) -> dict[str, Any]:
    """The JSON schema of an answer: one field, one of the letters."""
    return {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": [action.label for action in actions]}},
        "required": ["choice"],
        "additionalProperties": False,
    }


# --- the state ------------------------------------------------------------------------------------


def _state_lines(state: AgentState, config: AgentConfig) -> Iterator[str]:
    if not config.llm.hide_market:
        yield f"Date: {state.timestamp:%Y-%m-%d}"
    for coin in config.enabled_underlyings:
        market, risk = state.market(coin), state.risk(coin)
        if market is not None:
            yield _market_line(market, config.llm.hide_market)
        if risk is not None and risk.coins_held > 0.0:
            free_pct = 100.0 * risk.room_coin / risk.coins_held
            yield f"{coin} account: {free_pct:.0f} % of the coins are free"
        for held in state.short_calls(coin):
            yield f"{coin} call held: {_held_words(state, held, config)}"


def _market_line(market: MarketSnapshot, is_hidden: bool) -> str:
    figures = {
        "price": None if is_hidden else f"{_rounded(market.spot_usd)} USD",
        "IV": _pct(market.atm_iv_fraction),
        "RV": _pct(market.rv_fraction),
        "IV/RV": None if market.iv_rv_ratio is None else f"{market.iv_rv_ratio:.2f}",
        "change in 1 day": _pct(market.return_1d_fraction),
        "in 7 days": _pct(market.return_7d_fraction),
        "trend": market.regime,
    }
    known = [f"{name} {value}" for name, value in figures.items() if value is not None]
    return f"{market.underlying} market: {', '.join(known)}"


def _rounded(value: float) -> str:
    """Four digits that count, without an exponent."""
    return f"{float(f'{value:.4g}'):,.8g}".replace(",", "")


def _pct(fraction: float | None) -> str | None:
    return None if fraction is None else f"{100.0 * fraction:.1f} %"


def _held_words(state: AgentState, held: OptionPosition, config: AgentConfig) -> str:
    return (
        f"{_strike_words(state, held, config)}, {held.dte_days:.1f} days left, "
        f"{held.captured_premium_pct:.0f} % of its premium earned"
    )


def _strike_words(state: AgentState, call: CandidateOption | OptionPosition, config: AgentConfig) -> str:
    """How far the strike is from the price; the strike itself unless prices are hidden."""
    market = state.market(call.underlying)
    away = "" if market is None else f"{100.0 * (call.strike / market.spot_usd - 1.0):+.1f} %"
    return away if config.llm.hide_market else f"strike {call.strike:g} ({away})"


# --- the actions ------------------------------------------------------------------------------------


def _action_lines(state: AgentState, actions: Sequence[LabelledAction], config: AgentConfig) -> Iterator[str]:
    for entry in actions:
        yield f"{entry.label}: {_words(state, entry, config)}"


def _words(state: AgentState, entry: LabelledAction, config: AgentConfig) -> str:
    action, coin = entry.action, entry.action.underlying
    held, sold = state.position(action.symbol), state.candidate(action.new_symbol or action.symbol)
    match action.type:
        case ActionType.OPEN_COVERED_CALL if sold is not None and coin is not None:
            return f"sell {coin} call on {_share(state, coin, action.size)}: {_call_words(state, sold, config)}"
        case ActionType.CLOSE_COVERED_CALL if held is not None:
            return f"buy back the {coin} call with {_held_words(state, held, config)}"
        case ActionType.ROLL_COVERED_CALL if held is not None and sold is not None:
            bought = f"the {coin} call with {_strike_words(state, held, config)}"
            return f"buy back {bought}, sell instead: {_call_words(state, sold, config)}"
        case _:
            return "do nothing"


def _share(state: AgentState, coin: Underlying, size: float) -> str:
    risk = state.risk(coin)
    held_coin = 0.0 if risk is None else risk.coins_held
    return "some coins" if held_coin <= 0.0 else f"{100.0 * size / held_coin:.0f} % of the coins"


def _call_words(state: AgentState, call: CandidateOption, config: AgentConfig) -> str:
    spread = "no two-sided market" if call.spread_pct is None else f"spread {call.spread_pct:.0f} %"
    premium = "" if config.llm.hide_market else f"premium {_rounded(call.premium_usd)} USD, "
    return (
        f"{_strike_words(state, call, config)}, {call.dte_days:.1f} days, delta {call.delta:.2f}, {premium}"
        f"{call.yield_if_flat_annual_pct:.0f} % a year, {spread}"
    )
