from typing import Any

import pytest

from homeprices.errors import InvalidInput
from homeprices.predictions.feedback import TEXT_LIMIT, Feedback

RATING = {"prediction_id": 7, "feedback_type": "rating", "feedback_value": 4}


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        Feedback.parse({**RATING, **changes})
    return error.value.fields


def test_numbers_may_come_as_text_as_forms_send_them() -> None:
    feedback = Feedback.parse({"prediction_id": " 7 ", "feedback_type": "rating", "feedback_value": "4"})
    assert (feedback.prediction_id, feedback.feedback_value) == (7, 4.0)


@pytest.mark.parametrize("kind", ["accurate", "too_high", "too_low"])
def test_an_opinion_has_no_value_and_an_empty_form_field_is_none(kind: str) -> None:
    sent = {"prediction_id": 7, "feedback_type": kind, "feedback_value": "", "feedback_text": " "}
    assert Feedback.parse(sent).model_dump(exclude_none=True) == {"prediction_id": 7, "feedback_type": kind}
    assert "left out" in refused(feedback_type=kind)["feedback_value"]


@pytest.mark.parametrize("stars", [0, 6, 3.5, -1, "many", True, None, float("nan"), float("inf"), [4]])
def test_a_rating_outside_of_one_to_five_stars_names_the_field(stars: Any) -> None:
    assert set(refused(feedback_value=stars)) == {"feedback_value"}


@pytest.mark.parametrize("price", [0, -5, 0.01, 1e9, "expensive", None])
def test_an_absurd_price_names_the_field(price: Any) -> None:
    assert set(refused(feedback_type="actual_price", feedback_value=price)) == {"feedback_value"}


def test_an_actual_price_is_taken_in_lakh_rupees() -> None:
    sent = {"prediction_id": 7, "feedback_type": "actual_price", "feedback_value": "85.5"}
    assert Feedback.parse(sent).feedback_value == 85.5


@pytest.mark.parametrize("text", ["x" * (TEXT_LIMIT + 1), "a\x00b", "a\x1eb", "\ud800", 5])
def test_a_text_that_is_too_long_or_not_readable_names_the_field(text: Any) -> None:
    assert set(refused(feedback_text=text)) == {"feedback_text"}


def test_a_text_of_several_lines_in_any_script_is_kept() -> None:
    assert Feedback.parse({**RATING, "feedback_text": " ಬೆಲೆ\n\tok 👍 "}).feedback_text == "ಬೆಲೆ\n\tok 👍"


@pytest.mark.parametrize("number", [0, -1, "abc", 2**53, 1.5, True, None])
def test_what_is_no_prediction_id_names_the_field(number: Any) -> None:
    assert set(refused(prediction_id=number)) == {"prediction_id"}


def test_missing_unknown_and_wrong_fields_are_all_named() -> None:
    with pytest.raises(InvalidInput) as error:
        Feedback.parse({"feedback_type": "superb", "stars": 3})
    assert set(error.value.fields) == {"prediction_id", "feedback_type", "stars"}
    assert "rating, accurate, too_high, too_low, actual_price" in error.value.fields["feedback_type"]
