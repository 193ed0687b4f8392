"""`POST /api/explain`: reasons that sum to the estimate, the market of the place, and no record of any of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeprices.keys import key_ring
from inference.backend.api import openapi
from inference.backend.api.explain_routes import NO_MARKET
from tests.support.bundles import make_market, price
from tests.unit.inference.conftest import Backend, Start

HOME: dict[str, Any] = {"total_sqft": 1800, "location": "Whitefield", "bhk": 3, "bath": 2}
PREDICT, EXPLAIN = "/api/predict_home_price", "/api/explain"
STRANGER = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def served(start: Start) -> Backend:
    """A production worker whose bundle has a market."""
    backend = start(HOMEPRICES_VISITOR_KEY="key")
    backend.publish("BO1", market=make_market())
    return backend


def explained(backend: Backend, home: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = backend.client.post(EXPLAIN, json=home, **more)
    assert answer.status_code == 200, answer.text
    document = openapi.document()
    schema = {**document["components"]["schemas"]["Explanation"], "components": document["components"]}
    jsonschema.validate(answer.get_json(), schema)
    found: dict[str, Any] = answer.get_json()
    return found


def test_the_reasons_are_sentences_that_sum_to_the_estimate(served: Backend) -> None:
    found = explained(served, HOME)
    typical = price(1200, "Whitefield", 2)
    assert found["estimated_price"] == served.client.post(PREDICT, json=HOME).get_json()["estimated_price"]
    assert found["typical_home"] == {
        "place": "Whitefield",
        "homes": 7,
        "estimated_price": round(typical, 2),
        "inputs": {"total_sqft": "1,200", "bhk": "2", "bath": "2"},
    }
    assert [reason["sentence"] for reason in found["reasons"]] == [
        "1,800 sq ft, where homes in Whitefield typically have 1,200",
        "3 bedrooms, where homes in Whitefield typically have 2",
    ]
    assert found["other_reasons"] == 0
    total = found["typical_home"]["estimated_price"] + sum(reason["lakh"] for reason in found["reasons"])
    assert round(total, 2) == found["estimated_price"]


def test_areas_are_told_in_whole_square_feet(served: Backend) -> None:
    [reason] = explained(served, {**HOME, "total_sqft": 1302.6, "bhk": 2})["reasons"]
    assert reason["sentence"] == "1,303 sq ft, where homes in Whitefield typically have 1,200"


def test_what_homes_cost_here_and_five_listings_stand_beside_it(served: Backend) -> None:
    found = explained(served, HOME)
    rupees = found["rupees_per_sqft"]
    assert rupees["home"] == round(found["estimated_price"] * 100_000 / 1800)
    assert rupees["place"] == round(make_market().places["Whitefield"].rupees_per_sqft) and rupees["city"] == 7500
    assert (found["comparables"][0]["area"], found["comparables"][0]["bedrooms"]) == (1600, 3)
    assert {one["place"] for one in found["comparables"]} == {"Whitefield"}
    assert len(found["comparables"]) == 5
    assert found["comparables"][0]["alike"] == round((1600 / 1800 + 1 + 2 / 3) / 3, 2)


def test_an_unknown_place_is_compared_with_the_typical_home_of_the_city(served: Backend) -> None:
    found = explained(served, {**HOME, "location": "Atlantis"})
    assert (found["location_known"], found["typical_home"]["place"]) == (False, "Bangalore")
    assert found["typical_home"]["inputs"]["total_sqft"] == "1,100"
    assert found["rupees_per_sqft"]["place"] is None
    assert found["typical_home"]["estimated_price"] == round(price(1100, "other", 2), 2)
    assert len(found["comparables"]) == 5


def test_the_error_of_such_estimates_is_told_with_the_homes_that_it_was_measured_on(served: Backend) -> None:
    assert explained(served, HOME)["accuracy"] == {
        "grade": "A",
        "grade_within_20": 0.71,
        "median_error": 0.124,
        "within_20": 0.71,
        "homes": 130,
        "kind": {"listed": "up_to_9", "bedrooms": None, "price_from": 110.0, "price_to": None},
        "sentence": "Half of such estimates were within 12 % of the listed price, measured on 130 homes that the model "
        "had not seen: homes in places listed up to 9 times, estimated above 110 lakh.",
    }
    unknown = explained(served, {**HOME, "location": "Atlantis"})["accuracy"]
    assert (unknown["grade"], unknown["homes"], unknown["kind"]["listed"]) == ("C", 60, "unknown")
    assert unknown["grade_within_20"] == 0.35


def test_nothing_is_claimed_for_an_unusual_home_or_of_a_model_that_was_not_measured(start: Start) -> None:
    backend = start(HOMEPRICES_VISITOR_KEY="key")
    backend.publish("BO1", market=make_market())
    assert explained(backend, {**HOME, "total_sqft": 90_000})["accuracy"] is None
    backend.publish("BO2", market=make_market().model_copy(update={"accuracy": None}))
    assert explained(backend, HOME)["accuracy"] is None


def test_a_bundle_of_before_is_explained_without_listings_and_says_so(backend: Backend) -> None:
    found = explained(backend, HOME)
    assert (found["notice"], found["comparables"], found["accuracy"]) == (NO_MARKET, [], None)
    assert found["rupees_per_sqft"] == {"home": round(found["estimated_price"] * 100_000 / 1800), "place": None,
                                        "city": None}  # fmt: skip
    assert found["typical_home"]["place"] == "Bangalore" and found["reasons"]


@given(
    home=st.fixed_dictionaries(
        {
            "total_sqft": st.floats(100, 100_000),
            "location": st.sampled_from(["Whitefield", "Rajaji Nagar", "Nowhere"]),
            "bhk": st.integers(1, 50),
            "bath": st.integers(1, 50),
        },
        optional={
            "area_type": st.sampled_from(["Carpet Area", "Plot Area"]),
            "balcony": st.integers(0, 50),
            "availability": st.text(max_size=100),
            "society": st.text(max_size=100),
        },
    )
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_prices_a_home_explains_it_and_both_refuse_the_same(served: Backend, home: dict[str, Any]) -> None:
    predicted, answer = (served.client.post(path, json=home) for path in (PREDICT, EXPLAIN))
    assert answer.status_code == predicted.status_code
    if predicted.status_code != 200:
        assert refusal(answer.get_json()) == refusal(predicted.get_json())
        return
    found = answer.get_json()
    assert found["estimated_price"] == predicted.get_json()["estimated_price"]
    parts = [found["typical_home"]["estimated_price"], found["other_reasons"]]
    assert round(sum(parts) + sum(reason["lakh"] for reason in found["reasons"]), 2) == found["estimated_price"]


def refusal(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "request_id"}


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {}},
        {"json": {**HOME, "bhk": 0}},
        {"json": {**HOME, "total_sqft": "many"}},
        {"json": {**HOME, "garage": 1}},
        {"json": [HOME]},
        {"data": "{", "content_type": "application/json"},
        {"data": json.dumps(HOME), "content_type": "text/plain"},
        {"data": b"x" * (64 * 1024 + 1), "content_type": "application/json"},
        {"data": {**HOME, "bath": "-1"}},
    ],
)
def test_bad_input_is_refused_as_by_a_prediction(served: Backend, sent: dict[str, Any]) -> None:
    predicted, answer = (served.client.post(path, **sent) for path in (PREDICT, EXPLAIN))
    assert 400 <= answer.status_code == predicted.status_code < 500
    assert refusal(answer.get_json()) == refusal(predicted.get_json())


def test_nothing_is_logged_or_counted_as_a_prediction(served: Backend) -> None:
    explained(served, HOME)
    served.client.post(EXPLAIN, json={})
    assert served.log.predictions == []
    assert served.metric("predictions_total") == 0
    assert served.metric("prediction_errors_total", reason="invalid") == 0


def test_a_prediction_reads_nothing_of_the_market(served: Backend) -> None:
    served.client.post(PREDICT, json=HOME)
    model = served.service.live.current()
    assert "market" not in vars(model)
    explained(served, HOME)
    assert "market" in vars(model)


def test_a_candidate_explains_its_own_price_and_an_idle_one_says_that_it_has_none(start: Start) -> None:
    candidate = start(HOMEPRICES_VISITOR_KEY="key", MODEL_PREFIX="candidate_model")
    candidate.service.live.poll()
    assert candidate.client.post(EXPLAIN, json=HOME).status_code == 503
    candidate.publish("CO1", factor=2, market=make_market(factor=2))
    found = explained(candidate, HOME)
    assert found["estimated_price"] == round(price(1800, "Whitefield", 3, 2), 2)
    assert (found["variant"], found["model_version"]) == ("candidate", "CO1")


def test_a_key_needs_the_scope_of_predictions(start: Start) -> None:
    backend = start(HOMEPRICES_VISITOR_KEY="key", HOMEPRICES_API_KEYS="required")
    backend.publish("BO1", market=make_market())
    texts = {}
    for scope in ("predict", "feedback"):
        texts[scope] = key_ring.create(backend.bucket, (scope,), "20/s", timedelta(days=1), "person:me").text
    backend.use_keys()

    def status(key: str | None) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return backend.client.post(EXPLAIN, json=HOME, headers=headers, environ_overrides=STRANGER).status_code

    assert [status(None), status("hp_wrong"), status(texts["feedback"]), status(texts["predict"])] == [
        401, 401, 403, 200,
    ]  # fmt: skip


VISITOR = {"X-Forwarded-For": "203.0.113.9", "X-Visitor-Id": "ab" * 16}
ANOTHER = {**VISITOR, "X-Visitor-Id": "cd" * 16}
NEW = {**VISITOR, "X-Visitor-New": "1"}


def estimated(backend: Backend, headers: dict[str, str]) -> int:
    """The id of an estimate that a visitor got."""
    return int(backend.client.post(PREDICT, json=HOME, headers=headers).get_json()["prediction_id"])


@pytest.mark.parametrize("sent", ["json", "data"])
def test_a_visitor_gets_an_explanation_of_an_own_estimate_that_names_no_variant(served: Backend, sent: str) -> None:
    fields = {**HOME, "prediction_id": estimated(served, VISITOR)}
    answer = served.client.post(EXPLAIN, headers=VISITOR, **{sent: fields})
    assert (answer.status_code, answer.get_json()["estimated_price"] > 0) == (200, True)
    assert not {"variant", "model_version"} & answer.get_json().keys()


@pytest.mark.parametrize("asker", [NEW, ANOTHER])
def test_without_an_exposure_of_the_visitor_nothing_is_explained(served: Backend, asker: dict[str, str]) -> None:
    """Otherwise a visitor could learn the variant first, and then choose not to be counted."""
    number = estimated(served, asker)
    answer = served.client.post(EXPLAIN, json={**HOME, "prediction_id": number}, headers=VISITOR)
    assert answer.status_code == 404
    assert answer.get_json()["error"] == f"no estimate with prediction_id {number} was given to this visitor"
    assert served.client.post(EXPLAIN, json={**HOME, "prediction_id": 99}, headers=VISITOR).status_code == 404
    without_cookie = {"X-Forwarded-For": "203.0.113.9"}
    fields = {**HOME, "prediction_id": number}
    assert served.client.post(EXPLAIN, json=fields, headers=without_cookie).status_code == 404


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "is required: the one of your estimate of this home"),
        ({"prediction_id": None}, "is required: the one of your estimate of this home"),
        ({"prediction_id": "first"}, "must be the prediction_id of an estimate, a whole number"),
        ({"prediction_id": 0}, "must be the prediction_id of an estimate, a whole number"),
        ({"prediction_id": True}, "must be a number, not true or false"),
        ({"prediction_id": [1]}, "must be the prediction_id of an estimate, a whole number"),
    ],
)
def test_a_visitor_who_names_no_estimate_is_told_what_is_missing(
    served: Backend, given: dict[str, Any], says: str
) -> None:
    answer = served.client.post(EXPLAIN, json={**HOME, **given}, headers=VISITOR)
    assert (answer.status_code, answer.get_json()["fields"]) == (422, {"prediction_id": says})


def test_a_model_without_a_price_for_a_coalition_is_an_error_that_names_no_version(start: Start) -> None:
    backend = start(HOMEPRICES_VISITOR_KEY="key")
    market = make_market()
    typical = {**market.places["Whitefield"].typical}
    del typical["total_sqft"]
    places = {**market.places, "Whitefield": market.places["Whitefield"].model_copy(update={"typical": typical})}
    backend.publish("BO1", market=market.model_copy(update={"places": places}))
    fields = {**HOME, "prediction_id": estimated(backend, VISITOR)}
    answer = backend.client.post(EXPLAIN, json=fields, headers=VISITOR)
    assert answer.status_code == 500 and "BO1" not in answer.text
    assert answer.get_json()["error"] == "the model has no price for this home"


def test_only_the_largest_reasons_are_named_and_the_others_are_one_number(
    served: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.backend.api.explain_routes.MOST_REASONS", 1)
    found = explained(served, HOME)
    [reason] = found["reasons"]
    assert reason["input"] == "total_sqft" and found["other_reasons"] > 0
    parts = found["typical_home"]["estimated_price"] + reason["lakh"] + found["other_reasons"]
    assert round(parts, 2) == found["estimated_price"]


def test_a_home_in_another_place_than_stated_is_not_explained(served: Backend) -> None:
    stated = {"X-Experiment-Place": "indira%20nagar"}
    assert served.client.post(EXPLAIN, json={**HOME, "location": "Indira  Nagar"}, headers=stated).status_code == 200
    refused = served.client.post(EXPLAIN, json=HOME, headers=stated)
    assert (refused.status_code, list(refused.get_json()["fields"])) == (422, ["location"])
