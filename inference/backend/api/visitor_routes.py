"""`POST /api/predict_home_price` and `GET /api/get_location_names`."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request

from homeprices.errors import BundleRefused, NoModel, NotFound
from homeprices.names import PREDICT_PATH
from homeprices.predictions.feedback import Feedback
from homeprices.pricing.home import Home
from inference.backend.api import openapi, openapi_page
from inference.backend.runtime.app_state import AppState, app_state
from inference.backend.runtime.http import JSON_TYPE, read_fields
from inference.backend.runtime.prediction_service import PredictionRequest
from inference.backend.runtime.worker_status import same_version

blueprint = Blueprint("predict", __name__)


@blueprint.post(PREDICT_PATH)
def predict_home_price() -> dict[str, Any]:
    """An estimate in lakh rupees, on record before it is sent."""
    service = app_state()
    try:
        [given] = service.answers.predict([PredictionRequest(g.caller, Home.parse(read_fields(request)), g.started)])
        if isinstance(given, BundleRefused):
            raise given
    except NoModel:
        service.metrics.error("no_model")
        raise
    except BundleRefused:
        service.metrics.error("model_error")
        raise
    except Exception:
        service.metrics.error("invalid")
        raise
    g.model_version = given["model_version"]
    return given


@blueprint.get("/api/get_location_names")
def get_location_names() -> dict[str, Any]:
    """The locations that the served model has learned; any other is priced as `other`."""
    model = app_state().live.current()
    g.model_version = model.version
    return {"locations": model.locations, "model_version": model.version}


# `POST /api/feedback`: what a visitor says of an estimate.


@blueprint.post("/api/feedback")
def feedback() -> tuple[dict[str, Any], int]:
    """Takes a remark; 202 instead of 200 while it cannot be told whether that estimate was ever given."""
    service = app_state()
    remark = Feedback.parse(read_fields(request))
    known = service.log.issue_status(remark.prediction_id)
    if known == "unknown":
        raise NotFound(f"no estimate with prediction_id {remark.prediction_id} was given")
    service.log.record_feedback(remark, g.caller.visitor)
    service.metrics.feedback(remark.feedback_type)
    status = HTTPStatus.OK if known == "known" else HTTPStatus.ACCEPTED
    return {"status": "recorded", "prediction_id": remark.prediction_id, "feedback_type": remark.feedback_type}, status


# `GET /api/health` for liveness, `GET /api/ready` for readiness. Neither asks another server anything.


@blueprint.get("/api/health")
def health() -> dict[str, Any]:
    """200 while the process answers: what it serves, and what all workers of this instance serve."""
    service = app_state()
    workers = service.cards.read()
    return {
        "status": service.live.state,
        "instance": service.settings.instance,
        "variant": service.settings.variant,
        "model_version": same_version(workers),
        "workers": workers,
        "refused_version": service.live.refused,
        "refused_for": service.live.fault,
        "database": service.log.database,
        "spool_records": service.log.spool.records,
    }


@blueprint.get("/api/ready")
def ready() -> tuple[dict[str, Any], int]:
    """200 when this instance can do its part; a candidate without a model can, by leaving visitors to production."""
    can = is_ready(app_state())
    return {"ready": can, "status": app_state().live.state}, HTTPStatus.OK if can else HTTPStatus.SERVICE_UNAVAILABLE


def is_ready(service: AppState) -> bool:
    """Whether the router may send visitors here."""
    return service.live.state != "starting"


# `GET /api/openapi.json` and `GET /api/docs`: the contract, for programs and for people.


@blueprint.get("/api/openapi.json")
def document() -> Response:
    """The OpenAPI document."""
    return Response(openapi.text(), content_type=JSON_TYPE)


@blueprint.get("/api/docs")
def page() -> Response:
    """The same to read, with nothing from another host."""
    headers = {"Content-Security-Policy": openapi_page.SECURITY_POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(_page(), headers=headers, content_type="text/html; charset=utf-8")


@cache
def _page() -> str:
    return openapi_page.page(openapi.document())
