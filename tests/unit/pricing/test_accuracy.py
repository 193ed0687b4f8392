"""The kinds of homes whose errors are measured, in words, and the grade of an error."""

from __future__ import annotations

import pytest

from homeprices.pricing.accuracy import Accuracy, Kind, Segment, grade_of, kinds_of
from tests.support.bundles import ACCURACY, make_market

BANDS = (60.0, 110.0)


@pytest.mark.parametrize(
    ("listings", "bedrooms", "estimate", "narrowest"),
    [
        (0, 1, 60.0, Kind("unknown", 1, "cheap")),
        (1, 4, 60.01, Kind("up_to_9", 4, "middle")),
        (9, 5, 110.0, Kind("up_to_9", 5, "middle")),
        (10, 6, 110.01, Kind("10_to_49", 5, "dear")),
        (49, 50, 1e4, Kind("10_to_49", 5, "dear")),
        (50, 2, 1.0, Kind("50_and_more", 2, "cheap")),
    ],
)
def test_a_home_is_of_a_kind_and_of_wider_ones(listings: int, bedrooms: int, estimate: float, narrowest: Kind) -> None:
    kinds = list(kinds_of(listings, bedrooms, estimate, BANDS))
    rare = [Kind("below_10", None, narrowest.band), Kind("below_10")] if listings < 10 else []
    assert kinds == [narrowest, narrowest._replace(bedrooms=None), Kind(narrowest.listed), *rare, Kind()]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind(), "homes of every kind"),
        (Kind("unknown"), "homes in places that the model does not know"),
        (Kind("below_10"), "homes in places listed up to 9 times or not known"),
        (Kind("50_and_more", 1, "cheap"),
         "homes in places listed 50 times and more, with 1 bedroom, estimated up to 60 lakh"),
        (Kind("10_to_49", 5, "middle"),
         "homes in places listed 10 to 49 times, with 5 or more bedrooms, estimated at 60 to 110 lakh"),
        (Kind("up_to_9", None, "dear"), "homes in places listed up to 9 times, estimated above 110 lakh"),
    ],
)  # fmt: skip
def test_a_kind_is_described_in_words(kind: Kind, words: str) -> None:
    segment = Segment(homes=60, median_ape=0.1, within_20=0.8, **kind._asdict())
    assert ACCURACY.described(segment) == words


def test_a_grade_is_that_of_the_median_error() -> None:
    assert [grade_of(error) for error in (0.0, 0.15, 0.1501, 0.20, 0.2001, 3.0)] == list("AABBCC")


def test_it_is_read_from_a_market_and_a_market_of_before_has_none() -> None:
    market = make_market()
    again = type(market).model_validate_json(market.model_dump_json())
    assert again.accuracy == ACCURACY and isinstance(again.accuracy, Accuracy)
    older = market.model_dump(exclude={"accuracy"})
    assert type(market).model_validate(older).accuracy is None
