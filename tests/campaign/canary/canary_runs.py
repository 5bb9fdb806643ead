"""Runs of the real agent with the canary key, and everything they leave behind searched.

`python -m tests.campaign.canary`. In: a folder. Out: for each run what it printed, wrote and logged (`Leavings`).
The agent talks over a loopback socket to a paper exchange that gives out the canary tokens and, where a run says so,
sends back what it was sent: in error messages, pages, redirects, broken JSON and broken HTTP. Time is simulated; files
go below the folder.
"""

from __future__ import annotations

import base64
import json
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

import config
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import Ended, folders, run_main
from tests.campaign.canary.canary import CANARY, CREDENTIALS, find_canary, find_in_folder
from tests.campaign.world.market import CampaignMarket, Regime

START = datetime(2026, 1, 5, 12, 3, tzinfo=UTC)
API = "/api/v2/"
WRONG_KEY = ("another-id", "another-secret")
CUT_LENGTHS = (0, 20, 30, 90, 100, 150, 170, 180, 190, 195, 240, 260, 280)  # the agent shortens texts: not into leaks


@dataclass(frozen=True, slots=True)
class Told:
    """What a request told the server, all secrets of it in one text."""

    method: str
    secrets: str
    number: int  # of this run's echoes: each cuts somewhere else

    @property
    def padded(self) -> str:
        return "-" * CUT_LENGTHS[self.number % len(CUT_LENGTHS)] + self.secrets


Echo = Callable[[Told], bytes]  # the whole of a raw HTTP answer


# --- what a careless server sends back ------------------------------------------------------------------------


