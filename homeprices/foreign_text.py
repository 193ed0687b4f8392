"""Foreign text (of visitors, files, other services), made safe for messages, notifications and terminals."""

from __future__ import annotations

import unicodedata

SHORT = 60
"""Maximum length of a foreign word, such as the name of a field or a location."""

LONG = 300
"""Maximum length of a foreign sentence, such as the message of another program."""

_QUOTES = str.maketrans("“”", '""')
_JOINERS = "\u200c\u200d"  # invisible, and part of the spelling in Kannada and Hindi


def printable(text: str, most: int = SHORT) -> str:
    """Return the text in one line of at most `most` characters, with an ellipsis where it was cut.

    Escapes characters that control a terminal (ANSI sequences), change the direction of the surrounding text, or are
    invisible, for example as `\\x1b`.
    """
    cut = text if len(text) <= most else text[: most - 1]
    escaped = "".join(map(_escaped, cut)) if not cut.isascii() or not cut.isprintable() else cut
    if len(escaped) > most:
        escaped = escaped[: most - 1]
        return escaped + "…"
    return escaped if cut is text else escaped + "…"


def quoted(text: str, most: int = SHORT) -> str:
    """Return foreign text in quotation marks, so that a reader sees where it begins and ends.

    Mail programs, chats and Markdown do not turn any part of it into a link.
    """
    plain = printable(text, most).translate(_QUOTES)
    return f"“{plain.replace('://', '[:]//').replace('www.', 'www[.]').replace('](', '] (')}”"


def printable_lines(text: str, most_lines: int = 100, most: int = 1_000) -> str:
    """Return a text of several lines, each printable. If lines are omitted, the last one has their number."""
    lines = text.splitlines()
    kept = [printable(line.expandtabs(), most) for line in lines[:most_lines]]
    return "\n".join(kept if len(lines) <= most_lines else [*kept, f"({len(lines) - most_lines:,} more lines)"])


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character)[0] not in "CZ" or character == " ":
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
