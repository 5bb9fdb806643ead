"""Texts of a policy without the keys of this process: a library that a policy uses may repeat its own in an error.

In: a text, the settings, the environment. Out: the text with every key as "(hidden)".
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache

from config import AgentConfig
from core.settings import names

MIN_SECRET_LENGTH = 8


def without_secrets(text: str, config: AgentConfig) -> str:
    """A text of unknown origin without our keys and the keys in the environment."""
    return hidden_in(text, secrets_of(config))


def hidden_in(text: str, secrets: Iterable[str]) -> str:
    """The text without them; the longest must come first."""
    for secret in secrets:
        text = text.replace(secret, "(hidden)")
    return text


def secrets_of(config: AgentConfig) -> list[str]:
    """Our keys and the keys in the environment, the longest first."""
    own = (config.deribit.client_id, config.deribit.client_secret, config.llm.api_key)
    values = {secret.get_secret_value() for secret in own if secret is not None}
    values |= _secrets_in(tuple(environment().items()))
    return sorted((value for value in values if len(value) >= MIN_SECRET_LENGTH), key=len, reverse=True)


def environment() -> dict[bytes, bytes]:
    """The environment as it stands, a copy: os.environb can only be read name by name."""
    return dict(vars(os.environb)["_data"])


@lru_cache(maxsize=1)
def _secrets_in(entries: tuple[tuple[bytes, bytes], ...]) -> frozenset[str]:
    named = [(os.fsdecode(name), os.fsdecode(value)) for name, value in entries]
    return frozenset(value for name, value in named if names.may_be_secret(name) and not name.endswith("_URL"))
