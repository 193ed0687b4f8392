"""Answers to visitors: estimates, on record before they are sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeprices.errors import BundleRefused
from homeprices.names import Variant
from homeprices.predictions.prediction_log import Prediction, PredictionLog
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate, Predictor
from inference.backend.runtime.live_model import LiveModel
from inference.backend.runtime.request_context import Caller
from inference.backend.runtime.service_metrics import Metrics

PRICE_DIGITS = 2  # of a lakh: a thousand rupees

PredictionResponse = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a visitor asks. `started` is `time.perf_counter()` when the request came."""

    caller: Caller
    home: Home
    started: float


class PredictionService:
    """What one worker answers, under the name of its variant."""

    def __init__(self, variant: Variant, live: LiveModel, log: PredictionLog, metrics: Metrics) -> None:
        self._variant = variant
        self._live = live
        self._log = log
        self._metrics = metrics

    def predict(self, questions: Sequence[PredictionRequest]) -> list[PredictionResponse | BundleRefused]:
        """What each is answered, in order, on record by now; or why the model has no price for that home.

        All answers come from one model. Raises NoModel: then nothing is recorded.
        """
        model = self._live.current()
        estimates = estimate_all(model, [question.home for question in questions])
        now = time.perf_counter()
        seconds = [now - question.started for question in questions]
        records = [
            to_log_record(self._variant, question.caller, model, question.home, estimate, _milliseconds(spent))
            for question, estimate, spent in zip(questions, estimates, seconds, strict=True)
            if isinstance(estimate, Estimate)
        ]
        numbers = iter(self._log.record_many(records))
        answers: list[PredictionResponse | BundleRefused] = []
        for question, estimate, spent in zip(questions, estimates, seconds, strict=True):
            if isinstance(estimate, Estimate):
                number = next(numbers)
                self._count(question.caller, number, spent)
                answers.append(self._members(model, question.home, estimate, number, spent))
            else:
                answers.append(estimate)
        return answers

    def _members(
        self, model: Predictor, home: Home, estimate: Estimate, number: int | None, spent: float
    ) -> PredictionResponse:
        members = {**to_response(self._variant, model, estimate, number), "response_time_ms": _milliseconds(spent)}
        if not estimate.location_known:
            unknown = f"{home.location} is not among the locations that this model knows"
            members["notice"] = f"{unknown}; it was priced as other"
        return members

    def _count(self, caller: Caller, number: int | None, spent: float) -> None:
        self._metrics.predictions.inc()
        self._metrics.duration.observe(spent)
        if caller.fallback:
            self._metrics.fallbacks.inc()
        if number is None:
            self._metrics.unlogged.inc()


def estimate_all(model: Predictor, homes: Sequence[Home]) -> list[Estimate | BundleRefused]:
    """An estimate a home, as it is answered and recorded; or, beside those of the others, why the model has none."""
    try:
        return [_rounded(estimate) for estimate in model.estimate(homes)]
    except BundleRefused as error:
        if len(homes) == 1:
            return [error]
    return [estimate_all(model, [home])[0] for home in homes]


def to_log_record(
    variant: Variant, caller: Caller, model: Predictor, home: Home, estimate: Estimate, milliseconds: float
) -> Prediction:
    """What the log keeps of an answer."""
    return Prediction(
        request_id=caller.request_id,
        visitor=caller.visitor,
        assigned_variant=caller.assigned_variant,
        served_variant=variant,
        fallback=caller.fallback,
        bundle=model.version,
        epoch=caller.epoch,
        inputs=home.model_dump(exclude_none=True),
        estimate=estimate.price,
        interval_low=estimate.low,
        interval_high=estimate.high,
        milliseconds=milliseconds,
    )


def to_response(variant: Variant, model: Predictor, estimate: Estimate, number: int | None) -> PredictionResponse:
    """What every answer says of an estimate; `number` is its id in the log."""
    return {
        "estimated_price": estimate.price,
        "prediction_id": number,
        "interval": {"low": estimate.low, "high": estimate.high, "coverage": model.bundle.columns.interval.coverage},
        "variant": variant,
        "model_version": model.version,
        "location_known": estimate.location_known,
    }


def _rounded(estimate: Estimate) -> Estimate:
    price, low, high, location, known = estimate
    return Estimate(round(price, PRICE_DIGITS), round(low, PRICE_DIGITS), round(high, PRICE_DIGITS), location, known)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
