"""What people and other programs do to the account while the agent runs: rows X21, X22, X23, X33, X35, X37 to X39.

In: the venue and dice. Out: whether it could be done. All of it is real on the paper exchange: the orders are placed,
the positions held, the coins gone. Amounts and prices in coin.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from paper_exchange.account.orders import Direction
from paper_exchange.market.market import Listing
from tests.campaign.world.market import COINS
from tests.campaign.world.venue import Venue

FOREIGN_LABELS = ("", "web", "other-bot-17")
LIKE_OURS = ("cc-january", "cc-260105120000-abcdef-sell-2", "cc-260105120000-ABCDEF-sell", "cc-", "cc-1-sell")


def foreign_order(venue: Venue, dice: random.Random) -> bool:
    """A person offers a call, or bids for one, away from the market: it rests."""
    listing = _any_call(venue, dice)
    direction: Direction = "sell" if dice.random() < 0.8 else "buy"
    return _place(venue, dice, listing, direction, 1.3 if direction == "sell" else 0.7)


def label_like_ours(venue: Venue, dice: random.Random) -> bool:
    """A person's order whose label begins as the agent's do."""
    return _place(venue, dice, _any_call(venue, dice), "sell", 1.3, LIKE_OURS)


def other_kind_of_order(venue: Venue, dice: random.Random) -> bool:
    """A combo, an option settled in USDC, a future or spot is on offer."""
    venue.foreign.place(dice, venue.account.now_ms)
    return True


def fields_left_out(venue: Venue, dice: random.Random) -> bool:
    """From now on, for good: orders of other hands are shown without some of their fields, and there is one."""
    venue.foreign.leave_out(dice)
    return foreign_order(venue, dice)


def foreign_position(venue: Venue, dice: random.Random) -> bool:
    """A person buys a call, sells a put, or sells a call that trades at once."""
    kind = dice.randrange(3)
    if kind == 0:
        return _place(venue, dice, _any_call(venue, dice), "buy", 2.0)
    listing = _any_put(venue, dice) if kind == 1 else _any_call(venue, dice)
    return _place(venue, dice, listing, "sell", 0.5)


def _place(
    venue: Venue,
    dice: random.Random,
    listing: Listing,
    direction: Direction,
    factor: float,
    labels: tuple[str, ...] = FOREIGN_LABELS,
) -> bool:
    quote = venue.market.quote(listing.name)
    if quote is None:
        return False
    price = _on_grid(quote.mark_coin * factor)
    amount = round(listing.min_trade_amount * dice.randint(1, 3), 8)
    return venue.foreign_order(listing.name, direction, amount, price, dice.choice(labels))


def _on_grid(price_coin: float) -> float:
    """A price that is on the coarse grid of ticks too."""
    return max(0.0005, round(round(price_coin / 0.0005) * 0.0005, 4))


def _any_call(venue: Venue, dice: random.Random) -> Listing:
    return dice.choice([row for row in venue.market.listings(dice.choice(COINS)) if row.is_call])


def _any_put(venue: Venue, dice: random.Random) -> Listing:
    return dice.choice([row for row in venue.market.listings(dice.choice(COINS)) if not row.is_call])


def withdrawal(venue: Venue, dice: random.Random) -> bool:
    """Half of a coin's balance leaves."""
    venue.withdraw(dice.choice(COINS), 0.5)
    return True


def wipe(venue: Venue, dice: random.Random) -> bool:
    venue.wipe()
    return True


def liquidation(venue: Venue, dice: random.Random) -> bool:
    """The exchange buys back a short call by itself; False where there is none."""
    held = [name for name, p in venue.account.state.positions.items() if p.size < 0.0 and name.endswith("-C")]
    if not held:
        return False
    name = dice.choice(sorted(held))
    size, quote = -venue.account.state.size_of(name), venue.market.quote(name)
    if quote is None:
        return False
    price = _on_grid(2.0 * quote.mark_coin)
    venue.market.push(name, "buy", price, None)
    return venue.foreign_order(name, "buy", size, price, "liquidation")


ACTS: dict[str, Callable[[Venue, random.Random], bool]] = {
    "X21": foreign_order,
    "X22": foreign_position,
    "X23": withdrawal,
    "X33": wipe,
    "X35": liquidation,
    "X37": other_kind_of_order,
    "X38": fields_left_out,
    "X39": label_like_ours,
}
