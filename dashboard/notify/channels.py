"""The three ways out: an ntfy topic, a Telegram chat, any webhook. Network.

In: a message. Out: one POST; DeliveryError with a sentence where it did not arrive. No redirects, no proxies. No
address and no token stands in an error, because both may be secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from core.text import plain_ascii
from dashboard.notify.messages import Message
from dashboard.notify.settings import NotifySettings

TIMEOUT_SECONDS = 10.0


class DeliveryError(Exception):
    """A message did not arrive; it is kept and sent again later."""


@dataclass(frozen=True)
class Channel:
    """One address. `headers` may hold a token."""

    name: str
    url: SecretStr
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    chat_id: str | None = None

    def send(self, message: Message, client: httpx.Client) -> None:
        """Raises DeliveryError."""
        try:
            answer = client.post(self.url.get_secret_value(), **self._body(message))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(f"{self.name} does not answer: {type(error).__name__}") from None
        if not answer.is_success:
            raise DeliveryError(f"{self.name} answered {answer.status_code}")

    def _body(self, message: Message) -> dict[str, Any]:
        text = text_of(message)
        if self.name == "ntfy":
            about = {"Title": plain_ascii(message.title, 100), "Priority": "high" if message.is_urgent else "default"}
            return {"content": text.encode(), "headers": self.headers | about}
        if self.name == "telegram":
            said = f"{message.title}\n{text}"
            return {"json": {"chat_id": self.chat_id, "text": said, "disable_web_page_preview": True}}
        return {"json": message.as_json() | {"text": text}}


def text_of(message: Message) -> str:
    """The text, and how often it was said where that is more than once."""
    again = f" ({message.count} times so far)" if message.count > 1 else ""
    return f"{message.text}{again}"


def channels_of(settings: NotifySettings) -> Sequence[Channel]:
    """Those that are set, in the order of the settings."""
    found = []
    if settings.ntfy_url is not None:
        token = settings.ntfy_token
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        found.append(Channel("ntfy", settings.ntfy_url, headers))
    if settings.telegram_token is not None:
        base_url = settings.telegram_url.get_secret_value().rstrip("/")
        url = SecretStr(f"{base_url}/bot{settings.telegram_token.get_secret_value()}/sendMessage")
        found.append(Channel("telegram", url, chat_id=settings.telegram_chat_id))
    if settings.webhook_url is not None:
        found.append(Channel("webhook", settings.webhook_url))
    return found


def http_client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False)
