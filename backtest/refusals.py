"""Why a command of this folder did nothing, said in one way by all of them.

In: the command's name, and the reason or the error that says it. Out: a wrapped sentence on stderr, and exit code 2.
"""

from __future__ import annotations

import os
import sys

from backtest.surface.coefficients import SurfaceError
from core.text import wrapped
from models import ConfigurationError
from paper_exchange.recorded.files import RecordingError

NOTHING_DONE = 2
WRONG_INPUT = (ConfigurationError, RecordingError, SurfaceError, OSError)  # whatever a person asked that cannot be


def refused(command: str, why: str | Exception) -> int:
    """Say it; the exit code. Nothing is said where the reader of the output has gone, as `head` does."""
    if isinstance(why, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor by Python as it ends
        return NOTHING_DONE
    print(wrapped(f"backtest.{command}: {_sentence(why)}"), file=sys.stderr)
    return NOTHING_DONE


def _sentence(why: str | Exception) -> str:
    if isinstance(why, OSError) and why.filename is not None:
        return f"{why.filename}: {why.strerror or why}"
    return str(why)
