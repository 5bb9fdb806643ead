"""Every setting of the agent, with its default, bounds, unit and danger, and the one place that reads them.

Names in `.env` and in the environment are SECTION_FIELD, for example BTC_DELTA_MIN or RISK_MAX_MARGIN_PCT.
Order of precedence: command line, environment, `.env` beside this file, default. `.env.example` and the table in
README.md are printed from the descriptions below (`python config.py`), and a test keeps them equal.
In: text. Out: one frozen AgentConfig, or a ConfigurationError that lists every problem. Talks to no network.
"""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from models import ConfigurationError, Underlying

PROJECT_FOLDER = Path(__file__).resolve().parent
ENV_FILE: Path | None = PROJECT_FOLDER / ".env"
TESTNET_HOST = "test.deribit.com"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
EXAMPLE_VALUES = frozenset({"your_client_id_here", "your_client_secret_here"})
ENV_FILE_ENCODING = "utf-8-sig"  # some editors begin a file with a byte order mark
MAX_ENV_FILE_BYTES = 100_000
MAX_SHOWN_LENGTH = 100
MIN_SECRET_LENGTH = 8


def _strict_bool(value: object) -> object:
    """Only true and false: whatever cannot be read must never switch a safety off by accident."""
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def _plain_number(value: object) -> object:
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


def _secret_text(value: object) -> object:
    """Without the blanks and the one pair of quotes that copying adds; what else is odd in it is never repeated."""
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
        raise ValueError("must be letters, digits and signs only: no blanks, quotes or other alphabets inside")
    return text


def _named_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("must not be blank")
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    if ".." in Path(value).parts:
        raise ValueError("must not contain ..")
    return value


