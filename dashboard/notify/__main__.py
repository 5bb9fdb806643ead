"""python -m dashboard.notify: follow a log, and tell what is new in it.

In: a log folder; the settings NOTIFY_... from `.env.notify` and the environment. Out: messages to ntfy, Telegram and a
webhook; one line on stderr for each new problem. Runs until Ctrl-C, or looks once with --once (for cron). Exit codes:
0 stopped, 2 the command line or the settings are wrong. The log is read, never written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

import httpx

from dashboard.clock import real_now
from dashboard.log_index.index import LogIndex
from dashboard.notify.channels import Channel, channels_of, http_client
from dashboard.notify.follow import Follower
from dashboard.notify.messages import Message
from dashboard.notify.outbox import Outbox
from dashboard.notify.settings import FILE_NAME, NotifySettings, load_notify_settings
from models import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]
LOOK_EVERY_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None, stop: Event | None = None) -> int:
    """Follow until stopped; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_notify_settings(options.settings)
    except ConfigurationError as problem:
        print(problem, file=sys.stderr)
        return 2
    if not channels_of(settings):
        print(f"no address to send to: set NOTIFY_NTFY_URL, NOTIFY_TELEGRAM_... or NOTIFY_WEBHOOK_URL in {FILE_NAME}")
        return 2
    with http_client() as client, suppress(KeyboardInterrupt):
        _follow(options, settings, client, Event() if stop is None else stop)
    return 0


def _follow(options: argparse.Namespace, settings: NotifySettings, client: httpx.Client, stop: Event) -> None:
    folder = options.data_dir / "notify"

    def send(channel: Channel, message: Message) -> None:
        channel.send(message, client)

    index = LogIndex(options.log_dir, folder)
    follower = Follower(index, settings, Outbox(channels_of(settings)), folder, real_now, send)
    follower.restore()
    if options.test:
        text = "messages arrive: this is the test that --test sends"
        follower.outbox.add(Message("test", "test", "covered calls: test", text, real_now(), ""))
    while True:
        for problem in follower.look():
            print(f"{real_now():%Y-%m-%d %H:%M} {problem}", file=sys.stderr, flush=True)
        if options.once or stop.wait(LOOK_EVERY_SECONDS):
            break
    index.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dashboard.notify", description=__doc__)
    parser.add_argument("log_dir", nargs="?", type=Path, default=PROJECT / "logs", help="folder of the log (logs)")
    parser.add_argument("--data-dir", type=Path, default=PROJECT / "data", help="where it remembers (data/notify)")
    parser.add_argument("--settings", type=Path, default=PROJECT / FILE_NAME, help=f"its settings ({FILE_NAME})")
    parser.add_argument("--once", action="store_true", help="look once and end, for cron")
    parser.add_argument("--test", action="store_true", help="send a test message first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
