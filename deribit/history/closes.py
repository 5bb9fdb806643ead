"""Histories behind market context: closes of hours and of days, and DVOL, read through the client's protocol.

In: a client (network), a coin. Out: price bars and closes; times aware UTC, prices in USD, DVOL as a fraction.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from config import AgentConfig
from core.context.regimes import WINDOW_DAYS
from core.context.year import finished_days
from core.market_context import Closes, near_index
from models import ExchangeClient, InvalidReplyError, PriceBar, RequestRefusedError, Underlying

INDEX_REACHES = ("1m", "1d")  # a month, hour by hour; where that is too little, as in a recording of a day, a finer day


def read_closes(
    client: ExchangeClient, coin: Underlying, spot_usd: float, config: AgentConfig, before: Closes | None = None
) -> Closes:
    """The closes behind realised volatility: the index's, else its perpetual's where they agree with the index.

    `before`: the reading before this one, which saves work. The index's last month is all there is of it in hours: of
    a longer rv_window_days only that month is used.
    Raises DeribitError where the exchange does not answer; that it refuses, or has too little, is no error.
    """
    levels: tuple[PriceBar, ...] = ()
    with suppress(RequestRefusedError, InvalidReplyError):
        for reach in INDEX_REACHES:
            levels = client.get_index_levels(coin, reach)
            if len(levels) > config.run.rv_min_returns:
                return Closes(levels, "index", before)
    now = client.server_now()
    candles = client.get_bars(coin, now - timedelta(days=config.run.rv_window_days + 1), now)
    believed = near_index(candles, (*levels, PriceBar(now, spot_usd)))
    is_perpetual = len(believed) > len(levels)
    return Closes(believed, "perpetual", before) if is_perpetual else Closes(levels, "index", before)


def levels_of_a_year(client: ExchangeClient, coin: Underlying) -> tuple[PriceBar, ...]:
    """The index, day by day; none where the exchange refuses: nothing that trading needs depends on them."""
    with suppress(RequestRefusedError, InvalidReplyError):
        return client.get_index_levels(coin, "1y")
    return ()


def dvol_days_of(client: ExchangeClient, coin: Underlying, now: datetime) -> tuple[PriceBar, ...]:
    """DVOL of the finished days of a year, as a fraction; none where the exchange refuses."""
    with suppress(RequestRefusedError, InvalidReplyError):
        return finished_days(client.get_dvol_days(coin, now - timedelta(days=WINDOW_DAYS), now), now)
    return ()
