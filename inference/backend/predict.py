"""`POST /api/predict_home_price` and `GET /api/get_location_names`."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, g, request

from homeprices.errors import BundleRefused, NoModel
from homeprices.predictions.recorder import Prediction
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate, Predictor
from inference.backend.body import read_fields
from inference.backend.caller import Caller
from inference.backend.service import Service, this_service

blueprint = Blueprint("predict", __name__)

PATH = "/api/predict_home_price"  # that of the view, as the fast lane compares it
PRICE_DIGITS = 2  # of a lakh: a thousand rupees


@blueprint.post("/api/predict_home_price")
def predict_home_price() -> dict[str, Any]:
    """An estimate in lakh rupees, on record before it is sent."""
    service = this_service()
    try:
        given = answer(service, g.caller, Home.parse(read_fields(request)), g.started)
    except NoModel:
        service.metrics.errors["no_model"].inc()
        raise
    except BundleRefused:
        service.metrics.errors["failed"].inc()
        raise
    except Exception:
        service.metrics.errors["invalid"].inc()
        raise
    g.model_version = given["model_version"]
    return given


@blueprint.get("/api/get_location_names")
def get_location_names() -> dict[str, Any]:
    """The locations that the served model has learned; any other is priced as `other`."""
    model = this_service().live.current()
    g.model_version = model.version
    return {"locations": model.locations, "model_version": model.version}


def answer(service: Service, caller: Caller, home: Home, started: float) -> dict[str, Any]:
    """The estimate for a home, on record by now. `started` is `time.perf_counter()` when the request came.

    Raises NoModel, BundleRefused: then nothing has been recorded.
    """
    model, metrics = service.live.current(), service.metrics
    estimate = rounded(model.estimate([home])[0])
    seconds = time.perf_counter() - started
    milliseconds = round(seconds * 1000, 3)
    prediction_id = service.log.record(_prediction(service, caller, model, home, estimate, milliseconds))
    metrics.predictions.inc()
    metrics.duration.observe(seconds)
    if caller.fallback:
        metrics.fallbacks.inc()
    if prediction_id is None:
        metrics.unlogged.inc()
    given = {
        "estimated_price": estimate.price,
        "prediction_id": prediction_id,
        "response_time_ms": milliseconds,
        "interval": {"low": estimate.low, "high": estimate.high, "coverage": model.bundle.columns.interval.coverage},
        "variant": service.settings.variant,
        "model_version": model.version,
        "location_known": estimate.location_known,
    }
    if not estimate.location_known:
        given["notice"] = f"{home.location} is not among the locations that this model knows; it was priced as other"
    return given


def rounded(estimate: Estimate) -> Estimate:
    """The estimate as it is answered and recorded."""
    price, low, high, location, known = estimate
    return Estimate(round(price, PRICE_DIGITS), round(low, PRICE_DIGITS), round(high, PRICE_DIGITS), location, known)


def _prediction(
    service: Service, caller: Caller, model: Predictor, home: Home, estimate: Estimate, milliseconds: float
) -> Prediction:
    return Prediction(
        request_id=caller.request_id,
        visitor=caller.visitor,
        assigned_variant=caller.assigned_variant,
        served_variant=service.settings.variant,
        fallback=caller.fallback,
        bundle=model.version,
        epoch=caller.epoch,
        inputs=home.model_dump(exclude_none=True),
        estimate=estimate.price,
        interval_low=estimate.low,
        interval_high=estimate.high,
        milliseconds=milliseconds,
    )
