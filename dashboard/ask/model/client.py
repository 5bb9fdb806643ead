"""The model that the environment names, asked for words: the same one request that the policy makes.

In: the settings LLM_... (from the environment, never from `.env`, where the exchange's secret stands). Out: the text of
a reply, or a ModelError with a sentence. What a request may do (no redirects, no proxies, caps, a deadline) stands in
policies/language_model/request.py, which addresses are allowed in the settings. A reply that repeats the key it was
sent is none: its words would stand on a page. Network.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import SecretStr

from config import LlmConfig
from dashboard.ask.model.answering import ModelError
from policies.language_model.request import ModelUnreachableError, ask_endpoint

MOST_TOKENS = 600


@dataclass(frozen=True)
class ChatModel:
    """One model at one address."""

    settings: LlmConfig

    def reply(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The text of its answer; raises ModelError."""
        asked = {"model": self.settings.model, "messages": list(messages), "temperature": 0, "max_tokens": MOST_TOKENS}
        try:
            content = ask_endpoint(
                self.settings.base_url, self.settings.api_key, asked, self.settings.timeout_seconds
            ).content
            text = json.loads(content)["choices"][0]["message"]["content"]
        except ModelUnreachableError as error:
            raise ModelError(str(error)) from None
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise ModelError("its server's answer has another form") from None
        if not isinstance(text, str):
            raise ModelError("it said nothing")
        if _repeats(text, self.settings.api_key):
            raise ModelError("it repeats the key it was sent")
        return text


def _repeats(text: str, key: SecretStr | None) -> bool:
    """Whether a key stands in a text, also as a URL or base64 has it."""
    plain = "" if key is None else key.get_secret_value()
    forms = (plain, quote(plain, safe=""), base64.b64encode(plain.encode()).decode().rstrip("="))
    return plain != "" and any(form in text for form in forms)


def model_of(settings: LlmConfig) -> ChatModel | None:
    """The model that the settings name, None where they name none."""
    return ChatModel(settings) if settings.base_url and settings.model else None
