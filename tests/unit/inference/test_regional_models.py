"""A worker of production follows the regional record: which model prices a home, and what happens when one fails."""

from __future__ import annotations

import json

import pytest

from homeprices.pricing.home import Home
from homeprices.registry import production_models, regional_record
from homeprices.registry.production_models import RECORD_COPY, RETRY_SECONDS
from homeprices.registry.versions import REGIONS_KEY
from inference.backend.runtime.worker_status import same_regional_versions
from tests.unit.inference.conftest import Backend, Start
from tests.unit.inference.test_live_model import HOME, World
from tests.unit.inference.test_live_model import world as world


def home(location: str) -> Home:
    return Home.parse({**HOME.model_dump(exclude_none=True), "location": location})


def test_a_regional_bundle_prices_its_places_and_leaves_them_again(world: World) -> None:
    world.publish("BO1")
    live = world.live()
    live.poll()
    world.publish("RO1", factor=2.0)
    regional_record.add(world.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    live.poll()
    assert (live.regional_versions, world.results[-1].regional) == (("RO1",), ("RO1",))
    models = live.models()
    places = ["Hebbal", " WHITEFIELD", "Whitefield", "nowhere"]
    assert [models.model_for(home(place)).version for place in places] == ["BO1", "RO1", "RO1", "BO1"]
    several = models.estimate([home(place) for place in places])
    assert [estimate.price for estimate in several] == [
        models.model_for(home(place)).estimate([home(place)])[0].price for place in places
    ]
    assert several[1].price == pytest.approx(2 * live.current().estimate([home("Whitefield")])[0].price)
    regional_record.end(world.bucket, "RO1", "person:asha", "harm")
    live.poll()
    assert (live.regional_versions, live.models().model_for(home("whitefield")).version) == ((), "BO1")
    assert models.model_for(home("whitefield")).version == "RO1", "a request keeps the models that it began with"
    assert not list((world.folder / "cache").glob("price_check_RO*"))


def test_a_candidate_has_no_regions(world: World) -> None:
    world.publish("CO1")
    world.publish("RO1")
    regional_record.add(world.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    live = world.live("candidate")
    live.poll()
    assert (live.regional_versions, live.models().model_for(HOME).version) == ((), "CO1")


def test_a_damaged_regional_bundle_leaves_its_places_to_the_general_one_and_is_tried_again(world: World) -> None:
    world.publish("BO1")
    world.publish("RO1", spoil="flipped byte")
    regional_record.add(world.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    live = world.live()
    live.poll()
    assert not live.regional_versions
    assert (live.refused, live.fault) == ("RO1", "damaged")
    assert live.models().model_for(home("whitefield")).version == "BO1"
    world.publish("RO1")
    live.poll()
    assert not live.regional_versions, "it is not due yet"
    world.now += RETRY_SECONDS
    live.poll()
    assert live.regional_versions == ("RO1",)
    assert live.refused is None


def test_a_damaged_regional_record_and_an_absent_bucket_change_nothing(world: World) -> None:
    world.publish("BO1")
    world.publish("RO1")
    regional_record.add(world.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    live = world.live()
    live.poll()
    sound = world.bucket.get(REGIONS_KEY).body
    world.bucket.put(REGIONS_KEY, b"{")
    assert (live.poll(), live.regional_versions) == ("unchanged", ("RO1",))
    world.bucket.put(REGIONS_KEY, sound)
    world.bucket.away = True
    assert (live.poll(), live.regional_versions) == ("unavailable", ("RO1",))
    restarted = world.live()
    restarted.start()
    restarted.close()
    assert (restarted.state, restarted.regional_versions) == ("stale", ("RO1",))
    assert restarted.models().model_for(home("whitefield")).version == "RO1"


def test_a_disk_that_takes_no_copy_of_the_record_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish("BO1")
    world.publish("RO1")
    regional_record.add(world.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    live = world.live()

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(production_models, "write_atomic", full)
        assert (live.poll(), live.regional_versions) == ("reloaded", ("RO1",))
    assert not (world.folder / "cache" / RECORD_COPY).exists()
    live.poll()
    assert (world.folder / "cache" / RECORD_COPY).exists()


def test_without_the_record_in_the_cache_the_general_model_serves_every_place(world: World) -> None:
    world.publish("BO1")
    world.live().poll()
    (world.folder / "cache" / RECORD_COPY).write_text("no record")
    world.bucket.away = True
    restarted = world.live()
    restarted.start()
    restarted.close()
    assert (restarted.state, restarted.regional_versions) == ("stale", ())


@pytest.fixture
def regional(start: Start) -> Backend:
    """BO1 in production, and RO1, at twice the price, in Whitefield."""
    backend = start()
    backend.publish("BO1")
    regional_record.add(backend.bucket, "RO1", ("whitefield",), "BO1", "test", "better")
    backend.publish("RO1", factor=2.0)
    return backend


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
def test_answer_header_and_log_name_the_bundle_of_the_homes_place(regional: Backend, media_type: str) -> None:
    answers = []
    for place in ("Whitefield", "Hebbal"):
        body = json.dumps({**HOME.model_dump(exclude_none=True), "location": place})
        answers.append(regional.client.post("/api/predict_home_price", data=body, content_type=media_type))
    assert [answer.get_json()["model_version"] for answer in answers] == ["RO1", "BO1"]
    assert [answer.headers["X-Model-Version"] for answer in answers] == ["RO1", "BO1"]
    assert [record.bundle for record in regional.log.predictions] == ["RO1", "BO1"]
    general = regional.service.live.current().estimate([HOME])[0]
    assert answers[0].get_json()["estimated_price"] == pytest.approx(2 * general.price, abs=0.01)


def test_each_row_of_a_batch_is_priced_by_the_bundle_of_its_place(regional: Backend) -> None:
    places = ["Hebbal", "whitefield", "nowhere", "WHITEFIELD"]
    rows = [{**HOME.model_dump(exclude_none=True), "location": place} for place in places]
    answer = regional.client.post("/api/predict_home_price/batch", json=rows)
    assert [row["model_version"] for row in answer.get_json()] == ["BO1", "RO1", "BO1", "RO1"]
    assert [record.bundle for record in regional.log.predictions] == ["BO1", "RO1", "BO1", "RO1"]


def test_an_explanation_is_of_the_model_that_priced(regional: Backend) -> None:
    given = HOME.model_dump(exclude_none=True)
    price = regional.client.post("/api/predict_home_price", json=given).get_json()["estimated_price"]
    explained = regional.client.post("/api/explain", json=given).get_json()
    assert (explained["model_version"], explained["estimated_price"]) == ("RO1", pytest.approx(price))


def test_health_names_the_regional_versions_that_every_worker_serves(regional: Backend) -> None:
    regional.service.workers.open()
    regional.service.workers.write("BO1", regional.service.live.regional_versions)
    assert regional.client.get("/api/health").get_json()["regional_versions"] == ["RO1"]
    other = {"pid": 1, "model_version": "BO1"}
    assert same_regional_versions([other, {**other, "regional_versions": ["RO1"]}]) is None
    assert same_regional_versions([other, other]) == []
