"""The envelope of a reply: bytes in, result or error out; anything ambiguous is refused.

In: the body of one HTTP answer. Out: a result, or the error of models.py that stands for Deribit's. JSON with a key
twice, NaN or infinity raises InvalidReplyError. Pure.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from pydantic_core import from_json

from core.text import quotable
from deribit.error_codes import CREDENTIALS_CODE, RATE_LIMIT_CODE
from deribit.replies import Row
from models import (
    AuthenticationError,
    DeribitError,
    ForeignReplyError,
    InvalidReplyError,
    RateLimitError,
    RequestRefusedError,
)


def read_envelope(content: bytes, method: str, request_id: int | None = None) -> Row:
    """The envelope of a reply, with exactly one of result and error in it.

    Raises InvalidReplyError for anything that is not one well-formed JSON-RPC answer to this request.
    """
    try:
        envelope = Row(_strict_json(content))
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _BadJsonError) else "is not JSON"
        raise InvalidReplyError(f"{method}: the reply {why}") from None
    if request_id is not None and envelope.get("id", request_id) != request_id:
        raise ForeignReplyError(f"{method}: the reply belongs to another request")
    if (envelope.get("error") is None) == (envelope.get("result") is None):
        raise InvalidReplyError(f"{method}: a reply must hold either a result or an error")
    return envelope


def _strict_json(content: bytes) -> Any:
    """What a reply says, if it says it once. pydantic's parser is three times as fast, but takes the last of two."""
    value = from_json(content, allow_inf_nan=False)
    if _has_no_key_twice(content, value):
        return value
    return json.loads(content, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)


def _has_no_key_twice(content: bytes, value: Any) -> bool:
    """Whether as many keys were parsed as are written; known of flat rows, which is what the large replies hold.

    A colon stands behind each key that is written, and some stand in texts: as many colons as different keys, and no
    key is written twice. Where there are more, the slow way tells.
    """
    if not isinstance(value, dict):
        return False
    result = value.get("result")
    rows = [row for row in (result if isinstance(result, list) else [result]) if isinstance(row, dict)]
    return len(value) + sum(map(len, rows)) == content.count(b":")


class _BadJsonError(ValueError):
    """JSON that parsers accept and that means nothing certain."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different: with two values under one name either may be the true one."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _BadJsonError("holds a key twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise _BadJsonError(f"holds {name}")


def result_of(envelope: Row, method: str) -> Any:
    """The result in an envelope; raises our error for Deribit's (HTTP 400 with a JSON body is its normal way)."""
    error = envelope.get("error")
    if error is None:
        return envelope.need("result")
    details = Row(error)
    code, message = details.need("code"), str(details.get("message", ""))
    if type(code) is not int:
        raise InvalidReplyError(f"{method}: the error code is not a number")
    raise refusal(method, code, quotable(message), details.get("data"))


def refusal(method: str, code: int, message: str, data: object) -> DeribitError:
    """The error of our tree that stands for one of Deribit's error codes."""
    if code == RATE_LIMIT_CODE:
        return RateLimitError(f"{method}: {code} {message}")
    if code == CREDENTIALS_CODE:
        return AuthenticationError(
            f"Deribit testnet does not accept this key ({code} {message}). Testnet and mainnet keys are separate: "
            "make one at test.deribit.com and put it into .env."
        )
    parts = data if isinstance(data, dict) else {"reason": data}
    reason = ": ".join(str(parts[key]) for key in ("param", "reason") if parts.get(key) is not None)
    return RequestRefusedError(method, code, message, quotable(reason) or None)


def row_about(symbol: str, result: Any) -> Row:
    """A result about the instrument that was asked for, and no other."""
    row = Row(result)
    if row.need("instrument_name") != symbol:
        raise InvalidReplyError(f"the reply is not about {symbol}")
    return row
