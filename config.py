"""Every setting of the agent, with its default, bounds, unit and danger, and the one place that reads them.

Names in `.env` and in the environment are SECTION_FIELD, for example BTC_DELTA_MIN or RISK_MAX_MARGIN_PCT.
Order of precedence: command line, environment, `.env` beside this file, default. The sentence under a setting is its
documentation everywhere: `.env.example` and the table of settings are printed from it (`python config.py`).
In: text. Out: one frozen AgentConfig, or a ConfigurationError that lists every problem. Talks to no network.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.settings import modes, names, texts, values
from core.settings.env_file import read_env_file
from models import ConfigurationError, Underlying

PROJECT_FOLDER = Path(__file__).resolve().parent
ENV_FILE: Path | None = PROJECT_FOLDER / ".env"
MARKET_FOLDERS = ("simulated", "recorded", "loopback")  # in the log and data folders, without anybody changing them
MIN_INTERVAL_SECONDS = 30.0  # what testnet is asked for; an exchange on this machine may be asked every second
MARKETS_OF_THIN_BOOKS = ("testnet", "loopback")  # where most calls have no bid, and a bid is not required
KEY_NAMES = ("DERIBIT_CLIENT_ID", "DERIBIT_CLIENT_SECRET")
SECRET_NAMES = {"DERIBIT_CLIENT_SECRET", "LLM_API_KEY"}  # nobody else may be able to read a file with one of them

# --- kinds of values ----------------------------------------------------------------


def _usable_path(value: object) -> object:
    """The path with its ~ expanded. A kill file whose path is wrong would never be seen."""
    if not isinstance(value, str):
        return value
    problem = values.path_problem(value)
    if problem is not None:
        raise ValueError(problem)
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, but that home folder is not known: write the path itself") from None


Number = Annotated[float, BeforeValidator(values.plain_number)]
Whole = Annotated[int, BeforeValidator(values.plain_number)]
Switch = Annotated[bool, BeforeValidator(values.strict_bool)]
SwitchOrUnset = Annotated[bool | None, BeforeValidator(values.bool_or_unset)]
Secret = Annotated[SecretStr, BeforeValidator(values.secret_text)]
FilePath = Annotated[Path, BeforeValidator(_usable_path)]
Url = Annotated[str, BeforeValidator(values.allowed_url)]
ModelUrl = Annotated[str, BeforeValidator(values.allowed_model_url)]
Day = Annotated[str, BeforeValidator(values.day_or_unset)]
SetName = Literal["research", "production", "conservative", "moderate", "aggressive"]


# --- the settings -------------------------------------------------------------------


class Section(BaseModel):
    """Base of all sections: frozen, finite, nothing unknown, values of bad fields never echoed by pydantic."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class DeribitConfig(Section):
    """Where and as whom the agent talks to Deribit."""

    base_url: Url = f"https://{values.TESTNET_HOST}"
    """URL of the exchange. Only testnet or this machine is accepted: mainnet would be real money."""
    client_id: Secret | None = None
    """Client id of a testnet API key. Needed to trade on testnet, not for dry run."""
    client_secret: Secret | None = None
    """Secret of that key. Anyone who has it can trade the account; it is never logged."""
    timeout_seconds: Number = Field(8.0, ge=1, le=9)
    """Seconds to wait for an answer. Orders lapse 10 s after they were sent."""


