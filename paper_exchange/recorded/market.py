"""The recorded market: option chains from files, played back in order.

In: chain files (`files.py`), and where given hourly candles and delivery prices. Out: the Market protocol
of market.py (coin, USD, fractions, ms). Nothing later than the clock is ever shown, with one exception: a delivery
price may be worked out with the snapshot after the expiry, because it is what the exchange settled at. Between
snapshots the last quotes stand with their old timestamp. Keeps one parsed chain a coin.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from paper_exchange.market.bars import group_bars, opened_at, point
from paper_exchange.market.clocks import HOUR_MS, MINUTE_MS, Milliseconds, RecordedClock
from paper_exchange.market.market import Bar, DeliveryPrice, Listing, MarketClock, Quote
from paper_exchange.market.names import parse_option_name
from paper_exchange.recorded.chain import RecordedChain, SnapshotColumns, chain_at, snapshot_columns
from paper_exchange.recorded.columns_file import ColumnFiles
from paper_exchange.recorded.files import COINS, RecordHead, RecordingError, RecordReader, scan_recording
from paper_exchange.recorded.listed import ListedNames, listing_of
from paper_exchange.recorded.tables import check_overlap, read_candles, read_delivery_prices

SNAPSHOT_SPAN_MS = MINUTE_MS


class RecordedMarket:
    """Quotes as they were recorded, one snapshot of all coins at a time."""

    def __init__(
        self,
        files: Path,
        clock: MarketClock | None = None,
        candles: Path | None = None,
        delivery_prices: Path | None = None,
        columns_folder: Path | None = None,
    ) -> None:
        """Reads every line, so that damage shows here. Raises RecordingError.

        `columns_folder`: where parsed chains are kept for the next time (columns_file.py).
        """
        self._columns = None if columns_folder is None else ColumnFiles(columns_folder)
        found = scan_recording(files) if self._columns is None else self._columns.scan(files)
        heads = [head for head in found if head.currency in COINS]
        if len(heads) == 0:
            raise RecordingError(f"{files}: no BTC or ETH snapshot in it")
        self.kind = "recorded"
        self.clock: MarketClock = RecordedClock(wake_times(heads)) if clock is None else clock
        self._milliseconds = Milliseconds(self)
        self.currencies = tuple(coin for coin in COINS if any(head.currency == coin for head in heads))
        self._tracks = {coin: _Track([head for head in heads if head.currency == coin]) for coin in COINS}
        self._listed_at_ms = heads[0].recorded_at_ms
        self._listed = {coin: ListedNames(self._listed_at_ms) for coin in COINS}
        self._reader = RecordReader()
        self._chains: dict[str, tuple[RecordHead, RecordedChain]] = {}
        self._candles = read_candles(candles) if candles is not None else {}
        if candles is not None:
            check_overlap(candles, self._candles, {coin: self._tracks[coin].span_ms for coin in self.currencies})
        self._delivery_prices = read_delivery_prices(delivery_prices) if delivery_prices is not None else {}

    def index_price(self, currency: str) -> float | None:
        head = self._current_head(currency)
        return None if head is None else head.index_price_usd

    def listings(self, currency: str) -> Sequence[Listing]:
        chain = self._chain(currency)
        if chain is None:
            return ()
        return chain.listings_after(self._milliseconds.now())

    def listing(self, name: str) -> Listing | None:
        """From the current chain; an expired one from its name, so that old positions can be settled."""
        parts = parse_option_name(name)
        if parts is None:
            return None
        if parts.expires_at_ms <= self._milliseconds.now():
            return listing_of(name, self._listed_at_ms)
        chain = self._chain(parts.currency)
        row = None if chain is None else chain.listings.row_of.get(name)
        return None if chain is None or row is None else chain.listings[row]

    def quotes(self, currency: str) -> Sequence[Quote]:
        chain = self._chain(currency)
        return () if chain is None else chain.quotes_after(self._milliseconds.now())

    def quote(self, name: str) -> Quote | None:
        parts = parse_option_name(name)
        if parts is None or parts.expires_at_ms <= self._milliseconds.now():
            return None
        chain = self._chain(parts.currency)
        return None if chain is None else chain.quotes.find(name)

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        """From the file where it has one, else a straight line between the indices recorded around the expiry."""
        if expires_at_ms > self._milliseconds.now() or currency not in self._tracks:
            return None
        known = self._delivery_prices.get((currency, expires_at_ms))
        if known is not None:
            return known
        price_usd = self._tracks[currency].interpolated_price(expires_at_ms)
        return None if price_usd is None else DeliveryPrice(price_usd, is_approximate=True)

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        """From the recorded index up to now; full hours also from the candles, which then win."""
        if currency not in self._tracks:
            return ()
        at_ms = self._milliseconds.now()
        width_ms = minutes * MINUTE_MS
        first_ms = -(-start_ms // width_ms) * width_ms
        last_ms = min(end_ms // width_ms * width_ms + width_ms - 1, at_ms)
        fine_ms = min(width_ms, HOUR_MS)
        bars = {bar.opened_at_ms: bar for bar in self._tracks[currency].bars(first_ms, last_ms, fine_ms)}
        if fine_ms == HOUR_MS:
            bars.update({bar.opened_at_ms: bar for bar in self._closed_candles(currency, first_ms, last_ms)})
        in_order = [bars[opened_at_ms] for opened_at_ms in sorted(bars)]
        are_done = fine_ms == width_ms and currency not in self._candles  # those of a file need not be on the grid
        return in_order if are_done else group_bars(in_order, width_ms)

    def volatility_index_bars(
        self,
        currency: str,  # noqa: ARG002
        start_ms: int,  # noqa: ARG002
        end_ms: int,  # noqa: ARG002
        seconds: int,  # noqa: ARG002
    ) -> Sequence[Bar]:
        """Not recorded."""
        return ()

    def _closed_candles(self, currency: str, first_ms: int, last_ms: int) -> list[Bar]:
        candles = self._candles.get(currency, [])
        begin = bisect_left(candles, first_ms, key=opened_at)
        last_open_ms = min(last_ms, self._milliseconds.now() - HOUR_MS)
        return candles[begin : bisect_right(candles, last_open_ms, key=opened_at)]

    def _current_head(self, currency: str) -> RecordHead | None:
        track = self._tracks.get(currency)
        return None if track is None else track.head_at(self._milliseconds.now())

    def _chain(self, currency: str) -> RecordedChain | None:
        """The chain that stands now. Both coins are read together: in a shared file, forward is cheap."""
        head = self._current_head(currency)
        if head is None:
            return None
        loaded = self._chains.get(currency)
        if loaded is None or loaded[0] is not head:
            self._load_current()
        return self._chains[currency][1]

    def _load_current(self) -> None:
        heads = [head for coin in self.currencies if (head := self._current_head(coin)) is not None]
        for head in sorted(heads, key=lambda head: (head.path, head.offset)):
            loaded = self._chains.get(head.currency)
            if loaded is None or loaded[0] is not head:
                self._chains[head.currency] = head, self._chain_of(head)

    def _chain_of(self, head: RecordHead) -> RecordedChain:
        columns = self._snapshot(head)
        return chain_at(columns, head, self._listed[head.currency].listings(columns.names))

    def _snapshot(self, head: RecordHead) -> SnapshotColumns:
        kept = None if self._columns is None else self._columns.columns(head)
        return snapshot_columns(self._reader.read(head), head) if kept is None else kept


class _Track:
    """The snapshots of one coin by time."""

    def __init__(self, heads: list[RecordHead]) -> None:
        self._heads = heads
        self._times_ms = [head.recorded_at_ms for head in heads]
        self._bars: dict[int, list[Bar]] = {}  # of the whole recording, by width

    @property
    def span_ms(self) -> tuple[int, int]:
        """The first and the last time."""
        return self._times_ms[0], self._times_ms[-1]

    def head_at(self, at_ms: int) -> RecordHead | None:
        position = bisect_right(self._times_ms, at_ms)
        return self._heads[position - 1] if position > 0 else None

    def bars(self, first_ms: int, last_ms: int, width_ms: int) -> list[Bar]:
        """From a full multiple of the width on. Bars that are over were joined once; of the last one only its past."""
        if width_ms not in self._bars:
            self._bars[width_ms] = self._joined(0, len(self._heads), width_ms)
        whole = self._bars[width_ms]
        begin = bisect_left(whole, first_ms, key=opened_at)
        end = max(begin, bisect_right(whole, last_ms + 1 - width_ms, key=opened_at))
        since_ms = max(first_ms, whole[end - 1].opened_at_ms + width_ms) if end > begin else first_ms
        rest = bisect_left(self._times_ms, since_ms), bisect_right(self._times_ms, last_ms)
        return whole[begin:end] + self._joined(*rest, width_ms)

    def _joined(self, begin: int, end: int, width_ms: int) -> list[Bar]:
        points = (point(head.recorded_at_ms, head.index_price_usd) for head in self._heads[begin:end])
        return group_bars(points, width_ms)

    def interpolated_price(self, at_ms: int) -> float | None:
        """Index at a time between two snapshots; the last one stands after the end, nothing before the start."""
        before = self.head_at(at_ms)
        if before is None:
            return None
        position = bisect_right(self._times_ms, at_ms)
        if position == len(self._heads):
            return before.index_price_usd
        after = self._heads[position]
        share = (at_ms - before.recorded_at_ms) / (after.recorded_at_ms - before.recorded_at_ms)
        return before.index_price_usd + share * (after.index_price_usd - before.index_price_usd)


def wake_times(heads: Sequence[RecordHead]) -> list[int]:
    """One time a snapshot: coins recorded within a minute of each other belong together, the last one counts."""
    groups: list[list[RecordHead]] = []
    for head in heads:
        if len(groups) == 0 or not _belongs(head, groups[-1]):
            groups.append([])
        groups[-1].append(head)
    return [group[-1].recorded_at_ms for group in groups]


def _belongs(head: RecordHead, group: list[RecordHead]) -> bool:
    is_near = head.recorded_at_ms - group[0].recorded_at_ms <= SNAPSHOT_SPAN_MS
    return is_near and all(head.currency != other.currency for other in group)
