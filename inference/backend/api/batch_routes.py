"""`POST /api/predict_home_price/batch`: estimates for many homes, in the order and media type of the request.

A row that cannot be priced gets an error; the other rows get estimates. Batch estimates are not part of an experiment
and are logged without an assigned variant. A worker processes one batch at a time, in chunks, so that memory stays
bounded and other requests are answered in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from flask import Blueprint, Response, g, request

from homeprices.errors import BundleRefused, InvalidInput
from homeprices.names import PREDICT_PATH
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate
from homeprices.registry.production_models import ProductionModels
from homeprices.words import ITEMS
from inference.backend.api.batch_formats import Answer, BatchForm, Row, form_of, parse_row
from inference.backend.runtime.app_state import AppState, app_state
from inference.backend.runtime.prediction_service import (
    estimate_all,
    shown_refusal,
    shown_to,
    to_log_record,
    to_response,
)
from inference.backend.runtime.process import release_free_memory
from inference.backend.runtime.request_context import Caller

blueprint = Blueprint("batch", __name__)

NOTES_HEADER = "X-Table-Notes"
MOST_HOMES = 10_000
LARGEST_BATCH_BYTES = 4 * 2**20  # 419 bytes per home; a home with all eight fields has about 200
PIECE_HOMES = 500  # about 15 ms of work; other requests are processed between two chunks


@blueprint.post(f"{PREDICT_PATH}/batch")
def predict_batch() -> Response:
    """Estimates for up to 10,000 homes; each is logged before the response is sent."""
    service = app_state()
    form = form_of(request.mimetype)
    request.max_content_length = LARGEST_BATCH_BYTES
    try:
        return _answer(service, form)
    finally:
        release_free_memory()


def _answer(service: AppState, form: BatchForm) -> Response:
    body = request.get_data(cache=False)
    with service.batches.turn():
        errors = ErrorBudget(len(body))
        read = form.read(body)
        rows = list(islice(read, MOST_HOMES + 1))
        if len(rows) > MOST_HOMES:
            raise InvalidInput({"body": f"holds more than {MOST_HOMES:,} {ITEMS}"})
        read.complete(rows)
        del body
        homes = len(rows)
        models = service.live.models()
        caller = replace(g.caller, assigned_variant=None, fallback=False, epoch=None)
        g.model_version = models.version
        pieces = [form.write(_price(service, caller, models, piece, errors)) for piece in _pieces(rows)]
        service.metrics.batch_size.observe(homes)
        noted = {NOTES_HEADER: "; ".join(read.notes)} if read.notes else {}
        return Response(form.join(pieces), content_type=form.media_type, headers=noted)


def _pieces(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in order, in chunks; removes them from `rows`, so that their memory can be freed."""
    rows.reverse()
    while rows:
        piece = rows[-PIECE_HOMES:]
        del rows[-PIECE_HOMES:]
        yield piece[::-1]


def _price(
    service: AppState, caller: Caller, models: ProductionModels, rows: Sequence[Row], errors: ErrorBudget
) -> list[Answer]:
    """The responses for some rows, in order, logged with one write."""
    started = time.perf_counter()
    parsed = [parse_row(row) for row in rows]
    homes = [row for row in parsed if isinstance(row, Home)]
    estimates = estimate_all(models, homes)
    milliseconds = round((time.perf_counter() - started) * 1000 / len(rows), 3)
    records = [
        to_log_record(service.settings.variant, caller, models, home, estimate, milliseconds)
        for home, estimate in zip(homes, estimates, strict=True)
        if isinstance(estimate, Estimate)
    ]
    numbers = service.log.record_many(records)
    _count(service, rows=len(rows), homes=len(homes), numbers=numbers)
    next_estimate, next_number = iter(estimates), iter(numbers)
    answers = []
    for row in parsed:
        outcome = next(next_estimate) if isinstance(row, Home) else row
        if isinstance(row, Home) and isinstance(outcome, Estimate):
            model = models.model_for(row)
            response = to_response(service.settings.variant, model, row, outcome, next(next_number))
            answers.append(shown_to(caller, response))
        elif isinstance(outcome, BundleRefused):
            answers.append(errors.answer(shown_refusal(caller, outcome)))
        elif isinstance(outcome, InvalidInput):
            answers.append(errors.answer(outcome))
    return answers


class ErrorBudget:
    """Bounds the error texts of a batch to little more than the size of its request, because the error of an empty row
    has 200 bytes. Beyond the budget, an invalid row gets a short error without details.
    """

    FREE_BYTES = 64 * 1024

    def __init__(self, request_bytes: int) -> None:
        self._left = request_bytes + self.FREE_BYTES

    def answer(self, error: InvalidInput | BundleRefused) -> Answer:
        """Return the answer for a row that has no estimate."""
        fields = error.fields if isinstance(error, InvalidInput) else {}
        answer = {"error": error.detail, "fields": fields}
        self._left -= 2 * len(error.detail)  # `fields` has the details
        return answer if self._left > 0 else {"error": "is wrong too", "fields": {}}


def _count(service: AppState, *, rows: int, homes: int, numbers: Sequence[int | None]) -> None:
    metrics = service.metrics
    metrics.predictions.inc(len(numbers))
    metrics.unlogged.inc(numbers.count(None))
    metrics.error("invalid", rows - homes)
    metrics.error("model_error", homes - len(numbers))
