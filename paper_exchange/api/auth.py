"""Who may call: public/auth and the three Authorization headers Deribit accepts over HTTP.

In: credentials as parameters or headers, the market's clock. Out: tokens that live 15 minutes, the scope of a
call, or RpcError 10000, 13004, 13009. Tokens are numbered and hashed, so that a run repeats exactly: they guard a
paper account on this machine and nothing else. No network.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paper_exchange.api import params as read
from paper_exchange.api.params import Params
from paper_exchange.market import errors
from paper_exchange.market.clocks import now_ms
from paper_exchange.market.market import MarketClock

TOKEN_LIFE_SECONDS = 900
REFRESH_LIFE_SECONDS = 7 * 24 * 3600
SESSIONS_KEPT = 16
DEFAULT_SCOPE = "account:read_write block_trade:read_write connection mainaccount trade:read_write wallet:read"
HMAC_SCHEME = "deri-hmac-sha256"


@dataclass(frozen=True, slots=True)
class Session:
    """What one call of public/auth gave out."""

    access_token: str
    refresh_token: str
    scope: str
    granted_at_ms: int


@dataclass(frozen=True, slots=True)
class SignedParts:
    """What a signed request signs: method, path with query, body."""

    http_method: str
    uri: str
    body: bytes


class Authority:
    """Grants and checks tokens. Without credentials of its own it takes any key."""

    def __init__(self, clock: MarketClock, credentials: tuple[str, str] | None) -> None:
        self._clock = clock
        self._credentials = credentials
        self._sessions: list[Session] = []
        self._granted = 0

    # --- public/auth -----------------------------------------------------------

    def grant(self, params: Params) -> dict[str, Any]:
        """The result of public/auth. Raises 13004 for a wrong key, 13009 for a stale refresh token."""
        grants: dict[str, Callable[[Params], str]] = {
            "client_credentials": self._scope_for_secret,
            "client_signature": self._scope_for_signature,
            "refresh_token": self._scope_for_refresh,
        }
        kind = read.choice(params, "grant_type", tuple(grants), "")
        if kind == "":
            raise errors.invalid_params("grant_type", "value required")
        session = self._open_session(grants[kind](params))
        reply = {
            "access_token": session.access_token,
            "refresh_token": session.refresh_token,
            "expires_in": TOKEN_LIFE_SECONDS,
            "scope": session.scope,
            "token_type": "bearer",
            "enabled_features": [],
        }
        state = read.text_or_none(params, "state")
        return reply if state is None else {**reply, "state": state}

    def _scope_for_secret(self, params: Params) -> str:
        self._check_key(read.text(params, "client_id"), read.text(params, "client_secret"))
        return read.text_or_none(params, "scope") or DEFAULT_SCOPE

    def _scope_for_signature(self, params: Params) -> str:
        timestamp, nonce = params.get("timestamp", ""), read.text_or_none(params, "nonce") or ""
        message = f"{timestamp}\n{nonce}\n{read.text_or_none(params, 'data') or ''}"
        self._check_signature(read.text(params, "client_id"), message.encode(), read.text(params, "signature"))
        return read.text_or_none(params, "scope") or DEFAULT_SCOPE

    def _scope_for_refresh(self, params: Params) -> str:
        token = read.text(params, "refresh_token")
        session = self._find(lambda known: known.refresh_token == token, REFRESH_LIFE_SECONDS)
        self._sessions.remove(session)
        return session.scope

    def _open_session(self, scope: str) -> Session:
        self._granted += 1
        at_ms = now_ms(self._clock)
        access, refresh = (
            hashlib.sha256(f"{kind} {self._granted} {at_ms}".encode()).hexdigest() for kind in ("access", "refresh")
        )
        session = Session(f"{at_ms}.{access}", f"{at_ms}.{refresh}", scope, at_ms)
        self._sessions = [*self._sessions, session][-SESSIONS_KEPT:]
        return session

    # --- headers ---------------------------------------------------------------

    def scope_of(self, headers: Mapping[str, str], signed: SignedParts) -> str:
        """The scope a private call may use. Header names in small letters. Raises 10000, 13004 or 13009."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = value.strip()
            return self._find(lambda known: known.access_token == token, TOKEN_LIFE_SECONDS).scope
        if scheme.lower() == "basic":
            self._check_key(*_basic_pair(value))
            return DEFAULT_SCOPE
        if scheme.lower() == HMAC_SCHEME:
            self._check_signed_request(value, signed)
            return DEFAULT_SCOPE
        raise errors.authorization_required()

    def _check_signed_request(self, value: str, signed: SignedParts) -> None:
        parts = dict(part.strip().partition("=")[::2] for part in value.split(","))
        head = f"{parts.get('ts', '')}\n{parts.get('nonce', '')}\n{signed.http_method}\n{signed.uri}\n"
        message = head.encode() + signed.body + b"\n"
        self._check_signature(parts.get("id", ""), message, parts.get("sig", ""))

    # --- keys ------------------------------------------------------------------

    def _find(self, wanted: Callable[[Session], bool], life_seconds: int) -> Session:
        for session in self._sessions:
            if wanted(session) and now_ms(self._clock) - session.granted_at_ms < 1_000 * life_seconds:
                return session
        raise errors.unauthorized()

    def _check_key(self, client_id: str, client_secret: str) -> None:
        if self._credentials is None:
            return
        given = f"{client_id}\n{client_secret}".encode()
        if not hmac.compare_digest(given, "\n".join(self._credentials).encode()):
            raise errors.invalid_credentials()

    def _check_signature(self, client_id: str, message: bytes, signature: str) -> None:
        # Deribit also refuses timestamps older than 60 s. A client signs with its own clock, which knows nothing
        # of simulated time, so their age is not looked at here.
        if self._credentials is None:
            return
        known_id, secret = self._credentials
        expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        if client_id != known_id or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise errors.invalid_credentials()


def _basic_pair(value: str) -> tuple[str, str]:
    try:
        client_id, separator, client_secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        raise errors.invalid_credentials() from None
    if separator == "":
        raise errors.invalid_credentials()
    return client_id, client_secret
