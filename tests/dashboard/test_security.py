"""Nothing in, nothing out: who may ask, and what an answer allows a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dashboard.__main__ import main
from dashboard.settings import DashboardSettings, checked
from models import ConfigurationError
from tests.builders.agent import run_main
from tests.dashboard.pages import Browser, a_dashboard, browser_of

TOKEN = "a-token-of-32-letters-0123456789"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    arguments = ("--market", "simulated", "--iterations", "3", "--interval", "21600", "--quiet")
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    return folder / "logs"


@pytest.fixture(scope="module")
def browser(log: Path) -> Browser:
    return browser_of(a_dashboard(log, log.parent / "data"))


PATHS = ("/", "/events", "/line/simulated-0001/1", "/line/simulated-0001/1/json", "/static/page.js", "/nowhere")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8800", "127.0.0.1:9999", "127.0.0.1.evil.example", ""])
def test_another_name_for_this_machine_is_refused_on_every_route(browser: Browser, path: str, host: str) -> None:
    assert browser.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_a_page_of_another_site_is_refused_on_every_route(browser: Browser, path: str, origin: str) -> None:
    assert browser.get(path, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/events"])
def test_every_answer_forbids_whatever_is_not_our_own(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "access-control-allow-origin" not in headers
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_there_is_no_documentation_of_the_interface(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_without_an_origin_of_our_own_nothing_is_changed(browser: Browser, method: str) -> None:
    assert browser.request(method, "/").status_code == 403
    assert browser.request(method, "/", headers={"origin": "http://127.0.0.1:8800"}).status_code == 405


def test_only_loopback_is_served_without_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "0.0.0.0"]) == 2
    assert "set DASHBOARD_TOKEN" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="at least 16 letters"):
        checked(DashboardSettings(Path(), Path(), token="short"))


@pytest.mark.parametrize("port", [-1, 0, 65_536, 99_999])
def test_a_port_that_there_is_not_is_a_sentence(port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"--port {port}: a port is a number from 1 to 65535"):
        checked(DashboardSettings(Path(), Path(), port=port))


def test_with_a_token_nothing_is_shown_without_it(log: Path) -> None:
    browser = browser_of(a_dashboard(log, log.parent / "data", token=TOKEN))
    assert {browser.get(path).status_code for path in PATHS} == {401}
    assert browser.get("/?token=wrong-token-of-32-letters-012345").status_code == 401
    assert browser.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    entered = browser.get(f"/?token={TOKEN}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "SameSite=strict" in entered.headers["set-cookie"]
    assert browser.get("/").status_code == 200


def test_the_process_keeps_no_key_of_the_exchange(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERIBIT_CLIENT_SECRET", "canary-secret-1234567890")
    app = a_dashboard(log, log.parent / "data")
    assert "DERIBIT_CLIENT_SECRET" not in os.environ
    assert "canary" not in repr(app.state.context)


@pytest.mark.parametrize(("words", "folder"), [((), "logs"), (("mine",), "mine"), (("--log-dir", "mine"), "mine")])
def test_the_folder_of_the_log_is_named_in_either_way(
    words: tuple[str, ...], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[DashboardSettings] = []

    def stop(settings: DashboardSettings) -> DashboardSettings:
        asked.append(settings)
        raise ConfigurationError("far enough")

    monkeypatch.setattr("dashboard.__main__.checked", stop)
    assert main([*words]) == 2
    assert asked[0].log_dir.name == folder


def test_a_folder_that_is_named_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["here", "--log-dir", "there"])
    assert "the folder of the log is named twice" in capsys.readouterr().err
