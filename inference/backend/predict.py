"""`POST /api/predict_home_price` and `GET /api/get_location_names`."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, request

from homeprices.errors import BundleRefused, NoModel
from homeprices.pricing.home import Home
from inference.backend.answers import Question
from inference.backend.body import read_fields
from inference.backend.service import this_service

blueprint = Blueprint("predict", __name__)

PATH = "/api/predict_home_price"  # that of the view, as the fast lane compares it


@blueprint.post("/api/predict_home_price")
def predict_home_price() -> dict[str, Any]:
    """An estimate in lakh rupees, on record before it is sent."""
    service = this_service()
    try:
        [given] = service.answers.to([Question(g.caller, Home.parse(read_fields(request)), g.started)])
        if isinstance(given, BundleRefused):
            raise given
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
