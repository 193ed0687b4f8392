from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import pytest

from homeprices.model import isotonic_curves
from homeprices.model.isotonic_curves import MAX_ROOMS, IsotonicCurves, fit_curves
from homeprices.model.onnx_builder import OnnxBuilder


def homes(*described: tuple[str, float, int, int]) -> pd.DataFrame:
    frame = pd.DataFrame(described, columns=["location", "total_sqft", "bhk", "bath"])
    numbers = {name: frame[name].astype(np.float32) for name in ("total_sqft", "bhk", "bath")}
    missing: dict[str, Any] = {"balcony": np.float32(np.nan), "area_type": "", "availability": "", "society": ""}
    return frame.assign(**numbers, **missing)


LISTED = homes(
    *(("Whitefield", 900.0 + 10 * n, 2, 2) for n in range(40)),
    *(("Hebbal", 1500.0 + 20 * n, 3, 2) for n in range(40)),
    ("other", 2000.0, 3, 3),
    ("Whitefield", 9000.0, MAX_ROOMS, 5),
)


def wavy(inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Grows with the area, on the whole: in waves of 5 %."""
    area = np.log(inputs["total_sqft"].to_numpy(np.float64))
    waves: npt.NDArray[np.float64] = area + 0.3 * np.sin(40 * area) + (inputs["location"] == "Hebbal").to_numpy(float)
    return waves


@pytest.fixture(scope="module")
def curves() -> IsotonicCurves:
    """Isotonic curves of a wavy function."""
    return fit_curves(wavy, LISTED, knots=60)


def test_along_a_curve_more_area_never_costs_less(curves: IsotonicCurves) -> None:
    areas = np.geomspace(100, 100_000, 3_000)
    inputs = homes(*(("Whitefield", float(area), 2, 2) for area in areas))
    assert (np.diff(wavy(inputs)) < 0).any(), "the teacher itself is not monotone"
    assert (np.diff(curves.values(inputs)) >= -1e-6).all()


def test_a_curve_is_near_its_teacher_where_the_homes_of_its_kind_are() -> None:
    steady = fit_curves(lambda inputs: np.log(inputs["total_sqft"].to_numpy(np.float64)), LISTED, knots=60)
    inputs = LISTED[LISTED["bhk"] == 2]
    assert np.abs(steady.values(inputs) - np.log(inputs["total_sqft"])).max() < 0.01


def test_curves_are_the_same_however_many_kinds_are_asked_about_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = fit_curves(wavy, LISTED, knots=60)
    monkeypatch.setattr(isotonic_curves, "KINDS_PER_BATCH", 2)
    in_turn = fit_curves(wavy, LISTED, knots=60)
    assert len(at_once.curves) == 3, "one and a half batches"
    np.testing.assert_array_equal(in_turn.curves, at_once.curves)


def test_beyond_all_listed_areas_a_curve_is_constant(curves: IsotonicCurves) -> None:
    far = curves.values(homes(("Whitefield", 20_000, 2, 2), ("Whitefield", 90_000, 2, 2)))
    near = curves.values(homes(("Whitefield", 100, 2, 2), ("Whitefield", 300, 2, 2)))
    assert far[0] == far[1] and near[0] == near[1] and np.isfinite([*far, *near]).all()


@pytest.mark.parametrize(
    "home",
    [
        ("Nowhere", 1000.0, 2, 2),
        ("Hebbal", 1000.0, 2, 2),
        ("Whitefield", 1000.0, 2, 9),
        ("Whitefield", 9000.0, MAX_ROOMS, 5),
        ("Whitefield", 1000.0, 50, 50),
    ],
)
def test_a_kind_of_home_that_was_not_listed_or_is_too_large_has_no_curve(
    curves: IsotonicCurves, home: tuple[str, float, int, int]
) -> None:
    assert np.isnan(curves.values(homes(home))).all()


def test_the_graph_gives_the_same_curves(curves: IsotonicCurves) -> None:
    rng = np.random.default_rng(1)
    places = rng.choice(["Whitefield", "Hebbal", "other", "Nowhere"], 500)
    inputs = homes(
        *zip(places, rng.uniform(100, 20_000, 500), rng.integers(1, 12, 500), rng.integers(1, 4, 500), strict=True),
        *(("Whitefield", float(np.exp(knot)), 2, 2) for knot in curves.knots),
    )
    graph = OnnxBuilder({"location": curves.locations})
    session = onnxruntime.InferenceSession(
        graph.build({"curve": curves.node(graph)}).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {name: inputs[name].to_numpy(np.float32).reshape(-1, 1) for name in ("total_sqft", "bhk", "bath")}
    feed["location"] = inputs["location"].to_numpy(object).reshape(-1, 1)
    np.testing.assert_allclose(session.run(None, feed)[0].ravel(), curves.values(inputs), rtol=1e-5, equal_nan=True)


def test_homes_that_all_have_one_area_have_a_curve_too() -> None:
    curves = fit_curves(wavy, homes(("Hebbal", 1000, 2, 2), ("Hebbal", 1000, 2, 2)), knots=16)
    assert np.isfinite(curves.values(homes(("Hebbal", 1234, 2, 2)))).all()
