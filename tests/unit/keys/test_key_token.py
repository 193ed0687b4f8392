"""The text of a key: it names itself, it is found by scanners, and a part of one is none."""

from __future__ import annotations

import hashlib
import re

import pytest

from homeprices.keys.key_token import KEY_PATTERN, handle, new_id, new_key, read_key

SCANNED = re.compile(KEY_PATTERN)


def test_a_key_says_its_id_and_only_the_digest_of_the_whole_is_kept() -> None:
    key_id = new_id()
    text = new_key(key_id)
    token = read_key(text)
    assert token is not None
    assert (token.id, token.digest) == (key_id, hashlib.sha256(text.encode()).digest())
    assert text.startswith(handle(token.id, token.tag) + "_")
    assert SCANNED.search(f"curl -H 'Authorization: Bearer {text}' localhost") is not None


def test_keys_of_one_id_differ_in_tag_and_secret() -> None:
    texts = {new_key("a" * 8) for _ in range(200)}
    assert len({text.split("_")[2] for text in texts}) == len({text.split("_")[3] for text in texts}) == 200


@pytest.mark.parametrize("position", [3, 15, 40, 60, 80, -1])
def test_a_mistyped_character_is_found_without_looking_the_key_up(position: int) -> None:
    text = new_key("a" * 8)
    other = "b" if text[position] != "b" else "c"
    letters = [*text]
    letters[position] = other
    assert read_key("".join(letters)) is None


def test_another_text_is_no_key() -> None:
    text = new_key("a" * 8)
    for other in (text.upper(), text[:-1], text + "0", text + "\n", " " + text[1:], "é" + text[1:], ""):
        assert read_key(other) is None
