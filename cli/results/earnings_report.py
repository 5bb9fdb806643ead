"""What a run or an account has earned, as text: two lines a coin after a run, a whole page for --report. Pure.

In: CoinEarnings, from the ledger and the states of the log. Out: lines of at most 80 columns. Amounts in coin with five
decimals, because a fee of 0.00003 is not nothing; USD at the last spot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from core.results.earnings import CoinEarnings

INDENT = " " * 5
EXPLAINED_COIN = 5e-9  # exchanges round balances to eight decimals


def earnings_lines(found: Iterable[CoinEarnings]) -> list[str]:
    """Two lines a coin; nothing of a coin in which nothing happened. Net is against holding; idle is without a call."""
    return [line for coin in found if not coin.is_quiet for line in _two_lines(coin)]


def _two_lines(coin: CoinEarnings) -> Iterator[str]:
    yield (
        f"{coin.currency}  premium {coin.premium_coin:+.5f}  buy-backs {_cost(coin.bought_back_coin)}  "
        f"deliveries {_cost(coin.settled_coin)}  fees {_cost(coin.fees_coin)}"
    )
    usd = "" if coin.net_usd is None else f" ({coin.net_usd:+,.0f} USD)"
    yield (
        f"{INDENT}open {coin.open_value_coin:+.5f}  net {coin.net_coin:+.5f} {coin.currency}{usd}  "
        f"{coin.sold} sold, {_counted(coin.rolls, 'roll')}, {_share(coin)} idle"
    )


def _cost(amount_coin: float) -> str:
    """Nothing paid has no sign."""
    return f"{amount_coin:+.5f}" if amount_coin else "0.00000"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _share(coin: CoinEarnings) -> str:
    """How much of the time no call was sold."""
    return "?" if coin.uncovered_fraction is None else f"{100.0 * coin.uncovered_fraction:.0f} %"


# --- --report ------------------------------------------------------------------------------------------------


def report_text(accounts: Mapping[str, Sequence[CoinEarnings]]) -> str:
    """A page: each account, each coin, every part of the sum and what it comes to."""
    return "\n\n".join("\n".join(_account_lines(name, coins)) for name, coins in accounts.items())


def _account_lines(name: str, coins: Sequence[CoinEarnings]) -> Iterator[str]:
    if not coins:
        yield f"{name}: no state of its account was read"
        return
    first_at = min(coin.first_at for coin in coins)
    last_at = max(coin.last_at for coin in coins)
    days = (last_at - first_at).total_seconds() / 86_400.0
    yield f"{name}: {first_at:%Y-%m-%d %H:%M} to {last_at:%Y-%m-%d %H:%M} UTC, {days:.1f} days"
    for coin in coins:
        yield from _coin_lines(coin)
    yield from _total_lines(coins)


def _coin_lines(coin: CoinEarnings) -> Iterator[str]:
    yield ""
    how_often = f"{_counted(coin.sold, 'call')} sold, {coin.rolls} of them by rolls"
    yield f"{coin.currency}  {how_often}; {_share(coin)} of the time without a call"
    for word, amount_coin in (
        ("premium", coin.premium_coin),
        ("buy-backs", coin.bought_back_coin),
        ("deliveries", coin.settled_coin),
        ("fees", coin.fees_coin),
        ("open calls, change of value", coin.open_value_coin),
        ("net against holding", coin.net_coin),
    ):
        yield f"{INDENT}{word:<28}{amount_coin + 0.0:>+13.8f} {coin.currency}{_in_usd(coin, amount_coin)}"
    yield _level_line("equity", coin, coin.equity_last_coin)
    yield _level_line("holding", coin, coin.holding_coin)
    if coin.moved_coin:
        yield f"{INDENT}{'deposits, transfers, others':<28}{coin.moved_coin:>+13.8f} {coin.currency}"
    if abs(coin.unexplained_coin) > EXPLAINED_COIN:
        yield f"{INDENT}{'not in the ledger of the log':<28}{coin.unexplained_coin:>+13.8f} {coin.currency}"


def _level_line(word: str, coin: CoinEarnings, level_coin: float) -> str:
    usd = "" if coin.spot_last_usd is None else f"{level_coin * coin.spot_last_usd:>16,.2f} USD"
    return f"{INDENT}{word:<28}{level_coin:>13.8f} {coin.currency}{usd}"


def _in_usd(coin: CoinEarnings, amount_coin: float) -> str:
    return "" if coin.spot_last_usd is None else f"{amount_coin * coin.spot_last_usd + 0.0:>+16,.2f} USD"


def _total_lines(coins: Sequence[CoinEarnings]) -> Iterator[str]:
    """All coins in USD, each at its last spot."""
    if len(coins) < 2 or any(coin.spot_last_usd is None for coin in coins):
        return
    equity_usd = math.fsum(coin.equity_last_coin * (coin.spot_last_usd or 0.0) for coin in coins)
    holding_usd = math.fsum(coin.holding_coin * (coin.spot_last_usd or 0.0) for coin in coins)
    yield ""
    difference_usd = equity_usd - holding_usd
    yield f"all  equity {equity_usd:,.2f} USD, holding {holding_usd:,.2f} USD ({difference_usd:+,.2f})"
