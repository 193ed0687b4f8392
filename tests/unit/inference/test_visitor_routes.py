from typing import Any

import pytest

from homeprices.predictions.identifiers import VisitorHash
from tests.support.bundles import LOCATION_LEVELS, LOWER_FACTOR, UPPER_FACTOR, price
from tests.unit.inference.conftest import Backend, Start

HOME: dict[str, Any] = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
PATH = "/api/predict_home_price"
FROM_ROUTER = {
    "X-Visitor-Id": "visitor-1",
    "X-Assigned-Variant": "production",
    "X-Experiment-Epoch": "3",
    "X-Request-ID": "trace-1234",
}


def test_a_home_gets_an_estimate_with_its_interval_id_variant_and_version(backend: Backend) -> None:
    answer = backend.client.post(PATH, json=HOME)
    expected = price(1200, "Whitefield", 2)
    assert answer.status_code == 200
    found = dict(answer.get_json())
    assert found.pop("response_time_ms") > 0
    assert found == {
        "estimated_price": pytest.approx(expected, abs=0.01),
        "prediction_id": 1,
        "interval": {
            "low": pytest.approx(expected * LOWER_FACTOR, abs=0.01),
            "high": pytest.approx(expected * UPPER_FACTOR, abs=0.01),
            "coverage": 0.9,
        },
        "variant": "production",
        "model_version": "BO1",
        "location_known": True,
    }
    assert (answer.headers["X-Variant"], answer.headers["X-Model-Version"]) == ("production", "BO1")


def test_a_form_gets_the_same_estimate_as_json(backend: Backend) -> None:
    as_json = backend.client.post(PATH, json=HOME).json
    as_form = backend.client.post(PATH, data={name: f" {value} " for name, value in HOME.items()}).json
    as_upload = backend.client.post(PATH, data=HOME, content_type="multipart/form-data").json
    assert as_json and as_form and as_upload
    assert as_json["estimated_price"] == as_form["estimated_price"] == as_upload["estimated_price"]


def test_an_unknown_location_is_priced_as_other_and_the_response_has_a_notice(backend: Backend) -> None:
    answer = backend.client.post(PATH, json={**HOME, "location": "Atlantis"}).json
    assert answer
    assert answer["estimated_price"] == pytest.approx(price(1200, "other", 2), abs=0.01)
    assert (answer["location_known"], "Atlantis" in answer["notice"]) == (False, True)
    assert "suggested_location" not in answer


def test_an_unknown_location_that_is_nearly_a_known_one_is_named_beside_the_estimate(backend: Backend) -> None:
    answer = backend.client.post(PATH, json={**HOME, "location": "White-Feild"}).json
    assert answer
    assert (answer["location_known"], answer["suggested_location"]) == (False, "Whitefield")
    assert answer["estimated_price"] == pytest.approx(price(1200, "other", 2), abs=0.01)


def test_a_home_that_cannot_be_is_priced_and_marked(backend: Backend) -> None:
    home = {**HOME, "total_sqft": 300, "bhk": 9, "bath": 9}
    alone = backend.client.post(PATH, json=home).get_json()
    [in_batch] = backend.client.post(f"{PATH}/batch", json=[home]).get_json()
    for answer in (alone, in_batch):
        assert "300 square feet with 9 bedrooms: homes have 100 to 10,000 each" in answer["unusual"].values()
        assert 0 < answer["interval"]["low"] <= answer["estimated_price"] <= answer["interval"]["high"]


def test_the_logged_prediction_equals_the_response_and_has_the_hashed_visitor(backend: Backend) -> None:
    answer = backend.client.post(PATH, json={**HOME, "balcony": 1}, headers=FROM_ROUTER).json
    [logged] = backend.log.predictions
    assert answer
    assert (logged.estimate, logged.interval_low, logged.interval_high) == (
        answer["estimated_price"],
        answer["interval"]["low"],
        answer["interval"]["high"],
    )
    assert (logged.bundle, logged.served_variant, logged.assigned_variant) == ("BO1", "production", "production")
    assert (logged.epoch, logged.fallback, logged.request_id) == (3, False, "trace-1234")
    assert logged.visitor == VisitorHash(b"key")("visitor-1")
    assert logged.inputs == {**HOME, "total_sqft": 1200.0, "balcony": 1}
    assert logged.milliseconds == answer["response_time_ms"]


def test_a_fallback_is_logged_and_counted(backend: Backend) -> None:
    headers = {**FROM_ROUTER, "X-Assigned-Variant": "candidate", "X-Variant-Fallback": "1"}
    backend.client.post(PATH, json=HOME, headers=headers)
    [logged] = backend.log.predictions
    assert (logged.fallback, logged.assigned_variant, logged.served_variant) == (True, "candidate", "production")
    assert backend.metric("prediction_fallbacks_total") == 1


def test_with_a_full_disk_predictions_go_on_without_an_id(backend: Backend) -> None:
    backend.log.full = True
    answer = backend.client.post(PATH, json=HOME)
    assert answer.json
    assert (answer.status_code, answer.json["prediction_id"]) == (200, None)
    assert backend.metric("predictions_unlogged_total") == 1


def test_predictions_and_errors_are_counted_separately(backend: Backend) -> None:
    backend.client.post(PATH, json=HOME)
    backend.client.post(PATH, json={**HOME, "bhk": 0})
    backend.client.post(PATH, data="nonsense", content_type="text/plain")
    assert backend.metric("predictions_total") == 1
    assert backend.metric("prediction_duration_seconds_count") == 1
    assert backend.metric("prediction_errors_total", reason="invalid") == 2


def test_a_new_model_answers_with_its_own_number(backend: Backend) -> None:
    backend.publish("BO2", factor=2.0)
    answer = backend.client.post(PATH, json=HOME)
    assert answer.json
    assert answer.json["estimated_price"] == pytest.approx(price(1200, "Whitefield", 2, 2.0), abs=0.01)
    assert answer.json["model_version"] == answer.headers["X-Model-Version"] == "BO2"


def test_without_a_candidate_predictions_get_503_so_that_the_router_falls_back(start: Start) -> None:
    candidate = start(MODEL_PREFIX="candidate_model", HOMEPRICES_INSTANCE="infer-cand")
    candidate.service.live.poll()
    answer = candidate.client.post(PATH, json=HOME)
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert candidate.metric("prediction_errors_total", reason="no_model") == 1
    assert (
        candidate.client.post("/api/feedback", json={"prediction_id": 1, "feedback_type": "accurate"}).status_code
        == 200
    )


def test_a_model_without_a_price_is_an_error_of_this_variant(backend: Backend) -> None:
    model = backend.service.live.current()
    sound = model._session

    class Broken:
        def run(self, *arguments: Any) -> list[Any]:
            [prices] = sound.run(*arguments)
            return [prices * float("nan")]

    model._session = Broken()
    answer = backend.client.post(PATH, json=HOME)
    assert answer.status_code == 500
    assert backend.metric("prediction_errors_total", reason="model_error") == 1
    assert backend.log.predictions == []


def test_the_known_locations_and_the_used_inputs_are_those_of_the_served_model(backend: Backend) -> None:
    answer = backend.client.get("/api/get_location_names")
    inputs = ["total_sqft", "location", "bhk", "bath"]
    known = {"locations": sorted(LOCATION_LEVELS), "inputs": inputs, "trained_on": None}
    assert answer.json == {**known, "model_version": "BO1"}