class RiskConfig(Section):
    """Hard limits. No policy can pass them."""

    max_margin_pct: Number = Field(50.0, ge=1, le=100)
    """Initial margin after a trade, percent (1 to 100) of margin balance."""
    new_short_margin_pct_of_limit: Number = Field(90.0, ge=1, le=100)
    """No new short call once margin is above this percent of max_margin_pct."""
    max_net_delta_fraction: Number = Field(0.6, ge=0, le=1)
    """Net option delta after a trade, as a fraction of the coins held."""
    max_expiry_exposure_fraction: Number = Field(1.0, gt=0, le=1)
    """Short calls of one expiry, as a fraction of the coins held (1 = all)."""
    max_quote_age_seconds: Number = Field(120.0, ge=1, le=900)
    """Older quotes are not traded on, seconds. High values sell into the past."""
    price_collar_pct: Number = Field(25.0, gt=0, le=50)
    """A limit price may be this percent worse than the mark, or two ticks if that is more."""
    require_bid: SwitchOrUnset = None
    """Sell no call without a bid. Unset: false on testnet and loopback, else true."""
    min_minutes_to_expiry: Number = Field(15.0, ge=15, le=1440)
    """Minutes before expiry from which an option is no longer traded."""
    max_orders_per_day: Whole = Field(20, ge=1, le=1000)
    """Orders per day (UTC) that filled or were refused, over all coins; then no sale."""
    max_unfilled_orders_per_day: Whole = Field(1000, ge=1, le=10_000)
    """Orders per day (UTC) that were taken back unfilled, over all coins; then no sale."""
    kill_file: FilePath = Path("data/KILL")
    """While this file exists no order is sent (in no mode) and our own are cancelled."""


class StrategyConfig(Section):
    """What the agent may sell on one coin. Premiums are USD per contract of one coin, net of the fee."""

    enabled: Switch = True
    """Whether this coin is traded at all (true or false)."""
    ivrv_min: Number = Field(1.0, ge=0, le=5)
    """Least ratio of implied to realised volatility. 0 turns the filter off."""
    delta_min: Number = Field(0.10, gt=0, lt=1)
    """Least delta of a call to sell (0 to 1)."""
    delta_max: Number = Field(0.30, gt=0, lt=1)
    """Greatest delta (0 to 1). Higher pays more and is called away more often."""
    dte_min: Number = Field(3.0, ge=0, le=400)
    """Least days to expiry of a call to sell."""
    dte_max: Number = Field(21.0, ge=0, le=400)
    """Greatest days to expiry of a call to sell."""
    premium_min_usd: Number = Field(100.0, ge=0, le=1e6)
    """Least premium in USD per contract of one coin after fee: at the bid, or as asked."""
    max_spread_pct: Number = Field(30.0, gt=0, le=200)
    """Greatest gap between bid and ask, percent of mid. Wide books cost dearly."""
    order_size: Number = Field(0.1, gt=0, le=100, multiple_of=0.1)
    """Contracts (coins) per call sold. A multiple of the exchange's minimum."""
    max_order_size: Number = Field(1.0, gt=0, le=100, multiple_of=0.1)
    """No order is ever larger than this, in coin, whatever the policy says."""
    roll_dte_days: Number = Field(1.0, ge=0, le=60)
    """A sold call with fewer days left is looked at for rolling."""
    roll_ivrv_min: Number = Field(1.2, ge=0, le=5)
    """IV/RV from which IV counts as still high: a due call is rolled even OTM."""
    take_profit_pct: Number = Field(0.0, ge=0, lt=100)
    """Buy back once this percent of the premium is earned. 0 turns it off."""

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

    premium_min_usd: Number = Field(4.0, ge=0, le=1e6)
    """Least premium in USD per contract of one coin after fee: at the bid, or as asked."""
    order_size: Number = Field(1.0, gt=0, le=1000, multiple_of=1)
    """Contracts (coins) per call sold. A multiple of the exchange's minimum."""
    max_order_size: Number = Field(10.0, gt=0, le=1000, multiple_of=1)
    """No order is ever larger than this, in coin, whatever the policy says."""


