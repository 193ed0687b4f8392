"""Members that clients of the original service read beside those of this one: health, metrics and drift report.

Names, units and values are those of its published answers: a variant is named by its `MODEL_PREFIX`, and a figure
without data is 0. `tests/unit/inference/test_original_clients.py` holds the examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psutil

from homeprices.names import MODEL_PREFIX, Variant

HEALTHY = "healthy"
STARTING = "starting"
DISK = "/"
ESTIMATES, ORIGINAL_ESTIMATES = "estimated_price", "prediction"
GIGABYTE = 1024**3
DIGITS = 2


def health_status(state: str) -> str:
    """Return `healthy` of an instance that takes requests, and `starting` of one that does not yet."""
    return STARTING if state == STARTING else HEALTHY


def health_members(variant: Variant) -> dict[str, Any]:
    """Return the members of `/api/health`: time, variant, and how full this machine is. Waits for nothing."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(DISK)
    return {
        "timestamp": datetime.now(UTC).isoformat(),
        "model_variant": MODEL_PREFIX[variant],
        "system": {
            "cpu_percent": psutil.cpu_percent(interval=None),
            "memory_percent": memory.percent,
            "memory_available_gb": round(memory.available / GIGABYTE, DIGITS),
            "disk_percent": disk.percent,
            "disk_free_gb": round(disk.free / GIGABYTE, DIGITS),
        },
    }


def metrics_members(variant: Variant, hours: int, until: datetime, counted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `/api/metrics`: predictions and feedback of this instance's variant.

    `counted` is the entry of the variant in `log_queries.metrics`, empty if it has none.
    """
    feedback = counted.get("feedback", {})
    latency = {
        f"{theirs}_latency_ms": _rounded(counted.get(f"{ours}_milliseconds"))
        for theirs, ours in {"avg": "mean", "p95": "p95", "p99": "p99", "min": "min", "max": "max"}.items()
    }
    return {
        "variant": MODEL_PREFIX[variant],
        "time_period_hours": hours,
        "timestamp": until.isoformat(),
        "predictions": {"total_count": counted.get("requests", 0), **latency},
        "feedback": {
            "total_count": sum(feedback.values()),
            "avg_rating": _rounded(counted.get("mean_rating")),
            **{f"{kind}_count": feedback.get(kind, 0) for kind in ("accurate", "too_high", "too_low")},
        },
    }


def drift_members(indicators: Mapping[str, Any]) -> dict[str, Any]:
    """Return the indicators of a drift report, that of the estimates also under its original name."""
    found = dict(indicators)
    if ESTIMATES in found:
        found[ORIGINAL_ESTIMATES] = found[ESTIMATES]
    return found


def _rounded(value: float | None) -> float:
    return round(float(value or 0), DIGITS)


# Schemas of these members.

_PERCENT: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 100}
_NUMBER: dict[str, Any] = {"type": "number", "minimum": 0}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_PREFIX: dict[str, Any] = {"type": "string", "enum": list(MODEL_PREFIX.values())}


def health_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of `health_members`."""
    gigabytes = ("memory_available_gb", "disk_free_gb")
    percent = ("cpu_percent", "memory_percent", "disk_percent")
    return {
        "timestamp": _TIME,
        "model_variant": _PREFIX,
        "system": _closed(dict.fromkeys(percent, _PERCENT) | dict.fromkeys(gigabytes, _NUMBER)),
    }


def metrics_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of `metrics_members`."""
    latency = {f"{name}_latency_ms": _NUMBER for name in ("avg", "p95", "p99", "min", "max")}
    counts = dict.fromkeys(("total_count", "accurate_count", "too_high_count", "too_low_count"), _COUNT)
    return {
        "variant": _PREFIX,
        "time_period_hours": _COUNT,
        "timestamp": _TIME,
        "predictions": _closed({"total_count": _COUNT, **latency}),
        "feedback": _closed({**counts, "avg_rating": {"type": "number", "minimum": 0, "maximum": 5}}),
    }


def _closed(properties: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "for clients of the original service",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
