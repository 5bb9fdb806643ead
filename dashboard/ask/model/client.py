"""A model behind OpenAI's chat-completions interface, asked over HTTP.

In: LLM_BASE_URL, LLM_MODEL and LLM_API_KEY from the environment (never from `.env`, where the exchange's secret
stands). Out: the text of a reply, or a ModelError with a sentence. https, or http to this machine; no redirects, no
proxies. The key stands in no error and no repr. Network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import httpx
from pydantic import SecretStr

from core.settings.values import is_loopback
from dashboard.ask.model.answering import ModelError
from models import ConfigurationError

TIMEOUT_SECONDS = 30.0
MOST_TOKENS = 600
MOST_REPLY_BYTES = 200_000


class ChatModel:
    """One model at one address."""

    def __init__(self, base_url: str, model: str, key: SecretStr | None) -> None:
        if not (base_url.startswith("https://") or (base_url.startswith("http://") and is_loopback(base_url))):
            raise ConfigurationError("LLM_BASE_URL: wanted https://..., or http:// to this machine")
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._url, self._model = f"{base_url.rstrip('/')}/chat/completions", model
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, headers=headers, trust_env=False, follow_redirects=False)

    def reply(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The text of its answer; raises ModelError."""
        body = {"model": self._model, "messages": list(messages), "temperature": 0, "max_tokens": MOST_TOKENS}
        try:
            answer = self._client.post(self._url, json=body)
            if answer.status_code != httpx.codes.OK or len(answer.content) > MOST_REPLY_BYTES:
                raise ModelError(f"its server answered {answer.status_code}")
            text = answer.json()["choices"][0]["message"]["content"]
        except httpx.HTTPError as error:
            raise ModelError(f"its server does not answer: {type(error).__name__}") from None
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise ModelError("its server's answer has another form") from None
        if not isinstance(text, str):
            raise ModelError("it said nothing")
        return text


def model_from(environment: Mapping[str, str] = os.environ) -> ChatModel | None:
    """The model that the environment names, None where it names none; raises ConfigurationError."""
    base_url, model = environment.get("LLM_BASE_URL", ""), environment.get("LLM_MODEL", "")
    if not base_url or not model:
        return None
    key = environment.get("LLM_API_KEY", "")
    return ChatModel(base_url, model, SecretStr(key) if key else None)
