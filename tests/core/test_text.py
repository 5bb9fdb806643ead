"""Text from outside, made safe to be shown or written."""

from __future__ import annotations

import pytest

from core.text import plain_ascii, printable, quotable, wrapped, writable

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


# --- lines that fit a terminal ----------------------------------------------------------------------


def test_a_line_that_fits_stays_as_it_is() -> None:
    line = "     " + "x" * 75
    assert wrapped(line) == line


def test_a_line_that_fits_loses_the_blanks_at_its_end_and_what_could_move_a_cursor() -> None:
    assert [wrapped(line) for line in ("  a  b  ", "   ", "", "a\tb")] == ["  a  b", "", "", "a       b"]


def test_a_longer_line_is_broken_at_blanks_and_goes_on_indented() -> None:
    lines = wrapped("BTC-9JAN26-93000-C has days left; " * 6, "       ").splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert all(line.startswith("       ") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == ("BTC-9JAN26-93000-C has days left; " * 6).strip()


def test_a_word_without_an_end_is_cut_and_a_path_is_not() -> None:
    assert max(map(len, wrapped("x" * 300).splitlines())) == 80
    path = "/a" * 60
    assert wrapped(f"kill file: {path}").splitlines()[-1].strip() == path


def test_a_path_that_fits_a_line_gets_one_whatever_the_indent() -> None:
    path = "/" + "a" * 70
    assert wrapped(f"ok    disk         {path} can be written", " " * 19).splitlines()[1].startswith(f"  {path}")
