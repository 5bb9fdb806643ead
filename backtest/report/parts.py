"""Tables and figures of a page, each with a line that says where its quotes come from. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from backtest.report.svg import Series, line_chart


def table(head: Iterable[str], rows: Iterable[Iterable[str]], source: str) -> str:
    """A table that scrolls sideways on a phone."""
    cells = "".join(f"<th>{escape(word)}</th>" for word in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{cells}</tr>{lines}</table></div>{source_line(source)}'


def figure(title: str, series: Sequence[Series], source: str) -> str:
    """A chart under its title."""
    return f"<h3>{escape(title)}</h3>{line_chart(title, series)}{source_line(source)}"


def source_line(source: str) -> str:
    """Small, under what it is about."""
    return f'<p class="source">{escape(source)}</p>'