class ScoreConfig(Section):
    """What makes a call good to sell: points that are added up. 0 leaves a part out."""

    yield_points: Number = Field(1.0, ge=-1000, le=1000)
    """Points for each percent a year that the premium, net of the fee, pays if the price stays flat."""
    delta_points: Number = Field(-40.0, ge=-10_000, le=10_000)
    """Points for each 1.00 of delta: the risk of being called away."""
    spread_points: Number = Field(-0.2, ge=-1000, le=1000)
    """Points for each percent between bid and ask: the cost of getting out."""
    one_sided_points: Number = Field(0.0, ge=-1000, le=1000)
    """Points of a call without a bid or without an ask, which is offered at the mark."""
    target_delta_points: Number = Field(0.0, ge=-10_000, le=10_000)
    """Points for each 1.00 that the delta is away from target_delta: below 0 to come close."""
    target_delta: Number = Field(0.2, gt=0, lt=1)
    """The delta that is looked for (0 to 1), where target_delta_points is not 0."""
    target_days_points: Number = Field(0.0, ge=-1000, le=1000)
    """Points for each day that the expiry is away from target_days: below 0 to come close."""
    target_days: Number = Field(7.0, ge=0, le=400)
    """The days to expiry that are looked for, where target_days_points is not 0."""
    iv_rv_points: Number = Field(0.0, ge=-1000, le=1000)
    """Points for each 100 percent that the call's IV is above realised volatility."""
    regime_delta_points: Number = Field(0.0, ge=-10_000, le=10_000)
    """Points for each 1.00 of delta in a bull market; in a bear market the opposite."""


class RunConfig(Section):
    """How the agent runs: the loop, its files, how orders are worked, the paper account."""

    mode: SetName = "research"
    """Set of settings to start from (core/settings/modes.py): a mode or a profile. --mode sets it."""
    dry_run: Switch = False
    """true: testnet quotes, paper account, no order leaves this machine. --dry-run sets it."""
    interval_seconds: Number = Field(300.0, ge=1, le=86_400)
    """Seconds between iterations (300 to 900 is sensible; under 30 only with an exchange on this machine)."""
    policy: str = "policy_rule_based"
    """Module with decide_action(agent_state, config). --policy sets it."""
    policy_seconds: Number = Field(30.0, ge=0.05, le=120)
    """Seconds after which a policy that has not returned is stopped. A model is given less."""
    log_dir: FilePath = Path("logs")
    """Folder of the decision and order logs."""
    data_dir: FilePath = Path("data")
    """Folder of the paper account, the lock and recorded chains."""
    seed: Whole = Field(1, ge=0, le=2**31 - 1)
    """Seed of exploration and of the simulated market."""
    exploration_pct: Number = Field(0.0, ge=0, le=100)
    """Percent of decisions drawn at random among what is allowed, for training data."""
    exploration_best: Whole = Field(3, ge=1, le=100)
    """How many of the allowed actions with the highest scores are drawn from, beside doing nothing."""
    rv_window_days: Number = Field(30.0, ge=2, le=60)
    """Days of closes behind realised volatility and IV/RV. Of the index there are 30, whatever is asked for."""
    rv_min_returns: Whole = Field(20, ge=5, le=2000)
    """With fewer returns realised volatility is unknown and no call is sold."""
    order_wait_seconds: Number = Field(10.0, ge=1, le=60)
    """Seconds an order rests at each price before it is moved."""
    order_price_steps: Whole = Field(4, ge=1, le=6)
    """Prices tried from mid towards the other side, the last one being the floor."""
    order_concession_pct: Number = Field(15.0, ge=0, le=50)
    """Most that an order may give up from mid, percent. More fills, worse prices."""
    fills: Literal["ladder", "touch"] = "ladder"
    """ladder, as on testnet, or touch, for research: sell at the bid, buy at the ask, at once."""
    record_chains: Switch = False
    """true: write every chain read to data/chains for replay."""
    paper_btc_coin: Number = Field(1.0, ge=0, le=1000)
    """BTC in a new paper account."""
    paper_eth_coin: Number = Field(10.0, ge=0, le=10_000)
    """ETH in a new paper account."""


