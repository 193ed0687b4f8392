"""`homeprices keys`: a key alone on standard output, the rest for people; lists without a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import main
from homeprices.keys.key_token import read_key
from homeprices.keys.key_usage import KeyUse, RouterKeyUsage
from homeprices.resources import Resources
from homeprices.settings import Settings


class Terminal:
    """Runs commands on one bucket; standard output and error of the last one are in `out` and `err`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.bucket, self._capsys, self.out, self.err = MemoryBucket(), capsys, "", ""

    def run(self, *words: str) -> int:
        code = main(["keys", *words], Resources(Settings(), self.bucket))
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal before an empty bucket."""
    return Terminal(capsys)


def test_a_key_stands_alone_on_standard_output(terminal: Terminal) -> None:
    assert terminal.run("create", "--scope", "operate, predict", "--quota", "5/m", "--expires", "30m") == 0
    token = read_key(terminal.out.strip())
    assert token is not None
    assert terminal.err.startswith(f"key {token.id}: predict, operate; 5/m; until ")
    assert terminal.out.strip() not in terminal.err


def test_a_list_shows_use_and_no_secret(terminal: Terminal) -> None:
    assert terminal.run("list") == 0
    assert terminal.out == "there are no keys\n"
    terminal.run("create", "--scope", "batch", "--note", "the shop\x1b[31m")
    text = terminal.out.strip()
    key_id = text.split("_")[1]
    usage = RouterKeyUsage(router="r", keys={key_id: KeyUse(allowed=1234, last_used=datetime(2026, 1, 5, tzinfo=UTC))})
    terminal.bucket.put(usage.key, usage.model_dump_json().encode())
    assert terminal.run("list") == 0
    [head, line] = terminal.out.splitlines()
    assert head.startswith("id ")
    assert [key_id, "valid", "batch", "20/s"] == line.split()[:4]
    assert "1,234" in line
    assert "2026-01-05T00:00" in line
    assert line.endswith("the shop\\x1b[31m")
    assert terminal.run("list", "--json") == 0
    [row] = json.loads(terminal.out)
    assert (row["id"], row["allowed"], row["valid_texts"]) == (key_id, 1234, 1)
    assert not any(part in terminal.out for part in text.split("_")[2:])


def test_a_key_is_rotated_and_revoked_by_its_id(terminal: Terminal) -> None:
    terminal.run("create", "--scope", "batch", "--actor", "me")
    first = terminal.out.strip()
    key_id = first.split("_")[1]
    assert terminal.run("rotate", key_id) == 0
    assert terminal.out.strip() != first
    terminal.run("list")
    assert "valid, 2 texts" in terminal.out
    assert terminal.run("rotate", key_id) == 1
    assert "two texts of key" in terminal.err
    assert terminal.run("revoke", key_id, "--actor", "you") == 0
    assert terminal.out.startswith(f"key {key_id} is revoked since ")
    terminal.run("list", "--json")
    [row] = json.loads(terminal.out)
    assert (row["state"], row["created_by"], row["revoked_by"]) == ("revoked", "person:me", "person:you")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("create --scope admin", 1, "keys: scope: admin is not allowed; any of predict, batch, feedback, operate"),
        ("create --scope predict --quota 5/h", 1, "keys: quota: '5/h' is not allowed"),
        ("create --scope predict --expires 2000d", 1, "keys: expires: "),
        ("create --scope predict --expires soon", 2, "'soon' is no duration such as 90d"),
        ("create", 2, "Missing option '--scope'"),
        ("revoke nothing", 1, "keys: there is no key nothing"),
        ("rotate nothing --overlap 1w", 2, "'1w' is no duration"),
    ],
)
def test_wrong_values_are_named(terminal: Terminal, words: str, code: int, said: str) -> None:
    assert terminal.run(*words.split()) == code
    assert said in terminal.err
    assert terminal.out == ""
