"""`homeprices status`: the data of the operations page as a few lines, and what it says when nothing answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from homeprices.cli import stack_status
from homeprices.errors import Unavailable
from homeprices.settings import load_settings
from monitoring.operations.problems import TITLES, problems
from tests.support.operations import operations, quiet_parts, trial_parts


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server of the operations page, with an experiment that runs."""
    with operations(trial_parts()) as url:
        yield url


def run(*arguments: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "homeprices", "status", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_shows_what_runs(address: str) -> None:
    code, text = run(HOMEPRICES_ROUTER_URL=address)
    assert code == 0
    assert text.splitlines()[:3] == [
        "Everything works.", "production   BO2", "candidate    CO3, running, trial, 20 % of the visitors"
    ]  # fmt: skip
    assert "BO2-CO3: continue: the difference is between" in text
    assert "still        at most 11.9 days" in text
    assert "releases     BO1 -> BO2" in text


def test_it_prints_the_data(address: str) -> None:
    code, text = run("--json", HOMEPRICES_ROUTER_URL=address)
    assert (code, json.loads(text)["parts"]["release"]["candidate"]) == (0, "CO3")


def test_without_the_router_it_asks_the_exporter(address: str) -> None:
    assert run(HOMEPRICES_ROUTER_URL="http://127.0.0.1:1", HOMEPRICES_EXPORTER_URL=address)[0] == 0


def test_without_a_stack_it_says_so() -> None:
    away = "http://127.0.0.1:1"
    code, text = run(HOMEPRICES_ROUTER_URL=away, HOMEPRICES_EXPORTER_URL=away)
    assert code == 1
    assert text.startswith("status: no part of a stack answers (not running: make up): http://127.0.0.1:1: ")
    with pytest.raises(Unavailable):
        stack_status.fetch(load_settings({"HOMEPRICES_ROUTER_URL": away, "HOMEPRICES_EXPORTER_URL": away}, ()))


def test_what_is_wrong_comes_first_and_ends_with_code_1() -> None:
    parts = quiet_parts()
    parts["release"]["production"] = None
    with operations(parts) as url:
        code, text = run(HOMEPRICES_ROUTER_URL=url)
    assert (code, text.splitlines()[0]) == (
        1,
        "error        Nothing is in production; the first training publishes BO1",
    )


def test_every_part_may_be_missing() -> None:
    parts = {name: {"unavailable": f"{name} is away\x1b[31m"} for name in TITLES}
    document = {"problems": problems(parts, datetime.now(UTC)), "parts": parts}
    text = stack_status.text_of(document)
    assert len(text.splitlines()) == len(TITLES)
    assert "\x1b" not in text
