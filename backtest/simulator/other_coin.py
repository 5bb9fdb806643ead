"""Files of one coin under the other's name: found by their prices, before a run makes figures of them. Pure.

In: candles by coin, and prices in USD that are known at moments (of a recording, or delivery prices). Out: nothing, or
a ConfigurationError with both prices. Exchanges differ by a few percent, coins by much more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from models import ConfigurationError
from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.market import Bar

MOST_APART = 1.25  # times; of pairs against USDT 1.03 have been seen


def refuse_swapped_candles(candles: Mapping[str, Sequence[Bar]]) -> None:
    """An ether has never cost as much as a bitcoin."""
    bitcoin, ether = candles.get("BTC"), candles.get("ETH")
    if bitcoin and ether and ether[-1].close >= bitcoin[-1].close:
        raise ConfigurationError(
            f"candles: BTC ends at {bitcoin[-1].close:,.0f} USD and ETH at {ether[-1].close:,.0f}: "
            "their files are swapped"
        )


def refuse_another_coin(
    candles: Mapping[str, Sequence[Bar]], known_usd: Mapping[tuple[str, int], float], source: str
) -> None:
    """`known_usd` by coin and moment in ms, which `source` tells; the middle one of each coin counts."""
    for coin, bars in candles.items():
        closes = {bar.opened_at_ms: bar.close for bar in bars}
        pairs = [
            (price_usd, closes[at_ms - at_ms % HOUR_MS])
            for (name, at_ms), price_usd in known_usd.items()
            if name == coin and at_ms - at_ms % HOUR_MS in closes
        ]
        if not pairs:
            continue
        times = median(price_usd / close for price_usd, close in pairs)
        if not 1.0 / MOST_APART < times < MOST_APART:
            price_usd, close = pairs[-1]
            raise ConfigurationError(
                f"{coin}: {source} says {price_usd:,.0f} USD where the candles say {close:,.0f}: "
                "one of them is of another coin"
            )
