"""Foreign text is cut, and nothing in it acts on a terminal, a page or the text around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.notifications import Notification, Notifier
from homeprices.drift import findings
from homeprices.drift.findings import G_TEST, Finding, ShiftedCategory, feature_sentence
from homeprices.errors import InvalidInput
from homeprices.foreign_text import SHORT, printable, quoted
from homeprices.log import configure_logging, get_logger
from homeprices.settings import load_settings
from local.display import show_end


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Whitefield", "Whitefield"),
        ("ಬೆಂಗಳೂರು, 3rd Block", "ಬೆಂಗಳೂರು, 3rd Block"),
        ("ಕ್\u200dಷ", "ಕ್\u200dಷ"),
        ("a\x1b[31mred\x1b[0m", "a\\x1b[31mred\\x1b[0m"),
        ("two\r\nlines\t", "two\\x0d\\x0alines\\x09"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("no\u2028line\ufeff", "no\\u2028line\\ufeff"),
        ("no\u00a0break", "no break"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_what_a_reader_cannot_see_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_whatever_it_consists_of() -> None:
    assert printable("x" * SHORT) == "x" * SHORT
    for text in ("x" * 10**6, "\x1b" * 10**6, "\x1b" * SHORT):
        assert len(printable(text)) == SHORT
        assert printable(text).endswith("…")


def test_a_quotation_cannot_be_ended_from_within() -> None:
    assert quoted("a” is fine, “b") == '“a" is fine, "b”'


def test_an_error_names_few_fields_and_cuts_each() -> None:
    error = InvalidInput({f"{number}\x1b" + "n" * 1_000: "p" * 5_000 for number in range(1_000)}, more=5)
    assert len(error.fields) == 21
    assert error.fields["more"] == "985 more fields are wrong"
    assert "\x1b" not in error.detail
    assert len(error.detail) < 20 * 1_000


HOSTILE = "\x1b]0;owned\x07[click](http://evil.example)\u202e<b>www.evil.example</b>" + "x" * 10_000


def test_a_quotation_becomes_no_link() -> None:
    shown = quoted(HOSTILE, 1_000)
    for link in ("](", "://", "www.", "\u202e", "\x1b"):
        assert link not in shown


def test_the_sentence_of_a_drift_quotes_what_visitors_wrote() -> None:
    moved = ShiftedCategory(name=HOSTILE, reference_share=0.1, current_share=0.4, p_value=1e-9)
    found = Finding(
        feature="location", tests=(findings.Test(name=G_TEST, p_value=1e-9, matters=True),), moved=(moved,),
        new_values={HOSTILE: 3}, reference_rows=100, current_rows=100,
    )  # fmt: skip
    sentence = feature_sentence(found, 1e-9, significant=True)
    assert sentence.count("“\\x1b]0;owned\\x07[click] (http[:]//evil.example)\\u202e") == 2
    assert len(sentence) < 400


def test_a_notification_is_cut_and_printable_for_every_channel() -> None:
    sent: list[Notification] = []

    class Kept:
        name = "kept"

        def deliver(self, notification: Notification) -> None:
            sent.append(notification)

    Notifier([Kept()]).send(Notification(HOSTILE, f"{HOSTILE}\nsecond\n" + "line\n" * 1_000, "https://here"))
    [notification] = sent
    assert len(notification.title) <= 300
    assert len(notification.text.splitlines()) == 101
    for text in (notification.title, notification.text):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_a_log_line_in_a_terminal_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(load_settings({"HOMEPRICES_LOG_FORMAT": "console"}, ()), "service")
    get_logger().warning("request_failed", location=HOSTILE.replace(" ", ""), lines="one\ntwo\x1b[2J")
    shown = capsys.readouterr().err
    assert "\\x1b]0;owned" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_line_of_make_logs_has_no_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "router.log"
    log.write_text(f"\tbefore\x1b[2J {HOSTILE}\n")
    show_end([log])
    shown = capsys.readouterr().out
    assert shown.startswith("        before\\x1b[2J")
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
