"""Another domain as a person makes it: the copy of `make new-domain`, its lint and tests, and its whole loop.

The tests of this module run in order on one copy and one stack. The data are those of the example: real prices, of
which every 18th row is used, because a training takes most of its time on rows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from homeprices.registry import bundle_reader
from homeprices.release import control_record
from local import new_domain
from tests.e2e.evidence import ENOUGH_ANSWERS, last_decision, visit_until_enough
from tests.e2e.running_stack import ROOT, RunningStack, port_offset, wait_until
from tests.e2e.visitors import Visitors
from tests.support.browser import chromium
from tests.support.programs import CHROMIUM, GIT

NAME = "diamonds"
README = (ROOT / "examples" / NAME / "README.md").read_text(encoding="utf-8")
EVERY = 18
DIAMOND = {"carat": 1.01, "clarity": "VS1", "cut": "Ideal", "color": "F"}
WORDS_OF_HOMES = re.compile(
    r"\b(homes?|houses?|bedrooms?|bhk|bath(room)?s?|balcon(y|ies)|societ(y|ies)|locations?|areas?|sq\.? ?(ft|m)"
    r"|square f\w+|lakhs?|crores?|rupees?|bangalore)\b|₹",
    re.I,
)
CHECKS = (
    ("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",),
    ("pytest", "tests/unit", "-q", "-n", "2", "--no-header", "-p", "no:cacheprovider"),
)  # fmt: skip
CHECK_SECONDS = 900

pytestmark = [pytest.mark.timeout(1800), GIT.mark, CHROMIUM.mark]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy, with its generated files."""
    folder = tmp_path_factory.mktemp("fork") / NAME
    new_domain.make(NAME, folder)
    for command in (["git", "init", "--quiet"], ["git", "add", "--all"]):
        subprocess.run(command, cwd=folder, check=True)
    for words in (
        ["inference.generated"],
        ["monitoring.slo"],
        ["monitoring.scrape_config"],
        ["monitoring.grafana.build"],
    ):
        subprocess.run([sys.executable, "-m", *words], cwd=folder, check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def checks(copy: Path) -> Iterator[subprocess.Popen[str]]:
    """Lint and the remaining unit tests of the copy, which run beside its stack."""
    script = " && ".join(f"{sys.executable} -m {' '.join(words)}" for words in CHECKS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTEST_"))}
    running = subprocess.Popen(
        ["nice", "-n", "10", "sh", "-c", script],
        cwd=copy, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    yield running
    running.kill()
    running.communicate()


@pytest.fixture(scope="module")
def diamonds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the real data, from the package that the example's README installs."""
    folder = tmp_path_factory.mktemp("data")
    [requirement] = re.findall(r"--no-deps --target \S+ (plotnine==[\d.]+)", README)
    install = [
        Path(sys.executable).with_name("uv"),
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        folder,
        requirement,
    ]
    subprocess.run(install, check=True, timeout=300)
    header, *rows = (folder / "plotnine/data/diamonds.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    part = folder / "diamonds.csv"
    part.write_text(header + "".join(rows[::EVERY]), encoding="utf-8")
    return part


@pytest.fixture(scope="module")
def stack(
    copy: Path, checks: subprocess.Popen[str], diamonds: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """The stack of the copy, on ports of its own."""
    offset = port_offset("second domain")
    running = RunningStack(tmp_path_factory.mktemp("stack"), offset, root=copy, HOMEPRICES_POLICY="composite")
    running.environ["DATASET"] = str(diamonds)
    try:
        running.up()
        running.connect()
        yield running
    finally:
        running.close()
        running.local("down")


@pytest.fixture(scope="module")
def page(stack: RunningStack) -> Iterator[Page]:
    """A page of a browser."""
    with chromium() as browser:
        yield browser.new_page()


def words_of_homes(text: str) -> list[str]:
    """Return the words of homes in a text that a person reads."""
    return sorted({found[0].lower() for found in WORDS_OF_HOMES.finditer(text)})


def test_diamonds_are_trained_published_and_on_trial_behind_the_router(stack: RunningStack) -> None:
    assert stack.health("production")["model_version"] == "BO1"
    assert stack.health("candidate")["model_version"] == "CO1"
    wait_until(lambda: control_record.read(stack.resources.bucket).state == "running", 60, "the start of the trial")
    with httpx.Client(base_url=stack.router, timeout=60) as client:
        known = client.get("/api/get_location_names").json()
        answer = client.post("/api/predict_home_price", json=DIAMOND).json()
        refused = client.post("/api/predict_home_price", json={**DIAMOND, "cut": "Square"})
        document = client.get("/api/openapi.json")
    assert (known["locations"][0], set(known["inputs"])) == ("I1", {*DIAMOND, "depth", "table"})
    assert 3_000 < answer["estimated_price"] < 15_000, "dollars: a carat of this kind costs about 7,000"
    assert refused.json()["fields"]["cut"] == "must be one of Fair, Good, Very Good, Premium, Ideal"
    assert document.status_code in (200, 404)


def test_the_model_card_speaks_of_diamonds_and_of_a_good_model(stack: RunningStack) -> None:
    bucket = stack.resources.bucket
    card = bucket.get("models/price_check_BO1/model_card.md").body.decode()
    assert "It estimates the price of a cut diamond, in dollars" in card
    assert words_of_homes(card) == []
    metrics = bundle_reader.read_manifest(bucket, "BO1").metrics
    assert metrics["median_ape"] < 0.12 < metrics["constant_median_ape"]


def test_the_form_asks_for_a_diamond_and_explains_its_price_in_dollars(stack: RunningStack, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{stack.resources.settings.frontend_port}")
    expect(page).to_have_title("Diamond prices")
    page.get_by_role("combobox", name="Clarity").press_sequentially("vs1")
    page.get_by_role("option", name="VS1", exact=True).click()
    page.get_by_label("Weight").fill("1.01")
    page.get_by_label("Cut").select_option("Ideal")
    page.get_by_label("Colour").select_option("F")
    page.get_by_role("button", name="Estimate the price").click()
    expect(page.locator("#rupees")).to_have_text(re.compile(r"^\$[\d,]+$"))
    expect(page.locator("#per-sqft")).to_have_text(re.compile(r"^\$[\d,]+ per carat$"))
    expect(page.locator("#price-unit")).to_have_text("dollars")
    expect(page.locator("#range-text")).to_contain_text("of such diamonds are listed between $")
    expect(page.locator("#typical")).to_contain_text("A typical diamond of VS1 is estimated at $")
    expect(page.locator("#alike tr").first).to_be_visible()
    page.get_by_text("More about the diamond").click()
    assert words_of_homes(page.locator("body").inner_text()) == []
    page.get_by_role("radio", name="5 stars").check(force=True)
    page.get_by_role("button", name="Send feedback").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def test_a_better_candidate_of_diamonds_is_promoted(stack: RunningStack) -> None:
    visitors = Visitors(stack.router, stars=lambda variant: 5 if variant == "candidate" else 3, home=DIAMOND)
    tally = visit_until_enough(stack, visitors, "CO1")
    stack.evaluate()
    outcome, reason = last_decision(stack)
    assert outcome == "promote", f"{reason} {tally}"
    wait_until(lambda: stack.health("production")["model_version"] == "BO2", 60, "BO2 in production")
    assert visitors.tally.failures == []
    assert len(tally.rated) >= ENOUGH_ANSWERS, "and the log has each"


def test_the_operations_page_shows_the_promotion_in_the_words_of_diamonds(stack: RunningStack, page: Page) -> None:
    stack.wait_for_run("drift_monitoring_dag", stack.airflow.trigger("drift_monitoring_dag"))
    page.goto(f"http://127.0.0.1:{stack.resources.settings.frontend_port}/operations")
    expect(page.locator("body")).to_contain_text("BO2")
    expect(page.locator("#drift")).to_contain_text("diamonds of the last day")
    assert words_of_homes(page.locator("body").inner_text()) == []


def test_lint_and_the_remaining_unit_tests_pass_on_the_copy(checks: subprocess.Popen[str]) -> None:
    said = checks.communicate(timeout=CHECK_SECONDS)[0]
    assert checks.returncode == 0, said[-6000:]
