"""Processes that write to the prediction log and get killed: `python -m tests.chaos.writer FOLDER`.

This process has everything imported. For every input line it forks a child, which records predictions and feedback
like a worker's threads and prints each one once it is acknowledged.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from pathlib import Path

from homeprices.adapters.database import open_engine
from homeprices.predictions.feedback import Feedback
from homeprices.predictions.prediction_log import Prediction, PredictionLog, open_prediction_log
from homeprices.settings import load_settings

THREADS = 3
PAUSE_SECONDS = 0.005  # without a pause, writers outrun the drain and fill the spool
PREDICTION = Prediction(
    request_id="r",
    visitor="visitor",
    assigned_variant="production",
    served_variant="production",
    fallback=False,
    bundle="BO1",
    epoch=1,
    inputs={"total_sqft": 1200.0, "location": "Whitefield", "bhk": 2, "bath": 2},
    estimate=75.95,
    interval_low=53.0,
    interval_high=114.0,
    milliseconds=0.4,
)


def say(*words: object) -> None:
    """Print one line in one write, so that a killed process has printed all of it or nothing."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work(folder: Path) -> None:
    """Record until killed."""
    settings = load_settings({**os.environ, "HOMEPRICES_STATE_DIR": str(folder)}, ())
    log = open_prediction_log(settings, open_engine(settings))
    log.start()
    for _ in range(THREADS - 1):
        threading.Thread(target=record_for_ever, args=(log,), daemon=True).start()
    record_for_ever(log)


def record_for_ever(log: PredictionLog) -> None:
    pause = threading.Event()
    first = True
    while True:
        number = log.record(PREDICTION)
        pause.wait(PAUSE_SECONDS)
        if number is None:
            continue
        say("p", number)
        if first:
            say("writing", os.getpid())
            first = False
        if random.random() < 0.5:
            stars = 1 + number % 5
            log.record_feedback(Feedback(prediction_id=number, feedback_type="rating", feedback_value=stars), "visitor")
            say("f", number, stars)


def main() -> None:
    """Fork for every input line; the children end with this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            work(folder)
        say("started", pid)


if __name__ == "__main__":
    main()
