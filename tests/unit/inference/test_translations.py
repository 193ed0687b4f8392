"""The form in three languages: one catalogue that has every message, and pages that hold one language each."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from inference import translations
from inference.backend import estimate_page
from inference.generated import FORM, page_in

SCRIPTS = {"hi": re.compile("[\u0900-\u097f]"), "kn": re.compile("[\u0c80-\u0cff]")}
LETTERS = re.compile(r"[^\W\d_]{2}")
NO_MESSAGES = {"English", "हिन्दी", "ಕನ್ನಡ", "width=device-width, initial-scale=1", "light dark",
               "#f6f4ef", "#11161a"}  # fmt: skip
SAME_IN_ALL = {"BHK", "{rooms} BHK"}


def messages_of(page: str) -> set[str]:
    found: set[str] = set()

    def collect(message: str) -> str:
        found.add(message)
        return message

    assert translations.with_messages(page, collect) == page
    return {message for message in found if LETTERS.search(message)} - NO_MESSAGES


def test_every_message_is_in_the_catalogue_and_none_is_there_in_vain() -> None:
    used = messages_of(FORM.read_text(encoding="utf-8")) | set(translations.script_messages())
    used |= {estimate_page.NOT_ESTIMATED, estimate_page.NOTHING_HERE}
    assert used == set(translations.catalogue())


@pytest.mark.parametrize("english", translations.catalogue())
def test_a_message_has_every_language_with_the_same_values_and_numbers(english: str) -> None:
    told = translations.catalogue()[english]
    assert set(told) == set(translations.OTHERS)
    for language, text in told.items():
        for kept in (r"\{\w+\}", r"\d+(?:\.\d+)?"):
            expected, found = (Counter(re.findall(kept, one.replace(",", ""))) for one in (english, text))
            assert found == expected, text
        assert SCRIPTS[language].search(text) or english in SAME_IN_ALL
        assert not set("<>&") & set(text) and text == text.strip()
        others = [script for other, script in SCRIPTS.items() if other != language]
        assert not any(script.search(text.replace("।", "")) for script in others)


@pytest.mark.parametrize("language", translations.OTHERS)
def test_a_page_is_in_one_language_and_carries_no_other(language: str) -> None:
    page = page_in(language).read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in page
    assert re.findall(r'hreflang="(\w+)" aria-current="true"', page) == [language]
    assert (
        messages_of(re.sub(r"<script type=.application/json.*", "", page)) & set(translations.catalogue())
        <= SAME_IN_ALL
    )
    [block] = re.findall(r'<script type="application/json" id="messages">(.*)</script>', page)
    carried = json.loads(block)
    assert set(carried) == set(translations.script_messages())
    others = [script for other, script in SCRIPTS.items() if other != language]
    assert not any(script.search(text.replace("।", "")) for text in carried.values() for script in others)
    assert "messages" not in FORM.read_text(encoding="utf-8")


def test_a_text_without_a_translation_stays_english() -> None:
    page = translations.in_language('<html lang="en"><head></head><p title="New input">New input &amp; more</p>', "hi")
    assert '<p title="New input">New input &amp; more</p>' in page


def test_another_domain_words_the_english_page_and_shows_no_link_to_a_language_without_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page, message = FORM.read_text(encoding="utf-8"), "What is this home worth?"
    assert translations.in_own_words(page) == page, "homes have no English beside the page's"
    own = {message: {"en": "What is this <stone> worth?"}, "This home": {"en": "This stone"}}
    monkeypatch.setattr(translations, "catalogue", lambda: own)
    worded = translations.in_own_words(page)
    assert "<h1>What is this &lt;stone&gt; worth?</h1>" in worded and "?lang=" not in worded.split("<form")[0]
    assert '<script type="application/json" id="messages">{"This home":"This stone"}</script>' in worded
    assert translations.in_own_words(worded) == worded, "a second run changes nothing"
    assert translations.in_language(worded, "hi") == worded, "no message is in Hindi"
