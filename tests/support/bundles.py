"""Small valid bundles for tests: a real ONNX graph, price = factor x location factor x area^0.9 x rooms^0.1.

Their inputs are those in a role (`pricing/inputs.py`), so that tests of releases hold for other domains, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from homeprices.pricing.accuracy import Accuracy, Measured, Segment
from homeprices.pricing.bundle import COLUMNS_FILE, MODEL_FILE, digest
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import AREA, COUNTS, LOCATION, NUMBERS
from homeprices.pricing.inputs import INPUTS as DECLARED
from homeprices.pricing.manifest import (
    DRAFT_FILE,
    MANIFEST_FILE,
    REFERENCE_FILE,
    DatasetReference,
    Draft,
    FileDigest,
    Golden,
    NumberReference,
    Reference,
    TextReference,
)
from homeprices.pricing.market import (
    MARKET_FILE,
    PLACE_PRICES_FILE,
    GroupPrice,
    Listings,
    Market,
    PlaceMarket,
    PlacePrice,
    PlacePrices,
)
from homeprices.words import COUNTED

EXAMPLE = {field.name: field.example for field in DECLARED if field.required}
INPUTS = (AREA, LOCATION, *COUNTS)
USUAL = float(EXAMPLE[AREA])
AREA_RANGE = (USUAL / 4, USUAL * 25 / 6)
ROOMS = (1, 6)
OPTIONAL_NUMBERS = [name for name in NUMBERS if name not in EXAMPLE]

LOCATION_LEVELS = {"Electronic City": 0.9, "Indira Nagar": 2.0, "Rajaji Nagar": 1.8, "Whitefield": 1.2}
OTHER_LEVEL = 1.0
LOWER_FACTOR, UPPER_FACTOR = 0.7, 1.5
_TRAINED_AT = datetime(2026, 1, 5, 6, tzinfo=UTC)


def make_bundle(
    folder: Path,
    version: str,
    *,
    factor: float = 1.0,
    promoted_from: str | None = None,
    idle_work: int = 0,
    market: Market | None = None,
    place_prices: PlacePrices | None = None,
) -> Path:
    """Write a complete published bundle into `folder` and return it. `factor` scales every price.

    `idle_work` adds so many unused operations to each prediction; a million take about a millisecond. Without a
    `market`, the bundle is as those that are older than this file. With `place_prices` its model uses them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((MARKET_FILE, market), (PLACE_PRICES_FILE, place_prices)):
        if content is not None:
            (folder / name).write_text(content.model_dump_json())
    draft = _write(folder, factor, idle_work)
    if place_prices is not None:
        draft = draft.model_copy(update={"place_prices_as_of": place_prices.as_of})
    manifest = draft.publish(version=version, promoted_from=promoted_from, published_by="tests")
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2))
    return folder


def make_draft(folder: Path, factor: float = 1.0) -> Path:
    """Write a complete draft bundle into `folder` and return it."""
    (folder / DRAFT_FILE).write_text(_write(folder, factor).model_dump_json(indent=2))
    return folder


def price(area: float, location: str, rooms: int, factor: float = 1.0) -> float:
    """Return the price these bundles predict, in the unit of prices. Without counts, `rooms` does not matter."""
    by_rooms = rooms**0.1 if COUNTS else 1.0
    return float(factor * 0.1 * LOCATION_LEVELS.get(location, OTHER_LEVEL) * area**0.9 * by_rooms)


AREAS = tuple(USUAL * share / 24 for share in (13, 18, 22, 24, 27, 32, 48))
"""650 to 2,400 square feet."""


