"""python -m dashboard.lab.runner FOLDER: one job, in a process that outlives the page.

In: `job.json` in the folder (argv, settings). Out: `output.txt`, what the command said; `ended.json`, its exit code.
SIGINT is handed on, so that a run that is cancelled keeps what is done. Starts one process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from config import PROJECT_FOLDER

JOB, OUTPUT, ENDED, CANCELLED = "job.json", "output.txt", "ended.json", "cancelled"


def main(folder: Path) -> int:
    """Run it to its end; its exit code."""
    job = json.loads((folder / JOB).read_bytes())
    children: list[subprocess.Popen[bytes]] = []

    def hand_on(*_: object) -> None:
        for one in children:
            one.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hand_on)
    with (folder / OUTPUT).open("ab") as output:
        child = subprocess.Popen(
            job["argv"], cwd=PROJECT_FOLDER, env=os.environ | job["settings"], stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        children.append(child)
        if (folder / CANCELLED).exists():  # before there was anybody to tell
            child.send_signal(signal.SIGINT)
        code = child.wait()
    new = folder / f"{ENDED}.new"
    new.write_text(json.dumps({"code": code}), encoding="utf-8")
    new.replace(folder / ENDED)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
