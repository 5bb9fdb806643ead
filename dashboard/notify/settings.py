"""Where messages go: the settings NOTIFY_..., from `.env.notify` and the environment.

In: text. Out: one frozen NotifySettings, or a ConfigurationError that lists every problem; secrets are in none of them.
`.env` is never opened: the exchange's secret stands there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from core.settings import names, texts, values
from models import ConfigurationError

FILE_NAME = ".env.notify"


def _url(value: object) -> object:
    """https to anywhere, http to this machine alone."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or not parts.hostname or not str(value).isprintable() or " " in str(value):
        raise ValueError("must be a URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in values.LOOPBACK_HOSTS):
        raise ValueError("must begin with https:// (http:// to this machine alone)")
    return value


SecretUrl = Annotated[SecretStr, BeforeValidator(_url)]
Secret = Annotated[SecretStr, BeforeValidator(values.secret_text)]
Number = Annotated[float, BeforeValidator(values.plain_number)]
Switch = Annotated[bool, BeforeValidator(values.strict_bool)]


class NotifySettings(BaseModel):
    """All of it is optional; without any address nothing is sent."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    ntfy_url: SecretUrl | None = None
    """Address of an ntfy topic, such as https://ntfy.sh/a-long-secret-name. Who knows it can read along."""
    ntfy_token: Secret | None = None
    """Access token of a protected topic."""
    telegram_token: Secret | None = None
    """Token of a Telegram bot."""
    telegram_chat_id: str | None = Field(None, pattern=r"^(-?\d{1,20}|@\w{1,64})$")
    """The chat that the bot writes to."""
    telegram_url: SecretUrl = SecretStr("https://api.telegram.org")
    """Telegram's own address, unless somebody runs another."""
    webhook_url: SecretUrl | None = None
    """Any address that takes a JSON object by POST."""
    interval_seconds: Number = Field(0.0, ge=0, le=86_400)
    """The agent's interval, seconds; 0: as the log shows it. After two of them without a line a message is sent."""
    summary: Switch = True
    """Whether there is one summary a day, after 08:05 UTC."""

    @model_validator(mode="after")
    def a_bot_needs_a_chat(self) -> NotifySettings:
        if (self.telegram_token is None) != (self.telegram_chat_id is None):
            raise ValueError("telegram_token and telegram_chat_id belong together")
        return self


class _Sections(BaseModel):
    """One section, so that problems are told as those of the agent's settings are."""

    model_config = ConfigDict(hide_input_in_errors=True)

    notify: NotifySettings


SETTINGS = tuple(texts.settings_of({"notify": NotifySettings}, {}))
SETTING_NAMES = tuple(setting.name for setting in SETTINGS)


def load_notify_settings(file: Path, environment: Mapping[str, str] = os.environ) -> NotifySettings:
    """The environment wins over the file; raises ConfigurationError."""
    in_file, problems = ({}, []) if not file.is_file() else _read(file)
    in_environment = {name: text for name, text in environment.items() if name in SETTING_NAMES}
    given = {setting.field: text for setting in SETTINGS if (text := (in_file | in_environment).get(setting.name))}
    try:
        settings = _Sections.model_validate({"notify": given}).notify
    except ValidationError as error:
        problems += texts.problem_lines(error, SETTINGS, {"notify": {}})  # no values: most of them are secrets
        raise ConfigurationError("\n".join(problems)) from None
    if problems:
        raise ConfigurationError("\n".join(problems))
    return settings


def _read(file: Path) -> tuple[dict[str, str], list[str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{file.name} cannot be read as text") from None
    entries, twice, broken = names.entries_of(text, file.name)
    hidden = dict.fromkeys(entries, "***")
    return dict(entries), [*names.unknown_in_file(hidden, SETTING_NAMES, file.name), *twice, *broken]