class LlmConfig(Section):
    """The language model behind --policy llm. Any endpoint with OpenAI's chat-completions interface."""

    base_url: ModelUrl = ""
    """URL up to /v1, https; plain http on this machine only. What is sent are market and account figures."""
    api_key: Secret | None = None
    """Key of that endpoint, where it wants one. It is never logged, and no other policy sees it."""
    model: str = Field("", max_length=200)
    """Name of the model, as the endpoint calls it."""
    timeout_seconds: Number = Field(20.0, ge=0.1, le=110)
    """Seconds to wait for the whole reply. Nine tenths of AGENT_POLICY_SECONDS where that is less."""
    temperature: Number = Field(1.0, ge=0, le=2)
    """At 1 the logged probabilities are those of what happens; at 0 the likeliest is always taken."""
    max_reply_tokens: Whole = Field(32, ge=8, le=4000)
    """Most tokens of a reply; an answer needs about ten, a model that thinks aloud far more."""
    max_calls_per_day: Whole = Field(300, ge=0, le=100_000)
    """Calls a day (UTC, of the state), counted from the log of calls; then nothing is done."""
    max_tokens_per_day: Whole = Field(600_000, ge=0, le=10**9)
    """Tokens a day, prompts and replies, counted in the same way. A decision takes 1,000 to 1,900."""
    send_schema: Switch = True
    """Ask the endpoint to allow the letters alone (response_format). The answer is checked anyway."""
    send_logprobs: Switch = True
    """Ask for logprobs, which become the probabilities of the letters. Some models refuse such requests."""
    hide_market: Switch = False
    """true: no dates and no prices in the prompt, only ratios: a model may remember the past."""
    cache: Literal["fill", "only"] = "fill"
    """fill: ask what was never asked. only: never ask, as a replay does; a miss does nothing."""
    cache_dir: FilePath = Path("data/model_cache")
    """Folder of prompts and replies, shared by all ways to run: the same state is paid for once."""
    training_cutoff: Day = ""
    """Last day in the model's training data, YYYY-MM-DD. Results before it are marked as not to be trusted."""


class AgentConfig(BaseSettings):
    """All sections. Make it with load_config, which reads the sources and refuses names it does not know."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    deribit: DeribitConfig = DeribitConfig()
    risk: RiskConfig = RiskConfig()
    btc: BtcConfig = BtcConfig()
    eth: EthConfig = EthConfig()
    score: ScoreConfig = ScoreConfig()
    run: RunConfig = RunConfig()
    llm: LlmConfig = LlmConfig()
    _key_source: str = PrivateAttr("none")
    _market: str | None = PrivateAttr(None)
    _typed_as: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what load_config hands over: it reads `.env` and the environment once, and knows which name is ours."""
        return (init_settings,)

    @property
    def key_source(self) -> str:
        """Where the key comes from, never what it is: "env", ".env", "env and .env", or "none"."""
        return self._key_source

    def name_of(self, setting: str) -> str:
        """What a message calls a setting: the option it was given by on the command line, else its variable."""
        return self._typed_as.get(setting, setting)

    def at_market(self, market: str) -> AgentConfig:
        """The same settings, at the market that this run takes its quotes from."""
        config = self.model_copy()
        config._market = market
        return config

    @property
    def requires_bid(self) -> bool:
        """Whether only a call with a bid may be sold: as the setting says, else as the market has it."""
        asked = self.risk.require_bid
        return self._market not in MARKETS_OF_THIN_BOOKS if asked is None else asked

    def without_coins_beyond(self, coins: Collection[str]) -> AgentConfig:
        """The same settings with every coin switched off that a market does not have."""
        missing = [coin for coin in self.enabled_underlyings if coin not in coins]
        off = {coin.lower(): self.strategy(coin).model_copy(update={"enabled": False}) for coin in missing}
        return self.model_copy(update=off)

    @property
    def is_loopback(self) -> bool:
        """Whether the exchange is one on this machine, a market of its own: never taken for testnet."""
        return values.is_loopback(self.deribit.base_url)

    @property
    def kill_files(self) -> tuple[Path, ...]:
        """Where a file stops every order: the place in the settings, and KILL in the data folder of this run."""
        return tuple(dict.fromkeys((self.risk.kill_file, self.run.data_dir / "KILL")))

    def strategy(self, underlying: str) -> StrategyConfig:
        """The section of one coin."""
        return self.btc if underlying == "BTC" else self.eth

    @property
    def enabled_underlyings(self) -> tuple[Underlying, ...]:
        """The coins that are traded, BTC first."""
        coins: tuple[Underlying, ...] = ("BTC", "ETH")
        return tuple(coin for coin in coins if self.strategy(coin).enabled)


