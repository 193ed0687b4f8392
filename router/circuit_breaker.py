"""The circuit breaker: whether a candidate's answers of the last minute are so bad that nobody should wait for an hour.

A pure function over the lines of the router's log. The hourly evaluation judges quality; this judges only whether the
candidate answers at all, and in time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.errors import HomePricesError
from homeprices.log import get_logger
from homeprices.names import EVALUATION_DAG
from homeprices.settings import Settings
from router.access_log import AccessLogEntry


@dataclass(frozen=True)
class Limits:
    """Over these the breaker trips: at least `minimum_bad` bad answers in the window, and `bad_share` of all.

    Five in a minute, because one is chance and visitors get production's answer meanwhile; a fifth of all, because a
    candidate that fails less often is a matter for the evaluation.
    """

    window_seconds: float = 60.0
    minimum_bad: int = 5
    bad_share: float = 0.2
    slow_seconds: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """What was counted among the predictions that the candidate was asked for; `reason` when it trips."""

    asked: int
    failed: int
    slow: int
    reason: str | None

    @property
    def trips(self) -> bool:
        return self.reason is not None


def judge(answers: Iterable[AccessLogEntry], *, epoch: int, now: float, limits: Limits) -> Verdict:
    """Judge the candidate on its predictions of this epoch in the window that ends at `now` (seconds since 1970)."""
    asked = failed = slow = 0
    for answer in answers:
        if not concerns(answer, epoch) or answer.at < now - limits.window_seconds:
            continue
        asked += 1
        failed += is_failure(answer)
        slow += not is_failure(answer) and answer.upstream_seconds >= limits.slow_seconds
    bad = failed + slow
    if bad < limits.minimum_bad or bad < limits.bad_share * asked:
        return Verdict(asked, failed, slow, None)
    reason = (
        f"circuit breaker: {failed} failed and {slow} slow (over {limits.slow_seconds:g} s) "
        f"of {asked} candidate answers in {limits.window_seconds:g} s"
    )
    return Verdict(asked, failed, slow, reason)


def concerns(answer: AccessLogEntry, epoch: int) -> bool:
    """Whether the answer says anything about the candidate in this epoch."""
    return answer.is_prediction and answer.assigned == "candidate" and answer.epoch == epoch


def is_failure(answer: AccessLogEntry) -> bool:
    """Whether the candidate gave no answer: production stood in for it, or nobody did."""
    return answer.fallback or answer.status >= 500


# What the breaker asks for once it has taken the share to zero: an evaluation now, instead of at the full hour.


log = get_logger("router")


def request_evaluation(settings: Settings) -> threading.Thread:
    """Ask Airflow in the background; the router waits for nobody. One that is away looks at the full hour anyway."""
    thread = threading.Thread(target=_ask, args=(settings,), name="ask for an evaluation", daemon=True)
    thread.start()
    return thread


def _ask(settings: Settings) -> None:
    try:
        with AirflowClient(settings) as airflow:
            log.info("evaluation asked for", run=airflow.trigger(EVALUATION_DAG))
    except HomePricesError as error:
        log.warning("no evaluation before the full hour", error=str(error))
