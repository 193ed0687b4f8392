"""Each log line of a service has the request id, the hashed visitor and the model version, and no address."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from flask import Flask, g

from homeprices.log import configure_logging, get_logger
from homeprices.settings import load_settings
from inference.backend.runtime.process import log_fields
from inference.backend.runtime.request_context import open_callers

ADDRESS = "203.0.113.77"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log as JSON lines, as in a container."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    settings = load_settings({"HOMEPRICES_LOG_FORMAT": "json"}, ())
    configure_logging(settings, "infer-prod", log_fields(settings.variant))
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers, root.level = before


def test_in_a_request_a_line_has_its_id_visitor_and_model_version(lines: io.StringIO) -> None:
    headers = {"X-Request-ID": "r1", "X-Visitor-ID": f"visitor at {ADDRESS}"}
    with Flask(__name__).test_request_context(headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"}) as context:
        caller = open_callers(load_settings({"HOMEPRICES_VISITOR_KEY": "hush" * 8}, ()))(context.request.environ)
        g.caller, g.request_id, g.model_version = caller, caller.request_id, "BO2"
        get_logger().warning("request_failed", reason="a reason")
    line = json.loads(lines.getvalue())
    assert {name: line[name] for name in ("event", "service", "variant", "request_id", "version", "reason")} == {
        "event": "request_failed", "service": "infer-prod", "variant": "production", "request_id": "r1",
        "version": "BO2", "reason": "a reason",
    }  # fmt: skip
    assert caller.visitor and line["visitor"] == caller.visitor
    assert ADDRESS not in lines.getvalue() and "hush" not in lines.getvalue()


def test_outside_of_a_request_a_line_has_the_variant_unless_it_sets_one_itself(lines: io.StringIO) -> None:
    get_logger().info("model_reloaded", version="BO3", variant="candidate")
    logging.getLogger("gunicorn.error").warning("Booting worker")
    ours, theirs = map(json.loads, lines.getvalue().splitlines())
    assert (ours["version"], ours["variant"], theirs["variant"]) == ("BO3", "candidate", "production")
    assert "request_id" not in ours | theirs