def _allowed_url(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a URL")
    problem = url_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value.rstrip("/")


def url_problem(url: str) -> str | None:
    """Why this base URL may not be used, or None: only testnet over https, or this machine."""
    if " " in url or not url.isprintable():
        return "must not contain blanks"  # urlsplit forgives them, httpx does not
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


Number = Annotated[float, BeforeValidator(_plain_number)]
Whole = Annotated[int, BeforeValidator(_plain_number)]
Switch = Annotated[bool, BeforeValidator(_strict_bool)]
Secret = Annotated[SecretStr, BeforeValidator(_secret_text)]
FilePath = Annotated[Path, BeforeValidator(_named_path)]
Url = Annotated[str, BeforeValidator(_allowed_url)]


class Section(BaseModel):
    """Base of all sections: frozen, finite, nothing unknown, values of bad fields never echoed by pydantic."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class DeribitConfig(Section):
    """Where and as whom the agent talks to Deribit."""

    base_url: Url = Field(
        f"https://{TESTNET_HOST}",
        description="URL of the exchange. Only testnet or this machine is accepted: mainnet would be real money.",
    )
    client_id: Secret | None = Field(
        None, description="Client id of a testnet API key. Needed to trade on testnet, not for dry run."
    )
    client_secret: Secret | None = Field(
        None, description="Secret of that key. Anyone who has it can trade the account; it is never logged."
    )
    timeout_seconds: Number = Field(
        8.0, ge=1, le=9, description="Seconds to wait for an answer. Orders lapse 10 s after they were sent."
    )


class RiskConfig(Section):
    """Hard limits. No policy can pass them."""

    max_margin_pct: Number = Field(
        50.0, ge=1, le=100, description="Initial margin after a trade, percent (1 to 100) of margin balance."
    )
    new_short_margin_pct_of_limit: Number = Field(
        90.0,
        ge=1,
        le=100,
        description="No new short call once margin is above this percent of max_margin_pct.",
    )
    max_net_delta_fraction: Number = Field(
        0.6, ge=0, le=1, description="Net option delta after a trade, as a fraction of the coins held."
    )
    max_expiry_exposure_fraction: Number = Field(
        1.0, gt=0, le=1, description="Short calls of one expiry, as a fraction of the coins held (1 = all)."
    )
    max_quote_age_seconds: Number = Field(
        120.0,
        ge=1,
        le=900,
        description="Older quotes are not traded on, seconds. High values sell into the past.",
    )
    price_collar_pct: Number = Field(
        25.0,
        gt=0,
        le=50,
        description="A limit price may be this percent worse than the mark, or two ticks if that is more.",
    )
    min_minutes_to_expiry: Number = Field(
        15.0, ge=15, le=1440, description="Minutes before expiry from which an option is no longer traded."
    )
    max_orders_per_day: Whole = Field(
        20,
        ge=1,
        le=1000,
        description="Orders sent per day (UTC) at most, over all coins; a runaway policy stops here.",
    )
    kill_file: FilePath = Field(
        Path("data/KILL"), description="While this file exists no order is sent (in no mode) and our own are cancelled."
    )


class StrategyConfig(Section):
    """What the agent may sell on one coin. Premiums are USD per contract of one coin, net of the fee."""

    enabled: Switch = Field(True, description="Whether this coin is traded at all (true or false).")
    ivrv_min: Number = Field(
        1.0, ge=0, le=5, description="Least ratio of implied to realised volatility. 0 turns the filter off."
    )
    delta_min: Number = Field(0.10, gt=0, lt=1, description="Least delta of a call to sell (0 to 1).")
    delta_max: Number = Field(
        0.30,
        gt=0,
        lt=1,
        description="Greatest delta (0 to 1). Higher pays more and is called away more often.",
    )
    dte_min: Number = Field(3.0, ge=0, le=400, description="Least days to expiry of a call to sell.")
    dte_max: Number = Field(21.0, ge=0, le=400, description="Greatest days to expiry of a call to sell.")
    premium_min_usd: Number = Field(
        100.0,
        ge=0,
        le=1e6,
        description="Least premium in USD per contract of one coin, at the bid after fee.",
    )
    max_spread_pct: Number = Field(
        30.0,
        gt=0,
        le=200,
        description="Greatest gap between bid and ask, percent of mid. Wide books cost dearly.",
    )
    order_size: Number = Field(
        0.1,
        gt=0,
        le=100,
        multiple_of=0.1,
        description="Contracts (coins) per call sold. A multiple of the exchange's minimum.",
    )
    max_order_size: Number = Field(
        1.0,
        gt=0,
        le=100,
        multiple_of=0.1,
        description="No order is ever larger than this, in coin, whatever the policy says.",
    )
    roll_dte_days: Number = Field(
        1.0, ge=0, le=60, description="A sold call with fewer days left is looked at for rolling."
    )
    roll_ivrv_min: Number = Field(
        1.2,
        ge=0,
        le=5,
        description="IV/RV from which IV counts as still high: a due call is rolled even OTM.",
    )
    take_profit_pct: Number = Field(
        0.0, ge=0, lt=100, description="Buy back once this percent of the premium is earned. 0 turns it off."
    )

    @model_validator(mode="after")
    def ranges_are_the_right_way_round(self) -> StrategyConfig:
        pairs = (("delta_min", "delta_max"), ("dte_min", "dte_max"), ("order_size", "max_order_size"))
        problems = [
            f"{least} {getattr(self, least):g} is above {greatest} {getattr(self, greatest):g}"
            for least, greatest in pairs
            if getattr(self, least) > getattr(self, greatest)
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


class BtcConfig(StrategyConfig):
    """What the agent may sell on BTC. Premiums are USD per contract of one BTC, net of the fee."""


class EthConfig(StrategyConfig):
    """What the agent may sell on ETH. Premiums are USD per contract of one ETH, net of the fee."""

    premium_min_usd: Number = Field(
        4.0, ge=0, le=1e6, description="Least premium in USD per contract of one coin, at the bid after fee."
    )
    order_size: Number = Field(
        1.0,
        gt=0,
        le=1000,
        multiple_of=1,
        description="Contracts (coins) per call sold. A multiple of the exchange's minimum.",
    )
    max_order_size: Number = Field(
        10.0,
        gt=0,
        le=1000,
        multiple_of=1,
        description="No order is ever larger than this, in coin, whatever the policy says.",
    )


class RunConfig(Section):
    """How the agent runs: the loop, its files, how orders are worked, the paper account."""

    dry_run: Switch = Field(
        False,
        description="true: testnet quotes, paper account, no order leaves this machine. --dry-run sets it.",
    )
    interval_seconds: Number = Field(
        300.0, ge=30, le=86_400, description="Seconds between iterations (300 to 900 is sensible)."
    )
    policy: str = Field(
        "policy_rule_based", description="Module with decide_action(agent_state, config). --policy sets it."
    )
    log_dir: FilePath = Field(Path("logs"), description="Folder of the decision and order logs.")
    data_dir: FilePath = Field(Path("data"), description="Folder of the paper account, the lock and recorded chains.")
    seed: Whole = Field(1, ge=0, le=2**31 - 1, description="Seed of exploration and of the simulated market.")
    exploration_pct: Number = Field(
        0.0,
        ge=0,
        le=100,
        description="Percent of sales drawn at random among the candidates, for training data.",
    )
    rv_window_days: Number = Field(
        30.0, ge=2, le=60, description="Days of closes behind realised volatility (and behind IV/RV)."
    )
    rv_min_returns: Whole = Field(
        20,
        ge=5,
        le=2000,
        description="With fewer returns realised volatility is unknown and no call is sold.",
    )
    order_wait_seconds: Number = Field(
        10.0, ge=1, le=60, description="Seconds an order rests at each price before it is moved."
    )
    order_price_steps: Whole = Field(
        4,
        ge=1,
        le=6,
        description="Prices tried from mid towards the other side, the last one being the floor.",
    )
    order_concession_pct: Number = Field(
        15.0,
        ge=0,
        le=50,
        description="Most that an order may give up from mid, percent. More fills, worse prices.",
    )
    record_chains: Switch = Field(False, description="true: write every chain read to data/chains for replay.")
    paper_btc_coin: Number = Field(1.0, ge=0, le=1000, description="BTC in a new paper account.")
    paper_eth_coin: Number = Field(10.0, ge=0, le=10_000, description="ETH in a new paper account.")


class AgentConfig(BaseSettings):
    """All sections. Make it with load_config, which also refuses names it does not know."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_file_encoding=ENV_FILE_ENCODING,
    )

    deribit: DeribitConfig = DeribitConfig()
    risk: RiskConfig = RiskConfig()
    btc: BtcConfig = BtcConfig()
    eth: EthConfig = EthConfig()
    agent: RunConfig = RunConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Of the environment only the names of settings: a foreign AGENT_NAME must not look like a field of ours."""
        if isinstance(env_settings, EnvSettingsSource):
            known = {name: text for name, text in env_settings.env_vars.items() if _is_known(name)}
            env_settings.env_vars = known
        return init_settings, env_settings, dotenv_settings

    def strategy(self, underlying: str) -> StrategyConfig:
        """The section of one coin."""
        return self.btc if underlying == "BTC" else self.eth

    @property
    def enabled_underlyings(self) -> tuple[Underlying, ...]:
        """The coins that are traded, BTC first."""
        coins: tuple[Underlying, ...] = ("BTC", "ETH")
        return tuple(coin for coin in coins if self.strategy(coin).enabled)


# --- reading ----------------------------------------------------------------------

SECTIONS: Mapping[str, type[Section]] = {
    "deribit": DeribitConfig,
    "risk": RiskConfig,
    "btc": BtcConfig,
    "eth": EthConfig,
    "agent": RunConfig,
}


def setting_fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting as (variable name, section, field), in the order of this file."""
    for section, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            yield f"{section}_{name}".upper(), section, field


