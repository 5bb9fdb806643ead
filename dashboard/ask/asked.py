"""What a question is about: a coin, a span of time, a call, a line, a setting. Pure.

In: values from a parser of words, a form, a model or an assistant. Out: one frozen Asked; pydantic's ValidationError
where a value is of no use. Days are UTC, `end` is the first moment that no longer belongs to the span.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dashboard.ask.log_view import BEGINNING, END, Span

Name = Annotated[str, Field(max_length=80, pattern=r"^[\w.-]+$")]


class Asked(BaseModel):
    """All that can be said with a question; each one uses some of it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    coin: Literal["BTC", "ETH"] | None = None
    """BTC or ETH; both where it is left out."""
    start: AwareDatetime | None = None
    """First moment of the span, UTC; the whole log where it is left out."""
    end: AwareDatetime | None = None
    """First moment after the span, UTC."""
    symbol: Name | None = None
    """A call such as BTC-9JAN26-93000-C."""
    run: Name | None = None
    """A run such as dry_run-0001."""
    second_run: Name | None = None
    """The run that it is compared with."""
    iteration: int | None = Field(None, ge=0, le=10**9)
    """The number of a line within its run."""
    setting: Name | None = None
    """A filter's setting, such as delta_max."""
    value: float | None = Field(None, ge=-1e9, le=1e9)
    """What the setting would be."""
    count: int = Field(3, ge=1, le=20)
    """How many rows."""
    best: bool = False
    """The best calls instead of the worst."""

    @property
    def span(self) -> Span:
        return Span(self.start or BEGINNING, self.end or END)

    @property
    def span_words(self) -> str:
        """ "" for the whole log; the last day named is the last one inside."""
        if self.start is None or self.end is None:
            return ""
        return f" from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    def coins(self, known: tuple[str, ...] = ("BTC", "ETH")) -> tuple[str, ...]:
        return known if self.coin is None else tuple(coin for coin in known if coin == self.coin)