def _http(status: int, body: str | bytes, *headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    head = [f"HTTP/1.1 {status} Made Up", f"Content-Length: {len(raw)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + raw


def _error(code: int, message: str, **data: object) -> bytes:
    frame = {"jsonrpc": "2.0", "testnet": True, "error": {"code": code, "message": message, "data": data}}
    return _http(400, json.dumps(frame))


def _result(result: object) -> bytes:
    return _http(200, json.dumps({"jsonrpc": "2.0", "testnet": True, "result": result}))


ECHOES: dict[str, Echo] = {
    "in the message of an error": lambda told: _error(10001, told.padded),
    "in the message of a wrong key": lambda told: _error(13004, told.padded),
    "in the message of a stale token": lambda told: _error(13009, told.padded),
    "in the message of a rate limit": lambda told: _error(10028, told.padded),
    "in the reason of an error": lambda told: _error(-32602, "Invalid params", param=told.secrets, reason=told.padded),
    "in an error, URL-encoded": lambda told: _error(10001, quote(told.padded, safe="")),
    "in an error, JSON in JSON": lambda told: _error(10001, json.dumps(told.padded).replace("/", "\\/")),
    "in an error, in base64": lambda told: _error(10001, base64.b64encode(told.padded.encode()).decode()),
    "in an error, in capitals": lambda told: _error(10001, told.padded.upper()),
    "in the code of an error": lambda told: _http(400, json.dumps({"error": {"code": told.secrets, "message": "x"}})),
    "in a page": lambda told: _http(200, f"<html>{told.padded}</html>", "Content-Type: text/html"),
    "in a page of the gateway": lambda told: _http(502, f"<html>{told.padded}</html>"),
    "in a refusal without JSON": lambda told: _http(401, told.padded),
    "in broken JSON": lambda told: _http(200, f'{{"result": "{told.padded}", '),
    "in the place of a number": lambda told: _result({"expires_in": told.secrets, "access_token": "x"}),
    "in the place of a time": lambda told: _result({"timestamp": told.secrets}),
    "in the place of everything": lambda told: _result(told.secrets),
    "in the place of the token": lambda told: _result({"access_token": f"{told.secrets}\n", "expires_in": 900}),
    "in the scope": lambda told: _result({"access_token": "x", "expires_in": 900, "scope": told.secrets}),
    "in a scope too wide": lambda told: _result({"access_token": "x", "scope": f"wallet:read_write {told.secrets}"}),
    "as a key of an object": lambda told: _result({told.secrets: told.secrets}),
    "as a key that comes twice": lambda told: _http(200, f'{{"{told.secrets}": 1, "{told.secrets}": 2}}'),
    "as the id of the reply": lambda told: _http(200, json.dumps({"id": told.secrets, "result": 1})),
    "in a redirect's query": lambda told: _http(307, "", f"Location: https://test.deribit.com/?{quote(told.secrets)}"),
    "in a redirect's host": lambda told: _http(302, "", f"Location: https://{_host(told)}.elsewhere.invalid/"),
    "in a redirect that is none": lambda told: _http(302, "", f"Location: http://[{told.secrets}"),
    "in the status line": lambda told: told.padded.encode() + b"\r\n\r\n",
    "in the reason of the status line": lambda told: f"HTTP/1.1 abc {told.padded}\r\n\r\n".encode(),
    "in a header without a colon": lambda told: _http(200, "{}", told.padded),
    "in the length of the body": lambda told: f"HTTP/1.1 200 OK\r\nContent-Length: {told.secrets}\r\n\r\n".encode(),
    "in the name of an encoding": lambda told: _http(200, "{}", f"Content-Encoding: {told.secrets}", "X: gzip"),
    "in a chunk's length": lambda told: _http(200, "", "Transfer-Encoding: chunked") + f"{told.padded}\r\n".encode(),
}  # fmt: skip


def _host(told: Told) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in told.secrets)[:60].strip("-")


# --- the server ----------------------------------------------------------------------------------------------------


class CanaryServer:
    """A paper exchange on a socket. While `echo` is set, the methods in `echoed` are answered by it."""

    def __init__(self, credentials: tuple[str, str], clock: SimulatedClock) -> None:
        market = CampaignMarket("canary", clock, Regime(expiry_hours=8, jumps_per_day=0.0, empty_pct=0.0))
        account = PaperAccount(market, {"BTC": 1.0, "ETH": 10.0})
        self.exchange = PaperExchange(market, account, credentials=credentials)
        self.echo: Echo | None = None
        self.echoed: tuple[str, ...] = ()
        self.echoes = 0
        self.asked = 0
        self._tokens: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.canary = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> CanaryServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        """One raw HTTP answer."""
        self.asked += 1
        method = path.removeprefix(API)
        if self.echo is not None and method in self.echoed:
            self.echoes += 1
            return self.echo(Told(method, _secrets_in(body, headers), self.echoes - 1))
        headers = {name.lower(): self._real(value) for name, value in headers.items()}
        status, reply = self.exchange.handle("POST", path, "", body, headers)
        return _http(status, self._with_canary_tokens(reply) if method == "public/auth" else reply)

    def _real(self, header: str) -> str:
        return header.replace(CANARY.access_token, self._tokens.get("access_token", ""))

    def _with_canary_tokens(self, reply: bytes) -> bytes:
        document = json.loads(reply)
        if "result" in document:
            self._tokens = {name: document["result"][name] for name in ("access_token", "refresh_token")}
            document["result"] |= {"access_token": CANARY.access_token, "refresh_token": CANARY.refresh_token}
        return json.dumps(document).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        server: CanaryServer = self.server.canary  # type: ignore[attr-defined]
        self.wfile.write(server.answer(self.path, body, dict(self.headers)))
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Silent."""


def _secrets_in(body: bytes, headers: dict[str, str]) -> str:
    """The secret or the token of a request, the id last: what comes first is cut last."""
    params = json.loads(body)["params"]
    token = {name.lower(): value for name, value in headers.items()}.get("authorization", "").removeprefix("Bearer ")
    return params["client_secret"] + params["client_id"] if "client_secret" in params else token


# --- a run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leavings:
    """What a run left behind, and what of the canary is in it."""

    ended: Ended
    log_records: str
    folder: Path
    echoes: int
    asked: int

    @property
    def found(self) -> list[str]:
        texts = {"stdout": self.ended.out, "stderr": self.ended.err, "log records": self.log_records}
        found = [f"{name}: {what}" for name, text in texts.items() for what in find_canary(_bytes(text))]
        return found + find_in_folder(self.folder)

    @property
    def size_bytes(self) -> int:
        files = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        return files + len(self.ended.out) + len(self.ended.err) + len(self.log_records)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Setting:
    """How a run is to go. `policy` is the source of a policy file."""

    arguments: tuple[str, ...] = ("--iterations", "4")
    credentials: tuple[str, str] = CREDENTIALS  # that the server takes
    echo: str = ""
    echoed: tuple[str, ...] = ()
    policy: str = ""
    talkative: tuple[str, ...] = ()  # loggers that are set to DEBUG by name


def run_with_canary(folder: Path, setting: Setting) -> Leavings:
    """The agent from the command line with the canary key in its settings."""
    clock = SimulatedClock(START)
    folder.mkdir(parents=True)
    with CanaryServer(setting.credentials, clock) as server, pytest.MonkeyPatch.context() as patch:
        server.echo, server.echoed = ECHOES.get(setting.echo), setting.echoed
        _set_up(patch, folder, server.url)
        arguments = (*setting.arguments, *folders(folder), *_policy_arguments(folder, setting.policy))
        with all_log_records(setting.talkative) as records:
            ended = run_main(*arguments, clock=lambda: clock)
        return Leavings(ended, "\n".join(records), folder, server.echoes, server.asked)


def _set_up(patch: pytest.MonkeyPatch, folder: Path, url: str) -> None:
    client_id, client_secret = CREDENTIALS
    settings = {"DERIBIT_BASE_URL": url, "DERIBIT_CLIENT_ID": client_id, "DERIBIT_CLIENT_SECRET": client_secret}
    settings |= {"AGENT_RV_MIN_RETURNS": "5", "BTC_DTE_MIN": "0.1", "BTC_DELTA_MAX": "0.9", "BTC_IVRV_MIN": "0"}
    settings |= {"BTC_PREMIUM_MIN_USD": "1", "RISK_KILL_FILE": str(folder / "KILL"), "ETH_ENABLED": "false"}
    for name, value in settings.items():
        patch.setenv(name, value)
    patch.chdir(folder)


def _policy_arguments(folder: Path, source: str) -> tuple[str, ...]:
    """A policy file beside the run's files, under a name of its own: modules are imported once."""
    if not source:
        return ()
    name = f"canary_policy_{folder.name}"
    (folder / f"{name}.py").write_text(source)
    return "--policy", name


@contextmanager
def all_log_records(talkative: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """What is logged while the root logger takes everything; these loggers say everything too."""
    records: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    keeper, loggers = Keeper(logging.DEBUG), [logging.getLogger(name) for name in (None, *talkative)]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(keeper)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        loggers[0].removeHandler(keeper)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# --- all of them -----------------------------------------------------------------------------------------

LEAKY_POLICIES = {
    "raises what it knows of the settings": (
        "def decide_action(state, config):\n"
        "    raise RuntimeError(f'{config!r} {vars(config)} {vars(config.deribit)} {config.model_dump()}')\n"
    ),
    "prints and logs what it knows": (
        "import logging\n"
        "from models import ProposedAction\n"
        "def decide_action(state, config):\n"
        "    print(config, config.deribit, vars(config.deribit), config.model_dump_json(), state)\n"
        "    logging.getLogger('mine').error('%s %r %s', config, config.deribit, config.model_dump())\n"
        "    return ProposedAction(type='DO_NOTHING', reason=repr(vars(config.deribit))[:900])\n"
    ),
    "makes pydantic complain about the settings": (
        "from config import DeribitConfig\n"
        "def decide_action(state, config):\n"
        "    values = dict(config.deribit) | {'timeout_seconds': 'x', 'nonsense': config.deribit.client_secret}\n"
        "    return DeribitConfig(**values)\n"
    ),
    "returns the settings": "def decide_action(state, config):\n    return config\n",
    "is interrupted": "def decide_action(state, config):\n    raise KeyboardInterrupt(repr(config))\n",
    "leaves": "def decide_action(state, config):\n    raise SystemExit(str(vars(config)))\n",
}
PRIVATE = ("private/get_open_orders", "private/get_positions", "private/sell", "private/get_account_summaries")
ECHOED_METHODS = {"login": ("public/auth",), "reads": PRIVATE[:1], "orders": ("private/sell",)}


def all_settings() -> dict[str, Setting]:
    """Every run of the suite by name."""
    runs = {
        "a normal run": Setting(),
        "a run with every detail of the connection logged": Setting(talkative=("httpx", "httpcore")),
        "a key that is not accepted": Setting(credentials=WRONG_KEY),
        "a check": Setting(("--check",)),
        "a check with a key that is not accepted": Setting(("--check",), credentials=WRONG_KEY),
        "a status without a log": Setting(("--status",)),
    }
    for place in ECHOES:
        for what, methods in ECHOED_METHODS.items():
            runs[f"{what} echoed {place}"] = Setting(("--iterations", "2"), echo=place, echoed=methods)
        runs[f"check echoed {place}"] = Setting(("--check",), echo=place, echoed=("public/auth", *PRIVATE))
    for what, source in LEAKY_POLICIES.items():
        runs[f"a policy that {what}"] = Setting(("--iterations", "2"), policy=source)
    return runs


def search_all() -> tuple[int, float, list[str]]:
    """Run them all: how many, how many megabytes were searched, what was found."""
    found, size_bytes = [], 0
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(config, "ENV_FILE", None)
        settings = all_settings()
        for number, (name, setting) in enumerate(settings.items()):
            left = run_with_canary(Path(folder) / str(number), setting)
            size_bytes += left.size_bytes
            found += [f"{name}: {what}" for what in left.found]
    return len(settings), size_bytes / 1e6, found


def main() -> int:
    """Say what was found; 1 where anything was."""
    runs, megabytes, found = search_all()
    for line in found:
        print(line)
    print(f"{runs} runs with the canary key, {megabytes:.1f} MB searched: {len(found)} hits")
    return 1 if found else 0
