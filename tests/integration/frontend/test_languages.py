"""The form in Hindi and Kannada, as a visitor meets it in a browser of that language."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from inference.translations import OTHERS, catalogue
from tests.support.browser import PATIENCE_MILLISECONDS
from tests.support.stub_inference import EXPLANATION, PriceService, problem

PHONE = {"width": 390, "height": 844}
LATIN_WORDS = re.compile(r"[A-Za-z]{3,}")
NAMES = {"Whitefield", "BHK", "English", "BO1", "Whitefeild", "Nowhere"}
"""Written alike in every language."""


@pytest.fixture(params=OTHERS)
def language(request: pytest.FixtureRequest) -> str:
    """Each language other than English."""
    return str(request.param)


@pytest.fixture
def page(browser: Browser, address: str, service: PriceService, language: str) -> Iterator[Page]:
    """The form on a phone in that language. What the browser complains of fails the test."""
    context = browser.new_context(viewport=PHONE, locale=f"{language}-IN", reduced_motion="reduce", has_touch=True)  # type: ignore[arg-type]
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MILLISECONDS)
    complaints: list[str] = []
    opened.on("console", lambda said: None if "Failed to load resource" in said.text else complaints.append(said.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(address)
    yield opened
    context.close()
    assert complaints == []


def told(english: str, language: str, **values: object) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: str(values[name[1]]), catalogue()[english][language])


def estimate(page: Page, location: str = "Whitefield", area: str = "1200") -> None:
    page.locator("#location").fill(location)
    page.locator("#total_sqft").fill(area)
    page.locator("#home button.main").click()


def left_in_english(page: Page) -> set[str]:
    """The Latin words in what a visitor sees and hears."""
    texts = [page.locator("body").inner_text()]
    for name in ("aria-label", "title"):
        texts += page.locator(f"[{name}]").evaluate_all(f"all => all.map(one => one.getAttribute('{name}'))")
    return {word for text in texts for word in LATIN_WORDS.findall(text)} - NAMES


def width_of(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_everything_on_the_page_is_in_the_language_and_fits_a_phone(
    page: Page, service: PriceService, language: str
) -> None:
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page).to_have_title(told("Bangalore home prices", language))
    page.locator("summary").tap()
    expect(page.locator("#trained-on")).to_contain_text("2026-11-29")
    assert left_in_english(page) == set()
    assert width_of(page) <= PHONE["width"]
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#price-unit")).to_have_text(told("{unit} rupees", language, unit=told("lakh", language)))
    expect(page.locator("#rupees")).to_have_text("₹78,24,000")
    expect(page.locator("#why")).to_be_visible()
    expect(page.locator("#trust-text")).to_have_text(
        told("Half of such estimates were within {error} of the listed price.", language, error="16 %")
    )
    bath = told("Bathrooms", language)
    typical = "{name}: {value}; typical in {place}: {typical}"
    expect(page.locator("#reasons li").nth(1)).to_contain_text(
        told(typical, language, name=bath, value=2, place="Whitefield", typical=2)
    )
    crore = told("crore", language)
    expect(page.locator("#high")).to_have_text(f"₹1.12 {crore}")
    assert left_in_english(page) == set()
    assert width_of(page) <= PHONE["width"]
    small = page.locator("button:visible, select:visible, .choices label, nav a").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().height < 40).map(one => one.outerHTML)"
    )
    assert small == [], "too small for a finger"
    boxes = "label, legend, button, h1, h2, caption, .choices span, #why td, #why th"
    cut = page.locator(boxes).evaluate_all(
        """all => all.filter(one => one.checkVisibility() && !one.classList.contains("unseen") && one.clientWidth > 1
            && one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML)"""
    )
    assert cut == []


def test_labels_of_options_are_told_in_the_language(page: Page, service: PriceService, language: str) -> None:
    typical = {
        **EXPLANATION["typical_home"],
        "inputs": {"area_type": "Super built-up area", "availability": "not known"},
    }
    reasons = [{"input": name, "lakh": 1.0, "sentence": "no"} for name in ("area_type", "availability")]
    service.explanation = [(200, {**EXPLANATION, "typical_home": typical, "reasons": reasons, "notice": "no"})]
    page.locator("summary").tap()
    page.locator("#area_type").select_option("Carpet Area")
    page.locator("#availability").select_option("Ready To Move")
    estimate(page)
    for number, (value, usual) in enumerate(
        [("Carpet area", "Super built-up area"), ("Ready to move in", "not known")]
    ):
        line = page.locator("#reasons li").nth(number)
        expect(line).to_contain_text(told(value, language))
        expect(line).to_contain_text(told(usual, language))
    assert left_in_english(page) == set()


def test_mistakes_and_doubts_are_told_in_the_language(page: Page, service: PriceService, language: str) -> None:
    estimate(page, area="12")
    expect(page.locator("#total_sqft-error")).to_have_text(
        told("Enter an area from 100 to 100,000 square feet", language)
    )
    page.locator("[data-unit-of]").select_option(index=1)
    estimate(page, area="5")
    expect(page.locator("#total_sqft-error")).to_have_text(
        told("Enter an area from {low} to {high} {unit}", language, low=10, high="9,290", unit=told("sq m", language))
    )
    page.locator("[data-unit-of]").select_option(index=0)
    estimate(page, location="Whitefeild", area="300")
    expect(page.locator("#notice")).to_contain_text(
        told("This model does not know the place; it was priced as another one.", language)
    )
    expect(page.locator("#suggestion")).to_contain_text(told("Did you mean", language))
    page.locator("#bhk").fill("9")
    page.locator("#bath").fill("9")
    estimate(page, area="300")
    expect(page.locator("#notice")).to_contain_text(
        told("An unusual home. {reasons}. The estimate is a guess.", language, reasons=told("Area", language))
    )
    page.locator("#bhk").fill("2")
    page.locator("#bath").fill("2")
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    page.locator("#actual_price").fill("1.2")
    page.locator("#feedback button.main").click()
    lakh = told("lakh", language)
    expect(page.locator("#actual_price-error")).to_contain_text(
        told("{price} is far from the estimate. Did you mean crore?", language, price=f"₹1.2 {lakh}")
    )
    assert left_in_english(page) == set()
    page.locator("#feedback button.main").click()
    expect(page.locator("#thanks h2")).to_have_text(told("Thank you", language))


@pytest.mark.parametrize(
    ("answer", "message", "values"),
    [
        (problem(413, "the body is too large"), "The service did not accept this (status {status}).", {"status": 413}),
        (problem(429, "slow down"), "That was a lot at once. Please wait a moment and try again.", {}),
        (problem(503, "no model"), "No answer at the moment. Please try again in {wait} seconds.", {"wait": 5}),
        (problem(500, "broken"), "No answer at the moment. Please try again.", {}),
        (problem(422, "no", fields={"body": "is odd"}), "The service did not accept this (status {status}).",
         {"status": 422}),
    ],
)  # fmt: skip
def test_what_the_service_refuses_is_told_in_the_language(
    page: Page, service: PriceService, language: str, answer: tuple[int, dict[str, object]], message: str,
    values: dict[str, object],
) -> None:  # fmt: skip
    service.refusal = answer
    estimate(page)
    expect(page.locator("#home-alert")).to_have_text(told(message, language, **values))


def test_what_the_service_says_of_a_field_is_told_at_the_field(
    page: Page, service: PriceService, language: str
) -> None:
    fields = {"location": "is required", "bhk": "must be a whole number from 1 to 50", "society": "is too odd"}
    service.refusal = problem(422, "no", fields=fields)
    estimate(page)
    for name, message in {
        "location": "Name a location", "bhk": "Enter 1 to 50 bedrooms", "society": "This value is not accepted",
    }.items():  # fmt: skip
        expect(page.locator(f"#{name}-error")).to_have_text(told(message, language))


def test_another_language_is_one_press_away_and_keeps_the_home(
    page: Page, service: PriceService, address: str, language: str
) -> None:
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    page.get_by_role("link", name="English").tap()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#price-unit")).to_have_text("lakh rupees")
    expect(page.get_by_role("link", name="English")).to_have_attribute("aria-current", "true")
    page.locator("#total_sqft").fill("1000")
    page.locator("#home button.main").click()
    expect(page.locator("#lakh")).to_have_text("65.2")
    assert "lang=en" in page.url and "total_sqft=1000" in page.url
    page.locator(f"nav a[hreflang={language}]").tap()
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("#lakh")).to_have_text("65.2")
    assert service.homes[-1] == {"location": "Whitefield", "total_sqft": 1000, "bhk": 2, "bath": 2}


def test_an_unfinished_home_is_kept_and_not_yet_estimated(page: Page, service: PriceService, language: str) -> None:
    page.locator("#location").fill("Hebbal")
    page.get_by_role("link", name="English").tap()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#location")).to_have_value("Hebbal")
    expect(page.locator("#location-error, #total_sqft-error").first).to_be_hidden()
    assert service.homes == []


def test_without_a_script_the_page_is_in_the_language_too(
    browser: Browser, address: str, service: PriceService, language: str
) -> None:
    context = browser.new_context(java_script_enabled=False, locale=f"{language}-IN")
    page = context.new_page()
    page.goto(address)
    expect(page.locator("h1")).to_have_text(told("What is this home worth?", language))
    page.get_by_role("link", name="English").click()
    expect(page.locator("h1")).to_have_text("What is this home worth?")
    context.close()
