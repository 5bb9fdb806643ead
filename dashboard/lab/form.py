"""What may be asked of a backtest, and the command line made of it: an allow-list, field by field.

In: fields of a form or of an assistant's call, as text. Out: a Job's argv and the settings it is started with, or a
ConfigurationError with a sentence. Nothing else reaches a process: no path but those found in the data folder, no
policy but files with decide_action, no setting but the strategy's, each within its own bounds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from config import PROJECT_FOLDER, SETTINGS
from core.settings.texts import Setting, bounds_text
from models import ConfigurationError

SECTIONS = ("btc", "eth")
FREE_SETTINGS = {one.name: one for one in SETTINGS if one.section in SECTIONS}
MOST_AXES, MOST_TRIALS = 4, 400


class RunForm(BaseModel):
    """The fields beside the settings. Empty text is a field left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    kind: Literal["run", "sweep"] = "run"
    """One run with its comparisons, or a sweep over the settings that have several values."""
    policy: str = Field("policy_rule_based", max_length=60, pattern=r"^[a-z_][a-z0-9_]*$")
    """A file with decide_action in the agent's folder."""
    recording: str = Field("", max_length=200)
    """Recorded chains out of the data folder; empty: the simulated market."""
    start: date | None = None
    """First day, UTC."""
    end: date | None = None
    """Last day, UTC."""
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    """Seed of chance and of the simulated market."""
    interval: float | None = Field(None, ge=60, le=86_400)
    """Seconds between decisions."""
    fills: Literal["", "ladder", "touch"] = ""
    """How orders are filled."""
    presets: bool = False
    """Whether the policies for comparison are run too."""


@dataclass(frozen=True)
class Command:
    """`argv` without the folder of the results; `settings` are variables of the environment."""

    kind: str
    argv: tuple[str, ...]
    settings: Mapping[str, str]

    def into(self, folder: Path) -> list[str]:
        """The whole command line; a replay that watches a file writes nothing."""
        return list(self.argv) if self.kind == "watch" else [*self.argv, "--out", str(folder)]


def command_of(fields: Mapping[str, str], data_dir: Path) -> Command:
    """Raises ConfigurationError where a field is not allowed or not within its bounds."""
    given = {name: text.strip() for name, text in fields.items() if text.strip()}
    foreign = sorted(name[:40] for name in given.keys() - RunForm.model_fields.keys() - FREE_SETTINGS.keys())
    if foreign:
        raise ConfigurationError(f"not a field of this form: {', '.join(foreign)}")
    try:
        form = RunForm.model_validate({name: text for name, text in given.items() if name in RunForm.model_fields})
    except ValidationError as error:
        problems = (f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_input=False, include_url=False))
        raise ConfigurationError("; ".join(problems)) from None
    if form.policy not in policies():
        raise ConfigurationError(f"policy: there is no {form.policy}.py with decide_action")
    if form.start is not None and form.end is not None and form.start >= form.end:
        raise ConfigurationError("end: must be after start")
    settings = {name: text for name, text in given.items() if name in FREE_SETTINGS}
    return _sweep(form, settings, data_dir) if form.kind == "sweep" else _run(form, settings, data_dir)


def watch_command(policy: str, log_dir: Path) -> Command:
    """Decide a log again after every save of a policy's file; raises ConfigurationError for a policy that is none."""
    if policy not in policies():
        raise ConfigurationError(f"policy: there is no {policy[:40]}.py with decide_action")
    argv = (sys.executable, "-m", "backtest.replay", str(log_dir.resolve()), "--policy", policy, "--watch")
    return Command("watch", argv, {})


def _run(form: RunForm, settings: Mapping[str, str], data_dir: Path) -> Command:
    for name, text in settings.items():
        if "," in text:
            raise ConfigurationError(f"{name}={text[:40]}: one run has one value of it; several make a sweep")
        _check(name, text)
    argv = [sys.executable, "-m", "backtest.run", "--policy", form.policy, *_market(form, data_dir)]
    argv += [] if form.presets else ["--no-presets"]
    return Command("run", tuple(argv), dict(settings))


def _sweep(form: RunForm, settings: Mapping[str, str], data_dir: Path) -> Command:
    """Settings with several values (0.2,0.3) are its axes, the others hold for all trials."""
    axes = {name: text for name, text in settings.items() if "," in text}
    if not 1 <= len(axes) <= MOST_AXES:
        raise ConfigurationError(f"a sweep needs one to {MOST_AXES} settings with several values, such as 0.2,0.3,0.4")
    trials = math.prod(len(text.split(",")) for text in axes.values())
    if trials > MOST_TRIALS:
        raise ConfigurationError(f"these values make {trials} trials, at most {MOST_TRIALS}")
    for name, text in settings.items():
        for value in text.split(","):
            _check(name, value.strip())
    argv = [sys.executable, "-m", "backtest.sweep", "--policy", form.policy, *_market(form, data_dir), "--workers", "1"]
    for name, text in axes.items():
        argv += ["--set", f"{name}={text.replace(' ', '')}"]
    return Command("sweep", tuple(argv), {name: text for name, text in settings.items() if name not in axes})


def _market(form: RunForm, data_dir: Path) -> list[str]:
    argv: list[str] = []
    if form.recording:
        found = recordings(data_dir).get(form.recording)
        if found is None:
            raise ConfigurationError("recording: not one of those in the data folder")
        argv += ["--recording", str(found)]
    for name in ("start", "end", "seed", "interval", "fills"):
        value = getattr(form, name)
        argv += [f"--{name}", str(value)] if value not in (None, "") else []
    return argv


def _check(name: str, text: str) -> None:
    """A value of a setting by the setting's own rules."""
    setting = FREE_SETTINGS[name]
    try:
        _adapter(name).validate_python(text)
    except ValidationError:
        said = bounds_text(setting.info) or "another form"
        raise ConfigurationError(f"{name}={text[:40]}: wanted {said}. {setting.info.description}") from None


@lru_cache(maxsize=256)
def _adapter(name: str) -> TypeAdapter[Any]:
    info = FREE_SETTINGS[name].info
    annotated: Any = Annotated[info.annotation, *info.metadata]
    return TypeAdapter(annotated)


def form_settings() -> Sequence[tuple[Setting, str]]:
    """The settings of the form, each with its bounds in words."""
    return [(one, bounds_text(one.info)) for one in FREE_SETTINGS.values()]


def policies() -> list[str]:
    """Files of the agent's folder that define decide_action."""
    files = sorted(PROJECT_FOLDER.glob("*.py"))
    return [path.stem for path in files if "\ndef decide_action(" in path.read_text(encoding="utf-8", errors="replace")]


def recordings(data_dir: Path) -> dict[str, Path]:
    """Recorded chains in the data folder, by the name of their folder."""
    found = {path.parent for path in data_dir.glob("**/*.jsonl*") if path.parent.name == "chains"}
    return {str(path.relative_to(data_dir)): path for path in sorted(found)}
