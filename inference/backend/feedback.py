"""`POST /api/feedback`: what a visitor says of an estimate."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, g, request

from homeprices.errors import NotFound
from homeprices.predictions.feedback import Feedback
from inference.backend.body import read_fields
from inference.backend.service import this_service

blueprint = Blueprint("feedback", __name__)


@blueprint.post("/api/feedback")
def feedback() -> tuple[dict[str, Any], int]:
    """Takes a remark; 202 instead of 200 while it cannot be told whether that estimate was ever given."""
    service = this_service()
    remark = Feedback.parse(read_fields(request))
    known = service.log.knows(remark.prediction_id)
    if known == "unknown":
        raise NotFound(f"no estimate with prediction_id {remark.prediction_id} was given")
    service.log.record_feedback(remark, g.caller.visitor)
    service.metrics.feedback(remark.feedback_type)
    status = HTTPStatus.OK if known == "known" else HTTPStatus.ACCEPTED
    return {"status": "recorded", "prediction_id": remark.prediction_id, "feedback_type": remark.feedback_type}, status
