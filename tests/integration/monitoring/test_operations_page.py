"""The operations page in a real browser: on a phone, in the dark, by keyboard, without a script, while it refreshes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PATIENCE_MILLISECONDS, accessibility_violations, chromium
from tests.support.fake_airflow import airflow_server
from tests.support.operations import broken_parts, keys, operations, quiet_parts, trial_parts
from tests.support.programs import CHROMIUM

SIZES = {"desktop": (1180, 900), "phone": (390, 844)}
RING, OPERATOR, _ = keys()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser. Skips the test without one."""
    CHROMIUM.require()
    with chromium() as opened:
        yield opened


class Opened:
    """The page of parts that the test changes; what the browser complains of fails the test.

    `clock`: the test moves the time of the page.
    """

    def __init__(self, browser: Browser, url: str, parts: dict[str, Any], **options: Any) -> None:
        clock = options.pop("clock", False)
        size = SIZES[options.pop("size", "desktop")]
        self.parts, self.url = parts, url
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if clock:
            self.page.clock.install()
        self.page.goto(f"{url}/operations", wait_until="networkidle")


@pytest.fixture
def opening(browser: Browser) -> Iterator[Any]:
    """A function that opens the page of these parts."""
    with ExitStack() as stack:
        opened: list[Opened] = []

        def open_page(
            parts: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **variables: Any
        ) -> Opened:
            parts = parts or trial_parts()
            url = stack.enter_context(operations(parts, RING, **variables))
            opened.append(Opened(browser, url, parts, **(options or {})))
            return opened[-1]

        yield open_page
        for one in opened:
            one.context.close()
            assert one.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("parts", [quiet_parts, trial_parts, broken_parts])
def test_nothing_is_wider_than_the_screen_and_everybody_can_read_it(
    opening: Any, parts: Any, size: str, scheme: str
) -> None:
    page = opening(parts(), {"size": size, "color_scheme": scheme}).page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(LOW_CONTRAST) == []
    assert accessibility_violations(page) == []
    if parts is trial_parts:
        assert page.evaluate("document.querySelector('figure img').naturalWidth") > 0


# The contrast of every text with the nearest background, by WCAG 2.
LOW_CONTRAST = """() => {
  const level = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = (c) => 0.2126 * level(c[0]) + 0.7152 * level(c[1]) + 0.0722 * level(c[2]);
  const numbers = (text) => text.match(/[0-9.]+/g).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const low = [];
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${e.tagName} ${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return low;
}"""


def test_it_has_names_for_everything_that_takes_the_focus(opening: Any) -> None:
    page = opening().page
    nameless = page.evaluate("""() =>
      [...document.querySelectorAll("a, button, input:not([type=hidden]), select, [tabindex]")]
        .filter((e) => !(e.textContent.trim() || e.labels?.length || e.ariaLabel || e.getAttribute("aria-labelledby")))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size == "
                         "document.querySelectorAll('[id]').length")  # fmt: skip
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((e) => Number(e.tagName[1]))")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_the_state_is_replaced_quietly_and_what_somebody_types_stays(opening: Any) -> None:
    opened = opening(options={"clock": True})
    page = opened.page
    page.get_by_label("Reason").fill("a holiday")
    page.locator("#decisions a").first.focus()
    token = page.locator("#token").input_value()
    opened.parts["release"]["production"] = None
    page.clock.run_for(11_000)
    expect(page.get_by_role("heading", name="1 thing is wrong")).to_be_visible()
    expect(page.get_by_role("link", name="Nothing is in production")).to_be_visible()
    assert page.get_by_label("Reason").input_value() == "a holiday"
    assert page.evaluate("document.activeElement.closest('#decisions') !== null")
    assert page.locator("#token").input_value() != token
    assert page.title().startswith("(1)")


def test_a_server_that_is_gone_is_said_on_the_page(opening: Any) -> None:
    opened = opening(options={"clock": True})
    opened.page.route("**/operations", lambda route: route.abort())
    opened.page.clock.run_for(11_000)
    expect(opened.page.get_by_role("status")).to_contain_text("The server does not answer. This is the state of")
    opened.complaints.clear()  # the browser names the request that failed


def test_without_a_script_it_shows_the_same_and_has_a_link_to_reload(opening: Any) -> None:
    page = opening(options={"java_script_enabled": False, "size": "phone"}).page
    expect(page.get_by_role("heading", name="Everything works")).to_be_visible()
    page.get_by_role("link", name="Reload").click()
    expect(page.get_by_role("heading", name="Everything works")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_an_action_is_asked_for_by_keyboard(opening: Any, script: bool) -> None:
    with airflow_server() as airflow:
        opened = opening(options={"java_script_enabled": script}, HOMEPRICES_AIRFLOW_URL=airflow.url)
        page = opened.page
        page.get_by_label("Action").focus()
        page.keyboard.type("Share")
        page.keyboard.press("Tab")
        page.keyboard.type("12.5")
        page.keyboard.press("Tab")
        page.keyboard.type("it is slow")
        page.keyboard.press("Enter")
        page.wait_for_url("**/operations#runs")
        [(_, conf)] = airflow.started
        assert (conf["action"], conf["share"], conf["reason"]) == ("share", 12.5, "it is slow")


def test_enter_in_the_reason_alone_does_nothing(opening: Any) -> None:
    with airflow_server() as airflow:
        page = opening(HOMEPRICES_AIRFLOW_URL=airflow.url).page
        page.get_by_label("Reason").fill("a holiday")
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('#action').validity.valueMissing")
        assert airflow.started == []


def test_a_stored_report_shows_its_chart(opening: Any) -> None:
    opened = opening()
    opened.page.get_by_role("link", name="page of decision 41").click()
    expect(opened.page.locator("svg")).to_be_visible()
