"""The lab's jobs: started, watched, cancelled; each in a folder of its own, so that they survive a reload.

In: a Command. Out: Jobs, read from their folders alone: state, progress, results. Writes below one folder, starts
processes, sends them SIGINT. A job's process never gets the exchange's key.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from config import PROJECT_FOLDER
from core.text import printable
from dashboard.lab.form import Command
from dashboard.lab.runner import CANCELLED, ENDED, JOB, OUTPUT
from models import ConfigurationError

MOST_AT_ONCE = 2
TAIL_BYTES = 16_000
MOST_TAIL_LINES = 60
ANSWER_BYTES = 500_000  # of a replay that answers every save: one answer and the end of that before it
MOST_ANSWER_LINES = 120
WAITING = "waiting for "  # how a replay ends an answer
JOB_NAME = re.compile(r"^\d{8}-\d{6}(-\d+)?$")
OUTPUTS = ("report.html", "summary.json", "trades.csv", "equity.csv", "chains.csv", "decisions.csv", "ranking.csv",
           "trials.jsonl")  # fmt: skip
KEPT_FROM_JOBS = ("DERIBIT_", "NOTIFY_", "LLM_", "DASHBOARD_")

State = Literal["running", "done", "cancelled", "failed", "lost"]


@dataclass(frozen=True)
class Job:
    """One run. `said`: its last words, of a watch the newest answer. `code`: its exit code, None while it runs."""

    name: str
    folder: Path
    kind: str
    policy: str
    asked: str
    started_at: str
    state: State
    code: int | None
    said: str

    @property
    def outputs(self) -> list[str]:
        return [name for name in OUTPUTS if (self.folder / "results" / name).is_file()]


class Jobs:
    """All jobs below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, command: Command, now: datetime) -> str:
        """The new job's name; ConfigurationError where too many run already, or the disk takes none."""
        if len([job for job in self.newest(50) if job.state == "running"]) >= MOST_AT_ONCE:
            raise ConfigurationError(f"{MOST_AT_ONCE} jobs run already: wait for one, or cancel it")
        try:
            folder = self._new_folder(now)
            about = {"argv": command.into(folder / "results"), "settings": dict(command.settings)}
            about |= {"kind": command.kind, "started_at": now.isoformat()}
            (folder / JOB).write_text(json.dumps(about), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"the lab's folder cannot be written: {error.strerror}") from None
        child = subprocess.Popen(
            [sys.executable, "-m", "dashboard.lab.runner", str(folder)], cwd=PROJECT_FOLDER, env=_environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        (folder / "pid").write_text(str(child.pid), encoding="utf-8")
        self._children[folder.name] = child
        return folder.name

    def _new_folder(self, now: datetime) -> Path:
        for number in range(1, 100):
            folder = self.folder / (f"{now:%Y%m%d-%H%M%S}" + (f"-{number}" if number > 1 else ""))
            with suppress(FileExistsError):
                (folder / "results").mkdir(parents=True)
                return folder
        raise OSError(17, "a hundred jobs in one second")

    def cancel(self, name: str) -> bool:
        """Ask it to end with what it has; whether it was running."""
        job = self.job(name)
        if job is None or job.state != "running":
            return False
        (job.folder / CANCELLED).touch()
        pid = _pid(job.folder)
        if pid is not None and self._is_ours(job.folder, pid):
            os.kill(pid, signal.SIGINT)
        return True

    def wait(self) -> None:
        """Until those that were started here have ended."""
        for child in self._children.values():
            child.wait()

    def job(self, name: str) -> Job | None:
        """One job by its name, None where there is none."""
        folder = self.folder / name
        if not JOB_NAME.match(name) or not folder.is_dir():
            return None
        about = _json(folder / JOB)
        argv = [str(part) for part in about.get("argv", [])]
        state, code = self._state(folder)
        return Job(
            name=name,
            folder=folder,
            kind=str(about.get("kind", "run")),
            policy=argv[argv.index("--policy") + 1] if "--policy" in argv else "?",
            asked=_asked(argv, about.get("settings", {})),
            started_at=str(about.get("started_at", ""))[:16].replace("T", " "),
            state=state,
            code=code,
            said=_said(folder / OUTPUT, about.get("kind") == "watch").replace(f"{folder}{os.sep}", ""),
        )

    def names(self) -> list[str]:
        """Newest first."""
        try:
            return sorted((path.name for path in self.folder.iterdir() if JOB_NAME.match(path.name)), reverse=True)
        except OSError:
            return []

    def newest(self, most: int) -> list[Job]:
        return [job for name in self.names()[:most] if (job := self.job(name)) is not None]

    def output(self, name: str, file: str) -> Path | None:
        """A result by its name, None for anything else."""
        job = self.job(name)
        return job.folder / "results" / file if job is not None and file in job.outputs else None

    def _state(self, folder: Path) -> tuple[State, int | None]:
        ended, was_cancelled = _json(folder / ENDED), (folder / CANCELLED).exists()
        if "code" in ended:
            code = int(ended["code"])
            return ("done" if code == 0 else "cancelled" if was_cancelled else "failed"), code
        pid = _pid(folder)
        if pid is not None and self._is_ours(folder, pid):
            return "running", None
        return ("cancelled" if was_cancelled else "lost"), None

    def _is_ours(self, folder: Path, pid: int) -> bool:
        """Whether the process of that number is this job's: numbers are given out again."""
        child = self._children.get(folder.name)
        if child is not None:
            return child.poll() is None
        try:
            return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.upper().startswith(KEPT_FROM_JOBS)}


def _asked(argv: list[str], settings: Mapping[str, str]) -> str:
    """The command line in short."""
    shown = argv[argv.index("-m") + 1 :] if "-m" in argv else argv
    shown = shown[: shown.index("--out")] if "--out" in shown else shown
    return " ".join([*(f"{name}={text}" for name, text in settings.items()), *shown])


def _pid(folder: Path) -> int | None:
    try:
        return int((folder / "pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(path: Path, is_watch: bool) -> str:
    if is_watch:
        return "\n".join(newest_answer(_last_lines(path, ANSWER_BYTES)))
    return "\n".join(_last_lines(path, TAIL_BYTES)[-MOST_TAIL_LINES:])


def newest_answer(lines: Sequence[str]) -> list[str]:
    """From its first line on, which says how many decisions have changed; a long one without its middle."""
    ends = [number for number, line in enumerate(lines[:-1], 1) if line.startswith(WAITING)]
    answer = list(lines[ends[-1] if ends else 0 :])
    left_out = len(answer) - MOST_ANSWER_LINES
    if left_out <= 0:
        return answer
    return [*answer[: MOST_ANSWER_LINES - 2], f"... {left_out} lines are left out ...", *answer[-2:]]


def _last_lines(path: Path, most_bytes: int) -> list[str]:
    """The last lines that are not empty; of a line that was drawn over itself the last state."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = (line.split("\r")[-1] for line in text.replace("\r\n", "\n").replace("\r", "\n").splitlines())
    return [printable(line) for line in lines if line.strip()]
