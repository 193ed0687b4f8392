"""What the breaker asks for once it has taken the share to zero: an evaluation now, instead of at the full hour."""

from __future__ import annotations

import threading

from homeprices.adapters.airflow_client import Airflow
from homeprices.errors import HomePricesError
from homeprices.log import get_logger
from homeprices.settings import Settings

EVALUATION = "evaluate_ab_dag"

log = get_logger("router")


def ask_for_evaluation(settings: Settings) -> threading.Thread:
    """Ask Airflow in the background; the router waits for nobody. One that is away looks at the full hour anyway."""
    thread = threading.Thread(target=_ask, args=(settings,), name="ask for an evaluation", daemon=True)
    thread.start()
    return thread


def _ask(settings: Settings) -> None:
    try:
        with Airflow(settings) as airflow:
            log.info("evaluation asked for", run=airflow.trigger(EVALUATION))
    except HomePricesError as error:
        log.warning("no evaluation before the full hour", error=str(error))
