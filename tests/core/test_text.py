"""Text from outside, made safe to be shown or written."""

from __future__ import annotations

import pytest

from core.text import plain_ascii, printable, quotable, writable

HOSTILE = "\x1b[2J\x1b]0;owned\x07line\nbreak\r\u202e\u0000\ud800" + "x" * 5_000


def test_a_line_cannot_move_the_cursor_or_fill_the_screen() -> None:
    shown = printable(HOSTILE)
    assert len(shown) == 400
    assert shown.isprintable()
    assert shown.encode()


def test_plain_ascii_shows_look_alikes_as_question_marks_and_says_where_it_cut() -> None:
    assert plain_ascii("BТC\u200b", 40) == "B?C?"
    assert plain_ascii("x" * 50, 40) == "x" * 37 + "..."


def test_a_word_as_long_as_a_key_is_never_quoted() -> None:
    assert quotable("key " + "k" * 24 + " " + "w" * 23) == "key *** " + "w" * 23
    assert len(quotable("word " * 100, 40)) == 40


@pytest.mark.parametrize(
    "code",
    [
        "max_open_orders_per_instrument",
        "invalid_or_unsupported_instrument",
        "(other_reduce_only_order_present)",
        "trigger_price_must_be_above_mark,",
    ],
)
def test_a_code_made_of_words_stays_readable_however_long(code: str) -> None:
    assert quotable(f"refused: {code}") == f"refused: {code}"


@pytest.mark.parametrize(
    "secret",
    [
        "a1b2c3d4_e5f6a7b8_c9d0e1f2",
        "AbCdEfGh_IjKlMnOp_QrStUvWx",
        "abcdefghijklmnopqrstuvwxyz",
        "refresh_token=" + "k" * 24,
    ],
)
def test_what_looks_like_a_secret_is_not_quoted(secret: str) -> None:
    assert quotable(f"refused: {secret}") == "refused: ***"


def test_what_is_written_keeps_its_lines_and_can_be_encoded() -> None:
    assert writable("a\nb\ud800") == "a\nb?"
