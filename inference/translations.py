"""The web form in other languages: its page in English, with the messages of `messages.json` in place of the English.

A message is known by its English text. The page holds it as text or in an attribute, and the script asks for it by
`say("...")`. A page in another language carries the messages of the script, so that a visitor loads one language. A
text without a translation stays English, so that a new input works at once; a test names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path

from homeprices.pricing.inputs import INPUTS
from homeprices.words import ICON

FRONTEND = Path(__file__).with_name("frontend")
CATALOGUE = Path(__file__).with_name("messages.json")
ENGLISH, OTHERS = "en", ("hi", "kn")
ALL = (ENGLISH, *OTHERS)

NOT_KNOWN = "not known"
"""How an explanation names a missing value."""

_TEXT = re.compile(r"(?<=>)[^<>]+(?=<)")
_ATTRIBUTE = re.compile(r'(?<= )(title|aria-label|content|data-missing|data-wrong|data-price-per)="([^"]*)"')
_SAID = re.compile(r'\bsay\(\s*"((?:[^"\\]|\\.)*)"')

_CARRIED = re.compile(r'  <script type="application/json" id="messages">.*?</script>\n')

_SYMBOL = re.compile(r'(<symbol id="house"[^>]*><path d=")[^"]*')

Told = Callable[[str], str]


def catalogue() -> dict[str, dict[str, str]]:
    """Return the translations of every message: `{English: {language: text}}`."""
    found: dict[str, dict[str, str]] = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return found


def in_own_words(page: str) -> str:
    """Return the English page with the catalogue's own English (`en`) of a message, if it has one.

    Another domain (documentations/your-own-model.md) words the form there, and keeps the page and its scripts. The
    symbol is that of `words`, and a link to a language without any message is left out.
    """
    offered = {language for message in catalogue().values() for language in message}
    absent = {*OTHERS} - offered if {*OTHERS} & offered else {ENGLISH, *OTHERS}
    for language in absent:
        page = re.sub(rf'<a href="\?lang={language}"[^>]*>[^<]*</a>', "", page)
    page = _SYMBOL.sub(rf"\g<1>{ICON}", page)
    return _carrying(with_messages(page, lambda message: _in(ENGLISH).get(message, message)), _in(ENGLISH))


def _in(language: str) -> dict[str, str]:
    return {english: told[language] for english, told in catalogue().items() if language in told}


def _carrying(page: str, messages: dict[str, str]) -> str:
    """Return a page that carries those of the messages that its script asks for; unchanged without one."""
    page = _CARRIED.sub("", page)
    carried = {english: messages[english] for english in script_messages() if english in messages}
    if not carried:
        return page
    block = json.dumps(carried, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return page.replace("</head>", f'  <script type="application/json" id="messages">{block}</script>\n</head>')


def in_language(page: str, language: str) -> str:
    """Return the English page in another language; unchanged if the catalogue has no message in it."""
    messages = _in(language)
    if not messages:
        return page
    page = with_messages(page, lambda message: messages.get(message, message))
    page = page.replace('<html lang="en">', f'<html lang="{language}">').replace(' aria-current="true"', "")
    page = page.replace(f'hreflang="{language}"', f'hreflang="{language}" aria-current="true"')
    page = page.replace('?lang=en" method="post"', f'?lang={language}" method="post"')
    return _carrying(page, _in(ENGLISH) | messages)


def with_messages(page: str, told: Told) -> str:
    """Return a page with `told` of each text and each readable attribute in its place."""
    page = _TEXT.sub(lambda found: _text(found[0], told), page)
    return _ATTRIBUTE.sub(lambda found: f'{found[1]}="{escape(told(unescape(found[2])))}"', page)


def script_messages() -> list[str]:
    """Return the messages that the form's script uses, in order: its own, and labels that an explanation names."""
    scripts = (path.read_text(encoding="utf-8") for path in FRONTEND.glob("*.js"))
    said = {message for script in scripts for message in _SAID.findall(script)}
    return sorted({*said, *(label for field in INPUTS for _, label in field.options), NOT_KNOWN})


def _text(text: str, told: Told) -> str:
    message = unescape(" ".join(text.split()))
    if not message:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    translated = told(message)
    return text if translated == message else f"{before}{escape(translated, quote=False)}{after}"
