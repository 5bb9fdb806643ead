"""The text of one value, read strictly: switches, numbers, keys, paths, the URL of the exchange.

In: text as somebody typed it; other types pass, they come from code. Out: the value without what copying adds to it,
or a ValueError whose sentence says what is wrong and never repeats a secret. Pure.
"""

from __future__ import annotations

import math
from datetime import date
from urllib.parse import urlsplit

TESTNET_HOST = "test.deribit.com"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
EXAMPLE_VALUES = frozenset({"your_client_id_here", "your_client_secret_here", "your_api_key_here"})
STRAY_IN_PATHS = frozenset("\"'`$%*?<>|{};#!^\\")


def strict_bool(value: object) -> object:
    """Only true and false: text that cannot be read must never turn off a safety by accident."""
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def bool_or_unset(value: object) -> object:
    """A switch that may be left open: nothing after the = leaves it to the default."""
    return None if value == "" else strict_bool(value)


def plain_number(value: object) -> object:
    """Numbers as people write them; no hexadecimal, no underscores, no other alphabets, nothing infinite."""
    if isinstance(value, str) and not _is_finite_number(value):
        raise ValueError("must be a finite number")
    return value


def _is_finite_number(text: str) -> bool:
    if not (text.isascii() and all(char in "0123456789.-+eE" for char in text)):
        return False
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def secret_text(value: object) -> object:
    """Without the blanks and the one pair of quotes that copying adds; the text itself is never repeated."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if not text:
        raise ValueError("must not be blank")
    if text in EXAMPLE_VALUES:
        raise ValueError("is still the example value")
    if not (text.isascii() and text.isprintable()) or set(text) & set(" \"'"):
        raise ValueError("must be letters, digits and signs only: no spaces, quotes or other alphabets")
    return text


def path_problem(text: str) -> str | None:
    """Why this text cannot be the path that was meant, or None. A leading ~ is the home folder."""
    if not text.strip():
        return "must not be blank"
    if text != text.strip():
        return "must not begin or end with a space"
    if not text.isprintable():
        return "must not contain control characters"
    if ".." in text.split("/"):
        return "must not contain .."
    stray = sorted(set(text) & STRAY_IN_PATHS)
    if stray:
        return f"must not contain {' '.join(stray)} (variables are not replaced: write the path itself)"
    if "~" in text[1:]:
        return "may contain ~ only at its beginning, for the home folder"
    return "must not end with a punctuation mark" if text[-1] in ",:" else None


def allowed_url(value: object) -> object:
    """A base URL that the agent may talk to, without a slash at its end."""
    problem = url_problem(value) if isinstance(value, str) else "must be a URL"
    if problem is not None:
        raise ValueError(problem)
    return str(value).rstrip("/")


def allowed_model_url(value: object) -> object:
    """The base URL of a language model, without a slash at its end; "" where there is none."""
    problem = model_url_problem(value) if isinstance(value, str) else "must be a URL"
    if value != "" and problem is not None:
        raise ValueError(problem)
    return str(value).rstrip("/")


def model_url_problem(url: str) -> str | None:
    """Why a model may not be asked there, or None: anywhere over https, in plain http on this machine only."""
    if " " in url or not (url.isascii() and url.isprintable()):
        return "must be plain letters without spaces"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user name or password"
    if parts.query or parts.fragment:
        return "must end with the path, as in https://host/v1"
    if not host or parts.scheme not in ("http", "https"):
        return "must start with https:// (http:// on this machine only)"
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        return "plain http on this machine only: anyone on the way could read the key"
    return None


def day_or_unset(value: object) -> object:
    """A day as YYYY-MM-DD, or nothing."""
    if value == "":
        return value
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise ValueError("must be a day as YYYY-MM-DD") from None


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def url_problem(url: str) -> str | None:
    """Why this base URL may not be used, or None: only testnet over https, or this machine."""
    if " " in url or not url.isprintable():
        return "must not contain spaces"  # urlsplit forgives them, httpx does not
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user name or password"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "must end after the host: the agent adds the path itself"
    if host in LOOPBACK_HOSTS:
        return None if parts.scheme in ("http", "https") else "must start with http:// or https://"
    if host != TESTNET_HOST:
        return f"host not allowed: this agent only talks to https://{TESTNET_HOST} or to this machine"
    if parts.scheme != "https":
        return "https required"
    return None if port in (None, 443) else "port must be 443"
