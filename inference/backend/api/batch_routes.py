"""`POST /api/predict_home_price/batch`: many homes in one request, answered in their form and order.

A row that cannot be priced says why beside the others. Batch estimates are no part of an experiment: they are recorded
without an arm. One batch at a time is worked on, a piece after the other, so that memory stays bounded and visitors are
answered meanwhile.
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
from homeprices.pricing.predictor import Estimate, Predictor
from inference.backend.api.batch_formats import Answer, Row, form_of
from inference.backend.runtime.app_state import AppState, app_state
from inference.backend.runtime.prediction_service import estimate_all, to_log_record, to_response
from inference.backend.runtime.process import release_free_memory
from inference.backend.runtime.request_context import Caller

blueprint = Blueprint("batch", __name__)

MOST_HOMES = 10_000
LARGEST_BATCH_BYTES = 4 * 2**20  # 419 bytes a home; with all eight fields one has about 200
PIECE_HOMES = 500  # about 15 ms of work, between two of which other requests have their turn


@blueprint.post(f"{PREDICT_PATH}/batch")
def predict_batch() -> Response:
    """Estimates for up to 10,000 homes, each on record before the answer is sent."""
    service = app_state()
    form = form_of(request.mimetype)
    request.max_content_length = LARGEST_BATCH_BYTES
    body = request.get_data(cache=False)
    with service.batches.turn():
        rows = list(islice(form.read(body), MOST_HOMES + 1))
        if len(rows) > MOST_HOMES:
            raise InvalidInput({"body": f"holds more than {MOST_HOMES:,} homes"})
        del body
        asked = len(rows)
        model = service.live.current()
        caller = replace(g.caller, assigned_variant=None, fallback=False, epoch=None)
        g.model_version = model.version
        pieces = [form.write(_price(service, caller, model, piece)) for piece in _pieces(rows)]
        service.metrics.batch_size.observe(asked)
        answer = form.join(pieces)
        del pieces
        release_free_memory()
        return Response(answer, content_type=form.media_type)


def _pieces(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in their order, a piece at a time; who holds `rows` holds them no longer."""
    rows.reverse()
    while rows:
        piece = rows[-PIECE_HOMES:]
        del rows[-PIECE_HOMES:]
        yield piece[::-1]


def _price(service: AppState, caller: Caller, model: Predictor, rows: Sequence[Row]) -> list[Answer]:
    """The answers to some rows, in their order, recorded with one write."""
    started = time.perf_counter()
    parsed = [_parse(row) for row in rows]
    homes = [row for row in parsed if isinstance(row, Home)]
    estimates = estimate_all(model, homes)
    milliseconds = round((time.perf_counter() - started) * 1000 / len(rows), 3)
    records = [
        to_log_record(service.settings.variant, caller, model, home, estimate, milliseconds)
        for home, estimate in zip(homes, estimates, strict=True)
        if isinstance(estimate, Estimate)
    ]
    numbers = service.log.record_many(records)
    _count(service, rows=len(rows), homes=len(homes), numbers=numbers)
    found, given = iter(estimates), iter(numbers)
    outcomes = (next(found) if isinstance(row, Home) else row for row in parsed)
    return [
        to_response(service.settings.variant, model, outcome, next(given))
        if isinstance(outcome, Estimate)
        else _refusal(outcome)
        for outcome in outcomes
    ]


def _parse(row: Row) -> Home | InvalidInput:
    if isinstance(row, InvalidInput):
        return row
    try:
        return Home.parse(row)
    except InvalidInput as error:
        return error


def _refusal(error: InvalidInput | BundleRefused) -> Answer:
    fields = error.fields if isinstance(error, InvalidInput) else {}
    return {"error": error.detail, "fields": fields}


def _count(service: AppState, *, rows: int, homes: int, numbers: Sequence[int | None]) -> None:
    metrics = service.metrics
    metrics.predictions.inc(len(numbers))
    metrics.unlogged.inc(numbers.count(None))
    metrics.error("invalid", rows - homes)
    metrics.error("model_error", homes - len(numbers))
