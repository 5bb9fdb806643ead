"""Ctrl-C at any moment of a real process: one sentence, no traceback, nothing of ours left without a word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config import PROJECT_FOLDER, SETTING_NAMES

# Runs the agent and sends it a signal whenever it does something whose description holds the words given: the
# audit events `import pydantic`, `open .../agent.lock` and the like. No test waits, and none depends on speed.
AGENT = """
import os, runpy, signal, sys

words, times = sys.argv[1], int(sys.argv[2])

def send_signal(event, arguments):
    global times
    if times and event in ("import", "open") and words in f"{event} {arguments[0]}":
        times -= 1
        os.kill(os.getpid(), getattr(signal, os.environ.get("SIGNAL_SENT", "SIGINT")))

sys.addaudithook(send_signal)
sys.argv[:] = ["agent_loop.py", *sys.argv[3:]]
runpy.run_path("agent_loop.py", run_name="__main__")
"""


def interrupted(folder: Path, when: str, times: int = 1, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The agent on the simulated market, interrupted so many times when it does what the words say."""
    files = ["--log-dir", str(folder / "logs"), "--data-dir", str(folder / "data")]
    command = [sys.executable, "-c", AGENT, when, str(times), "--market", "simulated", *files, *arguments]
    environment = {name: value for name, value in os.environ.items() if name.upper() not in SETTING_NAMES}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(PROJECT_FOLDER)}
    return subprocess.run(command, cwd=PROJECT_FOLDER, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("when", ["import pydantic", "import cli.checks.doctor", "agent.lock", "run_count"])
def test_a_signal_during_the_start_ends_it_with_a_sentence(when: str, tmp_path: Path) -> None:
    ended = interrupted(tmp_path, when, 1, "--iterations", "5")
    assert (ended.returncode, ended.stderr) == (130, "stopped during the start: this run has sent no order\n")
    assert not list(tmp_path.glob("logs/decisions-*"))


def test_a_hangup_during_the_start_has_its_sentence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAL_SENT", "SIGHUP")
    ended = interrupted(tmp_path, "import pydantic", 1, "--iterations", "5")
    assert (ended.returncode, ended.stderr) == (130, "stopped during the start: this run has sent no order\n")


def test_a_terminal_that_closes_hangs_up_twice_and_the_run_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNAL_SENT", "SIGHUP")
    ended = interrupted(tmp_path, "logs/orders-", 2, "--iterations", "5")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_one_signal_ends_a_run_in_order(tmp_path: Path) -> None:
    ended = interrupted(tmp_path, "logs/decisions-", 1, "--iterations", "5")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "stopped after" in ended.stdout


def test_a_second_signal_ends_it_at_once_with_a_sentence(tmp_path: Path) -> None:
    ended = interrupted(tmp_path, "logs/orders-", 2, "--iterations", "5")
    assert ended.returncode == 130
    assert ended.stderr.startswith("stopped at once by a second signal; ")
    assert "Traceback" not in ended.stderr


def test_a_thread_that_a_policy_leaves_behind_is_named_once_and_keeps_no_run_from_ending(tmp_path: Path) -> None:
    policy = tmp_path / "leaves_a_thread.py"
    policy.write_text(
        "import threading\n"
        "def decide_action(agent_state, config):\n"
        "    if threading.active_count() == 1:\n"
        "        threading.Thread(target=threading.Event().wait, name='never-ends').start()\n"
        "    return {'type': 'DO_NOTHING', 'reason': 'a test'}\n"
    )
    ended = interrupted(tmp_path, "nothing of this name", 1, "--iterations", "3", "--policy", str(policy))
    assert (ended.returncode, ended.stderr) == (0, "the policy has left a thread running: never-ends\n")
    assert "stopped after 3 iterations" in ended.stdout


# A process that lives as long as its parent, four minutes at most, and holds nothing of its console.
LIVES_ON = "os.closerange(0, 3), [time.sleep(0.2) for _ in range(1200) if os.getppid() == agent]"
MISDEEDS = {
    "a process left behind": (
        "import multiprocessing, os, time; agent = os.getpid()",
        f"multiprocessing.get_context('fork').Process(target=lambda: ({LIVES_ON})).start()",
        "",
    ),
    "a copy that would be a second agent": (
        "import os, sys",
        "os.fork() or sys.exit(0)",
        "the policy has copied this process (os.fork): the copy ends here\n",
    ),
    "a closed console": ("import sys", "sys.stdout.close(), sys.stderr.close()", ""),
    "closed handles": ("import os", "os.closerange(0, 3)", ""),
}


@pytest.mark.parametrize(("imports", "misdeed", "words"), MISDEEDS.values(), ids=list(MISDEEDS))
def test_whatever_a_policy_leaves_behind_one_agent_goes_on_and_ends_in_order(
    tmp_path: Path, imports: str, misdeed: str, words: str
) -> None:
    policy = tmp_path / "misbehaves.py"
    lines = [imports, "asked = []", "def decide_action(agent_state, config):", "    asked.append(1)"]
    lines += [f"    if len(asked) == 1: {misdeed}", "    return {'type': 'DO_NOTHING', 'reason': 'a test'}"]
    policy.write_text("\n".join(lines))
    started = time.monotonic()
    ended = interrupted(tmp_path, "nothing of this name", 1, "--iterations", "3", "--policy", str(policy))
    assert (ended.returncode, ended.stderr) == (0, words)
    assert time.monotonic() - started < 200.0
    written = [json.loads(line) for path in tmp_path.glob("logs/decisions-*") for line in path.read_text().splitlines()]
    assert [line["iteration"] for line in written] == [1, 2, 3]
    if misdeed != "os.closerange(0, 3)":
        assert ended.stdout.count("stopped after 3 iterations") == 1


@pytest.mark.parametrize(
    ("line", "place"),
    [(b"NAME = 'caf\xe9'", "line 2, byte 24: 0xe9"), (b"decide_action = print  # caf\xe9", "line 2, byte 41: 0xe9")],
)
def test_a_policy_file_of_another_encoding_is_refused_with_file_and_place(
    tmp_path: Path, line: bytes, place: str
) -> None:
    policy = tmp_path / "of_old.py"
    policy.write_bytes(b"# first line\n" + line + b"\n")
    ended = interrupted(tmp_path, "nothing of this name", 1, "--once", "--policy", str(policy))
    assert ended.returncode == 2
    assert f"of_old.py is not UTF-8 ({place}" in " ".join(ended.stderr.split())
