"""The web form as a visitor meets it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from homeprices.names import PLACE_HEADER
from homeprices.pricing.features import place_header
from inference.translations import catalogue
from router.frontend import STATIC
from tests.support.browser import accessibility_violations, frontend
from tests.support.bundles import price
from tests.support.stub_inference import EXPLANATION, PriceService, problem


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
    expect(page.locator("#price-unit")).to_have_text("lakh rupees")
    expect(page.locator("#rupees")).to_have_text("₹78,24,000")
    expect(page.locator("#per-sqft")).to_have_text("₹6,520 per sq ft")
    expect(page.locator("#range-text")).to_have_text(
        "90 % of such homes are listed between ₹56.3 lakh and ₹1.12 crore."
    )
    expect(page.locator("#made-by")).to_have_text("Model BO1, answered in 2 ms")
    expect(page.locator("#notice")).to_be_hidden()
    assert service.homes == [{"location": "Whitefield", "total_sqft": 1200, "bhk": 2, "bath": 2}]


def test_every_request_about_a_home_states_its_place_as_the_router_compares_it(
    page: Page, service: PriceService
) -> None:
    estimated(page)
    page.get_by_role("radio", name="Accurate").check(force=True)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    posts = [headers for headers in service.headers if "Content-Length" in headers]
    assert {headers.get(PLACE_HEADER) for headers in posts} == {"whitefield"}
    assert len(posts) >= 3, "an estimate, its reasons, and feedback"
    names = [
        "Electronic City",
        "  J.P.  Nagar (7th Phase) ",
        "Rock'n Roll*",
        "ಬೆಂಗಳೂರು",
        "Sarjapura - Attibele Road",
        "~!",
    ]
    service.forget()
    page.evaluate(
        "async (names) => { const { predict } = await import('/api.js');"
        " for (const location of names) await predict({ location }).catch(() => null); }",
        names,
    )
    assert [headers[PLACE_HEADER] for headers in service.headers] == [place_header(name) for name in names]


def test_the_page_says_what_the_model_has_learned_from(page: Page) -> None:
    expect(page.locator("footer")).to_contain_text("Learned from synthetic listings, imported on 2026-11-29.")


def test_a_visitor_to_whom_no_model_is_named_reads_of_none(page: Page, service: PriceService) -> None:
    service.blinded = True
    estimated(page)
    expect(page.locator("#made-by")).to_have_text("Answered in 2 ms")


def test_the_price_has_its_reasons_a_plot_and_listings_beside_it(page: Page, service: PriceService) -> None:
    estimated(page)
    why = page.get_by_role("region", name="Why this price")
    expect(why).to_contain_text("A typical home in Whitefield is estimated at ₹71.5 lakh.")
    expect(why.get_by_role("listitem")).to_have_text(
        [
            "+₹7.9 lakh1,200 sq ft, where homes in Whitefield typically have 1,100",
            "−₹1.4 lakh2 bathrooms, where homes in Whitefield typically have 3",
            "+₹0.2 lakheverything else together",
        ]
    )
    bars = why.locator("#each tr")
    expect(bars).to_have_text(["This home₹6,520", "Whitefield₹6,100", "Bangalore₹5,400"])
    widths = [bars.nth(n).locator("i").bounding_box() for n in range(3)]
    assert [round(box["width"] / widths[0]["width"], 2) for box in widths if box and widths[0]] == [1, 0.94, 0.83]
    expect(why.locator("#alike tr")).to_have_count(4)
    expect(why.locator("#alike tr").first).to_have_text("Whitefield1,2002₹6,40098 %")
    assert service.explained == [{**service.homes[0], "prediction_id": 1}]
    page.locator("#bhk").fill("3")
    expect(page.locator("#why")).to_have_class("card old")


def test_the_price_says_how_close_such_estimates_were(page: Page, service: PriceService) -> None:
    estimated(page)
    expect(page.locator("#trust-text")).to_have_text("Half of such estimates were within 16 % of the listed price.")
    expect(page.locator("#grade")).to_have_text("B")
    expect(page.locator("#trust-basis")).to_have_text(
        "Confidence B: of the estimates with this grade, 59 % were within 20 %. Measured on 1,402 homes that the model "
        "had not seen: places listed 50 times and more, 2 BHK, estimated at ₹61.2 lakh to ₹1.02 crore."
    )
    kinds = {
        "homes of every kind": (None, None, None, None),
        "places that the model does not know, estimated up to ₹61.2 lakh": ("unknown", None, None, 61.2),
        "places listed 10 to 49 times, 5 or more BHK, estimated above ₹1.02 crore": ("10_to_49", 5, 101.9, None),
    }
    for words, kind in kinds.items():
        members = dict(zip(("listed", "bedrooms", "price_from", "price_to"), kind, strict=True))
        service.explanation = [(200, {**EXPLANATION, "accuracy": {**EXPLANATION["accuracy"], "kind": members}})]
        estimate(page)
        expect(page.locator("#trust-basis")).to_contain_text(f"had not seen: {words}.")


@pytest.mark.parametrize("explanation", [{**EXPLANATION, "accuracy": None}, {**EXPLANATION, "estimated_price": 1.0}])
def test_no_closeness_is_claimed_that_was_not_measured_for_this_price(
    page: Page, service: PriceService, explanation: dict[str, object]
) -> None:
    estimated(page)
    expect(page.locator("#trust")).to_be_visible()
    service.explanation = [(200, explanation)]
    with page.expect_response("**/api/explain"):
        estimate(page)
    expect(page.locator("#trust")).to_be_hidden()


def test_an_estimate_that_is_not_stored_yet_is_asked_about_again(page: Page, service: PriceService) -> None:
    service.explanation.insert(0, problem(404, "no estimate with prediction_id 1 was given to this visitor"))
    estimated(page)
    expect(page.locator("#why")).to_be_visible()
    assert len(service.explained) == 2


@pytest.mark.parametrize("status", [404, 422, 429, 500, 503])
def test_a_price_stays_without_its_reasons(page: Page, service: PriceService, status: int) -> None:
    service.explanation = [problem(status, "no")]
    with page.expect_response(lambda answer: answer.url.endswith("/api/explain") and answer.status == status):
        estimated(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#why")).to_be_hidden()
    expect(page.locator("#home-alert")).to_be_hidden()


def test_the_reasons_of_an_earlier_home_do_not_stand_beside_a_later_one(page: Page, service: PriceService) -> None:
    estimated(page)
    expect(page.locator("#why")).to_be_visible()
    service.explanation = [problem(503, "no")]
    describe(page, area="1500")
    with page.expect_response("**/api/explain"):
        estimate(page)
    expect(page.locator("#lakh")).to_have_text("97.8")
    expect(page.locator("#why")).to_be_hidden()


def test_reasons_of_another_price_are_not_shown(page: Page, service: PriceService) -> None:
    """The candidate's price, explained by production because the candidate failed in between."""
    service.explanation = [(200, {**EXPLANATION, "estimated_price": 78.25})]
    with page.expect_response("**/api/explain"):
        estimated(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#why")).to_be_hidden()


def test_a_bundle_of_before_has_no_listings_and_says_so(page: Page, service: PriceService) -> None:
    city: dict[str, Any] = {"place": "Bangalore", "homes": None, "estimated_price": 60.0, "inputs": {}}
    rupees = {"home": 6520, "place": None, "city": None}
    before = {"typical_home": city, "rupees_per_sqft": rupees, "comparables": [], "notice": "it was trained before"}
    service.explanation = [(200, {**EXPLANATION, **before})]
    estimated(page)
    expect(page.locator("#why-notice")).to_have_text("Note: it was trained before.")
    expect(page.locator("#listings")).to_be_hidden()
    expect(page.locator("#each tr")).to_have_text(["This home₹6,520"])


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
    keys.press("Tab")  # the unit
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
    for word in ("105.5", "near the metro"):
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
    expect(page.locator("#notice")).to_have_text(
        "Nowhere is not among the locations that this model knows; it was priced as other."
    )


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


def test_a_price_from_a_hundred_lakh_on_is_in_crore(page: Page) -> None:
    describe(page, area="2000")
    estimate(page)
    expect(page.locator(".price")).to_have_text("1.30 crore rupees")


def test_an_old_price_is_dimmed_as_long_as_the_home_is_another_one(page: Page) -> None:
    estimated(page)
    expect(page.locator("#changed")).to_be_hidden()
    page.locator("#bhk").fill("3")
    expect(page.locator("#changed")).to_have_text("You have changed the home since. Estimate it again.")
    expect(page.locator("#estimate > div")).to_have_css("opacity", "0.35")
    page.locator("#bhk").fill("2")
    expect(page.locator("#changed")).to_be_hidden()
    page.locator(".stepper:has(#bath) button").last.click()
    expect(page.locator("#changed")).to_be_visible()
    estimate(page)
    expect(page.locator("#changed")).to_be_hidden()
    expect(page.locator("#estimate > div")).to_have_css("opacity", "1")


def test_a_failed_request_leaves_no_older_price_and_no_question_about_it(page: Page, service: PriceService) -> None:
    estimated(page)
    service.refusal = problem(503, "no model")
    estimate(page)
    expect(page.locator("#home-alert")).to_contain_text("No answer at the moment")
    expect(page.locator("#estimate")).to_be_hidden()
    expect(page.locator("#feedback")).to_be_hidden()
    expect(page.locator("#waiting")).to_be_visible()


@pytest.mark.parametrize("typed", ["indiranagar", "INDIRA-NAGAR", "  indira   nagar "])
def test_a_listed_location_is_found_in_another_spelling(page: Page, service: PriceService, typed: str) -> None:
    page.get_by_role("combobox", name="Location").press_sequentially(typed)
    expect(suggestions(page)).to_have_text(["Indira Nagar"])
    page.locator("#total_sqft").fill("1200")
    estimate(page)
    expect(page.locator("#estimate")).to_be_visible()
    expect(page.locator("#location")).to_have_value("Indira Nagar")
    expect(page.locator("#notice")).to_be_hidden()
    assert service.homes[-1]["location"] == "Indira Nagar"


def test_a_visitor_who_types_before_the_names_arrive_gets_suggestions_then(
    browser: Browser, address: str, service: PriceService
) -> None:
    page, gate = browser.new_page(), list[Route]()
    page.route("**/api/get_location_names", lambda route: gate.append(route))
    page.goto(address)
    page.get_by_role("combobox", name="Location").press_sequentially("whitefeild")
    expect(suggestions(page)).to_have_count(0)
    gate[0].continue_()
    expect(suggestions(page)).to_have_text(["Whitefield"])
    page.close()


def test_where_no_name_holds_the_letters_those_are_offered_that_begin_like_them(page: Page) -> None:
    page.get_by_role("combobox", name="Location").press_sequentially("whitefeild")
    expect(suggestions(page)).to_have_text(["Whitefield"])
    page.locator("#location").fill("xyzzy")
    expect(page.get_by_role("listbox")).to_be_hidden()


def test_a_misspelt_location_is_asked_about_and_priced_again_by_one_press(page: Page, service: PriceService) -> None:
    describe(page, location="Whitefeild")
    estimate(page)
    expect(page.locator("#suggestion")).to_have_text("Did you mean Whitefield?")
    page.get_by_role("button", name="Whitefield", exact=True).click()
    expect(page.locator("#suggestion")).to_be_hidden()
    expect(page.locator("#location")).to_have_value("Whitefield")
    assert [home["location"] for home in service.homes] == ["Whitefeild", "Whitefield"]


@pytest.mark.parametrize(
    ("unit", "typed", "sent"), [("sq m", "100", 1076.39), ("sq yd", "100", 900), ("sq ft", "900", 900)]
)
def test_an_area_can_be_typed_in_another_unit(
    page: Page, service: PriceService, unit: str, typed: str, sent: float
) -> None:
    describe(page, area=typed)
    page.get_by_label("Unit of the area").select_option(unit)
    estimate(page)
    expect(page.locator("#per-sqft")).to_have_text("₹6,520 per sq ft")
    assert service.homes[0]["total_sqft"] == sent


def test_the_limits_of_an_area_are_said_in_its_unit(page: Page, service: PriceService) -> None:
    page.get_by_label("Unit of the area").select_option("sq m")
    describe(page, area="9")
    estimate(page)
    expect(page.locator("#total_sqft-error")).to_have_text("Enter an area from 10 to 9,290 sq m")
    page.get_by_label("Unit of the area").select_option("sq ft")
    estimate(page)
    expect(page.locator("#total_sqft-error")).to_have_text("Enter an area from 100 to 100,000 square feet")
    assert service.homes == []


def test_no_share_is_claimed_for_a_home_that_cannot_be(page: Page) -> None:
    describe(page, area="300")
    page.locator("#bhk").fill("9")
    page.locator("#bath").fill("9")
    estimate(page)
    expect(page.locator("#notice")).to_have_text(
        "An unusual home. 300 square feet with 9 bedrooms: homes have 100 to 10,000 each. The estimate is a guess."
    )
    expect(page.locator("#range-text")).to_have_text("How often such a home is listed within this range is not known.")


def test_only_inputs_that_the_model_uses_are_offered_for_a_closer_estimate(page: Page, service: PriceService) -> None:
    page.get_by_text("More about the home").click()
    expect(page.get_by_label("Society")).to_be_visible()
    service.inputs = ["total_sqft", "location", "bhk", "bath", "balcony"]
    page.reload()
    page.get_by_text("More about the home").click()
    expect(page.get_by_label("Balconies")).to_be_visible()
    expect(page.get_by_label("Society")).to_be_hidden()
    service.inputs = ["total_sqft", "location", "bhk", "bath"]
    page.reload()
    expect(page.get_by_text("More about the home")).to_be_hidden()


def test_an_estimate_can_be_shared_reloaded_and_gone_back_to(page: Page, service: PriceService, address: str) -> None:
    describe(page, location="indiranagar")
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    assert page.url == f"{address}/?location=Indira+Nagar&total_sqft=1200&bhk=2&bath=2"
    page.reload()
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#location")).to_have_value("Indira Nagar")
    page.locator("#total_sqft").fill("1000")
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("65.2")
    page.go_back()
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#total_sqft")).to_have_value("1200")
    page.goto(f"{address}/?location=Hebbal&total_sqft=1200&bhk=2&bath=2&balcony=1&society=Prestige&other=x")
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.get_by_label("Society")).to_have_value("Prestige")
    assert service.homes[-1] == {
        "location": "Hebbal", "total_sqft": 1200, "bhk": 2, "bath": 2, "balcony": 1, "society": "Prestige",
    }  # fmt: skip


