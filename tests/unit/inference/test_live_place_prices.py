"""A worker follows the tables of place prices: swap, damage, an absent bucket, a restart, and models that use none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.pricing.market import PlacePrices
from homeprices.pricing.predictor import Predictor
from homeprices.registry import place_price_tables, regional_record, versions
from homeprices.registry.live_place_prices import COPY, RETRY_SECONDS
from homeprices.registry.place_price_tables import PREFIX
from inference.backend.runtime.live_model import LiveModel
from tests.support.bundles import make_bundle, make_market, make_place_prices
from tests.unit.inference.conftest import Start
from tests.unit.inference.test_live_model import HOME, World
from tests.unit.inference.test_live_model import world as world

THEN = date(2026, 1, 1)


def publish(bucket: MemoryBucket, folder: Path, version: str, place_prices: PlacePrices | None) -> None:
    made = make_bundle(folder / "dated" / version, version, market=make_market(), place_prices=place_prices)
    for path in sorted(made.rglob("*"), key=lambda path: path.name == "manifest.json"):
        if path.is_file():
            bucket.put(versions.folder(version) + path.relative_to(made).as_posix(), path.read_bytes())


def store(bucket: MemoryBucket, day: date, level: float) -> None:
    table = make_place_prices(day, whitefield=level)
    place_price_tables.publish(bucket, table, dataset="train_V1", dataset_sha256="a" * 64)


def factor(live: LiveModel, model: Predictor | None = None) -> float:
    """By what a home in Whitefield is priced above the training's level."""
    model = model or live.current()
    [golden] = [one for one in model.bundle.manifest.golden if one.input["location"] == "Whitefield"]
    return round(model.estimate([HOME])[0].price / golden.estimated_price, 4)


@pytest.fixture
def dated(world: World) -> World:
    """A bucket with BO1, which uses place prices, and the table V1."""
    publish(world.bucket, world.folder, "BO1", make_place_prices(THEN))
    store(world.bucket, date(2026, 6, 1), 1.2)
    return world


def test_a_model_serves_at_the_newest_levels_from_its_first_estimate_and_follows_them(dated: World) -> None:
    live = dated.live()
    live.poll()
    assert (factor(live), live.place_prices.version) == (1.2, "V1")
    model = live.current()
    store(dated.bucket, date(2026, 6, 2), 1.3)
    live.poll()
    assert (factor(live), live.place_prices.version) == (1.3, "V2")
    assert live.current() is model, "only the table is swapped"
    publish(dated.bucket, dated.folder, "BO2", make_place_prices(date(2026, 5, 1), whitefield=1.1))
    live.poll()
    assert live.current().version == "BO2" and factor(live) == round(1.3 / 1.1, 4)


def test_a_damaged_table_is_refused_and_the_old_one_kept_until_a_sound_one_comes(dated: World) -> None:
    live = dated.live()
    live.poll()
    store(dated.bucket, date(2026, 6, 2), 1.3)
    body = dated.bucket.get(f"{PREFIX}V2/table.json").body
    dated.bucket.put(f"{PREFIX}V2/table.json", body.replace(b"6500", b"9500"))
    live.poll()
    assert (factor(live), live.place_prices.version, live.place_prices.refused) == (1.2, "V1", "V2")
    dated.bucket.put(f"{PREFIX}V2/table.json", body)
    live.poll()
    assert live.place_prices.version == "V1", "it is not due yet"
    dated.now += RETRY_SECONDS
    live.poll()
    assert (factor(live), live.place_prices.version, live.place_prices.refused) == (1.3, "V2", None)


def test_a_start_with_a_damaged_newest_table_uses_an_earlier_one(dated: World) -> None:
    store(dated.bucket, date(2026, 6, 2), 1.3)
    dated.bucket.put(f"{PREFIX}V2/manifest.json", b"{}")
    live = dated.live()
    live.poll()
    assert (factor(live), live.place_prices.version, live.place_prices.refused) == (1.2, "V1", "V2")


