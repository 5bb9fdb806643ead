"""One summary a day, after 08:05 UTC: what the day earned, as a sum that adds up.

In: a log, the day. Out: a Message from the first state after 08:05 of the day before to the first one of this day; None
where there are no two. Amounts in coin with eight decimals; premium, buy-backs, deliveries, fees and the change of open
value add up to net, net with what was moved and what no entry explains to the change of equity. Reads the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta

from core.results.earnings import CoinEarnings
from dashboard.ask.log_view import END, LogView, Span
from dashboard.log_index.line import Line
from dashboard.notify.messages import Message

SUMMARY_TIME = time(8, 5)  # UTC: the settlement of 08:00 is booked by then
EXPLAINED_COIN = 5e-9  # exchanges round balances to eight decimals


def summary_moment(at: datetime) -> datetime:
    """The newest 08:05 UTC that is not after a moment."""
    moment = datetime.combine(at.date(), SUMMARY_TIME, tzinfo=at.tzinfo)
    return moment if moment <= at else moment - timedelta(days=1)


def daily_summary(view: LogView, moment: datetime) -> Message | None:
    """Of the day that ended at that 08:05."""
    first = view.first(Span(moment - timedelta(days=1), moment))
    last = view.first(Span(moment, END))
    if first is None or last is None:
        return None
    lines = [*_coin_lines(view.earned(first, last)), _count_line(view.lines(Span(first.at, last.at)))]
    title = f"{first.mode}: {first.at:%-d %b %H:%M} to {last.at:%-d %b %H:%M} UTC"
    return Message("summary", f"summary {moment.date()}", title, "\n".join(lines), last.at, view.account)


def _coin_lines(rows: Sequence[CoinEarnings]) -> Iterator[str]:
    for row in rows:
        if row.is_quiet and not row.moved_coin:
            yield f"{row.currency}: nothing sold, equity {row.equity_last_coin:.8f}"
            continue
        parts = [
            ("premium", row.premium_coin),
            ("buy-backs", row.bought_back_coin),
            ("deliveries", row.settled_coin),
            ("fees", row.fees_coin),
            ("open value", row.open_value_coin),
        ]
        said = " ".join(f"{word} {_signed(amount)}" for word, amount in parts)
        usd = "" if row.net_usd is None else f" ({row.net_usd:+,.2f} USD)"
        yield f"{row.currency}: {said} = net {_signed(row.net_coin)}{usd}"
        yield _equity_line(row)


def _equity_line(row: CoinEarnings) -> str:
    parts = [("net", row.net_coin)]
    parts += [("moved", row.moved_coin)] if row.moved_coin else []
    parts += [("not in the ledger", row.unexplained_coin)] if abs(row.unexplained_coin) > EXPLAINED_COIN else []
    said = " ".join(f"{word} {_signed(amount)}" for word, amount in parts)
    change_coin = row.equity_last_coin - row.equity_first_coin
    return f"{row.currency} equity {row.equity_last_coin:.8f}, changed by {_signed(change_coin)} = {said}"


def _signed(amount_coin: float) -> str:
    return f"{round(amount_coin, 8) + 0.0:+.8f}"


def _count_line(lines: Sequence[Line]) -> str:
    trades = len([1 for line in lines if line.executed_status in ("filled", "partly_filled")])
    errors = len([1 for line in lines if line.error is not None])
    blocked = len([1 for line in lines if line.blocked_by is not None])
    return f"{len(lines)} decisions, {trades} that traded, {errors} with an error, {blocked} blocked"