# --- reading ------------------------------------------------------------------------

SECTIONS: Mapping[str, type[Section]] = {
    "deribit": DeribitConfig,
    "risk": RiskConfig,
    "btc": BtcConfig,
    "eth": EthConfig,
    "score": ScoreConfig,
    "run": RunConfig,
    "llm": LlmConfig,
}


PREFIXES = {"run": "AGENT"}  # the run section's variables begin with AGENT_, all others with the name of theirs
SETTINGS = tuple(texts.settings_of(SECTIONS, PREFIXES))
SETTING_NAMES = tuple(setting.name for setting in SETTINGS)


def load_config(
    env_file: Path | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    typed_as: Mapping[str, str] | None = None,
    warn: Callable[[str], object] = warnings.warn,
) -> AgentConfig:
    """Read all sources; raises ConfigurationError with one line per problem.

    `env_file` None: settings from the environment alone. `overrides` are the command line's values by section, and win
    over everything else; `typed_as` gives the option behind each of their settings, for messages. `warn` is told what
    is no error: names of other programs, two answers to one question.
    """
    in_file, problems = ({}, []) if env_file is None else read_env_file(env_file, SETTING_NAMES, SECRET_NAMES)
    in_environment = {name.upper(): text for name, text in os.environ.items() if name.upper() in SETTING_NAMES}
    problems += _misspelt_in_environment(warn)
    given = {**in_file, **in_environment}
    problems += [f"{name}: ${{...}} is not replaced: write the value itself" for name in given if "${" in given[name]]
    explicit = texts.by_section(SETTINGS, tuple(SECTIONS), given, overrides or {})
    mode = explicit["run"].get("mode", "research")
    sections = modes.with_set(mode, explicit)
    try:
        config = AgentConfig.model_validate(sections)
    except ValidationError as error:
        called = [setting._replace(name=(typed_as or {}).get(setting.name, setting.name)) for setting in SETTINGS]
        raise ConfigurationError("\n".join([*problems, *texts.problem_lines(error, called, sections)])) from None
    config._typed_as = dict(typed_as or {})
    if not config.is_loopback and config.run.interval_seconds < MIN_INTERVAL_SECONDS:
        asked = f"{config.name_of('AGENT_INTERVAL_SECONDS')}={config.run.interval_seconds:g}"
        problems.append(f"{asked}: must be 30 to 86400 (from 1 with an exchange on this machine)")
    explored_as = config.name_of("AGENT_EXPLORATION_PCT")
    problems += modes.exploration_problems(config.run.mode, config.run.exploration_pct, explored_as)
    if problems:
        raise ConfigurationError("\n".join(problems))
    for sentence in modes.overruled(mode, explicit, SETTINGS, config, config.name_of):
        warn(sentence)
    found_in = {"env" if name in in_environment else ".env" for name in KEY_NAMES if name in given}
    config = _with_absolute_paths(_the_safer_dry_run(config, in_file, in_environment, warn))
    config._key_source = " and ".join(sorted(found_in, reverse=True)) or "none"
    return config


def config_of_mode(name: str, env_file: Path | None = None) -> AgentConfig:
    """The settings of a mode or profile with what the file says; raises ConfigurationError."""
    return load_config(env_file, {"run": {"mode": name}}, warn=lambda _: None)


