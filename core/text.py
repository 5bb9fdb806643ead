"""Text from outside, made safe to be shown or written. Pure.

In: what a server, a policy, a file or a person wrote. Out: text that cannot move a cursor, fill a screen, hide a second
line or break the encoding of a log.
"""

from __future__ import annotations

import re
import textwrap

LINE_LETTERS = 400
CONSOLE_COLUMNS = 80
LONG_WORD = re.compile(r"\S{24,}")
# Deribit's error codes: small words joined by signs. A key or token has digits or capitals, or never ends a word.
READS_LIKE_WORDS = re.compile(r"[^\w\s]*[a-z]{1,16}(?:[_./-][a-z]{1,16})+[^\w\s]*", re.ASCII)


def printable(text: object, most_letters: int = LINE_LETTERS) -> str:
    """One line without control characters, cut to a length; a blank stands for each letter that cannot be shown."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))[:most_letters]


def wrapped(line: str, indent: str = "  ") -> str:
    """A line as lines of 80 columns at most, broken at blanks, `indent` before all but the first.

    A path or a URL is never cut: where it does not fit beside a wide indent it gets a small one.
    """
    if len(line) <= CONSOLE_COLUMNS and line.isprintable():
        return line.rstrip(" ")
    lines = _broken(line, indent)
    if any(len(one) > CONSOLE_COLUMNS for one in lines):
        lines = _broken(line, "  ")
    return "\n".join(lines)


def _broken(line: str, indent: str) -> list[str]:
    words = line.lstrip(" ")
    return textwrap.wrap(
        words,
        CONSOLE_COLUMNS,
        initial_indent=" " * (len(line) - len(words)),
        subsequent_indent=indent,
        break_long_words="/" not in words,
        break_on_hyphens=False,
    )


def plain_ascii(text: str, most_letters: int) -> str:
    """The same in ASCII alone, where look-alike letters could deceive; dots say that it was cut."""
    shown = text if len(text) <= most_letters else f"{text[: most_letters - 3]}..."
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in shown)


def quotable(text: object, most_letters: int = 200) -> str:
    """Foreign words for an error message; one of 24 letters that does not read like words may be a key or a token."""
    return printable(LONG_WORD.sub(_unless_words, str(text)), most_letters)


def _unless_words(found: re.Match[str]) -> str:
    return found[0] if READS_LIKE_WORDS.fullmatch(found[0]) else "***"


def writable(text: str) -> str:
    """Text for a log, its lines kept. Half a surrogate pair, which a policy may raise, is in no encoding."""
    return text.encode(errors="replace").decode()
