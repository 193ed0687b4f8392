"""Logs have one schema, from our loggers and from everybody else's."""

import json
import logging
import subprocess
import sys

import pytest

SCRIPT = """
import logging, structlog
from homeprices.log import configure_logging, get_logger
from homeprices.settings import load_settings
configure_logging(load_settings({"HOMEPRICES_LOG_FORMAT": "%s"}, ()), "tested")
structlog.contextvars.bind_contextvars(request_id="r1")
get_logger().info("swapped", version="BO2")
logging.getLogger("gunicorn.error").warning("worker %%s", 7)
try:
    1 / 0
except ZeroDivisionError:
    get_logger().exception("failed")
"""


def lines(form: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT % form], capture_output=True, text=True, check=True, timeout=60)
    return done.stderr.strip().splitlines()


def test_json_lines_carry_event_service_level_time_and_what_the_request_bound() -> None:
    ours, theirs, failed = map(json.loads, lines("json"))
    assert {ours["event"], ours["service"], ours["level"], ours["version"], ours["request_id"]} == {
        "swapped", "tested", "info", "BO2", "r1"
    }  # fmt: skip
    assert (theirs["event"], theirs["level"], theirs["service"]) == ("worker 7", "warning", "tested")
    assert "ZeroDivisionError" in failed["exception"]
    assert ours["timestamp"] <= theirs["timestamp"]


def test_console_lines_can_be_read() -> None:
    assert "swapped" in lines("console")[0] and "version=BO2" in lines("console")[0]


def test_a_level_below_the_setting_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    script = SCRIPT % "json"
    quiet = script.replace('"HOMEPRICES_LOG_FORMAT": "json"', '"HOMEPRICES_LOG_LEVEL": "ERROR"')
    done = subprocess.run([sys.executable, "-c", quiet], capture_output=True, text=True, check=True, timeout=60)
    assert "swapped" not in done.stderr and "failed" in done.stderr
    assert logging.getLogger("gunicorn.error").handlers == []
