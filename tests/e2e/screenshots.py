"""Pictures of the web form and the operations page: `python -m tests.e2e.screenshots [--url URL | --stand-in]`.

The default is the running stack. With --stand-in the form uses a stub of the service, and the operations page shows a
made-up experiment.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from homeprices.errors import SettingsError
from homeprices.settings import load_settings
from tests.support.browser import chromium, frontend
from tests.support.operations import operations, trial_parts
from tests.support.stub_inference import price_service

PICTURES = Path(__file__).parents[2] / "documentations" / "pictures"
DESKTOP = {"width": 1180, "height": 900}
PHONE = {"width": 360, "height": 780}
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
    scheme = "dark" if options.dark else "light"
    try:
        with _address(options) as url, chromium() as browser:
            take(browser, url, options.folder / "form.png", DESKTOP, scheme)
            take(browser, url, options.folder / "form-phone.png", PHONE, scheme)
            with operations(trial_parts()) if options.stand_in else nullcontext(url) as operations_url:
                take_operations(browser, operations_url, options.folder / "operations.png", DESKTOP, scheme)
                take_operations(browser, operations_url, options.folder / "operations-phone.png", PHONE, scheme)
    except SettingsError as error:
        raise SystemExit(f"screenshots: {error}, or say --url") from None


def take(browser: Browser, url: str, file: Path, size: dict[str, int], scheme: str) -> None:
    """Save a picture of a prediction before its rating."""
    context = browser.new_context(viewport=size, device_scale_factor=2, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    fill(page)
    page.get_by_role("button", name="Estimate the price").click()
    expect(page.locator("#lakh")).not_to_be_empty()
    page.get_by_role("radio", name="4 stars").check(force=True)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=file, full_page=True)
    context.close()


def take_operations(browser: Browser, url: str, file: Path, size: dict[str, int], scheme: str) -> None:
    """Save a picture of the operations page."""
    context = browser.new_context(viewport=size, device_scale_factor=1, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{url}/operations", wait_until="networkidle")
    page.screenshot(path=file, full_page=True)
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
