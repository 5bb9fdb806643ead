"""The pictures of the live page: price and strikes, gain over holding, payoff, volatility. Pure.

In: figures of an AccountView. Out: SVG. A call's segment runs from its sale to its end at its strike; green made money,
red lost, blue is open. USD and coin; volatility as fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from core.results.earnings import EquityPoint
from core.results.sold_calls import SoldCall
from dashboard.live.payoff import ShortCall
from dashboard.log_index.line import Line
from dashboard.pages import coin as coin_text
from dashboard.pages import number, percent, short_moment
from dashboard.pictures.plot import Plot, nice_levels, spread
from deribit.symbols import parse_symbol

PAYOFF_POINTS = 80
LEAST_SHOWN = 0.06  # of spot, to each side of it


def price_picture(points: Sequence[EquityPoint], calls: Sequence[SoldCall], coin: str, height_px: float) -> Markup:
    """The index of a coin, and every strike sold on it."""
    spots = [(point.at, point.spot_usd) for point in points if point.currency == coin and point.spot_usd is not None]
    if not spots:
        return Markup("")
    strikes = [(call, parse_symbol(call.symbol)) for call in calls if call.currency == coin]
    ends = [parts.expiry for call, parts in strikes if call.closed_at is None and parts.expiry is not None]
    first, last = spots[0][0], max([spots[-1][0], *ends])
    values = [usd for _, usd in spots] + [parts.strike_usd for _, parts in strikes if parts.strike_usd is not None]
    plot = Plot(height_px, (first.timestamp(), last.timestamp()), spread(values), f"{coin} price and strikes sold")
    _levels(plot)
    _days(plot, first, last)
    plot.line([(at.timestamp(), usd) for at, usd in spots], "price")
    for call, parts in strikes:
        if parts.strike_usd is not None:
            began = (call.opened_at or first).timestamp()
            ended = (call.closed_at or parts.expiry or last).timestamp()
            plot.bar(began, ended, parts.strike_usd, _outcome(call), _call_words(call))
    return plot.svg()


def _outcome(call: SoldCall) -> str:
    if call.closed_at is None:
        return "call open"
    return "call good" if (call.pnl_coin or 0.0) > 0.0 else "call bad"


def _call_words(call: SoldCall) -> str:
    made = "" if call.pnl_coin is None else f", {coin_text(call.pnl_coin, 5, sign=True)} {call.currency}"
    return f"{call.symbol}, sold {short_moment(call.opened_at)}, {call.exit.replace('_', ' ')}{made}"


def _levels(plot: Plot, digits: int = 0) -> None:
    for level in nice_levels(*plot.y_range):
        plot.level(level, number(level, digits))


def _days(plot: Plot, first: datetime, last: datetime) -> None:
    """Some days, evenly."""
    step = (last - first) / 5
    for count in range(1, 5):
        at = first + step * count
        plot.moment(at.timestamp(), f"{at:%-d %b}" if step >= timedelta(hours=24) else f"{at:%-d %b %H:%M}")


def gain_picture(points: Sequence[EquityPoint], coin: str, height_px: float) -> Markup:
    """Equity less that of holding, in thousandths of a coin."""
    gains = [
        (point.at.timestamp(), 1000.0 * (point.equity_coin - point.holding_coin))
        for point in points
        if point.currency == coin
    ]
    if len(gains) < 2:
        return Markup("")
    low, high = spread([0.0, *(gain for _, gain in gains)])
    plot = Plot(height_px, (gains[0][0], gains[-1][0]), (low, high), f"gain over holding in {coin}", bottom_px=4.0)
    for level in nice_levels(low, high, 3):
        plot.level(level, number(level, 1))
    plot.line(gains, "gain", is_filled=True)
    return plot.svg()


def payoff_pictures(calls: Sequence[ShortCall], spot_usd: float, coin: str, heights_px: tuple[float, float]) -> Markup:
    """The coins behind the calls at expiry and today, against holding them: in USD, and under it in coin."""
    prices = _prices(calls, spot_usd)
    size = sum(call.size_coin for call in calls)
    expiry = [(price, sum(call.at_expiry_coin(price) for call in calls)) for price in prices]
    today = [(price, _today(calls, price)) for price in prices]
    in_usd = [(price, price * amount) for price, amount in expiry]
    plot = Plot(heights_px[0], (prices[0], prices[-1]), spread([usd for _, usd in in_usd] + [size * prices[-1]], 0.04),
                f"value at expiry in USD against holding {size:g} {coin}")  # fmt: skip
    _sigma_band(plot, calls, spot_usd)
    plot.line([(price, size * price) for price in prices], "holding")
    plot.line([(price, price * amount) for price, amount in today if amount is not None], "today")
    plot.line(in_usd, "payoff")
    plot.moment(spot_usd, f"now {number(spot_usd, 0)}", "spot")
    _strike_and_even(plot, calls[0])
    in_coin = Plot(heights_px[1], plot.x_range, spread([amount for _, amount in expiry] + [size]),
                   f"value at expiry in {coin}", bottom_px=4.0)  # fmt: skip
    in_coin.level(size, "")
    in_coin.text(0.0, in_coin.y(size) + 12.0, f"{size:g} {coin} held")
    in_coin.line([(price, amount) for price, amount in today if amount is not None], "today")
    in_coin.line(expiry, "payoff")
    return plot.svg() + in_coin.svg()


def _strike_and_even(plot: Plot, call: ShortCall) -> None:
    """The strike, and the price above which holding would have been better; words to the left and to the right."""
    plot.moment(call.strike_usd, "", "strike")
    plot.text(plot.x(call.strike_usd) - 0.5, 10.0, f"strike {number(call.strike_usd, 0)}", "end")
    even_usd = call.even_with_holding_usd
    if even_usd is not None and even_usd <= plot.x_range[1]:
        plot.moment(even_usd, "", "even")
        plot.text(plot.x(even_usd) + 0.5, 10.0, f"even {number(even_usd, 0)}")


def _today(calls: Iterable[ShortCall], price_usd: float) -> float | None:
    amounts = [call.today_coin(price_usd) for call in calls]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def _prices(calls: Sequence[ShortCall], spot_usd: float) -> list[float]:
    """Wide enough for the strikes and two and a half deviations."""
    sigma = max(((call.iv_fraction or 0.0) * call.years**0.5 for call in calls), default=0.0)
    reach = max(LEAST_SHOWN, 2.5 * sigma, *(1.3 * abs(call.strike_usd / spot_usd - 1.0) for call in calls))
    low, high = spot_usd * max(0.2, 1.0 - reach), spot_usd * (1.0 + reach)
    even = [low + (high - low) * number_ / PAYOFF_POINTS for number_ in range(PAYOFF_POINTS + 1)]
    return sorted({*even, *(call.strike_usd for call in calls)})


def _sigma_band(plot: Plot, calls: Sequence[ShortCall], spot_usd: float) -> None:
    call = calls[0]
    if call.iv_fraction is not None and call.years > 0.0:
        sigma = call.iv_fraction * call.years**0.5
        plot.band(spot_usd * (1.0 - sigma), spot_usd * (1.0 + sigma), "sigma")


def volatility_picture(samples: Sequence[Line], coin: str, height_px: float) -> Markup:
    """Implied and realised volatility over the log, as percent."""
    name = coin.lower()
    series = {
        kind: [
            (line.at.timestamp(), value)
            for line in samples
            if (value := line.figures.get(f"{figure}_{name}")) is not None
        ]
        for kind, figure in (("rv", "rv"), ("iv", "atm_iv"))
    }
    values = [value for points in series.values() for _, value in points]
    if len(values) < 3:
        return Markup("")
    at = [moment for points in series.values() for moment, _ in points]
    plot = Plot(height_px, (min(at), max(at)), spread(values), f"implied and realised volatility of {coin}", 4.0)
    for level in nice_levels(*plot.y_range, 2):
        plot.level(level, percent(level, 0))
    for kind, points in series.items():
        plot.line(points, kind)
    return plot.svg()


def ratio_picture(ratio: float | None, thresholds: Sequence[tuple[float, str]], height_px: float = 34.0) -> Markup:
    """IV/RV as a bar, with the levels from which something happens."""
    most = max(2.0, *(1.15 * level for level, _ in thresholds), 1.05 * (ratio or 0.0))
    plot = Plot(height_px, (0.0, most), (0.0, 1.0), "IV/RV and its thresholds")
    plot.bar(0.0, most, 0.5, "track", "")
    if ratio is not None:
        plot.bar(0.0, ratio, 0.5, "value", f"IV/RV {number(ratio, 2)}")
    for number_, (level, words) in enumerate(thresholds):
        is_under = number_ % 2 == 0  # words of two levels that lie close together do not meet
        plot.moment(level, words if is_under else "", "strike")
        plot.text(plot.x(level), 10.0, "" if is_under else words, "middle")
    return plot.svg()
