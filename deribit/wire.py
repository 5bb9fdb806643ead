"""One JSON-RPC request over HTTP: sent, retried where that is safe, timed, counted, and every failure translated.

In: a method, its parameters, a reader for the result. Out: what the reader makes of it, or an error of models.py,
never one of httpx's. Reads are tried three times inside a deadline; anything else is put on the wire once. Only
testnet and this machine are ever contacted: no redirects, no proxies. Knows the key, the token and the exchange's time.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import closing
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from config import AgentConfig
from core.settings.values import LOOPBACK_HOSTS, TESTNET_HOST
from deribit import replies
from deribit.clocks import ServerClock
from deribit.envelope import read_envelope, result_of
from deribit.error_codes import TOKEN_CODES
from deribit.failures import is_worth_a_retry, problem_of_status, refuse_redirect, short_text, translated
from deribit.known_fields import ENVELOPE
from deribit.replies import Row
from deribit.unexpected import UnexpectedReplies
from models import (
    AgentError,
    ApiCall,
    AuthenticationError,
    Clock,
    DeribitError,
    ForeignReplyError,
    InvalidReplyError,
    RateLimitError,
    RequestBudgetError,
    RequestRefusedError,
    WrongEnvironmentError,
)

READ_ATTEMPTS = 3
READ_DEADLINE_SECONDS = 20.0
REPLY_DEADLINE_SECONDS = 10.0  # httpx limits the wait for each piece of a reply, this the wait for all of it
BACKOFF_SECONDS = (0.5, 1.0)
MAX_REQUESTS = 60  # of one iteration, retries included
KEPT_FOR_THE_LEDGER = 10  # of these: what a trade has come to can be read after the longest roll
KEPT_FOR_ORDERS = 6  # and an order that is out can still be asked for and cancelled in the worst storm
NEEDED_AFTER_A_TRADE = ("private/get_transaction_log", "private/get_account_summaries")
NEEDED_TO_CANCEL = ("private/cancel", "private/get_order_state", "public/auth")
MIN_SECRET_LETTERS = 6  # shorter values stand in ordinary words; real ids have eight letters
MAX_REPLY_BYTES = 5_000_000
KEEP_ALIVE_SECONDS = 14 * 60.0  # Deribit drops idle connections after 15 minutes
TOKEN_MARGIN_SECONDS = 60.0
HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "covered-call-agent"}
# "session:" so that the token outlives a dropped connection; no more rights are asked for than the agent uses.
SCOPE = "session:covered-call trade:read_write account:read wallet:none"

# Their details name headers and addresses, and with them whatever a server sends back of what it was sent.
for _talkative in ("httpx", "httpcore"):
    logging.getLogger(_talkative).setLevel(logging.WARNING)

Result = TypeVar("Result")
Reader = Callable[[Any], Result]


class JsonRpc:
    """Requests to one exchange over one connection. Not thread-safe; the agent uses one at a time."""

    def __init__(
        self,
        config: AgentConfig,
        transport: httpx.BaseTransport | None,
        clock: Clock,
        credentials: tuple[str, str] | None,
        unexpected: UnexpectedReplies | None = None,
    ) -> None:
        self.clock = clock
        self.server_clock = ServerClock(clock)
        self.granted_scope = ""
        self.calls: list[ApiCall] = []
        self.requests_sent = 0
        self.fatal_answer: AgentError | None = None  # from then on nothing private is sent
        self._requests_left: int | None = None  # None: nobody counts, as in a script of the owner's
        self._dice = random.Random(config.run.seed)
        self._credentials = _credentials(config) if credentials is None else tuple(map(SecretStr, credentials))
        self._unexpected = unexpected
        self._transport = network_transport() if transport is None else transport
        self._http = _http_client(config, self._transport)
        self._base_url = config.deribit.base_url
        self._token: SecretStr | None = None
        self._token_ends_at_seconds = 0.0
        self._request_id = 0

    def close(self) -> None:
        self._http.close()

    def begin_counting(self) -> None:
        """Allow MAX_REQUESTS from here on, and forget the calls made so far."""
        self._requests_left, self.requests_sent, self.calls = MAX_REQUESTS, 0, []

    def end_counting(self) -> tuple[ApiCall, ...]:
        """Lift the limit; the calls since begin_counting."""
        calls = tuple(self.calls)
        self._requests_left, self.requests_sent, self.calls = None, 0, []
        return calls

    # --- reading, with retries ----------------------------------------------------

    def read(self, method: str, params: dict[str, Any], reader: Reader[Result]) -> Result:
        """Ask until there is a usable answer, at most READ_ATTEMPTS times within READ_DEADLINE_SECONDS."""
        started = self.clock.monotonic()
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                if method.startswith("private/"):
                    self.ensure_token()
                value = self.send_once(method, params, reader)
            except DeribitError as error:
                elapsed = self.clock.monotonic() - started
                if attempt == READ_ATTEMPTS or elapsed > READ_DEADLINE_SECONDS or not is_worth_a_retry(error):
                    self._note(method, str(error), attempt, started)
                    raise
                self.clock.sleep(BACKOFF_SECONDS[attempt - 1] * self._dice.uniform(0.75, 1.25))
            else:
                self._note(method, "ok", attempt, started)
                return value
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _note(self, method: str, outcome: str, attempts: int, started: float) -> None:
        elapsed_ms = round((self.clock.monotonic() - started) * 1000.0, 1)
        self.calls.append(ApiCall(method=method, outcome=outcome[:300], attempts=attempts, duration_ms=elapsed_ms))

    # --- authentication -------------------------------------------------------------

    def authenticate(self) -> None:
        """Get a token; raises AuthenticationError where the key is missing or not accepted."""
        client_id, client_secret = (secret.get_secret_value() for secret in self._credentials)
        params = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        if not client_id or not client_secret:
            raise AuthenticationError("DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET are not set")
        token = self.send_once("public/auth", params | {"scope": SCOPE}, Row)
        self.granted_scope = str(token.get("scope", ""))
        if "wallet:read_write" in self.granted_scope.split():
            self.fatal_answer = AuthenticationError(
                "this key may withdraw (wallet:read_write): make one that may only trade"
            )
            raise self.fatal_answer
        access_token = str(token.need("access_token"))
        if not (access_token.isascii() and access_token.isprintable()):
            raise InvalidReplyError("public/auth: the token is not plain text")
        self._token = SecretStr(access_token)
        lifetime_seconds = replies.finite(token.need("expires_in")) - TOKEN_MARGIN_SECONDS
        self._token_ends_at_seconds = self.clock.monotonic() + lifetime_seconds
        self.calls.append(ApiCall(method="public/auth", outcome="ok"))

    def ensure_token(self) -> None:
        if not self._has_good_token():
            self.authenticate()

    def repeats_fatal_answer(self) -> bool:
        """Ask once more after a fatal answer: in public, or with a new login where it was about the key."""
        first = self.fatal_answer
        second: AgentError | None = None
        try:
            if isinstance(first, AuthenticationError):
                self.fatal_answer = None
                self.authenticate()
            else:
                self.send_once("public/get_time", {}, replies.utc_from_ms)
        except AgentError as error:
            second = error
        is_same = second is not None and type(second) is type(first)
        self.fatal_answer = second if is_same else None
        return is_same

    def _authorization(self, method: str) -> dict[str, str]:
        """The token; in public too while it is known to be good: a read refused for it is sent again without."""
        is_private = method.startswith("private/")
        is_good_in_public = method != "public/auth" and self.fatal_answer is None and self._has_good_token()
        if self._token is None or not (is_private or is_good_in_public):
            return {}
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def _has_good_token(self) -> bool:
        return self._token is not None and self.clock.monotonic() < self._token_ends_at_seconds

    # --- one request ------------------------------------------------------------------

    def send_once(self, method: str, params: dict[str, Any], reader: Reader[Result]) -> Result:
        """Exactly one HTTP request; everything that can go wrong is translated here, and only here."""
        if self.fatal_answer is not None and (method == "public/auth" or method.startswith("private/")):
            raise self.fatal_answer
        self._spend_request(method)
        self._request_id += 1
        body = {"jsonrpc": "2.0", "id": self._request_id, "method": method, "params": params}
        headers = self._authorization(method)
        try:
            return self._ask(method, body, headers, reader)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a request is a failed request
            problem = self._redacted(error if isinstance(error, AgentError) else translated(method, error))
        self._learn_from(problem)
        raise problem  # out here, so that no foreign error with a request in it hangs on to it

    def _ask(self, method: str, body: dict[str, Any], headers: dict[str, str], reader: Reader[Result]) -> Result:
        status, content = self._post(method, body, headers)
        try:
            return self._read_reply(method, status, content, reader)
        except AgentError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a reply makes a reader raise, it is the reply that is wrong
            raise InvalidReplyError(f"{method}: {short_text(error)}") from None

    def _spend_request(self, method: str) -> None:
        if self._requests_left is not None:
            if self._requests_left <= _kept_from(method):
                raise RequestBudgetError(
                    f"{method}: not sent: request budget used up, {MAX_REQUESTS} requests an iteration"
                )
            self._requests_left -= 1
        self.requests_sent += 1

    def _read_reply(self, method: str, status: int, content: bytes, reader: Reader[Result]) -> Result:
        problem = problem_of_status(method, status, content)
        if problem is not None:
            raise problem
        envelope = read_envelope(content, method, self._request_id)
        _refuse_mainnet(envelope)
        result = result_of(envelope, method)
        self._hear_time(envelope)
        try:
            if self._unexpected is None:
                return reader(result)
            self._unexpected.look_at_envelope(method, envelope.besides(ENVELOPE), self._without_secrets)
            return self._unexpected.read(method, result, reader, self._without_secrets)
        except InvalidReplyError as error:
            raise InvalidReplyError(f"{method}: {error}") from None

    def _learn_from(self, error: AgentError) -> None:
        if error.exit_code is not None:
            self.fatal_answer = error
        if isinstance(error, RequestRefusedError) and error.code in TOKEN_CODES:
            self._token = None  # the next attempt, or the next iteration, asks for a new one
        if isinstance(error, RateLimitError) and self._requests_left is not None:
            self._requests_left = min(self._requests_left, KEPT_FOR_ORDERS)  # enough for now, except to cancel
        if isinstance(error, ForeignReplyError):
            self._transport.close()  # this connection is out of step: the next request opens another

    def _redacted(self, error: AgentError) -> AgentError:
        """The error without id, secret and token in its words: a server may echo what it was sent."""
        for name in ("message", "reason"):
            if isinstance(getattr(error, name, None), str):
                setattr(error, name, self._without_secrets(getattr(error, name)))
        error.args = tuple(self._without_secrets(str(part)) for part in error.args)
        error.__cause__ = error.__context__ = None
        return error

    def _without_secrets(self, text: str) -> str:
        for secret in (*self._credentials, *([self._token] if self._token is not None else [])):
            value = secret.get_secret_value()
            text = text.replace(value, "***") if len(value) >= MIN_SECRET_LETTERS else text
        return text

    def _post(self, method: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes]:
        ends_at = self.clock.monotonic() + REPLY_DEADLINE_SECONDS
        chunks, size = list[bytes](), 0
        request = httpx.Request("POST", _url(self._base_url, method), headers=HEADERS | headers, json=body)
        with closing(self._http.send(request, stream=True)) as response:
            refuse_redirect(method, response)
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_REPLY_BYTES or self.clock.monotonic() > ends_at:
                    raise InvalidReplyError(f"{method}: the reply is too large or too slow")
            return response.status_code, b"".join(chunks)

    def _hear_time(self, envelope: Row) -> None:
        sent_at_us = envelope.get("usOut")
        if isinstance(sent_at_us, int):
            self.server_clock.hear(replies.utc_from_ms(sent_at_us // 1000))


def _kept_from(method: str) -> int:
    """How many of an iteration's requests a method must leave to those that are needed more."""
    if method in NEEDED_TO_CANCEL:
        return 0
    return KEPT_FOR_ORDERS if method in NEEDED_AFTER_A_TRADE else KEPT_FOR_ORDERS + KEPT_FOR_THE_LEDGER


