"""One request to a chat-completions endpoint, with everything that can go wrong in it as one error.

In: a URL, a key, a body. Out: status, bytes and seconds, or a ModelUnreachableError. No redirects, no proxy of the
environment, no cookies, no second try; a deadline for the whole reply and a cap on its bytes. The key is in the header
alone: errors are worded here, and name the kind of failure, never what was sent or received. Talks to the network.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx
from pydantic import SecretStr

MOST_REPLY_BYTES = 1_000_000
MOST_WAIT_SECONDS = 86_400.0
TOO_MANY_REQUESTS = 429

for _talkative in ("httpx", "httpcore"):  # their details name headers
    logging.getLogger(_talkative).setLevel(logging.WARNING)


class ModelUnreachableError(Exception):
    """No usable reply, after so many `seconds`. `wait_seconds`: the endpoint asked not to be asked again before."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        self.wait_seconds = wait_seconds
        self.seconds = 0.0
        super().__init__(message)


@dataclass(frozen=True)
class RawReply:
    """The bytes of a reply with status 200, and how long it took."""

    content: bytes
    seconds: float


def ask_endpoint(base_url: str, key: SecretStr | None, body: Mapping[str, Any], deadline_seconds: float) -> RawReply:
    """Exactly one request; raises ModelUnreachableError."""
    started = monotonic()
    try:
        content = _post(f"{base_url}/chat/completions", key, body, started + deadline_seconds, deadline_seconds)
        return RawReply(content, monotonic() - started)
    except ModelUnreachableError as error:
        problem = error
    except httpx.TimeoutException:
        problem = ModelUnreachableError(f"no reply within {deadline_seconds:g} s")
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a request is a failed request
        problem = ModelUnreachableError(f"the endpoint cannot be reached ({type(error).__name__})")
    problem.seconds = monotonic() - started
    raise problem  # out here, so that no foreign error with a request in it hangs on to it


def _post(
    url: str, key: SecretStr | None, body: Mapping[str, Any], ends_at_seconds: float, deadline_seconds: float
) -> bytes:
    headers = {"Accept": "application/json", "User-Agent": "covered-call-agent"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    with (
        httpx.Client(trust_env=False, follow_redirects=False, timeout=deadline_seconds) as http,
        closing(http.send(http.build_request("POST", url, headers=headers, json=body), stream=True)) as response,
    ):
        _refuse_status(response)
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MOST_REPLY_BYTES:
                raise ModelUnreachableError(f"the reply has more than {MOST_REPLY_BYTES} bytes")
            if monotonic() > ends_at_seconds:
                raise ModelUnreachableError(f"the reply was not complete after {deadline_seconds:g} s")
    return bytes(content)


def _refuse_status(response: httpx.Response) -> None:
    status = response.status_code
    if status == httpx.codes.OK:
        return
    if response.has_redirect_location or response.is_redirect:
        raise ModelUnreachableError(f"it redirects elsewhere (HTTP {status}), which is never followed")
    if status == TOO_MANY_REQUESTS:
        wait_seconds = _retry_after(response.headers.get("retry-after", ""))
        raise ModelUnreachableError(f"it has too many requests (HTTP {status})", wait_seconds)
    if status in (401, 403):
        raise ModelUnreachableError(f"it does not accept LLM_API_KEY (HTTP {status})")
    hint = "; it may want LLM_SEND_SCHEMA=false or LLM_SEND_LOGPROBS=false" if status in (400, 422) else ""
    raise ModelUnreachableError(f"it answers with HTTP {status}{hint}")


def _retry_after(text: str) -> float | None:
    """Seconds; a date in its place, or anything else, says nothing that could be relied on."""
    return min(float(text), MOST_WAIT_SECONDS) if text.isascii() and text.isdecimal() and len(text) < 10 else None
