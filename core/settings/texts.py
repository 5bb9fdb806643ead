"""Settings as text: what is said about a wrong value, the bounds of a field, `.env.example`, the table of settings.

In: the settings, each a field of a pydantic model with a sentence of its own. Out: text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from core.settings.names import shown_value


class Setting(NamedTuple):
    """One setting: its variable, where it stands in the settings object, and what is known of it."""

    name: str
    section: str
    field: str
    info: FieldInfo


def settings_of(sections: Mapping[str, type[BaseModel]], prefixes: Mapping[str, str]) -> Iterator[Setting]:
    """Every setting in the order of the models; the variables of a section begin with its prefix, else its name."""
    for section, model in sections.items():
        for field, info in model.model_fields.items():
            yield Setting(f"{prefixes.get(section, section)}_{field}".upper(), section, field, info)


def by_section(
    settings: Sequence[Setting],
    sections: Sequence[str],
    given: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Texts by variable as values by section and field; `overrides`, by section already, win."""
    found: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for setting in settings:
        if setting.name in given:
            found[setting.section][setting.field] = given[setting.name]
    return found | {section: found[section] | dict(more) for section, more in overrides.items()}


def problem_lines(
    error: ValidationError, settings: Sequence[Setting], given: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """One line a problem: variable, value as it was given, what is wrong, bounds and meaning."""
    known = {(setting.section, setting.field): setting for setting in settings}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        section, *field = (str(part) for part in problem["loc"][:2] or ("settings",))
        setting = known.get((section, field[0])) if field else None
        name = "_".join((section, *field)).upper() if setting is None else setting.name
        shown = "" if setting is None else shown_value(name, given[section].get(setting.field))
        hint = "" if setting is None else f" [{_bounds_and_meaning(setting.info)}]"
        said = problem["msg"].removeprefix("Value error, ") or f"refused ({problem['type']})"
        for message in said.splitlines():
            yield f"{name}{shown}: {message[:1].lower()}{message[1:]}{hint}"


def _bounds_and_meaning(info: FieldInfo) -> str:
    """The sentence holds the unit, so that 0.8 for 80 percent explains itself."""
    bounds = bounds_text(info)
    return f"{bounds}: {info.description}" if bounds else f"{info.description}"


def bounds_text(info: FieldInfo) -> str:
    """The bounds of a field as people write them, '' where it has none."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}
    parts = [
        f"{sign} {getattr(rule, key):g}" for rule in info.metadata for key, sign in signs.items() if hasattr(rule, key)
    ]
    return ", ".join(parts)


def default_text(info: FieldInfo) -> str:
    """The default as it would stand in .env."""
    if info.default is None:
        return ""
    return str(info.default).lower() if isinstance(info.default, bool) else str(info.default)


def env_example(settings: Sequence[Setting], sections: Mapping[str, type[BaseModel]]) -> str:
    """The text of .env.example."""
    lines = ["# Copy to .env and edit. Every line shows the default; lines starting with # change nothing."]
    for section, model in sections.items():
        members = [setting for setting in settings if setting.section == section]
        prefix = members[0].name.removesuffix(members[0].field.upper())
        lines += ["", f"# --- {prefix}...: {(model.__doc__ or '').strip()}"]
        for setting in members:
            bounds = bounds_text(setting.info)
            example = f"your_{setting.field}_here" if _is_secret(setting.info) else default_text(setting.info)
            lines += [f"# {setting.info.description}{f' ({bounds})' if bounds else ''}", f"#{setting.name}={example}"]
    return "\n".join(lines) + "\n"


def _is_secret(info: FieldInfo) -> bool:
    """Whether a setting has no default because it is a key."""
    return info.default is None and "SecretStr" in str(info.annotation)


def settings_table(settings: Sequence[Setting]) -> str:
    """A markdown table of all settings."""
    rows = ["| setting | default | bounds | meaning |", "|---|---|---|---|"]
    for name, _, _, info in settings:
        default = f"`{default_text(info)}` " if default_text(info) else ""
        rows.append(f"| `{name}` | {default}| {bounds_text(info)} | {info.description} |")
    return "\n".join(rows) + "\n"


def not_utf8(content: bytes) -> str | None:
    """Where a text is not UTF-8, in words; None where all of it is."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"line {line}, byte {error.start}: 0x{content[error.start]:02x}; save it as UTF-8"
    return None
