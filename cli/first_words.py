"""What `python agent_loop.py` answers before anything heavy is imported: --help, --version, a command line that makes
no sense, a Python that is too old, packages that are missing.

Imported first by agent_loop.py. Standard library only, and inert unless agent_loop.py is the program being run.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

if sys.version_info < (3, 11):  # noqa: UP036 - the message is for those who run something older
    sys.stderr.write("Python 3.11 or newer is needed\n")
    sys.exit(2)

if sys.platform == "win32":
    sys.stderr.write("this agent runs on Linux and macOS; on Windows, run it in WSL\n")
    sys.exit(2)

import importlib
from contextlib import suppress
from pathlib import Path

from cli.arguments import STOPPED_AT_ONCE, parse_arguments

PROGRAM = Path(__file__).resolve().parents[1] / "agent_loop.py"


def require_packages() -> None:
    """Import what imports all that has to be installed; ends the process with code 2 where something is missing."""
    try:
        importlib.import_module("cli.commands")
    except ImportError as error:  # not there, or of a version that lacks something
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{error.name} is not installed, or too old: pip install -r requirements.txt ({error})\n")
        sys.exit(2)


def stop_during_the_start(_number: int, _frame: FrameType | None) -> None:
    """A signal before the agent stands: nothing was sent and nothing has to be put in order, so end here and now."""
    with suppress(OSError):
        os.write(2, b"stopped during the start: this run has sent no order\n")
    os._exit(STOPPED_AT_ONCE)


def _is_the_program() -> bool:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and Path(file).resolve() == PROGRAM


if _is_the_program():
    signal.signal(signal.SIGINT, stop_during_the_start)
    signal.signal(signal.SIGTERM, stop_during_the_start)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, stop_during_the_start)
    parse_arguments()
    require_packages()
