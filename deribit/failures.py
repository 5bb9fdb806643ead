"""What a failed request means: which of our errors it is, whether to retry, what is known of an order. Pure.

In: errors of httpx, HTTP statuses, errors of models.py. Out: errors of models.py, a SendOutcome. Where it is not
certain that nothing reached the exchange, the outcome of an order is unknown.
"""

from __future__ import annotations

import ssl

import httpx
from pydantic import ValidationError

from core.text import quotable
from deribit.error_codes import DEFINITIVE_REFUSALS, RETRIED_READ_CODES, TOKEN_CODES
from models import (
    AgentError,
    AuthenticationError,
    DeribitConnectionError,
    DeribitError,
    GatewayError,
    InvalidReplyError,
    RateLimitError,
    RequestBudgetError,
    RequestRefusedError,
    SendOutcome,
    WrongEnvironmentError,
)


def outcome_after(error: DeribitError) -> SendOutcome:
    """What is known of an order whose request failed; unknown unless it is certain."""
    if isinstance(error, RequestBudgetError) or (isinstance(error, DeribitConnectionError) and not error.was_sent):
        return SendOutcome.NOT_SENT
    if isinstance(error, RequestRefusedError) and error.code in DEFINITIVE_REFUSALS:
        return SendOutcome.REJECTED
    if isinstance(error, AuthenticationError) or (isinstance(error, RateLimitError) and error.is_definitely_refused):
        return SendOutcome.REJECTED
    return SendOutcome.UNKNOWN


def translated(method: str, error: Exception) -> AgentError:
    """Our error for one of httpx's; only failures before the first byte are certain not to have been sent."""
    if _is_bad_certificate(error):
        return WrongEnvironmentError(f"{method}: the certificate of the exchange is not valid")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        hint = "--market simulated needs no network"
        return DeribitConnectionError(
            f"{method}: cannot reach the exchange ({short_text(error)}); {hint}", was_sent=False
        )
    return DeribitConnectionError(f"{method}: {short_text(error)}")


def _is_bad_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def problem_of_status(method: str, status: int, content: bytes) -> DeribitError | None:
    """What the HTTP status alone says; 400 with a JSON-RPC body is Deribit's normal way to refuse.

    Anything else that says no was not Deribit's API, and may have said so after the exchange acted.
    """
    if status >= 500:
        return DeribitConnectionError(f"{method}: HTTP {status} from the exchange's gateway", was_sent=True)
    if status < 400 or b'"jsonrpc"' in content:
        return None
    if status == 429:
        return RateLimitError(f"{method}: HTTP 429 from before Deribit's API", is_definitely_refused=False)
    where = "before Deribit's API (region, VPN, maintenance)"
    return GatewayError(f"{method}: HTTP {status}: blocked {where}; this says nothing about your key")


def is_worth_a_retry(error: DeribitError) -> bool:
    if isinstance(error, RequestRefusedError):
        return error.code in RETRIED_READ_CODES | TOKEN_CODES
    return isinstance(error, (DeribitConnectionError, InvalidReplyError))


def short_text(error: Exception) -> str:
    """One line about a foreign error; never the input of a validation error, which may be anything."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return f"{type(error).__name__}: {quotable(error)}"


def refuse_redirect(method: str, response: httpx.Response) -> None:
    """No redirect is followed; one that leads to another host is no accident."""
    if not response.has_redirect_location:
        return
    try:
        host = response.request.url.join(response.headers["location"]).host
    except (httpx.InvalidURL, ValueError):
        host = response.request.url.host  # nonsense leads nowhere
    if host != response.request.url.host:
        where = quotable(host, 60)
        raise WrongEnvironmentError(f"{method}: the exchange answered with a redirect to {where}, never followed")
    raise InvalidReplyError(f"{method}: the exchange answered with a redirect, which is never followed")