def test_an_address_that_holds_no_home_is_refused_like_a_form(page: Page, service: PriceService, address: str) -> None:
    page.goto(f"{address}/?location=%3Cimg%20src%3Dx%3E&total_sqft=12&bhk=no&bath=2")
    expect(page.locator("#total_sqft-error")).to_have_text("Enter an area from 100 to 100,000 square feet")
    expect(page.locator("#location")).to_have_value("<img src=x>")
    assert service.homes == []


def test_a_price_in_crore_is_asked_about(page: Page, service: PriceService) -> None:
    estimated(page)
    page.get_by_label("Actual price").fill("1.2")
    send = page.get_by_role("button", name="Send feedback")
    send.click()
    expect(page.locator("#actual_price-error")).to_contain_text("Did you mean crore?")
    assert service.remarks == []
    page.get_by_role("button", name="Yes, ₹1.20 crore").click()
    expect(page.get_by_label("Actual price")).to_have_value("120")
    send.click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert [remark["feedback_value"] for remark in service.remarks] == [120]


@pytest.mark.parametrize(
    ("stars", "verdict", "price", "question"),
    [
        ("", "", "500", "₹5.00 crore is far from the estimate of ₹78.2 lakh."),
        ("", "Too low", "60", "The price, ₹60.0 lakh, says that the estimate of ₹78.2 lakh is not too low."),
        ("", "Too high", "90", "The price, ₹90.0 lakh, says that the estimate of ₹78.2 lakh is not too high."),
        ("", "Accurate", "100", "The estimate is ₹78.2 lakh and the price ₹1.00 crore: is that accurate?"),
        ("5 stars", "Too low", "", "5 stars and “too low” contradict each other."),
        ("1 star", "Accurate", "", "1 star and “accurate” contradict each other."),
    ],
)
def test_feedback_that_contradicts_itself_is_asked_about_once(
    page: Page, service: PriceService, stars: str, verdict: str, price: str, question: str
) -> None:
    estimated(page)
    for name in filter(None, (stars, verdict)):
        page.get_by_role("radio", name=name).check(force=True)
    page.get_by_label("Actual price").fill(price)
    send = page.get_by_role("button", name="Send feedback")
    send.click()
    shown = page.locator("#feedback .error:visible")
    expect(shown).to_have_text(f"{question} If you mean it, send it again.")
    assert service.remarks == []
    send.click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert len(service.remarks) == len([one for one in (stars, verdict, price) if one])


