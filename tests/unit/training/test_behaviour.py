"""Each check finds what it is there for, and names the homes. Models are formulas here: each can err by itself."""

import math
from collections.abc import Callable, Sequence

import pytest

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.features import key_of
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate, Predictor
from homeprices.training.validation import Check, check_behaviour
from tests.support.bundles import make_draft

Price = Callable[[Home], float]
KNOWN = {key_of(name): name for name in ("Electronic City", "Indira Nagar", "Rajaji Nagar", "Whitefield")}


class Formula(Predictor):
    """Answers a formula in the place of the bundle's graph."""

    def __init__(self, bundle: Bundle, price: Price, known: Callable[[str], str | None] | None = None) -> None:
        super().__init__(bundle)
        self._price, self._known = price, known or (lambda text: KNOWN.get(key_of(text)))

    def estimate(self, homes: Sequence[Home]) -> list[Estimate]:
        if not hasattr(self, "_price"):
            return super().estimate(homes)
        answers = []
        for home in homes:
            price, name = self._price(home), self._known(home.location)
            answers.append(Estimate(price, price * 0.7, price * 1.5, name or "other", name is not None))
        return answers


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small draft bundle."""
    return Bundle.open_draft(make_draft(tmp_path_factory.mktemp("bundles") / "draft"))


def sound(home: Home) -> float:
    area = float(home.total_sqft)
    return 0.05 * math.pow(area, 0.98)


def failed(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.passed}


def test_a_sound_model_passes_every_check(bundle: Bundle) -> None:
    checks = check_behaviour(Formula(bundle, sound))
    assert failed(checks) == {} and len(checks) == 5


def test_the_graph_of_a_bundle_is_checked_as_it_is(bundle: Bundle) -> None:
    assert failed(check_behaviour(Predictor(bundle))) == {}


def cheaper_from_2000(home: Home) -> float:
    return sound(home) * (0.9 if home.total_sqft >= 2_000 and home.bhk == 3 else 1.0)


def dearer_in_capitals(home: Home) -> float:
    return sound(home) * (1.1 if home.location.isupper() else 1.0)


def without_end(home: Home) -> float:
    return sound(home) * (1e6 if home.bath == 50 else 1.0)


def nothing_for_societies(home: Home) -> float:
    if home.society:
        raise BundleRefused("the model answers nan lakh rupees")
    return sound(home)


@pytest.mark.parametrize(
    ("price", "check", "names"),
    [
        (cheaper_from_2000, "more area never costs less", "3 bedrooms"),
        (dearer_in_capitals, "a spelling with other capitals or spaces changes nothing", "Rajaji Nagar"),
        (without_end, "extreme and minimal homes have sane prices", "50 bath"),
        (nothing_for_societies, "any subset of the optional fields is priced", "nan lakh"),
    ],
)
def test_a_model_that_misbehaves_fails_one_check_which_says_where(
    bundle: Bundle, price: Price, check: str, names: str
) -> None:
    found = failed(check_behaviour(Formula(bundle, price)))
    assert list(found) == [check] and names in found[check]


def test_a_model_that_takes_any_name_for_a_place_it_knows_fails(bundle: Bundle) -> None:
    found = failed(check_behaviour(Formula(bundle, sound, lambda _text: "Whitefield")))
    assert list(found) == ["an unknown location is priced as other"]


def test_many_broken_homes_are_counted_and_a_few_shown(bundle: Bundle) -> None:
    found = failed(check_behaviour(Formula(bundle, lambda home: 1e5 / home.total_sqft)))
    assert "and " in found["more area never costs less"] and " more" in found["more area never costs less"]
