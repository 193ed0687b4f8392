"""Where the page of a decision is put: in the bucket, and in MLflow, where people can open it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from homeprices.adapters.database import transaction
from homeprices.adapters.mlflow_client import Tracking
from homeprices.errors import HomePricesError
from homeprices.experiment import record
from homeprices.experiment.page import render
from homeprices.log import get_logger

if TYPE_CHECKING:
    from homeprices.resources import Parts

GOES_ON = ("continue", "invalid", "hold", "resume")
MOST_LOOKS = 24 * 31  # points of a page's charts

log = get_logger(__name__)


def key_of(number: int) -> str:
    """Where the page of a decision lies in the bucket."""
    return f"reports/decisions/{number}.html"


def publish(parts: Parts, key: str) -> str | None:
    """Put the page of the decision under `key` where it belongs, and return its address in MLflow.

    A page is written from the record, so it can be written again. One that cannot be written changes no outcome: what
    failed is logged, and None is returned.
    """
    try:
        with transaction(parts.engine) as connection:
            decision = record.find(connection, key)
            if decision is None:
                return None
            looks = record.history(connection, decision.experiment, decision.id, MOST_LOOKS)
        body = render(decision, looks).encode()
        parts.bucket.put(key_of(decision.id), body)
        return _to_mlflow(Tracking(parts.settings), decision, body)
    except HomePricesError as error:
        log.warning("the page of a decision is not everywhere", key=key, error=str(error))
        return None


def _to_mlflow(tracking: Tracking, decision: record.RecordedDecision, body: bytes) -> str:
    run = tracking.parent_run(f"experiment {decision.experiment}", tags={"experiment": decision.experiment})
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / f"{decision.id}.html").write_bytes(body)
        tracking.log_files(run, Path(temporary), under="decisions")
    if decision.outcome not in GOES_ON:
        tracking.finish(run)
    return tracking.run_url(run)
