import pytest

from homeprices.predictions.identifiers import VisitorHash
from tests.unit.inference.conftest import Backend

PATH = "/api/feedback"


def test_a_rating_is_recorded_with_the_hashed_visitor_and_counted(backend: Backend) -> None:
    sent = {"prediction_id": 7, "feedback_type": "rating", "feedback_value": 4, "feedback_text": "close"}
    answer = backend.client.post(PATH, json=sent, headers={"X-Visitor-Id": "v"})
    assert answer.status_code == 200
    assert answer.json == {"status": "recorded", "prediction_id": 7, "feedback_type": "rating"}
    [(feedback, visitor)] = backend.log.feedback
    assert feedback.model_dump() == {**sent, "feedback_value": 4.0}
    assert visitor == VisitorHash(b"key")("v")
    assert backend.metric("feedback_total", feedback_type="rating") == 1


def test_a_form_with_empty_fields_is_accepted(backend: Backend) -> None:
    sent = {"prediction_id": "7", "feedback_type": "too_high", "feedback_value": "", "feedback_text": ""}
    assert backend.client.post(PATH, data=sent).status_code == 200


def test_feedback_on_an_undetermined_id_is_accepted(backend: Backend) -> None:
    backend.log.issue = "undetermined"
    answer = backend.client.post(PATH, json={"prediction_id": 7, "feedback_type": "accurate"})
    assert answer.status_code == 202
    assert len(backend.log.feedback) == 1


@pytest.mark.parametrize("headers", [{}, {"X-Visitor-Id": ""}])
def test_feedback_without_a_visitor_id_is_accepted(backend: Backend, headers: dict[str, str]) -> None:
    backend.client.post(PATH, json={"prediction_id": 7, "feedback_type": "accurate"}, headers=headers)
    assert backend.log.feedback[0][1] is None
