"""What `GET /api/drift_report` answers: a stored report in its classic shape, or that there is none yet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from homeprices.predictions.drift_reports import Report
from homeprices.settings import Variant

STATUSES = ("ok", "insufficient_data", "no_report")


def drift_answer(report: Report | None, variant: Variant, hours: int, now: datetime) -> dict[str, Any]:
    """The newest stored report on an arm and a window, with its age in seconds."""
    asked = {"variant": variant, "hours": hours}
    if report is None:
        return {
            "status": "no_report",
            "timestamp": now.isoformat(),
            "age_seconds": None,
            "data_points": 0,
            "drift_indicators": {},
            "overall_drift_detected": False,
            "sentence": f"No report on {variant} with a window of {hours} hours has been stored yet.",
            "model_version": None,
            **asked,
        }
    at = report.ts or report.window_end
    return {
        **report.summary,
        "timestamp": at.isoformat(),
        "age_seconds": round((now - at).total_seconds(), 3),
        "data_points": report.data_points,
        "window_start": report.window_start.isoformat(),
        "window_end": report.window_end.isoformat(),
        "model_version": report.bundle,
        **asked,
    }