@cache  # parsing it anew is a tenth of the cost of a request
def _url(base_url: str, method: str) -> httpx.URL:
    return httpx.URL(f"{base_url}/api/v2/{method}")


def _refuse_mainnet(envelope: Row) -> None:
    if envelope.get("testnet") is False:
        raise WrongEnvironmentError("the exchange says that it is not testnet: stopped before anything else is sent")


def _credentials(config: AgentConfig) -> tuple[SecretStr, ...]:
    """Id and secret, kept as secrets so that no dump of an object shows them; blank where not set."""
    return tuple(secret or SecretStr("") for secret in (config.deribit.client_id, config.deribit.client_secret))


def _http_client(config: AgentConfig, transport: httpx.BaseTransport) -> httpx.Client:
    return httpx.Client(
        transport=transport,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # the exchange needs none: none is kept or sent
        timeout=config.deribit.timeout_seconds,
        follow_redirects=False,
        trust_env=False,
        event_hooks={"request": [_guard_host]},
    )


def network_transport() -> httpx.HTTPTransport:
    """The real network: certificates checked, one more try to connect (nothing has been sent then)."""
    limits = httpx.Limits(max_connections=4, keepalive_expiry=KEEP_ALIVE_SECONDS)
    return httpx.HTTPTransport(retries=1, limits=limits, trust_env=False)


def _guard_host(request: httpx.Request) -> None:
    """The last word on where a request may go, on the address that is really used."""
    is_testnet = request.url.host == TESTNET_HOST and request.url.scheme == "https"
    if not is_testnet and request.url.host.strip("[]") not in LOOPBACK_HOSTS:
        raise WrongEnvironmentError(f"refused to contact {request.url.host}: only testnet and this machine are allowed")
