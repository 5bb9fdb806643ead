"""What is deployed for weeks: old logs are packed and still read, and units name what there is."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

from logging_utils import read_records

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "dashboard" / "deploy"


def test_logs_of_days_gone_by_are_packed_and_read_as_before(tmp_path: Path) -> None:
    for day in ("2026-01-05", "2026-01-06_2"):
        (tmp_path / f"decisions-{day}.jsonl").write_text(f'{{"iteration": 1, "day": "{day}"}}\n')
    (tmp_path / "notes.jsonl").write_text("{}\n")
    before = read_records(tmp_path)
    for _ in range(2):
        subprocess.run(["sh", str(DEPLOY / "pack_logs.sh"), str(tmp_path), str(tmp_path / "none")], check=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["decisions-2026-01-05.jsonl.gz", "decisions-2026-01-06_2.jsonl.gz", "notes.jsonl"]
    assert gzip.decompress((tmp_path / names[0]).read_bytes()).endswith(b"\n")
    assert read_records(tmp_path) == before


def test_every_command_of_a_unit_is_one_of_ours() -> None:
    files = [*DEPLOY.glob("*.service"), DEPLOY / "crontab", DEPLOY / "Dockerfile", DEPLOY / "compose.yaml"]
    text = "\n".join(path.read_text() for path in files).replace(", ", " ").replace('"', "")
    modules = set(re.findall(r"python -m ([\w.]+)", text))
    assert modules == {"dashboard", "dashboard.notify"}
    assert {name for name in modules if not (PROJECT / name.replace(".", "/") / "__main__.py").exists()} == set()
    assert "python agent_loop.py" in text


def test_a_halted_agent_is_not_started_again_by_itself() -> None:
    unit = (DEPLOY / "covered-calls.service").read_text()
    assert "RestartPreventExitStatus=2 3 4 5 6" in unit
    assert "KillSignal=SIGINT" in unit
