"""Whether an OpenAPI document still says what an earlier one said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PROSE = {"description", "summary"}
# To add one of these to a schema refuses or changes what was allowed before.
LIMITS = {"type", "format", "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
          "minLength", "maxLength", "minItems", "maxItems", "additionalProperties", "required", "$ref"}  # fmt: skip
# Their keys are names that the project chose, "type" and "description" among them.
MAPS = {"properties", "paths", "schemas", "responses", "headers", "content", "examples"}


def differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """What was taken away or changed. What was only added is none, and neither is another description or summary."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = where.rsplit("/", 1)[-1] in MAPS
        for name in before:
            if name in PROSE and not names:
                continue
            if name not in now:
                yield f"{where}/{name} is gone"
            elif name == "required" and not names:
                if before[name] != now[name]:
                    yield f"{where}/{name} was {before[name]}, is {now[name]}"
            else:
                yield from differences(before[name], now[name], f"{where}/{name}")
        if not names:
            yield from (f"{where}/{name} is new, and a limit" for name in now if name in LIMITS and name not in before)
    elif isinstance(before, list) and isinstance(now, list):
        for item in before:
            if not any(next(differences(item, other), None) is None for other in now):
                yield f"{where} has no more {item}"
    elif before != now:
        yield f"{where} was {before!r}, is {now!r}"
