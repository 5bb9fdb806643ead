"""An action as the risk engine looks at it: what is sold and bought back, how much of it, and what margin it takes.

In: a state, an action, settings. Out: a ProposedTrade and its figures; sizes and margins in coin, spot in USD. Margin
by Deribit's standard-margin formula, on the coin's own account, on totals for cross-margin accounts. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from config import AgentConfig
from core.pricing import floor_to_step, short_call_initial_margin_coin, trade_fee_coin
from models import (
    ROUNDING,
    AgentState,
    CandidateOption,
    CoinAccount,
    CoinRisk,
    MarketSnapshot,
    OptionPosition,
    Underlying,
)


@dataclass(slots=True)
class ProposedTrade:
    """An action with everything the rules look at. `sold` and `bought_back` are None where there is no such leg.

    `options`: what would be traded, one order each. `sold_size`: what would be sold. Both are worked out once, as a
    dozen rules ask for them, of dozens of trades of a state.
    """

    state: AgentState
    config: AgentConfig
    underlying: Underlying
    market: MarketSnapshot
    account: CoinAccount
    risk: CoinRisk
    sold: CandidateOption | None
    bought_back: OptionPosition | None
    size: float
    options: tuple[CandidateOption | OptionPosition, ...] = field(init=False)
    sold_size: float = field(init=False)

    def __post_init__(self) -> None:
        self.options = tuple(filter(None, (self.sold, self.bought_back)))
        self.sold_size = self._sold_size()

    def _sold_size(self) -> float:
        """A roll sells no more than there is room for once the old call is bought back."""
        if self.sold is None or self.bought_back is None:
            return self.size
        free = self.risk.coins_held - self.risk.short_calls_coin - self.risk.resting_sells_coin
        room = floor_to_step(free + self.size + ROUNDING, self.sold.min_trade_amount_coin)
        return min(self.size, room)

    @property
    def freed_size(self) -> float:
        return 0.0 if self.bought_back is None else self.size


def estimated_margin_pct(trade: ProposedTrade) -> float | None:
    """Initial margin in percent of margin balance after a sale at the bid (or as asked) and a buy-back at the ask.

    Portfolio-margin accounts are judged by the same standard-margin formula, which asks for more.
    """
    added, cash = -freed_margin_coin(trade), 0.0
    if trade.sold is not None:
        call = trade.sold
        size, price, spot_usd = trade.sold_size, call.sale_price_coin, trade.market.spot_usd
        added += size * short_call_initial_margin_coin(spot_usd, call.strike, call.mark_price_coin)
        cash += size * price - trade_fee_coin(price, size)
    if trade.bought_back is not None:
        ask = trade.bought_back.ask_price_coin or trade.bought_back.mark_price_coin
        cash -= trade.size * ask + trade_fee_coin(ask, trade.size)
    return margin_pct(trade, added, cash)


def freed_margin_coin(trade: ProposedTrade) -> float:
    held = trade.bought_back
    if held is None:
        return 0.0
    return trade.size * short_call_initial_margin_coin(trade.market.spot_usd, held.strike, held.mark_price_coin)


def margin_pct(trade: ProposedTrade, added_margin_coin: float, added_cash_coin: float) -> float | None:
    account = trade.account
    if not account.is_cross_margin:
        used, balance = account.initial_margin_coin + added_margin_coin, account.margin_balance_coin + added_cash_coin
        return None if balance <= 0.0 else 100.0 * used / balance
    if account.total_initial_margin_usd is None or account.total_margin_balance_usd is None:
        return None
    used_usd = account.total_initial_margin_usd + added_margin_coin * trade.market.spot_usd
    balance_usd = account.total_margin_balance_usd + added_cash_coin * trade.market.spot_usd
    return None if balance_usd <= 0.0 else 100.0 * used_usd / balance_usd
