"""`GET /api/health` for liveness, `GET /api/ready` for readiness. Neither asks another server anything."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint

from inference.backend.service import Service, this_service
from inference.backend.worker_cards import same_version

blueprint = Blueprint("health", __name__)


@blueprint.get("/api/health")
def health() -> dict[str, Any]:
    """200 while the process answers: what it serves, and what all workers of this instance serve."""
    service = this_service()
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
    can = is_ready(this_service())
    return {"ready": can, "status": this_service().live.state}, HTTPStatus.OK if can else HTTPStatus.SERVICE_UNAVAILABLE


def is_ready(service: Service) -> bool:
    """Whether the router may send visitors here."""
    return service.live.state != "starting"
