"""`make traffic`, for a few seconds, before a stand-in for the service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import LISTINGS, REAL_LISTINGS
from tests.support.stub_inference import PriceService, price_service

ROOT = Path(__file__).parents[3]
NO_BUCKET = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def traffic(*arguments: str, users: int = 4, seconds: int = 4) -> subprocess.CompletedProcess[str]:
    command = [
        "locust",
        "-f",
        "tests/load/locustfile.py",
        "--headless",
        "-u",
        str(users),
        "-r",
        "4",
        "-t",
        f"{seconds}s",
        "--stop-timeout",
        "30",  # a rating on its way at the end is answered, so both sides count it
    ]
    return subprocess.run(
        [sys.executable, "-m", *command, "--pace", "10", *arguments],
        cwd=ROOT,
        env={**os.environ, **NO_BUCKET},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def cookies(service: PriceService) -> int:
    return len({headers.get("Cookie") for headers in service.headers} - {None})


def test_visitors_ask_and_rate_and_the_run_says_who_was_liked() -> None:
    with price_service() as service:
        run = traffic("--host", service.url)
    assert run.returncode == 0, run.stderr
    assert "synthetic listings" in run.stdout
    assert len(service.homes) > 20
    assert {"total_sqft", "location", "bhk", "bath"} <= service.homes[0].keys()
    types = {remark["feedback_type"] for remark in service.remarks}
    assert "rating" in types
    stars = [remark["feedback_value"] for remark in service.remarks if remark["feedback_type"] == "rating"]
    assert set(stars) <= {1, 2, 3, 4, 5}
    found = re.search(r"production BO1: ([\d,]+) estimates, (\d+) rated, ([\d.]+) stars", run.stdout)
    assert found
    assert float(found[3]) == pytest.approx(sum(stars) / len(stars), abs=0.01)


def test_a_visitor_keeps_his_cookie_and_another_one_comes_without() -> None:
    with price_service() as service:
        service.sets_cookies = True
        traffic("--host", service.url)
    arrivals = sum("Cookie" not in headers for headers in service.headers)
    assert 4 <= arrivals < len(service.headers) / 2
    assert cookies(service) >= 4


def test_visitors_come_from_many_networks_and_each_from_one_address() -> None:
    with price_service() as service:
        service.sets_cookies = True
        traffic("--host", service.url)
    addresses: dict[str, set[str]] = {}
    for headers in service.headers:
        if "Cookie" in headers:
            addresses.setdefault(headers["Cookie"], set()).add(headers["X-Forwarded-For"])
    assert {len(found) for found in addresses.values()} == {1}
    networks = {address.rpartition(".")[0] for found in addresses.values() for address in found}
    assert len(networks) >= 0.9 * len(addresses) >= 3.6


def test_the_file_runs_from_its_own_folder_as_the_original_project_documents_it() -> None:
    with price_service() as service:
        run = subprocess.run(
            [*(Path(sys.executable).with_name("locust"), "-f", "locustfile.py", f"--host={service.url}"),
             *("--headless", "-u", "2", "-t", "2s", "--stop-timeout", "30")],
            cwd=ROOT / "tests" / "load", env={**os.environ, **NO_BUCKET, "PYTHONPATH": ""},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert service.homes


@LISTINGS.mark
def test_homes_can_come_from_a_file_of_real_listings() -> None:
    with price_service() as service:
        run = traffic("--host", service.url, "--listings", str(REAL_LISTINGS))
    assert f"homes from {REAL_LISTINGS}" in run.stdout
    assert service.homes


def test_a_file_that_is_no_table_of_listings_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    run = traffic("--host", "http://127.0.0.1:9", "--listings", str(tmp_path / "notes.csv"))
    assert run.returncode != 0
    assert "notes.csv" in run.stderr


def test_another_machine_is_not_visited_by_accident() -> None:
    run = traffic("--host", "http://198.51.100.7:7000", seconds=1)
    assert run.returncode != 0
    assert "http://198.51.100.7:7000 is not this machine" in run.stderr


def test_a_service_that_refuses_is_a_failed_run() -> None:
    with price_service() as service:
        service.refusal = (500, {"error": "broken"})
        run = traffic("--host", service.url, seconds=2)
    assert run.returncode == 1
    assert "500" in run.stdout + run.stderr