def test_without_a_script_the_estimate_comes_on_a_page_and_the_browser_tells_mistakes(
    browser: Browser, real_service: str, tmp_path: Path
) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    with frontend(real_service, tmp_path) as address:
        page.goto(f"{address}/?lang=en")
        expect(page.get_by_label("Unit of the area")).to_be_hidden()
        page.locator("#location").fill("Whitefield")
        page.locator("#total_sqft").fill("12")
        send = page.get_by_role("button", name="Estimate the price")
        send.click()
        assert page.url == f"{address}/?lang=en", "the browser does not send an area of 12"
        page.locator("#total_sqft").fill("1200")
        send.click()
        expect(page.get_by_role("heading", name="Estimated price")).to_be_visible()
        expect(page.locator(".price")).to_have_text(f"{price(1200, 'Whitefield', 2):.1f} lakh rupees")
        expect(page.locator(".card")).to_have_css("border-top-width", "1px")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("link", name="Price another home").click()
        assert page.url == f"{address}/?lang=en"
        page.goto(f"{address}/?lang=kn")
        page.locator("#location").fill("Whitefield")
        page.locator("#total_sqft").fill("1200")
        page.locator("#home button.main").click()
        expect(page.locator("html")).to_have_attribute("lang", "kn")
        expect(page.locator("h1")).to_have_text(catalogue()["Estimated price"]["kn"])
        page.goto(f"{address}/nothing?lang=hi")
        expect(page.locator("h1")).to_have_text(catalogue()["There is nothing at this address"]["hi"])
        expect(page.locator(".card")).to_have_css("border-top-width", "1px")
    context.close()


