"""policies.output: what counts as an action, and the name of the rule where something does not. Sizes in coin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models import ActionOption, ActionType, AgentState, ProposedAction, ScorePart
from policies.output import MAX_REASON_LENGTH, PolicyOutputError, read_action, read_action_text, reason_of
from tests.builders.states import a_state

SYMBOL = "BTC-16JAN26-100000-C"
OPEN: dict[str, Any] = {
    "type": "OPEN_COVERED_CALL",
    "underlying": "BTC",
    "symbol": SYMBOL,
    "size": 0.1,
    "reason": "premium is rich",
}
CHOICE = ActionOption(
    type=ActionType.OPEN_COVERED_CALL,
    symbol=SYMBOL,
    score=1.5,
    score_parts=(ScorePart(name="yield", points=1.5),),
    probability=1.0,
)


SCORE_WITHOUT_POINTS = CHOICE.score_parts[0].model_copy(update={"points": None})


def an_action(**fields: Any) -> ProposedAction:
    good = {**OPEN, "type": ActionType.OPEN_COVERED_CALL, "choices": (CHOICE,)}
    return ProposedAction(**{**good, **fields})


def reason_for(value: object) -> str:
    with pytest.raises(PolicyOutputError) as caught:
        read_action(value)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def reason_for_text(text: str) -> str:
    with pytest.raises(PolicyOutputError) as caught:
        read_action_text(text)
    return caught.value.reason


# --- actions ----------------------------------------------------------------------------------------


def test_an_action_is_read_as_it_is() -> None:
    assert read_action(an_action()) == an_action()


def test_a_dict_and_an_answer_in_json_give_the_same_action() -> None:
    action = an_action()
    assert read_action(action.model_dump()) == action
    assert read_action(json.loads(action.model_dump_json())) == action
    assert read_action_text(action.model_dump_json()) == action


def test_an_answer_may_have_blanks_and_line_ends_around_it() -> None:
    assert read_action_text(f"\n  {json.dumps(OPEN)} \r\n").symbol == SYMBOL


@pytest.mark.parametrize("value", [None, [], [an_action()], "DO_NOTHING", (), 3, ActionType.DO_NOTHING, a_state()])
def test_what_is_no_action_is_named_by_its_type_only(value: object) -> None:
    assert reason_for(value) == f"policy_output_not_an_action: decide_action returned {type(value).__name__}"


@pytest.mark.parametrize("kind", ["open_covered_call", "OPEN", "", None, 3, ["DO_NOTHING"], {}])
def test_a_type_is_one_of_four_words_and_nothing_else(kind: object) -> None:
    assert reason_for({**OPEN, "type": kind}).startswith("unknown_action: ")


@pytest.mark.parametrize("name", ["override_risk", "dry_run", "price", "Size", "size "])
def test_a_field_nobody_knows_is_named(name: str) -> None:
    meant = "; did you mean size?" if name.lower().startswith("size") else ""
    assert reason_for({**OPEN, name: 1}) == f"unknown_field: {name}{meant}"


def test_a_name_that_is_no_text_is_an_unknown_field() -> None:
    fields: dict[object, object] = {3: 1}
    fields.update(OPEN)
    assert reason_for(fields).startswith("unknown_field: ")


@pytest.mark.parametrize(
    "size", [-0.1, float("nan"), float("inf"), -float("inf"), True, "0.1", None, [0.1], 10**400, -(10**400), 1e9]
)
def test_a_size_is_a_finite_number_that_some_setting_could_allow(size: object) -> None:
    assert reason_for({**OPEN, "size": size}).startswith("bad_size: ")


@pytest.mark.parametrize(("size", "is_refused"), [(0, False), (1000.0, False), (1000.1, True)])
def test_the_greatest_size_is_the_greatest_a_setting_can_have(size: float, is_refused: bool) -> None:
    if is_refused:
        assert reason_for({**OPEN, "size": size}).startswith("bad_size: ")
    else:
        assert read_action({**OPEN, "size": size}).size == size


@pytest.mark.parametrize(
    "symbol",
    ["B\u0422C-16JAN26-100000-C", f"{SYMBOL}\u200b", f"{SYMBOL}\n", "x" * 65, "\x1b[31m", "\udcff", 7, [SYMBOL]],
)
@pytest.mark.parametrize("name", ["symbol", "new_symbol"])
def test_what_cannot_be_an_instrument_is_not_in_the_state(name: str, symbol: object) -> None:
    reason = reason_for({**OPEN, name: symbol})
    assert reason.startswith("symbol_not_in_state: ")
    assert reason.isascii()


@pytest.mark.parametrize("text", ["", "x" * 1001, None, 3, "\udcff"])
def test_a_reason_is_text_of_limited_length(text: object) -> None:
    assert reason_for({**OPEN, "reason": text}).startswith("bad_reason: ")


@pytest.mark.parametrize("coin", ["SOL", "btc", 3])
def test_only_two_coins_are_known(coin: object) -> None:
    assert reason_for({**OPEN, "underlying": coin}).startswith("unknown_underlying: ")


@pytest.mark.parametrize("confidence", [5, "very high", -1, None, float("nan"), {"a": [1]}])
def test_confidence_changes_nothing(confidence: object) -> None:
    assert read_action({**OPEN, "confidence": confidence}) == read_action(OPEN)


def test_every_problem_is_named_the_first_one_first() -> None:
    reason = reason_for({**OPEN, "type": "x", "size": -1, "dry_run": False})
    assert [part.split(":")[0] for part in reason.split("; ")] == ["unknown_action", "bad_size", "unknown_field"]


# --- what is smuggled past the checks -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"size": float("nan")}, "bad_size"),
        ({"size": "0.1"}, "bad_size"),
        ({"type": "open_covered_call"}, "unknown_action"),
        ({"override_risk": True}, "unknown_field"),
        ({"reason": None}, "bad_reason"),
        ({"choices": (CHOICE.model_copy(update={"probability": 7.0}),)}, "bad_choices"),
        ({"choices": (CHOICE.model_copy(update={"symbol": "\udcff"}),)}, "bad_choices"),
        (
            {"choices": (CHOICE.model_copy(update={"score_parts": (SCORE_WITHOUT_POINTS,)}),)},
            "bad_choices",
        ),
        ({"choices": "all"}, "bad_choices"),
    ],
)
def test_an_action_changed_behind_its_checks_is_refused(changes: dict[str, object], rule: str) -> None:
    assert reason_for(an_action().model_copy(update=changes)).split(":")[0] == rule


def test_an_action_made_without_checks_is_refused() -> None:
    unchecked = ProposedAction.model_construct(size=0.1)  # type: ignore[call-arg]
    assert reason_for(unchecked).startswith("unknown_action: ")


# --- answers of language models --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "3",
        '"DO_NOTHING"',
        "I cannot help with that.",
        f"Sure! {json.dumps(OPEN)}",
        f"{json.dumps(OPEN)} Good luck!",
        f"```json\n{json.dumps(OPEN)}\n```",
        json.dumps(OPEN) * 2,
        json.dumps(OPEN)[:-1],
        json.dumps(OPEN).replace('"', "'"),
        '{"size": 1,}',
        '{"size": ' + "9" * 5000 + "}",
        "\ufeff" + json.dumps(OPEN),
        "[" * 10_000,
        '{"a":' * 3000,
        json.dumps({**OPEN, "reason": "x" * 2_000_000}),
        '{"a": "\n"}',
    ],
)
def test_anything_but_one_json_object_cannot_be_parsed(text: str) -> None:
    assert reason_for_text(text).startswith("unparseable: ")


def test_an_answer_of_another_kind_cannot_be_parsed() -> None:
    assert reason_for_text(b"{}").startswith("unparseable: ")  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [[], [OPEN], [OPEN, OPEN]])
def test_a_list_is_not_one_action(answer: object) -> None:
    assert reason_for_text(json.dumps(answer)) == "one_action_only: the answer is a list"


@pytest.mark.parametrize("again", ['"size": 0.1', '"size": 5', '"symbol": "x"'])
def test_a_name_that_stands_twice_is_refused_whatever_it_says(again: str) -> None:
    text = f"{json.dumps(OPEN)[:-1]}, {again}}}"
    assert reason_for_text(text) == f"duplicate_key: {again.split(chr(34))[1]} appears more than once"


def test_a_name_that_stands_twice_inside_a_choice_is_refused_too() -> None:
    assert reason_for_text('{"choices": [{"score": 1, "score": 2}]}').startswith("duplicate_key: score")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_json_calls_a_number_but_is_none_is_a_bad_size(number: str) -> None:
    assert reason_for_text(json.dumps(OPEN).replace("0.1", number)).startswith("bad_size: ")


def test_brackets_inside_a_text_are_no_depth() -> None:
    reason = "[" * 500 + '\\"{'
    assert read_action_text(json.dumps({**OPEN, "reason": reason})).reason == reason


@pytest.mark.parametrize(("length_bytes", "is_refused"), [(20_000, False), (20_001, True)])
def test_the_size_of_an_answer_is_limited_in_bytes(length_bytes: int, is_refused: bool) -> None:
    text = json.dumps({**OPEN, "confidence": ""}).replace('""', f'"{"x" * 20_100}"')
    text = text.replace("x" * (len(text) - length_bytes), "", 1)
    assert len(text) == length_bytes
    if is_refused:
        assert reason_for_text(text).startswith("unparseable: ")
    else:
        assert read_action_text(text).symbol == SYMBOL


# --- reasons -----------------------------------------------------------------------------------------------


def test_hostile_text_in_a_reason_is_short_and_harmless() -> None:
    reason = reason_for_text(json.dumps({**OPEN, "\x1b[31m\u202eevil\n" + "x" * 5_000: 1}))
    assert reason.startswith("unknown_field: ?[31m?evil?xxx")
    assert len(reason) <= MAX_REASON_LENGTH
    assert reason.isascii()
    assert reason.isprintable()


def raised_by(make: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each case raises its own
        make()
    error: Exception = caught.value
    return error


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"size": -1.0}, "bad_size"),
        ({"type": "x"}, "unknown_action"),
        ({"override_risk": True}, "unknown_field"),
        ({"reason": ""}, "bad_reason"),
        ({"symbol": 3}, "symbol_not_in_state"),
    ],
)
def test_an_action_that_a_policy_could_not_make_is_named_like_one_it_returned(
    fields: dict[str, object], rule: str
) -> None:
    error = raised_by(lambda: an_action(**fields))
    assert reason_of(error).split(":")[0] == rule


def test_a_reason_that_a_policy_gives_itself_stays_as_it_is() -> None:
    assert reason_of(PolicyOutputError("policy_unavailable: timeout")) == "policy_unavailable: timeout"


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        raised_by(lambda: setattr(a_state(), "seed", 2)),
        raised_by(lambda: setattr(an_action(), "size", 2.0)),
        raised_by(lambda: AgentState()),  # type: ignore[call-arg]
    ],
)
def test_whatever_else_a_policy_raises_is_an_error_of_the_policy(error: Exception) -> None:
    reason = reason_of(error)
    assert reason.startswith(f"policy_error: {type(error).__name__}: ")
    assert reason.isprintable()
