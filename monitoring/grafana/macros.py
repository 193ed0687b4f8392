"""Grafana's macros as Grafana fills them in, for tests and pictures that ask the same queries without it."""

from __future__ import annotations

import re
from datetime import datetime

_GROUP = re.compile(r"\$__timeGroupAlias\(\s*([\w.]+)\s*,\s*\$__interval\s*\)")
_FILTER = re.compile(r"\$__timeFilter\(\s*([\w.]+)\s*\)")

LEAST_RATE_SECONDS = 60  # Grafana: four scrapes


def sql(text: str, start: datetime, end: datetime, step_seconds: int) -> str:
    """The SQL that Grafana would send for a window and a width of the points."""
    text = _GROUP.sub(rf'floor(extract(epoch from \1)/{step_seconds})*{step_seconds} AS "time"', text)
    text = _FILTER.sub(rf"\1 BETWEEN '{start.isoformat()}' AND '{end.isoformat()}'", text)
    return _complete(text)


def promql(text: str, start: datetime, end: datetime, step_seconds: int) -> str:
    """The PromQL that Grafana would send."""
    rate = max(LEAST_RATE_SECONDS, 4 * step_seconds)
    text = text.replace("$__rate_interval", f"{rate}s").replace("$__range", f"{round((end - start).total_seconds())}s")
    return _complete(text)


def _complete(text: str) -> str:
    if "$__" in text:
        raise ValueError(f"a macro that is not known here: {text}")
    return text
