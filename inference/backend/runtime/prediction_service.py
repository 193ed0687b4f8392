"""Predict prices with the live model, and write each to the prediction log before the response is sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeprices.errors import BundleRefused
from homeprices.names import Variant
from homeprices.predictions.prediction_log import Prediction, PredictionLog
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import PRICE_DIGITS, Estimate, Predictor
from homeprices.registry.production_models import ProductionModels
from homeprices.words import GROUPS_LEARNED, ITEM
from inference.backend.runtime.live_model import LiveModel
from inference.backend.runtime.request_context import Caller
from inference.backend.runtime.service_metrics import Metrics

BLINDED = frozenset({"variant", "model_version"})

PredictionResponse = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A home to price. `started` is `time.perf_counter()` at the arrival of the request."""

    caller: Caller
    home: Home
    started: float


class PredictionService:
    """Predict, log and count, for one worker and its variant."""

    def __init__(self, variant: Variant, live: LiveModel, log: PredictionLog, metrics: Metrics) -> None:
        self._variant = variant
        self._live = live
        self._log = log
        self._metrics = metrics

    def predict(self, requests: Sequence[PredictionRequest]) -> list[PredictionResponse | BundleRefused]:
        """Return the logged response to each request, in order, or the reason why the model has no price for that home.

        Each response comes from the model of the home's place. Raises NoModel, and logs nothing then.
        """
        models = self._live.models()
        estimates = estimate_all(models, [request.home for request in requests])
        now = time.perf_counter()
        seconds = [now - request.started for request in requests]
        records = [
            to_log_record(self._variant, request.caller, models, request.home, estimate, _milliseconds(spent))
            for request, estimate, spent in zip(requests, estimates, seconds, strict=True)
            if isinstance(estimate, Estimate)
        ]
        prediction_ids = iter(self._log.record_many(records))
        responses: list[PredictionResponse | BundleRefused] = []
        for request, estimate, spent in zip(requests, estimates, seconds, strict=True):
            if isinstance(estimate, Estimate):
                prediction_id = next(prediction_ids)
                self._count(request.caller, prediction_id, spent)
                model = models.model_for(request.home)
                responses.append(self._respond(model, request.home, estimate, prediction_id, spent))
            else:
                responses.append(estimate)
        return responses

    def _respond(
        self, model: Predictor, home: Home, estimate: Estimate, prediction_id: int | None, spent: float
    ) -> PredictionResponse:
        response = to_response(self._variant, model, home, estimate, prediction_id)
        response["response_time_ms"] = _milliseconds(spent)
        if not estimate.location_known:
            unknown = f"{home.place} is not among the {GROUPS_LEARNED} that this model knows"
            response["notice"] = f"{unknown}; it was priced as other"
            if suggestion := model.suggested_location(home.place):
                response["suggested_location"] = suggestion
        return response

    def _count(self, caller: Caller, prediction_id: int | None, spent: float) -> None:
        self._metrics.predictions.inc()
        self._metrics.duration.observe(spent)
        if caller.fallback:
            self._metrics.fallbacks.inc()
        if prediction_id is None:
            self._metrics.unlogged.inc()


def estimate_all(models: ProductionModels, homes: Sequence[Home]) -> list[Estimate | BundleRefused]:
    """Return a rounded estimate for each home, in order, or the reason why the model has none for that home."""
    try:
        return [_rounded(estimate) for estimate in models.estimate(homes)]
    except BundleRefused as error:
        if len(homes) == 1:
            return [error]
    return [estimate_all(models, [home])[0] for home in homes]


def to_log_record(
    variant: Variant, caller: Caller, models: ProductionModels, home: Home, estimate: Estimate, milliseconds: float
) -> Prediction:
    """Return the record of a prediction in the log."""
    return Prediction(
        request_id=caller.request_id,
        visitor=caller.visitor,
        assigned_variant=caller.assigned_variant,
        served_variant=variant,
        fallback=caller.fallback,
        bundle=models.model_for(home).version,
        epoch=caller.epoch,
        inputs=home.model_dump(exclude_none=True),
        estimate=estimate.price,
        interval_low=estimate.low,
        interval_high=estimate.high,
        milliseconds=milliseconds,
        network=caller.network,
        returning_visitor=caller.returning,
    )


def to_response(
    variant: Variant, model: Predictor, home: Home, estimate: Estimate, prediction_id: int | None
) -> PredictionResponse:
    """Return the members that every response has. `prediction_id` is the id in the log; None if it was not logged.

    The coverage of the interval does not hold for a home that is `unusual`.
    """
    unusual = model.unusual_inputs(home)
    interval = {"low": estimate.low, "high": estimate.high, "coverage": model.bundle.columns.interval.coverage}
    response = {
        "estimated_price": estimate.price,
        "prediction_id": prediction_id,
        "interval": interval,
        "variant": variant,
        "model_version": model.version,
        "location_known": estimate.location_known,
    }
    return {**response, "unusual": unusual} if unusual else response


def shown_to(caller: Caller, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the names of variant and version, except to a caller who may know them.

    A visitor who knows the variant could choose which variant gets the visits and the ratings.
    """
    if caller.unblinded:
        return answer
    return {name: value for name, value in answer.items() if name not in BLINDED}


def shown_refusal(caller: Caller, error: BundleRefused) -> BundleRefused:
    """Return the reason why a model has no price, without the version's name except to a caller who may know it."""
    return error if caller.unblinded else BundleRefused(f"the model has no price for this {ITEM}", error.fault)


def _rounded(estimate: Estimate) -> Estimate:
    price, low, high, location, known = estimate
    return Estimate(round(price, PRICE_DIGITS), round(low, PRICE_DIGITS), round(high, PRICE_DIGITS), location, known)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
