"""Market paths worked out beforehand: what thousands of accounts look up instead of computing it.

In and out: columns. A path is the market of one seed over the steps of an episode. A moment is one coin at one step of
a path; a row is one call at one step, from the first step at which it is a candidate to the last before it expires.
Prices in coin per contract, sizes in coin, spots in USD. Pure: data, and which entry is where.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.columns import Bools, Floats, Integers

NEVER = 2**31  # a step that no episode reaches


@dataclass(frozen=True, eq=False)
class Bank:
    """Columns by path and step have one path after the other; columns by moment those of the first coin, then those of
    the next. A call's row at a step is its base and the step.

    `of_state`: the observation of an account that has sold nothing. `sale_*` have one line a candidate, best paid
    first. The first rows belong to no call: all of theirs is 0, so that an empty place in an account costs nothing.
    """

    seeds: Integers
    # by path and step
    of_state: NDArray[np.float32]
    day: Integers  # of the calendar, UTC
    is_new_session: Bools  # 08:00 UTC lies between the step before and this one
    # by moment
    spot_usd: Floats
    sale_base: Integers
    sale_expiry: Integers  # hours since 1970
    sale_is_fine: Bools  # no rule forbids it that is not about the account
    sale_delta: Floats
    sale_margin_coin: Floats  # initial margin of one contract, its mark included
    sale_mark_coin: Floats
    sale_earned_coin: Floats  # what the risk engine expects of one contract, after the fee
    sale_bid_coin: Floats  # what it trades at
    sale_shown_coin: Floats  # how much; 0 where an order would not trade
    sale_is_sent: Bools
    # by row
    mark_coin: Floats
    margin_coin: Floats
    delta: Floats
    ask_coin: Floats  # NaN where nobody asks
    moneyness: Floats  # ln(strike / spot)
    dte_days: Floats
    may_buy_back: Bools
    limit_coin: Floats  # of an order to buy it back
    shown_coin: Floats  # how much of it could be bought; 0 where that order would not trade
    expiry: Integers  # hours since 1970
    ends_at_step: Integers  # the first step after it was delivered
    payoff_coin: Floats  # one contract's, at the delivery price
    delivery_fee_coin: Floats

    @property
    def paths(self) -> int:
        return len(self.seeds)

    @property
    def moments_a_path(self) -> int:
        """Steps of an episode, and the state after the last."""
        return len(self.day) // self.paths