def test_on_a_slow_network_the_form_can_be_filled_in_before_its_script_arrives(
    browser: Browser, address: str, service: PriceService
) -> None:
    page, held = browser.new_page(), list[Route]()
    page.route("**/*.js", lambda route: held.append(route))
    page.goto(address, wait_until="commit")
    expect(page.get_by_role("heading", name="What is this home worth?")).to_be_visible()
    describe(page)
    page.locator("#bhk").fill("3")
    asked = {urlsplit(route.request.url).path.strip("/") for route in held}
    assert asked == {file.name for file in STATIC.glob("*.js")}, "no script waits for another one"
    for route in held:
        route.continue_()
    expect(page.get_by_label("Unit of the area")).to_be_visible()
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    assert service.homes == [{"location": "Whitefield", "total_sqft": 1200, "bhk": 3, "bath": 2}]
    page.close()


def test_an_answer_that_takes_too_long_is_given_up_and_can_be_asked_for_again(
    browser: Browser, address: str, service: PriceService
) -> None:
    page = browser.new_page()
    page.add_init_script("const real = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = () => real(500);")
    page.goto(address)
    service.gate = threading.Event()
    describe(page)
    estimate(page)
    expect(page.locator("#home-alert")).to_have_text("This took too long. Please try again.")
    service.gate.set()
    service.gate = None
    page.evaluate("AbortSignal.timeout = () => new AbortController().signal")
    estimate(page)
    expect(page.locator("#lakh")).to_have_text("78.2")
    expect(page.locator("#home-alert")).to_be_hidden()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_there_is_the_home_its_price_and_why_and_nothing_to_press(page: Page, scheme: str) -> None:
    estimated(page)
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type]
    for shown in (".price", "#location", "#range-text", "#trust-text", "#reasons", "#each", "#alike"):
        expect(page.locator(shown)).to_be_visible()
    assert page.locator("button:visible, a:visible").count() == 0
    expect(page.locator("#feedback")).to_be_hidden()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator("body")).to_have_css("color", "rgb(0, 0, 0)")
    expect(page.locator("#each i").first).to_have_css("print-color-adjust", "exact")
    assert page.pdf(format="A4").count(b"/Type /Page\n") <= 2