def make_market(places: Sequence[str] = tuple(LOCATION_LEVELS), factor: float = 1.0) -> Market:
    """Return the market of seven homes in each place, at the prices of these bundles; the typical one is as usual."""
    homes = [(place, area, 1 + int(area > USUAL * 2 / 3) + int(area > USUAL * 5 / 4)) for place in sorted(places)
             for area in AREAS]  # fmt: skip
    typical: dict[str, float | str] = {AREA: USUAL, **dict.fromkeys(COUNTS, 2.0)}
    typical |= {field.name: str(field.example) for field in DECLARED if field.choices and not field.required}
    by_place = {
        place: PlaceMarket(homes=len(AREAS), rupees_per_sqft=_rate(place, USUAL, 2, factor), typical=typical)
        for place in places
    }
    city = PlaceMarket(homes=len(homes), rupees_per_sqft=7_500.0, typical={**typical, AREA: USUAL * 11 / 12})
    blank: list[float | None] = [None for _ in homes]
    listings = Listings(
        places=sorted(places),
        place=[sorted(places).index(place) for place, _, _ in homes],
        rupees_per_sqft=[_rate(*home, factor) for home in homes],
        numbers={
            AREA: [area for _, area, _ in homes],
            **{name: [rooms for _, _, rooms in homes] for name in COUNTS},
            **dict.fromkeys(OPTIONAL_NUMBERS, blank),
        },
    )
    return Market(city=city, places=by_place, listings=listings, accuracy=ACCURACY)


def make_place_prices(as_of: date, **levels: float) -> PlacePrices:
    """Return the table of a day in which all levels are 5,000, times what is named for `city`, `region` or a place."""
    group = {
        name: GroupPrice(rupees_per_sqft=5_000 * levels.get(name, 1.0), listings=90) for name in ("city", "region")
    }
    places = {
        key_of(name): PlacePrice(rupees_per_sqft=5_000 * levels.get(key_of(name), 1.0), listings=9, region="region")
        for name in LOCATION_LEVELS
    }
    return PlacePrices(as_of=as_of, city=group["city"], regions={"region": group["region"]}, places=places)


ACCURACY = Accuracy(
    bands=(60.0, 110.0),
    segments=[
        Segment(homes=900, median_ape=0.162, within_20=0.58),
        Segment(homes=60, median_ape=0.271, within_20=0.35, listed="unknown"),
        Segment(homes=400, median_ape=0.158, within_20=0.6, listed="up_to_9"),
        Segment(homes=130, median_ape=0.124, within_20=0.71, listed="up_to_9", band="dear"),
    ],
    grades={
        "A": Measured(homes=130, median_ape=0.124, within_20=0.71),
        "B": Measured(homes=710, median_ape=0.16, within_20=0.59),
        "C": Measured(homes=60, median_ape=0.271, within_20=0.35),
    },
)
"""The accuracy in `make_market`, whose places have seven homes each."""


def _rate(place: str, area: float, rooms: int, factor: float) -> float:
    return float(round(price(area, place, rooms, factor) * COUNTED / area))


def write_files(folder: Path, factor: float, idle_work: int = 0) -> None:
    """Write every file of a bundle except its manifest."""
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(_graph(factor, idle_work).SerializeToString())
    (folder / COLUMNS_FILE).write_text(
        json.dumps(
            {
                "inputs": [{"name": name, "type": "text" if name == LOCATION else "number"} for name in INPUTS],
                "locations": sorted(LOCATION_LEVELS),
                "interval": {"coverage": 0.9, "lower_factor": LOWER_FACTOR, "upper_factor": UPPER_FACTOR},
                "ranges": {AREA: AREA_RANGE, **dict.fromkeys(COUNTS, ROOMS)},
            }
        )
    )
    (folder / REFERENCE_FILE).write_text(_reference(factor).model_dump_json(indent=2))
    (folder / "validation.json").write_text("{}")
    (folder / "validation.html").write_text("<!doctype html><title>Validation</title>")
    (folder / "quality.json").write_text("{}")
    (folder / "model.skops").write_bytes(b"no estimator: this bundle is for tests")
    (folder / "plots" / "actual.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def _write(folder: Path, factor: float, idle_work: int = 0) -> Draft:
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, factor, idle_work)
    return Draft(
        created_at=_TRAINED_AT,
        dataset=DatasetReference(version=1, key="data/raw/train_V1.csv", sha256="0" * 64, rows=1000, rows_used=950),
        git_revision="0" * 40,
        libraries={"onnx": onnx.__version__},
        estimator="test_formula",
        mlflow_run_id=None,
        metrics={"median_ape": 0.2, "mean_ape": 0.25},
        golden=tuple(
            _golden(area, location, bhk, factor)
            for area, location, bhk in (
                (USUAL, "Whitefield", 2),
                (2 * USUAL, "Indira Nagar", 4),
                (USUAL * 2 / 3, "Nowhere", 1),
            )
        ),
        files=_digests(folder),
    )


