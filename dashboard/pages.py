"""How a page is made: the templates, the words and numbers in them, and where a request finds the log.

In: a request, the name of a template, what it shows. Out: HTML. Numbers are formatted here and nowhere else: an unknown
one is a dash, never 0. Templates escape everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from config import AgentConfig
from core.text import printable
from dashboard.clock import Clock
from dashboard.log_index.index import LogIndex
from dashboard.settings import DashboardSettings

TEMPLATES = Path(__file__).resolve().parent / "templates"
UNKNOWN = "–"
MOST_FORM_BYTES, MOST_FORM_FIELDS = 20_000, 100
NAVIGATION = [("/", "Live"), ("/ask", "Ask"), ("/lab", "Lab")]  # rooms add their own pages: (address, name)


@dataclass(frozen=True)
class Context:
    """What every page may use. `config`: today's settings as far as the environment tells, without any key."""

    settings: DashboardSettings
    index: LogIndex
    now: Clock
    config: AgentConfig


def context_of(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def page(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A page in the common frame."""
    context = context_of(request)
    about = {"navigation": NAVIGATION, "here": request.scope["path"], "notices": context.index.notices()}
    text = ENVIRONMENT.get_template(template).render(about | dict(values))
    return HTMLResponse(text, status)


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form that was posted, the last of each name; HTTPException 413 where there is too much of it."""
    body = await request.body()
    if len(body) > MOST_FORM_BYTES:
        raise HTTPException(413, "This form is too long.")
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FORM_FIELDS))
    except ValueError:
        raise HTTPException(413, "This form has too many fields.") from None


# --- numbers and times as text ------------------------------------------------------------------------


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """1234.5 as 1,234.50; with a true minus; a dash where it is not known."""
    if value is None:
        return UNKNOWN
    rounded = round(value, digits) + 0.0
    text = f"{abs(rounded):,.{digits}f}"
    return f"−{text}" if rounded < 0.0 else f"+{text}" if sign and rounded > 0.0 else text


def coin(value: float | None, digits: int = 5, sign: bool = False) -> str:
    """An amount in coin, without trailing zeros beyond the second decimal."""
    if value is None:
        return UNKNOWN
    text = number(value, digits, sign)
    whole, point, decimals = text.partition(".")
    return f"{whole}{point}{decimals.rstrip('0').ljust(min(2, digits), '0')}"


def percent(fraction: float | None, digits: int = 1, sign: bool = False) -> str:
    """A fraction as percent."""
    return UNKNOWN if fraction is None else f"{number(100.0 * fraction, digits, sign)} %"


def moment(at: datetime | None) -> str:
    return UNKNOWN if at is None else f"{at:%-d %b %Y %H:%M} UTC"


def short_moment(at: datetime | None) -> str:
    return UNKNOWN if at is None else f"{at:%-d %b %H:%M}"


def duration(seconds: float | None) -> str:
    """About how long, in the one or two largest units."""
    if seconds is None:
        return UNKNOWN
    seconds = abs(seconds)
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60.0)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def figure(name: str, value: float | None, text: str) -> Markup:
    """A number as it is shown, with its name and its full value in the page's source."""
    full = "" if value is None else repr(float(value))
    return Markup('<data class="n" data-figure="{}" value="{}">{}</data>').format(name, full, text)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = (number, coin, percent, moment, short_moment, duration, printable)
    made.globals["figure"] = figure
    made.filters |= {format_.__name__: format_ for format_ in formats}
    return made


ENVIRONMENT = _environment()
