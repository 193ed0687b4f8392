"""When the circuit breaker trips, and when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homeprices.names import PREDICT_PATH
from router.access_log import AccessLogEntry
from router.circuit_breaker import Limits, judge

NOW = 1000.0
LIMITS = Limits(window_seconds=60, minimum_bad=5, bad_share=0.2, slow_seconds=1.0)
GOOD = AccessLogEntry(NOW - 1, "POST", PREDICT_PATH, 200, "candidate", "candidate", False, 2, 0.01, 0.01, "200")
FALLBACK = replace(GOOD, fallback=True, served="production", upstream_status="500 : 200")
SLOW = replace(GOOD, upstream_seconds=1.0)
BROKEN = replace(GOOD, status=502, upstream_status="502")


def trips(*answers: AccessLogEntry) -> bool:
    return judge(answers, epoch=2, now=NOW, limits=LIMITS).trips


@pytest.mark.parametrize("bad", [FALLBACK, SLOW, BROKEN], ids=["fallback", "slow", "502"])
def test_five_bad_answers_in_a_minute_trip_it(bad: AccessLogEntry) -> None:
    assert not trips(*[bad] * 4)
    assert trips(*[bad] * 5)


def test_a_small_share_of_bad_answers_is_left_to_the_evaluation() -> None:
    assert trips(*[FALLBACK] * 5, *[GOOD] * 20)
    assert not trips(*[FALLBACK] * 5, *[GOOD] * 21)


@pytest.mark.parametrize(
    "unrelated",
    [
        replace(FALLBACK, at=NOW - 61),
        replace(FALLBACK, epoch=1),
        replace(FALLBACK, epoch=None),
        replace(FALLBACK, assigned="production"),
        replace(FALLBACK, path="/api/feedback"),
        replace(GOOD, status=422),
        replace(GOOD, status=499),
        replace(GOOD, seconds=9.0),
        replace(GOOD, status=501, upstream_status=""),
        replace(FALLBACK, upstream_status="200"),
        replace(BROKEN, method="BREW"),
    ],
    ids=[
        "older than the window",
        "of another epoch",
        "of no epoch",
        "production's",
        "no prediction",
        "the visitor's mistake",
        "the visitor left",
        "slow only on the visitor's side",
        "answered by Nginx without asking the candidate",
        "a fallback without asking the candidate",
        "no prediction's method",
    ],
)
def test_entries_of_others_are_not_counted(unrelated: AccessLogEntry) -> None:
    assert not trips(*[unrelated] * 50)


def test_a_visitor_who_disconnects_from_a_slow_candidate_counts_as_slow() -> None:
    assert trips(*[replace(SLOW, status=499)] * 5)


def test_the_reason_has_the_counts() -> None:
    verdict = judge([FALLBACK, FALLBACK, FALLBACK, SLOW, SLOW, GOOD], epoch=2, now=NOW, limits=LIMITS)
    assert (verdict.asked, verdict.failed, verdict.slow) == (6, 3, 2)
    assert verdict.reason == "circuit breaker: 3 failed and 2 slow (over 1 s) of 6 candidate answers in 60 s"


def test_without_requests_it_does_not_trip() -> None:
    assert not trips()
