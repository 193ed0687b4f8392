"""The routes for visitors and probes: predictions, locations, feedback, health, readiness and documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request

from homeprices.errors import BundleRefused, NoModel, NotFound
from homeprices.names import PREDICT_PATH
from homeprices.predictions.feedback import Feedback
from homeprices.pricing.home import Home
from inference.backend import estimate_page
from inference.backend.api import openapi, openapi_page
from inference.backend.api.original_clients import health_members, health_status
from inference.backend.runtime.app_state import app_state
from inference.backend.runtime.http import JSON_TYPE, read_fields
from inference.backend.runtime.live_model import LiveModel
from inference.backend.runtime.prediction_service import PredictionRequest, shown_refusal, shown_to
from inference.backend.runtime.request_context import Caller
from inference.backend.runtime.worker_status import same_regional_versions, same_version

blueprint = Blueprint("predict", __name__)


@blueprint.post(PREDICT_PATH)
def predict_home_price() -> dict[str, Any] | Response:
    """Predict one price, in lakh rupees, and log it before the response is sent; a page for a form without script."""
    state = app_state()
    try:
        home = Home.parse(read_fields(request))
        g.caller.require_stated_place(home.place)
        [response] = state.predictions.predict([PredictionRequest(g.caller, home, g.started)])
        if isinstance(response, BundleRefused):
            raise shown_refusal(g.caller, response)
    except NoModel:
        state.metrics.error("no_model")
        raise
    except BundleRefused:
        state.metrics.error("model_error")
        raise
    except Exception:
        state.metrics.error("invalid")
        raise
    g.model_version = response["model_version"]
    shown = shown_to(g.caller, response)
    return estimate_page.respond(request, home, shown) if estimate_page.is_wanted(request) else shown


@blueprint.get("/api/get_location_names")
def get_location_names() -> dict[str, Any]:
    """What the served model knows: locations, inputs, and the listings it was trained on."""
    model = app_state().live.current()
    g.model_version = model.version
    answer = {
        "locations": model.locations,
        "inputs": model.inputs,
        "trained_on": model.bundle.manifest.dataset.described(),
        "model_version": model.version,
    }
    return shown_to(g.caller, answer)


@blueprint.post("/api/feedback")
def feedback() -> tuple[dict[str, Any], int]:
    """Record feedback on a prediction; 202 instead of 200 while it is undetermined whether its id was issued."""
    state = app_state()
    feedback = Feedback.parse(read_fields(request))
    status = state.log.issue_status(feedback.prediction_id)
    if status == "never_issued":
        raise NotFound(f"no estimate with prediction_id {feedback.prediction_id} was given")
    caller: Caller = g.caller
    state.log.record_feedback(feedback, caller.visitor, caller.network, caller.returning)
    state.metrics.feedback(feedback.feedback_type)
    return {
        "status": "recorded",
        "prediction_id": feedback.prediction_id,
        "feedback_type": feedback.feedback_type,
    }, HTTPStatus.OK if status == "issued" else HTTPStatus.ACCEPTED


@blueprint.get("/api/health")
def health() -> dict[str, Any]:
    """Liveness. Operators see what this worker and all workers of the instance serve. Calls no other server."""
    state = app_state()
    caller: Caller = g.caller
    status = health_status(state.live.state)
    if not state.access.permits(caller, "operate"):
        return {"status": status, "time": datetime.now(UTC).isoformat(), "version": openapi.API_VERSION}
    workers = state.workers.read()
    return {
        **health_members(state.settings.variant),
        "status": status,
        "state": state.live.state,
        "instance": state.settings.instance,
        "variant": state.settings.variant,
        "model_version": same_version(workers),
        "regional_versions": same_regional_versions(workers),
        "workers": workers,
        "refused_version": state.live.refused,
        "refused_for": state.live.fault,
        "database": state.log.database,
        "spool_records": state.log.spool.records,
        **_place_prices(state.live),
    }


def _place_prices(live: LiveModel) -> dict[str, Any]:
    """The place prices of this worker, if its model uses them; `as_of` is the day of its levels."""
    try:
        as_of = live.current().place_prices_as_of
    except NoModel:
        return {}
    if as_of is None:
        return {}
    prices = {"version": live.place_prices.version, "as_of": as_of.isoformat(), "refused": live.place_prices.refused}
    return {"place_prices": prices}


@blueprint.get("/api/ready")
def ready() -> tuple[dict[str, Any], int]:
    """Readiness: 200 unless the instance is starting. A candidate without a model is ready; the router falls back."""
    state = app_state().live.state
    is_ready = state != "starting"
    return {"ready": is_ready, "status": state}, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE


@blueprint.get("/api/openapi.json")
def document() -> Response:
    """The OpenAPI document."""
    return Response(openapi.text(), content_type=JSON_TYPE)


@blueprint.get("/api/docs")
def page() -> Response:
    """The OpenAPI document as a page that loads nothing from another host."""
    headers = {"Content-Security-Policy": openapi_page.SECURITY_POLICY}
    return Response(_page(), headers=headers, content_type="text/html; charset=utf-8")


@cache
def _page() -> str:
    return openapi_page.page(openapi.document())