def _digests(folder: Path) -> dict[str, FileDigest]:
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in {MANIFEST_FILE, DRAFT_FILE})
    return {path.relative_to(folder).as_posix(): digest(path) for path in paths}


def _golden(area: float, location: str, bhk: int, factor: float) -> Golden:
    answer = price(area, location, bhk, factor)
    return Golden(
        input={**EXAMPLE, AREA: area, LOCATION: location, **dict.fromkeys(COUNTS, bhk)},
        estimated_price=answer,
        low=answer * LOWER_FACTOR,
        high=answer * UPPER_FACTOR,
    )


def _graph(factor: float, idle_work: int) -> onnx.ModelProto:
    """Return the graph of exp(0.9 log area + 0.1 log rooms + location level) x factor; other counts are ignored."""
    number, text = TensorProto.FLOAT, TensorProto.STRING
    powers = {f"{name}_power": 0.0 if number else 0.1 for number, name in enumerate(COUNTS)}
    constants = {"area_power": 0.9, **powers, "factor": 0.1 * factor}
    products = ["level", *"abc"[: len(COUNTS) + 1]]
    nodes = [
        helper.make_node(
            "LabelEncoder",
            [LOCATION],
            ["level"],
            domain="ai.onnx.ml",
            keys_strings=sorted(LOCATION_LEVELS),
            values_floats=[LOCATION_LEVELS[name] for name in sorted(LOCATION_LEVELS)],
            default_float=OTHER_LEVEL,
        ),
        helper.make_node("Pow", [AREA, "area_power"], ["by_area"]),
        *(helper.make_node("Pow", [name, f"{name}_power"], [f"by_{name}"]) for name in COUNTS),
        *(
            helper.make_node("Mul", [before, f"by_{name}"], [after])
            for (before, after), name in zip(pairwise(products), ("area", *COUNTS), strict=True)
        ),
        helper.make_node("Mul", [products[-1], "factor"], ["estimate"]),
    ]
    initializers = [numpy_helper.from_array(np.array([v], dtype=np.float32), name) for name, v in constants.items()]
    if idle_work:  # the area, many times over, and the largest of that
        nodes[1] = helper.make_node("Pow", ["again", "area_power"], ["by_area"])
        nodes.insert(1, helper.make_node("Tile", [AREA, "times"], ["copies"]))
        nodes.insert(2, helper.make_node("ReduceMax", ["copies", "columns"], ["again"], keepdims=1))
        initializers.append(numpy_helper.from_array(np.array([1, idle_work], dtype=np.int64), "times"))
        initializers.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "columns"))
    inputs = [(name, text if name == LOCATION else number) for name in INPUTS]
    graph = helper.make_graph(
        nodes,
        "prices_for_tests",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in inputs],
        [helper.make_tensor_value_info("estimate", number, [None, 1])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def _reference(factor: float) -> Reference:
    def number(low: float, high: float) -> NumberReference:
        middle = (low + high) / 2
        return NumberReference(
            edges=[low, middle, high],
            counts=[500, 450],
            missing=0,
            mean=middle,
            std=(high - low) / 4,
            minimum=low,
            median=middle,
            maximum=high,
        )

    return Reference(
        rows=950,
        features={
            AREA: number(*AREA_RANGE),
            **{name: number(*ROOMS) for name in COUNTS},
            LOCATION: TextReference(counts={"Whitefield": 500, "Indira Nagar": 450}, missing=0),
        },
        prediction=number(20 * factor, 500 * factor),
    )