def _misspelt_in_environment(warn: Callable[[str], object]) -> list[str]:
    """What is wrong with names that must be meant for us; those of other programs are mentioned and ignored."""
    misspelt, ignored = names.unknown_in_environment(os.environ, SETTING_NAMES)
    for sentence in ignored:
        warn(sentence)
    return misspelt


def _the_safer_dry_run(
    config: AgentConfig,
    in_file: Mapping[str, str],
    in_environment: Mapping[str, str],
    warn: Callable[[str], object],
) -> AgentConfig:
    """Where `.env` and the environment disagree on a dry run, it is a dry run, and the caller is told."""
    first, second = in_file.get("AGENT_DRY_RUN"), in_environment.get("AGENT_DRY_RUN")
    if None in (first, second) or first == second:
        return config
    warn(f"AGENT_DRY_RUN is {first} in .env and {second} in the environment: this is a dry run")
    return config.model_copy(update={"run": config.run.model_copy(update={"dry_run": True})})


def _with_absolute_paths(config: AgentConfig) -> AgentConfig:
    """Relative paths in settings mean: beside this file, wherever the agent was started."""
    kill_file = PROJECT_FOLDER / config.risk.kill_file
    folders = {name: PROJECT_FOLDER / getattr(config.run, name) for name in ("log_dir", "data_dir")}
    # The start makes these two; any other folder that is not there is a slip, and nobody would ever find the file.
    is_made_by_us = kill_file.parent in (folders["data_dir"], PROJECT_FOLDER / "data")
    if not (is_made_by_us or kill_file.parent.is_dir()):
        raise ConfigurationError(f"RISK_KILL_FILE={str(kill_file)!r}: the folder {kill_file.parent} does not exist")
    cache_dir = PROJECT_FOLDER / config.llm.cache_dir
    paths = {"run": folders, "risk": {"kill_file": kill_file}, "llm": {"cache_dir": cache_dir}}
    return config.model_copy(update={name: getattr(config, name).model_copy(update=paths[name]) for name in paths})


def require_credentials(config: AgentConfig) -> None:
    """Raise ConfigurationError naming each missing key; trading on testnet needs both."""
    key = (config.deribit.client_id, config.deribit.client_secret)
    missing = [name for name, secret in zip(KEY_NAMES, key, strict=True) if secret is None]
    if missing:
        needed = "required to trade on testnet (no key needed with --dry-run)"
        raise ConfigurationError("\n".join(f"{name}: {needed}" for name in missing))


# --- showing ----------------------------------------------------------------------


def changed_settings(config: AgentConfig) -> list[str]:
    """NAME=value of every setting that differs from its default; secrets only as 'set'."""
    changed = []
    for name, section, field, info in SETTINGS:
        value = getattr(getattr(config, section), field)
        default = PROJECT_FOLDER / info.default if isinstance(info.default, Path) else info.default
        is_a_markets_own = isinstance(value, Path) and value.parent == default and value.name in MARKET_FOLDERS
        if value != default and not is_a_markets_own:
            changed.append(f"{name}={'set' if isinstance(value, SecretStr) else value}")
    return changed


def env_example() -> str:
    """The text of .env.example."""
    return texts.env_example(SETTINGS, SECTIONS)


def settings_table() -> str:
    """All settings as a markdown table."""
    return texts.settings_table(SETTINGS)


def main(arguments: Sequence[str]) -> int:
    """`--table`, `--diff MODE MODE`, or nothing for .env.example; the exit code."""
    if list(arguments) in ([], ["--table"]):
        sys.stdout.write(settings_table() if arguments else env_example())
        return 0
    problem = modes.problem_of_diff(arguments)
    if problem is not None:
        sys.stderr.write(f"config.py: {problem}\n")
        return 2
    left, right = arguments[1:]
    lines = modes.difference_lines((left, right), (config_of_mode(left), config_of_mode(right)), SETTINGS)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