SETTING_NAMES = tuple(name for name, _, _ in setting_fields())
_STRATEGY_TAILS = frozenset(name.removeprefix("BTC_") for name in SETTING_NAMES if name.startswith("BTC_"))


def load_config(env_file: Path | None = None, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> AgentConfig:
    """Read all sources; raises ConfigurationError with one line per problem.

    `env_file` None: settings from the environment alone. `overrides` are the command line's values by section, and win
    over everything else.
    """
    given = dict(overrides or {})
    problems = [*_unknown_in_file(env_file), *_unknown_in_environment(os.environ)]
    config: AgentConfig | None = None
    try:
        config = AgentConfig(_env_file=env_file, **given)  # type: ignore[arg-type]
    except ValidationError as error:
        problems += _problem_lines(error, env_file, given)
    except SettingsError as error:  # a section's bare name, such as BTC=1, which is among the unknown names by now
        problems = problems or [str(error)]
    if config is None or problems:
        raise ConfigurationError("\n".join(problems))
    return _with_absolute_paths(_the_safer_dry_run(config, env_file))


def _the_safer_dry_run(config: AgentConfig, env_file: Path | None) -> AgentConfig:
    """Where `.env` and the environment do not agree on a dry run, the dry run wins, and it is said."""
    in_file = _values_in_file(env_file).get("AGENT_DRY_RUN")
    in_environment = _values_in_environment().get("AGENT_DRY_RUN")
    if None in (in_file, in_environment) or in_file == in_environment:
        return config
    said = f"AGENT_DRY_RUN is {in_file} in .env and {in_environment} in the environment: this is a dry run"
    print(said, file=sys.stderr)
    return config.model_copy(update={"agent": config.agent.model_copy(update={"dry_run": True})})


def _values_in_file(env_file: Path | None) -> dict[str, str | None]:
    if env_file is None or not env_file.exists():
        return {}
    values = dotenv_values(env_file, interpolate=False, encoding=ENV_FILE_ENCODING)
    return {name.upper(): text for name, text in values.items()}


def _values_in_environment() -> dict[str, str]:
    return {name.upper(): text for name, text in os.environ.items() if _is_known(name)}


def _unknown_in_file(env_file: Path | None) -> list[str]:
    if env_file is None or not env_file.exists():
        return []
    bindings = _lines_of(env_file)
    names = [binding.key for binding in bindings if binding.key is not None]
    unknown = [(b.key, b.value) for b in bindings if b.key is not None and not _is_known(b.key)]
    problems = [_unknown_setting(name, value, env_file.name) for name, value in unknown]
    problems += _repeated(names, env_file.name) + _readable_by_others(env_file, names)
    broken_lines = [_line_problem(binding, env_file.name) for binding in bindings if binding.error]
    if broken_lines:  # nothing is made of such a file: who knows what else its lines were meant to say
        raise ConfigurationError("\n".join(broken_lines + problems))
    return problems


def _lines_of(env_file: Path) -> list[Binding]:
    """The file as NAME=VALUE lines; raises ConfigurationError where it is no text file of a sensible size."""
    if env_file.is_dir():
        raise ConfigurationError(f"{env_file.name} is a folder; settings are read from a file of that name")
    if not env_file.is_file():
        raise ConfigurationError(f"{env_file.name} is not a file")
    if env_file.stat().st_size > MAX_ENV_FILE_BYTES:
        raise ConfigurationError(f"{env_file.name} is larger than {MAX_ENV_FILE_BYTES} bytes: this is no settings file")
    try:
        with env_file.open(encoding=ENV_FILE_ENCODING) as lines:
            return list(parse_stream(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{env_file.name} cannot be read: {type(error).__name__}") from None


def _line_problem(binding: Binding, source: str) -> str:
    """A line that is not NAME=VALUE could hide a switch that was meant to be set; its text may be a secret."""
    return f"{source}, line {binding.original.line}: not of the form NAME=VALUE (is a quote not closed?)"


def _repeated(names: list[str], source: str) -> list[str]:
    upper = [name.upper() for name in names]
    twice = sorted({name for name in upper if upper.count(name) > 1})
    return [f"{name} stands more than once in {source}: keep one" for name in twice]


def _readable_by_others(env_file: Path, names: list[str]) -> list[str]:
    holds_secret = "DERIBIT_CLIENT_SECRET" in (name.upper() for name in names)
    if not holds_secret or os.name == "nt" or env_file.stat().st_mode & 0o077 == 0:
        return []
    return [f"{env_file.name} holds a secret that other users of this machine can read: chmod 600 {env_file.name}"]


def _unknown_in_environment(environment: Mapping[str, str]) -> list[str]:
    """Names that look meant for us; other tools' variables (AGENT_NAME, ETH_RPC_URL) are left alone."""
    return [
        _unknown_setting(name, value, "the environment")
        for name, value in environment.items()
        if not _is_known(name) and _looks_like_ours(name.upper())
    ]


def _looks_like_ours(name: str) -> bool:
    """Our own sections, a word of one of their settings, a strategy field under a foreign section, a close match."""
    section, _, tail = name.partition("_")
    if section in ("DERIBIT", "RISK") and tail:
        return True
    if section.lower() in SECTIONS and set(tail.split("_")) & _words_of(section):
        return True
    is_strategy_field = tail.strip("_") in _STRATEGY_TAILS - {"ENABLED"}
    return is_strategy_field or bool(difflib.get_close_matches(name, SETTING_NAMES, 1, 0.86))


def _words_of(section: str) -> set[str]:
    names = (name.removeprefix(f"{section}_") for name in SETTING_NAMES if name.startswith(f"{section}_"))
    return {word for name in names for word in name.split("_")}


def _is_known(name: str) -> bool:
    return name.upper() in SETTING_NAMES


def nearest_name(name: str, valid: tuple[str, ...]) -> str:
    """The valid name that looks most like this one."""
    return difflib.get_close_matches(name, valid, 1, 0.0)[0]


def _unknown_setting(name: str, value: str | None, source: str) -> str:
    nearest = nearest_name(name.upper(), SETTING_NAMES)
    is_foreign = source == "the environment" and not _is_plain(value)  # ETH_RPC_URL of another tool may hold its key
    shown = "(value not shown)" if is_foreign or _may_be_secret(name) else repr(value)
    return f"{name}={shown} in {source}: unknown setting; the nearest valid name is {nearest}"


def _is_plain(value: str | None) -> bool:
    """A number or a switch."""
    return value in (None, "", "true", "false") or all(char in "0123456789.,-+eE" for char in value or "")


def _may_be_secret(name: str) -> bool:
    return name.upper().startswith("DERIBIT") or any(
        word in name.upper() for word in ("SECRET", "KEY", "TOKEN", "CLIENT", "PASS")
    )


def _problem_lines(
    error: ValidationError, env_file: Path | None, overrides: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    on_command_line = {
        f"{section}_{name}".upper(): v for section, given in overrides.items() for name, v in given.items()
    }
    values = {**_values_in_file(env_file), **_values_in_environment(), **on_command_line}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        if problem["type"] == "extra_forbidden":
            continue  # an unknown name, which is listed with the nearest one
        name = "_".join(str(part) for part in problem["loc"][:2]).upper()
        shown = _shown_value(name, values.get(name))
        for message in problem["msg"].removeprefix("Value error, ").splitlines():
            yield f"{name}{shown}: {message[:1].lower()}{message[1:]}{_unit_hint(name)}"


def _shown_value(name: str, value: object) -> str:
    """`=value` as it was given; nothing where it may be secret, such as a URL with credentials in it."""
    text = "" if value is None else f"={value!r}"
    is_hidden = (_may_be_secret(name) and not name.endswith(("_URL", "_SECONDS"))) or "@" in text
    return "" if is_hidden else text[:MAX_SHOWN_LENGTH]


def _unit_hint(name: str) -> str:
    """Bounds and the field's own sentence, which holds its unit, so that 0.8 for 80 percent explains itself."""
    hints = {variable: (bounds_text(field), field.description) for variable, _, field in setting_fields()}
    bounds, sentence = hints.get(name, ("", ""))
    words = f"{bounds}: {sentence}" if bounds else sentence
    return f" [{words}]" if words else ""


def _with_absolute_paths(config: AgentConfig) -> AgentConfig:
    """Relative paths in settings mean: beside this file, wherever the agent was started."""
    agent, risk = config.agent, config.risk
    agent = agent.model_copy(
        update={"log_dir": PROJECT_FOLDER / agent.log_dir, "data_dir": PROJECT_FOLDER / agent.data_dir}
    )
    risk = risk.model_copy(update={"kill_file": PROJECT_FOLDER / risk.kill_file})
    return config.model_copy(update={"agent": agent, "risk": risk})


def require_credentials(config: AgentConfig) -> None:
    """Raise ConfigurationError naming each missing key; trading on testnet needs both."""
    missing = [
        f"DERIBIT_{name.upper()}: required to trade on testnet (no key needed with --dry-run)"
        for name in ("client_id", "client_secret")
        if getattr(config.deribit, name) is None
    ]
    if missing:
        raise ConfigurationError("\n".join(missing))


def credentials_source(env_file: Path | None = None) -> str:
    """Where the key comes from, never what it is: "env", ".env", "env and .env", or "none"."""
    key_names = ("DERIBIT_CLIENT_ID", "DERIBIT_CLIENT_SECRET")
    in_environment, in_file = _values_in_environment(), _values_in_file(env_file)
    found = {
        "env" if name in in_environment else ".env" for name in key_names if name in in_environment or name in in_file
    }
    return " and ".join(sorted(found, reverse=True)) or "none"


def without_secrets(text: str, config: AgentConfig) -> str:
    """A text of unknown origin without our key and the keys in the environment: a library may repeat its own."""
    own = (config.deribit.client_id, config.deribit.client_secret)
    values = {secret.get_secret_value() for secret in own if secret is not None}
    in_text = {name: value for name, value in os.environ.items() if value in text}
    values |= {value for name, value in in_text.items() if _may_be_secret(name) and not name.endswith("_URL")}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= MIN_SECRET_LENGTH:
            text = text.replace(value, "(hidden)")
    return text


# --- showing ----------------------------------------------------------------------


def changed_settings(config: AgentConfig) -> list[str]:
    """NAME=value of every setting that differs from its default; secrets only as 'set'."""
    changed = []
    for name, section, field in setting_fields():
        value = getattr(getattr(config, section), name.lower().removeprefix(f"{section}_"))
        default = field.default if not isinstance(field.default, Path) else PROJECT_FOLDER / field.default
        if value != default:
            changed.append(f"{name}={'set' if isinstance(value, SecretStr) else value}")
    return changed


def bounds_text(field: FieldInfo) -> str:
    """The bounds of a field as people write them, '' where it has none."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}
    parts = [
        f"{sign} {getattr(rule, key):g}" for rule in field.metadata for key, sign in signs.items() if hasattr(rule, key)
    ]
    return ", ".join(parts)


def default_text(field: FieldInfo) -> str:
    """The default as it would stand in .env."""
    if field.default is None:
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def env_example() -> str:
    """The text of .env.example."""
    lines = ["# Copy to .env and edit. Every line shows the default; lines starting with # change nothing."]
    for section, model in SECTIONS.items():
        lines += ["", f"# --- {section}: {(model.__doc__ or '').strip()}"]
        for name, field in model.model_fields.items():
            bounds = f" ({bounds_text(field)})" if bounds_text(field) else ""
            lines += [f"# {field.description}{bounds}"]
            example = f"your_{name}_here" if field.default is None else default_text(field)
            lines += [f"#{section.upper()}_{name.upper()}={example}"]
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """The settings table of README.md."""
    rows = ["| setting | default | bounds | meaning |", "|---|---|---|---|"]
    for name, _, field in setting_fields():
        rows.append(f"| `{name}` | `{default_text(field)}` | {bounds_text(field)} | {field.description} |")
    return "\n".join(rows).replace("`` |", "|") + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_table() if "--table" in sys.argv else env_example())
