"""`POST /api/explain`: why an estimate is what it is, what homes cost in its place, and listings that resemble it.

The model of the visitor's estimates answers, for a visitor who has got an estimate. Nothing is logged as a prediction:
an explanation is no exposure of the experiment and no home of a drift report. The path of a prediction does none of
this work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, request

from homeprices.errors import BundleRefused, NotFound
from homeprices.input_field import InputField
from homeprices.names import EXPLAIN_PATH
from homeprices.predictions.feedback import prediction_id_of
from homeprices.pricing.explanation import Explanation, Feature, explain, is_blank
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import AREA, COUNTS, INPUT, SECOND, WHOLE_NUMBERS
from homeprices.pricing.market import Comparable, rate_of
from homeprices.pricing.predictor import PRICE_DIGITS, Predictor
from homeprices.words import ADDED, EVERYWHERE, IN, ITEM, ITEMS, RATE, SHOWN, WHOLE
from inference.backend.runtime.app_state import app_state
from inference.backend.runtime.http import read_fields
from inference.backend.runtime.prediction_service import shown_refusal, shown_to
from inference.backend.runtime.request_context import Caller

PREDICTION_ID = "prediction_id"
MOST_REASONS = 4
MOST_COMPARABLES = 5
ALIKE_DIGITS = 2
SHARE_DIGITS = 4
NO_MARKET = f"this model was trained before listings were kept with it, so the typical {ITEM} is that of {WHOLE}"

blueprint = Blueprint("explain", __name__)


@blueprint.post(EXPLAIN_PATH)
def explain_home_price() -> dict[str, Any]:
    """Return the reasons for the estimate of one home."""
    fields = read_fields(request)
    number = fields.pop(PREDICTION_ID, None)
    home = Home.parse(fields)
    g.caller.require_stated_place(home.place)
    _require_exposure(g.caller, number)
    model = app_state().live.models().model_for(home)
    g.model_version = model.version
    try:
        answer = explanation_of(model, home)
    except BundleRefused as error:
        raise shown_refusal(g.caller, error) from None
    return shown_to(g.caller, {**answer, "variant": app_state().settings.variant, "model_version": model.version})


def _require_exposure(caller: Caller, number: Any) -> None:
    """Raise InvalidInput or NotFound unless the number is of an estimate of this visitor that the log holds.

    An explanation shows which model priced, and is not logged. A visitor who learned that before the first estimate
    could choose the visitors of one variant, and break the sample ratio. Callers who may know the variant need none.
    """
    if caller.unblinded:
        return
    prediction_id = prediction_id_of(number)
    if caller.visitor is None or not app_state().log.holds_exposure(prediction_id, caller.visitor):
        raise NotFound(f"no estimate with prediction_id {prediction_id} was given to this visitor")


def explanation_of(model: Predictor, home: Home) -> dict[str, Any]:
    """Return the members of the answer that do not depend on the caller. Raises BundleRefused.

    `typical_home.estimated_price`, the reasons and `other_reasons` sum to `estimated_price`.
    """
    place = model.place_of(home)
    found = explain(model, home, model.typical_home(place))
    market = model.market
    local = market.places.get(place) if market and place else None
    area = getattr(home, AREA)
    reasons = [(name, added) for name, added in found.added.items() if added]
    where = place if local and place else EVERYWHERE
    answer: dict[str, Any] = {
        "estimated_price": found.price,
        "location_known": found.estimate.location_known,
        "accuracy": _accuracy(model, home, place, found.price),
        "typical_home": {
            "place": where,
            "homes": local.homes if local else market.city.homes if market else None,
            "estimated_price": found.baseline,
            "inputs": {name: _shown(INPUT[name], value) for name, value in found.typical.items()},
        },
        "reasons": [
            {"input": name, ADDED: added, "sentence": _sentence(INPUT[name], home, found, where)}
            for name, added in reasons[:MOST_REASONS]
        ],
        "other_reasons": round(sum(added for _, added in reasons[MOST_REASONS:]), PRICE_DIGITS),
        RATE: {
            "home": round(rate_of(found.price, area)),
            "place": round(local.rupees_per_sqft * model.price_change(home.place)) if local else None,
            "city": round(market.city.rupees_per_sqft * model.price_change(EVERYWHERE)) if market else None,
        },
        "comparables": [
            _comparable(one, model.price_change(one.place))
            for one in (market.comparables(home, place, MOST_COMPARABLES) if market else ())
        ],
    }
    return answer if market else {**answer, "notice": NO_MARKET}


def _accuracy(model: Predictor, home: Home, place: str | None, estimate: float) -> dict[str, Any] | None:
    """Return how close estimates of such homes came to the prices; None for an unusual home or if not measured."""
    market = model.market
    segment = market.accuracy_of(home, place, estimate / model.price_change(home.place)) if market else None
    if market is None or market.accuracy is None or segment is None or model.unusual_inputs(home):
        return None
    low, high = market.accuracy.price_range(segment.band) if segment.band else (None, None)
    graded = market.accuracy.grades.get(segment.grade, segment)
    error = _percent(segment.median_ape)
    return {
        "grade": segment.grade,
        "grade_within_20": round(graded.within_20, SHARE_DIGITS),
        "median_error": round(segment.median_ape, SHARE_DIGITS),
        "within_20": round(segment.within_20, SHARE_DIGITS),
        "homes": segment.homes,
        "kind": {
            "listed": segment.listed,
            **({"bedrooms": segment.bedrooms} if COUNTS else {}),
            "price_from": low,
            "price_to": high,
        },
        "sentence": f"Half of such estimates were within {error} of the listed price, measured on {segment.homes:,} "
        f"{ITEMS} that the model had not seen: {market.accuracy.described(segment)}.",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _comparable(one: Comparable, change: float) -> dict[str, Any]:
    """Return a listing as it is shown; `change` is that of the price level of its place since the training."""
    return {
        "place": one.place,
        SHOWN[1]: int(one.second) if SECOND in WHOLE_NUMBERS else one.second,
        SHOWN[0]: round(one.area, PRICE_DIGITS),
        RATE: round(one.rupees_per_sqft * change),
        "alike": round(one.alike, ALIKE_DIGITS),
    }


def _sentence(field: InputField, home: Home, found: Explanation, where: str) -> str:
    """Return `1,800 sq ft, where homes in Whitefield typically have 1,200`."""
    given = _shown(field, FEATURES[field.name](home), getattr(home, field.name))
    typical = found.typical[field.name]
    subject = _counted(field, given) if not field.is_text else f"{field.drift_name} {given}"
    if is_blank(typical):
        return f"{subject}, compared with a {ITEM} for which it is not known"
    return f"{subject}, where {ITEMS} {IN} {where} typically have {_shown(field, typical)}"


def _counted(field: InputField, number: str) -> str:
    noun = field.unit_symbol or field.noun or field.drift_name
    return f"{number} {noun.removesuffix('s') if number == '1' else noun}"


def _shown(field: InputField, value: Feature, raw: str | None = None) -> str:
    """Return a value of the model's vocabulary as a visitor reads it; `raw` is the visitor's own text."""
    if is_blank(value):
        return "not known"
    if isinstance(value, float | int):
        return f"{value:,.0f}" if value >= 100 else f"{value:,.12g}"  # an area to whole square feet
    return _labels(field).get(value) or raw or value


def _labels(field: InputField) -> Mapping[str, str]:
    """Return the form's label of each value in the model's vocabulary, the first one where several options share it."""
    feature = field.feature
    if feature is None:
        return {}
    return {feature(value): label for value, label in reversed(field.options)}
