"""Structured logs with one schema: readable in a terminal, JSON in containers.

Every line has `event`, `level`, `timestamp` and `service`. A line of a serving instance has its `variant` and, within a
request, `request_id`, `visitor` (a keyed hash) and `version`. Loggers of the standard library (gunicorn's,
SQLAlchemy's) use the same processors.
"""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from homeprices.foreign_text import printable, printable_lines

if TYPE_CHECKING:
    from homeprices.settings import Settings

LONGEST_VALUE = 4_000  # characters of a value, or of a line of it, in a terminal


def configure_logging(settings: Settings, service: str, fields: Callable[[], Mapping[str, Any]] = dict) -> None:
    """Send all logs of this process to standard error in the configured format.

    `fields` is called for each line; a field of the line itself takes precedence.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_service(service),
        _add(fields),
    ]
    renderers: list[Any] = (
        [structlog.processors.JSONRenderer()]  # escapes all characters that are not ASCII
        if settings.log_format == "json"
        else [_printable_values, structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    final = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        *renderers,
    ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "plain": {"()": structlog.stdlib.ProcessorFormatter, "processors": final, "foreign_pre_chain": shared}
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
            "root": {"handlers": ["stderr"], "level": settings.log_level},
        }
    )


def get_logger(name: str = "homeprices") -> Any:
    """Return a structured logger: `log.info("event", key=value)`."""
    return structlog.stdlib.get_logger(name)


def _printable_values(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Escape control characters of a terminal, because a value may be input of a visitor."""
    return {
        name: (printable_lines if "\n" in value else printable)(value, most=LONGEST_VALUE)
        if isinstance(value, str)
        else value
        for name, value in event.items()
    }


def _name_service(service: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", service)
        return event

    return add


def _add(fields: Callable[[], Mapping[str, Any]]) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**fields(), **event}

    return add
