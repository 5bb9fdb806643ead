"""A model between question and answer: whatever it says, every number that is shown comes from the log."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from config import LlmConfig
from dashboard.ask.front import ask
from dashboard.ask.log_view import LogView
from dashboard.ask.model.answering import ModelError, ask_with, problem_of
from dashboard.ask.model.client import ChatModel, model_of
from tests.builders.models_elsewhere.stub import MODEL, Answer, completion, model_stub, raw

QUESTION = "What did it earn against holding?"
CHOICE = json.dumps({"calls": [{"name": "earned", "arguments": {}}]})


class Stub:
    """Says what it was told to, and remembers what it was asked."""

    def __init__(self, *replies: str) -> None:
        self._replies = list(replies)
        self.heard: list[Sequence[dict[str, str]]] = []

    def reply(self, messages: Sequence[dict[str, str]]) -> str:
        self.heard.append(messages)
        if not self._replies:
            raise ModelError("its server does not answer")
        return self._replies.pop(0)


def test_its_words_are_shown_with_our_numbers_and_their_names(view: LogView) -> None:
    reply = ask_with(Stub(CHOICE, "Against holding, the calls came to {net_usd}."), view, QUESTION)
    fact = reply.answers[0].fact("net_usd")
    assert reply.written_by == "model"
    assert fact is not None
    assert reply.text == f"Against holding, the calls came to {fact.text} (net against holding, at the last prices)."


def test_it_is_told_no_value(view: LogView) -> None:
    stub = Stub(CHOICE, "{net_usd}.")
    reply = ask_with(stub, view, QUESTION)
    told = "".join(message["content"] for messages in stub.heard for message in messages)
    values = {fact.text.partition(" ")[0] for fact in reply.answers[0].facts if isinstance(fact.value, float)}
    assert [value for value in values if len(value) > 4 and value in told] == []


LIES = {
    "a digit": "The calls earned {net_usd}, which is 5000 more than holding.",
    "a digit of another script": "The calls earned {net_usd}, that is ٥٠٠.",
    "a numeral of another script": "The calls earned {net_usd}, that is 五百.",
    "a superscript": "It earned {net_usd} x².",
    "a number in words": "The calls earned {net_usd}, about five hundred dollars.",
    "a share in words": "The calls earned {net_usd}, half of the premium.",
    "nothing, in words": "No fees were paid; net {net_usd}.",
    "a factor behind": "The calls earned {btc_premium_coin} thousand.",
    "a sign before": "The calls lost -{net_usd}.",
    "a sign in words": "The calls came to minus {net_usd}.",
    "two glued together": "The calls earned {btc_sold}{btc_rolls}.",
    "a place that there is not": "The calls earned {secret_profit}.",
    "a format of its own": "The calls earned {net_usd:.0f}.",
    "a Roman numeral": "The calls earned {net_usd}, MMXXVI in all.",
    "an entity": "The calls earned {net_usd} and &#57;&#57;.",
    "letters that look alike": "The calls earned {net_usd}, О in fees.",
    "no fact at all": "The calls earned a fortune.",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_dropped_for_the_template(lie: str, view: LogView) -> None:
    reply = ask_with(Stub(CHOICE, LIES[lie]), view, QUESTION)
    assert reply.written_by == "template"
    assert reply.text == ask(view, QUESTION).text
    assert "dropped" in reply.note


def test_a_number_passed_off_as_another_still_says_what_it_is(view: LogView) -> None:
    reply = ask_with(Stub(CHOICE, "You paid fees of {btc_premium_coin}."), view, QUESTION)
    assert reply.text.endswith(" BTC (premium, BTC).")


@pytest.mark.parametrize(
    "choice",
    [
        "",
        "[]",
        "{}",
        '{"calls": []}',
        '{"calls": [{"name": "sell_everything"}]}',
        '{"calls": 7}',
        "{" * 5_000,
        "x" * 99,
    ],
)
def test_a_choice_that_is_none_falls_back_to_keywords(choice: str, view: LogView) -> None:
    reply = ask_with(Stub(choice), view, QUESTION)
    assert (reply.written_by, reply.text) == ("template", ask(view, QUESTION).text)


def test_a_choice_with_made_up_arguments_finds_nothing(view: LogView) -> None:
    choice = {"calls": [{"name": "chain_of_call", "arguments": {"symbol": "BTC-1JAN30-1-C"}}]}
    reply = ask_with(Stub(json.dumps(choice), "{pnl_usd}"), view, "what became of my call?")
    assert "not in the log" in reply.text


def test_orders_and_secrets_never_reach_it(view: LogView) -> None:
    stub = Stub(CHOICE)
    assert "no way to an order" in ask_with(stub, view, "sell 5 BTC").text
    assert stub.heard == []


def test_without_an_answer_the_template_is_shown_with_the_reason(view: LogView) -> None:
    reply = ask_with(Stub(CHOICE), view, QUESTION)
    assert (reply.written_by, "its server does not answer" in reply.note) == ("template", True)


@pytest.mark.parametrize("written", ["{a} and {b}.", "({a}), then {b}", "{a}\n{b}; fine."])
def test_plain_sentences_pass(written: str, view: LogView) -> None:
    facts = ask(view, QUESTION).facts
    names = [fact.name for fact in facts[:2]]
    assert problem_of(written.replace("{a}", f"{{{names[0]}}}").replace("{b}", f"{{{names[1]}}}"), facts) is None


# --- over a real socket: the policy's own request ------------------------------------------------------


def settings(url: str, timeout_seconds: float = 60.0) -> LlmConfig:
    return LlmConfig(base_url=url, model=MODEL, timeout_seconds=timeout_seconds)


def test_a_model_of_the_settings_is_asked_with_its_name_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with model_stub(completion("some words")) as stub:
        model = model_of(settings(stub.url))
        assert model is not None
        assert model.reply([{"role": "user", "content": "?"}]) == "some words"
    assert (stub.bodies[0]["model"], stub.bodies[0]["temperature"]) == (MODEL, 0)
    assert "authorization" not in stub.headers[0]


BROKEN: dict[str, tuple[Answer, str]] = {
    "a redirect": (raw(307, "", location="http://127.0.0.1:9/v1"), "redirects elsewhere"),
    "two megabytes": (raw(200, b"x" * 2_000_000), "more than 1000000 bytes"),
    "a page of a gateway": (raw(502, "<html>bad gateway</html>"), "HTTP 502"),
    "a web page": (raw(200, "<html>maintenance</html>"), "another form"),
    "nested 100,000 deep": (raw(200, "[" * 100_000), "another form"),
    "nothing said": (completion(None), "said nothing"),
}


@pytest.mark.parametrize(("answer", "words"), BROKEN.values(), ids=list(BROKEN))
def test_whatever_an_endpoint_does_is_a_sentence(answer: Answer, words: str) -> None:
    with model_stub(answer) as stub, pytest.raises(ModelError, match=words):
        ChatModel(settings(stub.url)).reply([])


def test_a_model_that_is_too_slow_is_not_waited_for() -> None:
    with model_stub(raw(200, b" ", 3.0)) as stub, pytest.raises(ModelError, match=r"0\.5 s"):
        ChatModel(settings(stub.url, timeout_seconds=0.5)).reply([])


def test_without_an_address_or_a_name_there_is_no_model_and_none_outside_without_https() -> None:
    assert model_of(LlmConfig()) is None
    assert model_of(LlmConfig(base_url="https://models.example/v1")) is None
    with pytest.raises(ValidationError):
        LlmConfig(base_url="http://models.example/v1")
