"""The language model's key is found nowhere, whatever the endpoint sends back of it and whatever a policy tries."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from tests.builders.agent import folders, run_main
from tests.builders.models_elsewhere.stub import MODEL, Answer, completion, model_stub, raw
from tests.campaign.canary.canary import CANARY, find_canary, find_in_folder
from tests.campaign.canary.canary_runs import LEAKY_POLICIES, all_log_records
from tests.dashboard.client import PageClient
from tests.dashboard.logs import a_log_of_thirty_days

KEY = CANARY.client_secret  # the model's key in these runs: the search knows it in all its disguises


def _in_an_error(text: str) -> Answer:
    return raw(401, json.dumps({"error": {"message": text}}))


ECHOES: dict[str, Callable[[str], Answer]] = {
    "in an answer": completion,
    "as the choice": lambda text: completion(json.dumps({"choice": text})),
    "as a field": lambda text: completion(json.dumps({"choice": "A", text: 1})),
    "as a field that comes twice": lambda text: completion(f'{{"{text}": 1, "{text}": 2}}'),
    "as the reason of the end": lambda text: completion('{"choice": "A"}', text),
    "in a refusal": lambda text: completion(None, refusal=text),
    "in an error": _in_an_error,
    "in a page": lambda text: raw(200, f"<html>{text}</html>"),
    "in a redirect": lambda text: raw(307, "", location=f"http://127.0.0.1:9/?{quote(text)}"),
    "in a header": lambda text: raw(429, "{}", retry_after=text),
}
WAYS: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text, safe=""),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: "-" * 280 + text,
)


def found_after(folder: Path, *arguments: str) -> list[str]:
    """What of the key a run has left: on the console, in the log records, in its files, the cache among them."""
    with all_log_records() as records:
        ended = run_main("--market", "simulated", *folders(folder), *arguments)
    assert ended.code in (0, 1)
    texts = {"stdout": ended.out, "stderr": ended.err, "log records": "\n".join(records)}
    found = [f"{name}: {what}" for name, text in texts.items() for what in find_canary(text.encode())]
    return found + find_in_folder(folder)


@pytest.fixture
def key_in_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name, value in (("API_KEY", KEY), ("MODEL", MODEL), ("CACHE_DIR", str(tmp_path / "cache"))):
        monkeypatch.setenv(f"LLM_{name}", value)
    return tmp_path


def test_no_echo_of_an_endpoint_leaves_the_key_anywhere(key_in_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [echo(way(KEY)) for echo in ECHOES.values() for way in WAYS]
    with model_stub(*answers) as stub:
        monkeypatch.setenv("LLM_BASE_URL", stub.url)
        found = found_after(
            key_in_settings, "--policy", "llm", "--iterations", str(len(answers)), "--interval", "3600", "--quiet"
        )
    assert found == []
    assert {headers["authorization"] for headers in stub.headers} == {f"Bearer {KEY}"}
    assert len(stub.bodies) >= len(answers) - 5  # few iterations have nothing to choose


def test_nor_where_the_model_only_watches(key_in_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with model_stub(*(echo(KEY) for echo in ECHOES.values())) as stub:
        monkeypatch.setenv("LLM_BASE_URL", stub.url)
        found = found_after(key_in_settings, "--shadow", "llm", "--iterations", str(len(ECHOES)), "--interval", "3600")
    assert found == []
    assert len(stub.bodies) > 1


@pytest.mark.parametrize("option", ["--policy", "--shadow"])
@pytest.mark.parametrize("policy", LEAKY_POLICIES.values(), ids=list(LEAKY_POLICIES))
def test_no_other_policy_gets_hold_of_it(key_in_settings: Path, policy: str, option: str) -> None:
    source = policy.replace("config.deribit", "config.llm").replace("DeribitConfig", "LlmConfig")
    path = key_in_settings / f"leaky_{key_in_settings.name}.py"  # a module of its own each time
    path.write_text(source.replace("client_secret", "api_key"))
    assert found_after(key_in_settings, option, str(path), "--iterations", "1") == []


# --- the dashboard ---------------------------------------------------------------------------


def asking(name: str = "earned", **about: str) -> str:
    """What the dashboard wants from a model: a function, and what about."""
    return json.dumps({"calls": [{"name": name, "arguments": about}]})


SPOKEN: dict[str, Callable[[str], str]] = {  # beside ECHOES
    "as a function": asking,
    "as what it is about": lambda text: asking(coin=text),
    "as the name of what it is about": lambda text: asking(**{text: "BTC"}),
    "in a sentence": lambda text: f"You sent {text} to me.",
}
WORDY_KEY = "aKeyWithoutAnyDigitInIt"


@pytest.mark.parametrize("key", [KEY, WORDY_KEY], ids=["of any letters", "without a digit"])
def test_the_dashboards_page_shows_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("LLM_API_KEY", key)
    monkeypatch.setenv("LLM_MODEL", MODEL)
    answers = [completion(spoken(way(key))) for spoken in SPOKEN.values() for way in WAYS]
    answers += [echo(key) for echo in ECHOES.values()]
    replies = [reply for answer in answers for reply in (completion(asking()), answer, answer)]
    with model_stub(*replies) as stub:
        monkeypatch.setenv("LLM_BASE_URL", stub.url)
        app = create_app(DashboardSettings(a_log_of_thirty_days(tmp_path, 3), tmp_path / "data"))
        app.state.context.index.refresh()
        for _ in answers:  # once to the question what to write, once to the question what to look up
            shown = [PageClient(app).post("/ask", data={"q": "What did it earn?"}).content for _ in range(2)]
            said = stub.bodies[-1]
            assert [(find_canary(page), key.encode() in page) for page in shown] == [([], False)] * 2, said
        assert len(stub.bodies) == len(replies)
    assert {headers["authorization"] for headers in stub.headers} == {f"Bearer {key}"}
