"""The circuit breaker: stop the candidate's traffic within a minute if too many of its responses fail or are slow.

`judge` is a pure function over entries of the router's log. The hourly evaluation judges quality; the breaker judges
only whether the candidate responds in time. After a trip, `request_evaluation` starts the evaluation early.
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

log = get_logger("router")


@dataclass(frozen=True)
class Limits:
    """The breaker trips at `minimum_bad` or more bad responses in the window that are `bad_share` or more of all.

    Five in a minute, because a single one may be chance and visitors get production's response meanwhile. A fifth of
    all, because the evaluation decides about a candidate that fails less often.
    """

    window_seconds: float = 60.0
    minimum_bad: int = 5
    bad_share: float = 0.2
    slow_seconds: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """Counts of the requests to the candidate in the window; `reason` if the breaker trips."""

    asked: int
    failed: int
    slow: int
    reason: str | None

    @property
    def trips(self) -> bool:
        return self.reason is not None


def judge(entries: Iterable[AccessLogEntry], *, epoch: int, now: float, limits: Limits) -> Verdict:
    """Judge the candidate on its predictions of this epoch in the window that ends at `now` (seconds since 1970)."""
    asked = failed = slow = 0
    for entry in entries:
        if not concerns(entry, epoch) or entry.at < now - limits.window_seconds:
            continue
        asked += 1
        failed += is_failure(entry)
        slow += not is_failure(entry) and entry.upstream_seconds >= limits.slow_seconds
    bad = failed + slow
    if bad < limits.minimum_bad or bad < limits.bad_share * asked:
        return Verdict(asked, failed, slow, None)
    reason = (
        f"circuit breaker: {failed} failed and {slow} slow (over {limits.slow_seconds:g} s) "
        f"of {asked} candidate answers in {limits.window_seconds:g} s"
    )
    return Verdict(asked, failed, slow, reason)


def concerns(entry: AccessLogEntry, epoch: int) -> bool:
    """Whether the entry is a prediction of the candidate's visitors in this epoch."""
    return entry.is_prediction and entry.assigned == "candidate" and entry.epoch == epoch


def is_failure(entry: AccessLogEntry) -> bool:
    """Whether the candidate was asked and did not respond: the router fell back to production, or failed."""
    return entry.fell_back or entry.status >= 500


def request_evaluation(settings: Settings) -> threading.Thread:
    """Trigger the evaluation DAG in a thread, so the router does not wait. If that fails, the hourly run decides."""
    thread = threading.Thread(target=_trigger, args=(settings,), name="request-evaluation", daemon=True)
    thread.start()
    return thread


def _trigger(settings: Settings) -> None:
    try:
        with AirflowClient(settings) as airflow:
            log.info("evaluation_requested", run=airflow.trigger(EVALUATION_DAG))
    except HomePricesError as error:
        log.warning("evaluation_request_failed", error=str(error))
