"""The optional column `listed_on`: the day on which a listing was published, and how its cells are read.

Without the column nothing depends on a date. A cell is a day, `2026-03-31`. A time behind it is dropped, because
databases and Parquet files export days as moments.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

LISTED_ON = "listed_on"

NO_DAY, AFTER_IMPORT = "no_listed_on", "listed_after_import"
"""The reasons for which cleaning rejects a row of a table with the column."""

ALLOWED = {
    NO_DAY: f"{LISTED_ON} must be a day such as 2026-03-31",
    AFTER_IMPORT: f"{LISTED_ON} must not be after the day of the import",
}
"""What each reason asks for, as a sentence for people."""

TIME_ZONE = timezone(timedelta(hours=5, minutes=30))
"""Days are those of India, where the listings are. India has no daylight saving time."""

_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ][0-9:.,]{4,18}(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?", re.ASCII)


def parse_day(text: str) -> str:
    """Return the day of a cell as `2026-03-31`, or '' if it is none."""
    match = _DAY.fullmatch(text.strip())
    try:
        return date.fromisoformat(match[1]).isoformat() if match else ""
    except ValueError:
        return ""


def local_day(moment: datetime) -> date:
    """Return the day of a moment where the listings are."""
    return moment.astimezone(TIME_ZONE).date()
