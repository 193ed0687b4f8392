"""How the page says values: times, durations, numbers and shares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

WITHOUT_AIRFLOW = (
    "Without Airflow, use the command line, which acts at once: homeprices release hold, resume, promote, rollback, "
    "share or stop."
)


def ago(moment: str | None) -> Markup:
    """Return a time as `12:03 UTC`, with its date unless it is today, as an element; a dash for none."""
    if not moment:
        return Markup("–")
    try:
        at = datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return Markup("{}").format(moment)
    now = datetime.now(UTC)
    shown = f"{at:%H:%M}" if at.date() == now.date() else f"{at:%-d %b %H:%M}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC", shown
    )


def duration(seconds: Any) -> str:
    """Return a duration: `42 s`, `3 min`, `2.5 h`; a dash for what is none, or is missing."""
    if not isinstance(seconds, int | float):
        return "–"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def number(value: Any, digits: int = 0) -> str:
    """Return a number with separators of thousands; a dash for what is none, or is missing."""
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else "–"


def percent(value: Any) -> str:
    """Return a share of 1 in percent; a dash for what is no number, or is missing."""
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "–"


FILTERS = {"ago": ago, "duration": duration, "number": number, "percent": percent}
