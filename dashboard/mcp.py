"""python -m dashboard.mcp LOGS: the questions about a log as tools of an assistant (Model Context Protocol, stdio).

In: a log folder. Out: a tool a question, one for questions in words, one that runs a backtest with allow-listed
settings. Facts come with value, unit and line; what is unknown is "not in the log". Standard input and output alone:
no port is opened. Reads the log; a backtest writes into the lab's folder.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer
from dashboard.ask.front import ask
from dashboard.ask.log_view import view_of
from dashboard.ask.questions import QUESTIONS, Question, answer
from dashboard.clock import real_now
from dashboard.lab.archive import summary
from dashboard.lab.form import command_of
from dashboard.lab.jobs import Jobs
from dashboard.log_index.index import LogIndex
from dashboard.settings import DashboardSettings
from models import ConfigurationError

PROJECT = Path(__file__).resolve().parents[1]
INSTRUCTIONS = (
    "Read-only tools over the log of a covered-call agent on testnet or paper. Repeat figures exactly as they are "
    "given, with their units; where a value is null say that it is not in the log. No tool can trade."
)
LOOK_EVERY_SECONDS = 0.5
MOST_LOOKS = 1_200  # ten minutes
EMPTY_LOG = "there is no decision in this log folder"


class Tools:
    """What the assistant may call. Arguments are checked as everywhere; errors are sentences in the result."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._settings = settings
        self._index = LogIndex(settings.log_dir, settings.data_dir / "mcp")
        self._jobs = Jobs(settings.work_dir / "lab")

    def all(self) -> list[tuple[str, str, Callable[..., dict[str, Any]]]]:
        """Name, description and function of each tool."""
        asked = [(one.name, _description(one), self._tool_of(one)) for one in QUESTIONS.values()]
        words = ("ask_in_words", "A question in plain English, answered by the function that fits.", self.ask_in_words)
        return [*asked, words, ("backtest", str(inspect.getdoc(self.backtest)), self.backtest)]

    def ask_in_words(self, question: str) -> dict[str, Any]:
        """A question in plain English."""
        self._index.refresh()
        view = view_of(self._index)
        return {"problem": EMPTY_LOG} if view is None else as_dict(ask(view, question))

    def backtest(self, fields: dict[str, str]) -> dict[str, Any]:
        """Run a backtest and wait for it. fields: policy, start, end (YYYY-MM-DD), seed, interval (seconds), fills
        (ladder or touch), recording, and settings such as BTC_DELTA_MAX; all optional, all as text."""
        try:
            command = command_of(fields, self._settings.data_dir)
            name = self._jobs.start(command, real_now())
        except ConfigurationError as problem:
            return {"problem": str(problem)}
        return self._result_of(name)

    def _result_of(self, name: str) -> dict[str, Any]:
        for _ in range(MOST_LOOKS):
            job = self._jobs.job(name)
            if job is None:
                return {"problem": f"job {name} is gone"}
            if job.state != "running":
                break
            Event().wait(LOOK_EVERY_SECONDS)
        else:
            return {"job": name, "state": "running", "problem": "it still runs: look at it in the dashboard's lab"}
        found = summary(job.folder / "results" / "summary.json")
        return {"job": name, "state": job.state, "said": job.said, "summary": found}

    def _tool_of(self, question: Question) -> Callable[..., dict[str, Any]]:
        """A function with the question's own parameters, all of them optional."""

        def tool(**arguments: Any) -> dict[str, Any]:
            self._index.refresh()
            view = view_of(self._index)
            given = {name: value for name, value in arguments.items() if value is not None}
            return {"problem": EMPTY_LOG} if view is None else as_dict(answer(view, question.name, given))

        parameters = [_parameter(name) for name in question.uses]
        tool.__name__, tool.__doc__ = question.name, _description(question)
        tool.__signature__ = inspect.Signature(parameters, return_annotation=dict[str, Any])  # type: ignore[attr-defined]
        tool.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": dict[str, Any]}
        return tool


def _parameter(name: str) -> inspect.Parameter:
    kinds: Mapping[str, Any] = {"iteration": int, "count": int, "value": float, "best": bool}
    kind = kinds.get(name, str)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind | None)


def _description(question: Question) -> str:
    meanings = [f"{name}: {Asked.model_fields[name].description}" for name in question.uses]
    return "\n".join([question.sentence, *meanings])


def as_dict(found: Answer) -> dict[str, Any]:
    """An answer as JSON; None is a value that is not in the log."""
    facts = [
        {
            "name": fact.name,
            "label": fact.label,
            "value": fact.value.isoformat() if isinstance(fact.value, datetime) else fact.value,
            "unit": fact.unit,
            "line": fact.link,
        }
        for fact in found.facts
    ]
    return {"question": found.question, "title": found.title, "text": found.text, "facts": facts}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the assistant closes standard input."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.mcp", description=__doc__)
    parser.add_argument("log_dir", nargs="?", type=Path, default=PROJECT / "logs", help="folder of the log (logs)")
    parser.add_argument("--data-dir", type=Path, default=PROJECT / "data", help="where its own files go (data)")
    options = parser.parse_args(arguments)
    try:
        from mcp.server import MCPServer  # an extra: --help works without it
    except ImportError:
        print("mcp is missing: pip install -r dashboard/requirements-mcp.txt", file=sys.stderr)
        return 2
    server = MCPServer("covered-calls", instructions=INSTRUCTIONS, log_level="ERROR")
    for name, description, function in Tools(DashboardSettings(options.log_dir, options.data_dir)).all():
        server.add_tool(function, name=name, description=description)
    server.run("stdio")
    return 0


if __name__ == "__main__":
    sys.exit(main())
