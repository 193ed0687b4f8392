"""Pictures of the pages of the stack: `python -m tests.e2e.screenshots [--url URL | --stand-in]`.

The default is the running stack. With --stand-in the form uses a stub of the service, the operations page shows a
made-up experiment, and there is no picture of Airflow and MLflow.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.errors import SettingsError
from homeprices.names import TRAINING_DAG
from homeprices.release import training_runs
from homeprices.settings import Settings, load_settings
from tests.support.browser import chromium, frontend
from tests.support.operations import operations, trial_parts
from tests.support.stub_inference import price_service

PICTURES = Path(__file__).parents[2] / "documentations" / "pictures"
DESKTOP = ViewportSize(width=1180, height=900)
PHONE = ViewportSize(width=360, height=780)
WIDE = ViewportSize(width=1400, height=800)
Scheme = Literal["light", "dark"]
HOME = {"total_sqft": "1340", "bhk": "2", "bath": "2"}


def main() -> None:
    """Write a picture of each page for a desktop and for a phone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="address of the form (default: the running stack's)")
    parser.add_argument("--stand-in", action="store_true", help="take them before a stand-in for the service")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--folder", type=Path, default=PICTURES)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    scheme: Scheme = "dark" if options.dark else "light"
    try:
        with _address(options) as url, chromium() as browser:
            take(browser, url, options.folder / "form.png", DESKTOP, scheme)
            take(browser, url, options.folder / "form-phone.png", PHONE, scheme)
            with operations(trial_parts()) if options.stand_in else nullcontext(url) as operations_url:
                take_operations(browser, operations_url, options.folder / "operations.png", DESKTOP, scheme)
                take_operations(browser, operations_url, options.folder / "operations-phone.png", PHONE, scheme)
            if not options.stand_in:
                settings = load_settings()
                take_airflow(browser, settings, options.folder / "airflow.png", scheme)
                take_mlflow(browser, settings, options.folder / "mlflow.png", scheme)
    except SettingsError as error:
        raise SystemExit(f"screenshots: {error}, or say --url") from None


def take(browser: Browser, url: str, file: Path, size: ViewportSize, scheme: Scheme) -> None:
    """Save a picture of a prediction before its rating."""
    context = browser.new_context(viewport=size, device_scale_factor=2, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(url)
    fill(page)
    page.get_by_role("button", name="Estimate the price").click()
    expect(page.locator("#lakh")).not_to_be_empty()
    page.get_by_role("radio", name="4 stars").check(force=True)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=file, full_page=True)
    context.close()


def take_operations(browser: Browser, url: str, file: Path, size: ViewportSize, scheme: Scheme) -> None:
    """Save a picture of the operations page."""
    context = browser.new_context(viewport=size, device_scale_factor=1, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{url}/operations", wait_until="networkidle")
    page.screenshot(path=file, full_page=True)
    context.close()


def take_airflow(browser: Browser, settings: Settings, file: Path, scheme: Scheme) -> None:
    """Save a picture of the runs of the training DAG and their tasks."""
    settings.require("airflow_url", "airflow_user", "airflow_password")
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{settings.airflow_url}/auth/login")
    page.locator("input[name=username]").fill(str(settings.airflow_user))
    page.locator("input[name=password]").fill(settings.airflow_password.get_secret_value())
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/login" not in url)
    page.goto(f"{settings.airflow_url}/dags/{TRAINING_DAG}/runs")
    page.get_by_role("cell", name="Success").first.wait_for()
    page.get_by_text("check_dataset").wait_for()
    page.screenshot(path=file)
    context.close()


def take_mlflow(browser: Browser, settings: Settings, file: Path, scheme: Scheme) -> None:
    """Save a picture of the newest training run that published a bundle."""
    tracking = MlflowClient(settings)
    published = tracking.runs(f"{training_runs.OF_TRAINING} AND tags.bundle != 'none'", 1)
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(tracking.run_url(published[0]["info"]["run_id"]))  # not until the network is idle: a worker keeps it busy
    page.get_by_role("button", name="Load more").wait_for()  # the runs of the estimators are there
    page.get_by_text("Registered models", exact=True).wait_for()
    page.get_by_role("button", name="Close", exact=True).click()  # MLflow's assistant
    page.screenshot(path=file)
    context.close()


def fill(page: Page) -> None:
    """Type the home of the pictures."""
    page.get_by_role("combobox", name="Location").press_sequentially("white")
    page.get_by_role("option", name="Whitefield", exact=True).click()
    for name, value in HOME.items():
        page.locator(f"#{name}").fill(value)


@contextmanager
def _address(options: argparse.Namespace) -> Iterator[str]:
    if not options.stand_in:
        settings = load_settings()
        if not options.url:
            settings.require("frontend_port")
        yield options.url or f"http://{settings.frontend_host}:{settings.frontend_port}"
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        price_service() as service,
        frontend(service.url, Path(folder)) as url,
    ):
        yield url


if __name__ == "__main__":
    main()
