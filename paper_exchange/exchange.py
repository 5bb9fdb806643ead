"""The paper exchange: one HTTP request in, one HTTP reply out, as Deribit's JSON-RPC over HTTP.

In: HTTP method, path, query, body, headers. Out: status (200 with a result, 400 with an error) and JSON bytes.
Before every call the account catches up with the market's clock and quotes. No sockets here: `transport.py` and
`server.py` carry the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paper_exchange.account.account import PaperAccount
from paper_exchange.api.auth import Authority, SignedParts
from paper_exchange.api.private_api import PrivateApi, needs_trading_scope
from paper_exchange.api.public_api import PublicApi
from paper_exchange.api.rpc import Call, read_call, reply_bytes
from paper_exchange.market import errors
from paper_exchange.market.errors import RpcError
from paper_exchange.market.market import Market
from paper_exchange.market.times import to_us

AGENT = "covered-call-agent"  # how the agent names itself


class PaperExchange:
    """A market, an account on it, and the rules of calling them.

    `credentials` (id, secret): the only key pair accepted, None accepts any. `on_change` is called with the
    account whenever a call has changed it, before the reply leaves: the moment to save it. `speed`: seconds of the
    market's clock in a second; the agent, which waits by its own clock, is refused unless it is 1.
    """

    def __init__(
        self,
        market: Market,
        account: PaperAccount,
        credentials: tuple[str, str] | None = None,
        on_change: Callable[[PaperAccount], None] | None = None,
        speed: float = 1.0,
    ) -> None:
        self.market = market
        self.account = account
        self._on_change = on_change
        self._public = PublicApi(market)
        self._private = PrivateApi(account)
        self._speed = speed
        self._authority = Authority(market.clock, credentials)

    def handle(
        self, http_method: str, path: str, query: str | bytes, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Answer one request; header names in any case."""
        started_us = to_us(self.market.clock.now())
        revision = self.account.revision
        query_text = query if isinstance(query, str) else query.decode("ascii", errors="replace")
        call: Call | None = None
        try:
            self._check_pace(headers)
            call = read_call(http_method, path, query_text, body)
            self.account.advance()
            signed = SignedParts(http_method, f"{path}?{query_text}" if query_text else path, body)
            outcome, status = {"result": self._result(call, headers, signed)}, 200
        except RpcError as refusal:
            outcome, status = {"error": refusal.body()}, 400
        # A refused call can have changed the account too: time went on before it.
        if self._on_change is not None and self.account.revision != revision:
            self._on_change(self.account)
        return status, reply_bytes(call, outcome, started_us, to_us(self.market.clock.now()))

    def _check_pace(self, headers: Mapping[str, str]) -> None:
        caller = next((value for name, value in headers.items() if name.lower() == "user-agent"), "")
        if self._speed != 1.0 and caller.startswith(AGENT):
            raise errors.invalid_request(
                f"this exchange runs at --speed {self._speed:g} and the agent waits in real seconds: "
                "start the exchange without --speed, or the agent with --market simulated"
            )

    def _result(self, call: Call, headers: Mapping[str, str], signed: SignedParts) -> Any:
        if call.method == "public/auth":
            return self._authority.grant(call.params)
        if call.method.startswith("public/"):
            return self._public.call(call.method, call.params)
        if not call.method.startswith("private/"):
            raise errors.method_not_found()
        small_headers = {name.lower(): value for name, value in headers.items()}
        scope = self._authority.scope_of(small_headers, signed)
        if needs_trading_scope(call.method) and _only_reads(scope):
            raise errors.forbidden()
        return self._private.call(call.method, call.params)


def _only_reads(scope: str) -> bool:
    words = scope.split()
    return "trade:read_write" not in words and ("trade:read" in words or "trade:none" in words)
