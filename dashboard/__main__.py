"""python -m dashboard: the page over a log folder, live or finished.

In: the command line, and DASHBOARD_TOKEN from the environment. Out: a web page on this machine, until Ctrl-C. Exit
codes: 0 stopped, 2 the command line is wrong. Reads the log; `.env` is never opened.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

try:
    import uvicorn

    from dashboard.app import create_app
    from dashboard.log_index.index import LogIndex
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install -r dashboard/requirements.txt")
from dashboard.settings import DEFAULT_PORT, DashboardSettings, checked
from models import ConfigurationError

GRACE_SECONDS = 10  # a page being made when it is stopped
PROJECT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.folder is not None and options.log_dir is not None:
        parser.error("the folder of the log is named twice")
    try:
        settings = checked(
            DashboardSettings(
                log_dir=options.folder or options.log_dir or PROJECT / "logs",
                data_dir=options.data_dir or PROJECT / "data",
                host=options.host,
                port=options.port,
                token=os.environ.get("DASHBOARD_TOKEN") or None,
                names=tuple(options.name),
            )
        )
    except ConfigurationError as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"the log of {settings.log_dir}: http://{settings.host}:{settings.port}/ (Ctrl-C stops it)", flush=True)
    with suppress(KeyboardInterrupt):
        index = LogIndex(settings.log_dir, settings.work_dir)
        _Server(_server_settings(settings, index), index).run()
    return 0


class _Server(uvicorn.Server):
    """On Ctrl-C it first lets the streams of new lines end: pages that are being made are finished, nothing is cut."""

    def __init__(self, config: uvicorn.Config, index: LogIndex) -> None:
        super().__init__(config)
        self._index = index

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._index.end()
        super().handle_exit(sig, frame)


def _server_settings(settings: DashboardSettings, index: LogIndex) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings, index=index), host=settings.host, port=settings.port, log_level="warning",
        server_header=False, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dashboard", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, metavar="log_dir", help="folder of the log (logs)")
    parser.add_argument("--log-dir", type=Path, help="the same, as the agent's option")
    parser.add_argument("--data-dir", type=Path, help="folder of the agent's latest chain (data)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others need DASHBOARD_TOKEN")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--name", action="append", default=[], help="another host name that a browser may use")
    return parser


if __name__ == "__main__":
    sys.exit(main())
