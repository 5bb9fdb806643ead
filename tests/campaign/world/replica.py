"""A copy of the exchange's books that is up to half a minute behind: row X40 of the catalogue.

In: the venue's exchange and account, the requests that move an order. Out: an exchange that answers private reads as
they were just before the first of these requests, until the copy catches up. All reads lag together: look-ups by
label, open orders, positions, accounts, ledger. Times aware UTC.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta

from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from tests.campaign.world.market import CampaignMarket

LAGS_SECONDS = (2.0, 10.0, 20.0, 25.0, 30.0)
MOVES_AN_ORDER = frozenset({"private/buy", "private/sell", "private/edit"})


class _FrozenAccount(PaperAccount):
    """An account in which nothing happens any more."""

    def advance(self, has_time_passed: bool = True) -> None:
        """Neither fills nor settlements reach the copy."""


class Replica:
    """The copy. `is_standing`: whether reads are answered from it at all."""

    def __init__(self, market: CampaignMarket, exchange: PaperExchange) -> None:
        self.is_standing = False
        self._market, self._exchange = market, exchange
        self._behind: PaperExchange | None = None
        self._behind_until = datetime.min.replace(tzinfo=UTC)
        self._revision = 0

    def before_request(self, method: str, now: datetime) -> None:
        """An order arrives: from here on the copy falls behind, unless it already is."""
        if not self.is_standing or method not in MOVES_AN_ORDER or self._is_behind(now):
            return
        account = self._exchange.account
        frozen = _FrozenAccount(self._market, state=deepcopy(account.state))
        self._behind = PaperExchange(self._market, frozen)
        self._behind._authority = self._exchange._authority  # tokens are the same everywhere
        self._revision = account.revision
        lag_seconds = LAGS_SECONDS[(now.second * 7 + now.microsecond // 1000) % len(LAGS_SECONDS)]
        self._behind_until = now + timedelta(seconds=lag_seconds)

    def answering(self, method: str, now: datetime) -> PaperExchange | None:
        """The copy, where it answers this request and knows less than the exchange; None where the exchange does."""
        is_read = method.startswith("private/get_")
        if not (is_read and self._is_behind(now)) or self._exchange.account.revision == self._revision:
            return None
        return self._behind

    def catch_up(self) -> None:
        self._behind = None

    def _is_behind(self, now: datetime) -> bool:
        return self._behind is not None and now < self._behind_until