def test_a_table_that_differs_manyfold_is_not_used(dated: World) -> None:
    live = dated.live()
    live.poll()
    store(dated.bucket, date(2026, 6, 2), 5.0)
    live.poll()
    live.poll()
    assert factor(live) == 1.2
    store(dated.bucket, date(2026, 6, 3), 1.4)
    live.poll()
    assert factor(live) == 1.4


def test_without_the_bucket_the_old_table_stays_and_a_restart_has_the_copy(dated: World) -> None:
    live = dated.live()
    live.poll()
    dated.bucket.away = True
    live.poll()
    assert factor(live) == 1.2
    again = dated.live()
    again.start()
    try:
        assert (again.state, again.place_prices.version, factor(again)) == ("stale", "V1", 1.2)
    finally:
        again.close()


@pytest.mark.parametrize("spoil", [lambda text: text.replace("6000", "7000"), lambda text: text[:50]])
def test_a_damaged_copy_is_not_used(dated: World, spoil: object) -> None:
    live = dated.live()
    live.poll()
    copy = dated.folder / "cache" / COPY
    assert callable(spoil) and "6000" in copy.read_text()
    copy.write_text(spoil(copy.read_text()))
    dated.bucket.away = True
    again = dated.live()
    again.start()
    try:
        assert (again.state, again.place_prices.version, factor(again)) == ("stale", None, 1.0)
    finally:
        again.close()


def test_a_model_without_place_prices_reads_no_table(world: World) -> None:
    publish(world.bucket, world.folder, "BO1", None)
    store(world.bucket, date(2026, 6, 1), 1.2)
    live = world.live()
    live.poll()
    assert (factor(live), live.place_prices.version) == (1.0, None)
    assert not (world.folder / "cache" / COPY).exists()


def test_without_a_table_a_model_prices_at_the_levels_of_its_training(world: World) -> None:
    publish(world.bucket, world.folder, "BO1", make_place_prices(THEN))
    live = world.live()
    live.poll()
    assert (factor(live), live.place_prices.version) == (1.0, None)


def test_a_regional_model_follows_too(dated: World) -> None:
    publish(dated.bucket, dated.folder, "RO1", make_place_prices(THEN))
    regional_record.add(dated.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    live = dated.live()
    live.poll()
    store(dated.bucket, date(2026, 6, 2), 1.3)
    live.poll()
    regional = live.models().model_for(HOME)
    assert (regional.version, factor(live, regional)) == ("RO1", 1.3)


def test_health_names_the_table_and_its_day_only_where_the_model_uses_one(start: Start) -> None:
    backend = start()
    backend.publish("BO1")
    assert "place_prices" not in backend.client.get("/api/health").get_json()
    publish(backend.bucket, backend.folder, "BO2", make_place_prices(THEN))
    store(backend.bucket, date(2026, 6, 1), 1.2)
    backend.service.live.poll()
    found = backend.client.get("/api/health").get_json()["place_prices"]
    assert found == {"version": "V1", "as_of": "2026-06-01", "refused": None}


def test_an_explanation_shows_rates_of_the_day(start: Start) -> None:
    backend = start()
    publish(backend.bucket, backend.folder, "BO1", make_place_prices(THEN))
    backend.service.live.poll()
    given = HOME.model_dump(exclude_none=True)
    before = backend.client.post("/api/explain", json=given).get_json()
    store(backend.bucket, date(2026, 6, 1), 1.2)
    backend.service.live.poll()
    after = backend.client.post("/api/explain", json=given).get_json()
    assert after["estimated_price"] == pytest.approx(1.2 * before["estimated_price"], abs=0.01)
    assert after["rupees_per_sqft"]["place"] == pytest.approx(1.2 * before["rupees_per_sqft"]["place"], abs=1)
    assert after["rupees_per_sqft"]["city"] == before["rupees_per_sqft"]["city"]
    assert after["comparables"][0]["rupees_per_sqft"] == pytest.approx(
        1.2 * before["comparables"][0]["rupees_per_sqft"], abs=1
    )
    assert after["accuracy"] == before["accuracy"]
