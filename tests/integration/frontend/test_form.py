"""The web form as a visitor meets it."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.stub_inference import PriceService, problem


def describe(page: Page, location: str = "Whitefield", area: str = "1200") -> None:
    page.locator("#location").fill(location)
    page.locator("#total_sqft").fill(area)


def suggestions(page: Page) -> Locator:
    return page.get_by_role("listbox").get_by_role("option")


def estimate(page: Page) -> None:
    page.get_by_role("button", name="Estimate the price").click()


def estimated(page: Page) -> None:
    describe(page)
    estimate(page)
    expect(page.get_by_role("heading", name="How close is it?")).to_be_visible()


def test_a_home_becomes_an_estimate_in_lakh_and_in_rupees_with_its_range(page: Page, service: PriceService) -> None:
    estimated(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#rupees")).to_have_text("₹78,24,000")
    expect(page.locator("#per-sqft")).to_have_text("₹6,520 per sq ft")
    expect(page.locator("#range-text")).to_have_text(
        "90 % of such homes are listed between ₹56.3 lakh and ₹1.12 crore."
    )
    expect(page.locator("#made-by")).to_have_text("Model BO1, answered in 2 ms")
    expect(page.locator("#notice")).to_be_hidden()
    assert service.homes == [{"location": "Whitefield", "total_sqft": 1200, "bhk": 2, "bath": 2}]


def test_a_visitor_to_whom_no_model_is_named_reads_of_none(page: Page, service: PriceService) -> None:
    service.blinded = True
    estimated(page)
    expect(page.locator("#made-by")).to_have_text("Answered in 2 ms")


def test_more_can_be_said_about_the_home(page: Page, service: PriceService) -> None:
    describe(page)
    page.get_by_text("More about the home").click()
    page.get_by_label("Area is measured as").select_option("Carpet area")
    page.get_by_label("Balconies").fill("1")
    page.get_by_label("Availability").select_option("Ready to move in")
    page.get_by_label("Society").fill("Prestige")
    estimate(page)
    expect(page.locator("#estimate")).to_be_visible()
    optional = {"area_type": "Carpet Area", "balcony": 1, "availability": "Ready To Move", "society": "Prestige"}
    assert {name: service.homes[0][name] for name in optional} == optional


def test_the_whole_form_works_by_keyboard_alone(page: Page, service: PriceService) -> None:
    keys = page.keyboard
    page.locator("#location").focus()
    keys.type("elec")
    expect(suggestions(page)).to_have_count(3)
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(page.locator("#location")).to_have_value("Electronic City Phase II")
    expect(page.locator("#location")).to_have_attribute("aria-expanded", "false")
    keys.press("Tab")
    keys.type("1500")
    keys.press("Tab")
    keys.press("ArrowUp")  # 3 BHK
    keys.press("Tab")
    keys.press("Enter")
    expect(page.locator("#estimate-title")).to_be_focused()
    keys.press("Tab")
    keys.press("ArrowRight")  # no star is chosen yet: the first of the radio group has the focus
    keys.press("ArrowRight")
    expect(page.get_by_role("radio", name="3 stars")).to_be_checked()
    keys.press("Tab")
    keys.press("Space")
    for word in ("75.5", "near the metro"):
        keys.press("Tab")
        keys.type(word)
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Thank you")).to_be_focused()
    assert service.homes[0] == {"location": "Electronic City Phase II", "total_sqft": 1500, "bhk": 3, "bath": 2}
    assert [remark["feedback_type"] for remark in service.remarks] == ["rating", "too_low", "actual_price"]


def test_locations_that_begin_with_the_letters_come_first(page: Page) -> None:
    page.get_by_role("combobox", name="Location").press_sequentially("sar")
    expect(suggestions(page)).to_have_text(["Sarjapur", "Sarjapur Road"])
    expect(page.get_by_role("status").first).to_have_text("2 matching locations")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()


def test_a_suggestion_can_be_taken_by_touch_or_mouse(page: Page) -> None:
    page.get_by_role("combobox", name="Location").press_sequentially("white")
    suggestions(page).get_by_text("Whitefield").click()
    expect(page.locator("#location")).to_have_value("Whitefield")
    expect(page.get_by_role("listbox")).to_be_hidden()


def test_an_unlisted_location_is_priced_and_the_answer_says_so(page: Page) -> None:
    describe(page, location="Nowhere")
    estimate(page)
    expect(page.locator("#notice")).to_contain_text("it was priced as other")


def test_what_is_missing_or_out_of_range_is_said_beside_its_field(page: Page, service: PriceService) -> None:
    page.locator("#total_sqft").fill("12")
    page.locator("#bhk").fill("")
    estimate(page)
    expect(page.locator("#location-error")).to_have_text("Name a location")
    expect(page.locator("#total_sqft-error")).to_have_text("Enter an area from 100 to 100,000 square feet")
    expect(page.locator("#bhk-error")).to_have_text("Enter the bedrooms")
    expect(page.locator("#location")).to_be_focused()
    expect(page.locator("#location")).to_have_attribute("aria-invalid", "true")
    assert service.homes == []
    page.locator("#location").fill("Hebbal")
    expect(page.locator("#location-error")).to_be_hidden()


def test_the_services_own_objection_appears_at_the_field_even_behind_the_disclosure(
    page: Page, service: PriceService
) -> None:
    service.refusal = problem(422, "society: too odd", fields={"society": "is too odd", "body": "is unknown"})
    describe(page)
    estimate(page)
    expect(page.locator("#society-error")).to_have_text("Is too odd")
    expect(page.locator("#society")).to_be_focused()
    expect(page.locator("#home-alert")).to_have_text("body: is unknown")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, "That was a lot at once. Please wait a moment and try again."),
        (503, "No answer at the moment. Please try again in 5 seconds."),
        (500, "No answer at the moment. Please try again."),
        (413, "the body is larger than 64 KiB"),
    ],
)
def test_a_failure_is_said_in_words_and_the_next_try_may_succeed(
    page: Page, service: PriceService, status: int, words: str
) -> None:
    service.refusal = problem(status, "the body is larger than 64 KiB")
    describe(page)
    estimate(page)
    expect(page.locator("#home-alert")).to_have_text(words)
    service.refusal = None
    estimate(page)
    expect(page.locator("#estimate")).to_be_visible()
    expect(page.locator("#home-alert")).to_be_hidden()


def test_a_visitor_who_is_offline_is_told_so(page: Page) -> None:
    describe(page)
    page.route("**/api/predict_home_price", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        estimate(page)
    expect(page.locator("#home-alert")).to_have_text("The price service cannot be reached. Are you online?")
    page.unroute_all()


def test_a_second_press_while_it_works_asks_no_second_time(page: Page, service: PriceService) -> None:
    service.gate = threading.Event()
    describe(page)
    estimate(page)
    button = page.get_by_role("button", name="Estimating…")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    service.gate.set()
    expect(page.locator("#estimate")).to_be_visible()
    assert len(service.homes) == 1


def test_every_kind_of_feedback_arrives_with_the_estimate_it_is_about(page: Page, service: PriceService) -> None:
    estimated(page)
    page.get_by_role("radio", name="4 stars").check(force=True)
    page.get_by_role("radio", name="Too high").check(force=True)
    page.get_by_label("Actual price").fill("71.5")
    page.get_by_label("Comment").fill("The lift is old")
    page.get_by_role("button", name="Send feedback").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert service.remarks == [
        {"prediction_id": 1, "feedback_type": "rating", "feedback_value": 4, "feedback_text": "The lift is old"},
        {"prediction_id": 1, "feedback_type": "too_high"},
        {"prediction_id": 1, "feedback_type": "actual_price", "feedback_value": 71.5},
    ]


def test_feedback_that_says_nothing_is_not_sent(page: Page, service: PriceService) -> None:
    estimated(page)
    page.get_by_label("Comment").fill("hm")
    page.get_by_role("button", name="Send feedback").click()
    expect(page.locator("#rating-error")).to_have_text("Choose stars, or say below how the estimate compares")
    assert service.remarks == []


def test_an_objection_to_the_actual_price_appears_there(page: Page, service: PriceService) -> None:
    estimated(page)
    service.refusal = problem(422, "no", fields={"feedback_value": "must be a price", "feedback_text": "is too long"})
    page.get_by_label("Actual price").fill("71.5")
    page.get_by_role("button", name="Send feedback").click()
    expect(page.locator("#actual_price-error")).to_have_text("Must be a price")
    expect(page.locator("#comment-error")).to_have_text("Is too long")


def test_an_estimate_that_could_not_be_recorded_cannot_be_rated(page: Page, service: PriceService) -> None:
    service.recorded = False
    describe(page)
    estimate(page)
    expect(page.locator("#estimate")).to_be_visible()
    expect(page.locator("#feedback")).to_be_hidden()


def test_another_home_can_be_priced_after_the_thanks(page: Page) -> None:
    estimated(page)
    page.get_by_role("radio", name="Accurate").check(force=True)
    page.get_by_role("button", name="Send feedback").click()
    page.get_by_role("button", name="Price another home").click()
    expect(page.locator("#location")).to_be_focused()
    expect(page.locator("#estimate")).to_be_hidden()
    estimated(page)
    expect(page.get_by_role("radio", name="Accurate")).not_to_be_checked()


def test_the_buttons_beside_a_number_change_it_within_its_limits(page: Page) -> None:
    bhk = page.locator("#bhk")
    less, more = page.locator(".stepper:has(#bhk) button").all()
    for _ in range(3):
        less.click()
    expect(bhk).to_have_value("1")
    more.click()
    expect(bhk).to_have_value("2")


def test_names_from_the_service_are_shown_as_text_never_as_markup(page: Page) -> None:
    page.route(
        "**/api/get_location_names",
        lambda route: route.fulfill(json={"locations": ["<img src=x onerror=alert(1)>"], "model_version": "BO1"}),
    )
    page.reload()
    page.get_by_role("combobox", name="Location").press_sequentially("img")
    expect(suggestions(page)).to_have_text(["<img src=x onerror=alert(1)>"])
    assert page.locator("#location-list img").count() == 0


@pytest.mark.parametrize("width", [320, 360, 768, 1180])
def test_nothing_sticks_out_at_any_width(browser: Browser, address: str, service: PriceService, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 780}, reduced_motion="reduce", has_touch=True)
    page = context.new_page()
    page.goto(address)
    page.get_by_text("More about the home").tap()
    describe(page, location="A place with a rather long name, as some of them are in the listings of this city")
    estimate(page)
    expect(page.locator("#feedback")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.locator("button:visible, select:visible, .choices label").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().height < 40).map(one => one.outerHTML)"
    )
    assert small == [], "too small for a finger"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, address: str, service: PriceService, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    names = ["paper", "card", "ink", "muted", "accent", "on-accent", "error", "edge", "star"]
    read = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
    colors = {name: page.evaluate(read, name) for name in names}
    for text, ground in [
        ("ink", "paper"),
        ("muted", "paper"),
        ("muted", "card"),
        ("accent", "card"),
        ("error", "card"),
    ]:
        assert contrast(colors[text], colors[ground]) >= 4.5, f"{text} on {ground} (WCAG 1.4.3)"
    assert contrast(colors["on-accent"], colors["accent"]) >= 4.5
    for mark in ("edge", "star"):
        assert contrast(colors[mark], colors["card"]) >= 3, f"{mark} (WCAG 1.4.11)"
    context.close()


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours written as #rrggbb."""

    def luminance(color: str) -> float:
        channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