def test_with_forced_colours_nothing_is_told_by_an_authors_colour_alone(
    browser: Browser, address: str, service: PriceService
) -> None:
    context = browser.new_context(forced_colors="active", reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    estimated(page)
    expect(page.locator("#why")).to_be_visible()
    ground, ink = (page.evaluate(SYSTEM_COLOR, name) for name in ("Canvas", "CanvasText"))
    assert ground != ink
    for bar in page.locator("#each i").all():
        expect(bar).to_have_css("background-color", ink)
    expect(page.locator(".track b")).to_have_css("background-color", ink)
    for edge in (".main", "#grade", ".track", ".stepper input", ".choices label"):
        expect(page.locator(edge).first).not_to_have_css("border-top-width", "0px")
    page.get_by_role("radio", name="3 stars").check(force=True)
    page.get_by_role("radio", name="Too low").check(force=True)
    star = "all => all.map(one => getComputedStyle(one).color)"
    colors = page.locator(".stars svg").evaluate_all(star)
    assert colors[0] == colors[2] != colors[3] == colors[4]
    fills = page.locator(".stars use").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert [fill == "none" for fill in fills] == [False] * 3 + [True] * 2
    fills = page.locator(".stars use").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert [fill == "none" for fill in fills] == [False] * 3 + [True] * 2
    expect(page.locator(".choices label").first).to_have_css("outline-style", "solid")
    expect(page.locator(".choices label").last).to_have_css("outline-style", "none")
    page.locator("#bhk").fill("3")
    for dimmed in ("#estimate > div", "#reasons"):
        expect(page.locator(dimmed).first).to_have_css("opacity", "1")
        expect(page.locator(dimmed).first).to_have_css("color", page.evaluate(SYSTEM_COLOR, "GrayText"))
    context.close()


SYSTEM_COLOR = """name => {
  const probe = document.body.appendChild(document.createElement("p"));
  probe.style.color = name;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}"""


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
    estimated(page)
    expect(page.locator("#why")).to_be_visible()
    assert accessibility_violations(page) == []
    context.close()


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours written as #rrggbb."""

    def luminance(color: str) -> float:
        channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
