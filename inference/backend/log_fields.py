"""What every line of a log says beside its event: the arm and, within a request, which, whose and which model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import g, has_request_context

from homeprices.settings import Variant


def fields_of(variant: Variant) -> Callable[[], dict[str, Any]]:
    """What reads them at the moment of a line. The visitor is the keyed hash of the log, never an address."""

    def fields() -> dict[str, Any]:
        found: dict[str, Any] = {"variant": variant}
        if has_request_context():
            caller = g.get("caller")
            request = {
                "request_id": g.get("request_id"),
                "visitor": caller.visitor if caller else None,
                "version": g.get("model_version"),
            }
            found |= {name: value for name, value in request.items() if value is not None}
        return found

    return fields
