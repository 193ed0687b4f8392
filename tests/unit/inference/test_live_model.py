import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeprices.adapters.object_store import Entry, MemoryBucket, Object
from homeprices.errors import NoModel, StorageUnavailable
from homeprices.names import Variant
from homeprices.pricing.home import Home
from homeprices.registry import bundle_publisher, versions
from inference.backend.runtime.live_model import CACHED_BUNDLES, LONGEST_RETRY_SECONDS, LiveModel, PollResult
from tests.support.bundles import make_bundle, price

SLOW = 1_000_000
HOME = Home(total_sqft=1200, location="Whitefield", bhk=2, bath=2)


class FlakyBucket(MemoryBucket):
    """A bucket that can be unavailable or slow to list."""

    away = False
    may_answer: threading.Event | None = None

    def list(self, prefix: str) -> Iterator[Entry]:
        if self.may_answer is not None:
            self.may_answer.wait()
        if self.away:
            raise StorageUnavailable("the bucket is away")
        return super().list(prefix)

    def get(self, key: str) -> Object:
        if self.away:
            raise StorageUnavailable("the bucket is away")
        return super().get(key)


class World:
    """A bucket, a cache folder, a stopped clock, and the reported poll results."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bucket, self.now = folder, FlakyBucket(), 0.0
        self.results: list[PollResult] = []

    def live(self, variant: Variant = "production", poll_seconds: float = 5.0) -> LiveModel:
        return LiveModel(
            variant,
            self.bucket,
            self.folder / "cache",
            poll_seconds=poll_seconds,
            report=self.results.append,
            clock=lambda: self.now,
        )

    def publish(self, version: str, factor: float = 1.0, spoil: str | None = None, idle_work: int = 0) -> None:
        folder = make_bundle(self.folder / "made" / version, version, factor=factor, idle_work=idle_work)
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == "manifest.json"):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                self.bucket.put(versions.folder(version) + name, path.read_bytes())
        if spoil == "flipped byte":
            key = versions.folder(version) + "model.onnx"
            body = bytearray(self.bucket.get(key).body)
            body[len(body) // 2] ^= 1
            self.bucket.put(key, bytes(body))
        if spoil == "wrong inputs":
            self._replace_columns(version)
        if spoil == "wrong golden":
            key = versions.folder(version) + "manifest.json"
            manifest = json.loads(self.bucket.get(key).body)
            manifest["golden"][0]["estimated_price"] *= 1.01
            self.bucket.put(key, json.dumps(manifest).encode())

    def _replace_columns(self, version: str) -> None:
        """The columns of another model, with a correct digest."""
        folder = versions.folder(version)
        columns = json.loads(self.bucket.get(folder + "columns.json").body)
        columns["inputs"][0]["name"] = "balcony"
        body = json.dumps(columns).encode()
        manifest = json.loads(self.bucket.get(folder + "manifest.json").body)
        manifest["files"]["columns.json"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        self.bucket.put(folder + "columns.json", body)
        self.bucket.put(folder + "manifest.json", json.dumps(manifest).encode())


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A bucket, a cache folder and a model that polls."""
    return World(tmp_path)


def test_before_the_first_model_its_state_is_starting(world: World) -> None:
    live = world.live()
    assert (live.poll(), live.state) == ("not_published", "starting")
    with pytest.raises(NoModel, match="no model has been published yet"):
        live.current()


def test_it_serves_the_highest_version_and_reloads_when_a_higher_one_is_published(world: World) -> None:
    world.publish("BO1", 1.0)
    live = world.live()
    assert (live.poll(), live.current().version, live.state) == ("reloaded", "BO1", "ok")
    assert live.poll() == "unchanged"
    before = live.current()
    world.publish("BO9", 2.0)
    world.publish("BO10", 3.0)
    assert (live.poll(), live.current().version) == ("reloaded", "BO10")
    assert live.current().estimate([HOME])[0].price == pytest.approx(price(1200, "Whitefield", 2, 3.0))
    assert before.estimate([HOME])[0].price == pytest.approx(price(1200, "Whitefield", 2, 1.0))
    assert [result.outcome for result in world.results] == ["reloaded", "unchanged", "reloaded"]


@pytest.mark.parametrize(
    ("spoil", "fault"), [("flipped byte", "damaged"), ("wrong golden", "answers"), ("wrong inputs", "inputs")]
)
def test_a_bad_bundle_is_rejected_and_the_current_model_stays(world: World, spoil: str, fault: str) -> None:
    world.publish("BO1")
    live = world.live()
    live.poll()
    world.publish("BO2", spoil=spoil)
    assert (live.poll(), live.current().version, live.refused, live.state) == ("rejected", "BO1", "BO2", "ok")
    assert (world.results[-1].refused, world.results[-1].fault) == ("BO2", fault)


def test_a_model_that_is_many_times_slower_is_rejected(world: World) -> None:
    world.publish("BO1")
    live = world.live()
    live.poll()
    world.publish("BO2", idle_work=SLOW)
    assert (live.poll(), live.current().version, live.refused, live.fault) == ("rejected", "BO1", "BO2", "slow")
    world.publish("BO3", factor=2.0)
    assert (live.poll(), live.current().version, live.fault) == ("reloaded", "BO3", None)


def test_a_first_model_may_be_slower_up_to_a_limit(world: World) -> None:
    world.publish("BO1", idle_work=20 * SLOW)
    live = world.live()
    assert (live.poll(), live.state, live.fault) == ("rejected", "starting", "slow")


def test_a_rejected_bundle_is_retried_with_backoff_and_served_once_it_is_valid(world: World) -> None:
    world.publish("BO1")
    live = world.live()
    live.poll()
    world.publish("BO2", spoil="flipped byte")
    live.poll()
    world.publish("BO2")
    assert live.poll() == "rejected"
    world.now += LONGEST_RETRY_SECONDS
    assert (live.poll(), live.refused) == ("reloaded", None)


def test_a_version_above_the_rejected_one_is_tried_at_once(world: World) -> None:
    world.publish("BO1", spoil="flipped byte")
    live = world.live()
    live.poll()
    world.publish("BO2")
    assert (live.poll(), live.current().version, live.refused) == ("reloaded", "BO2", None)


def test_a_worker_that_starts_with_a_bad_newest_bundle_serves_the_one_before(world: World) -> None:
    for version, spoil in (("BO1", None), ("BO2", "flipped byte"), ("BO3", "wrong golden")):
        world.publish(version, spoil=spoil)
    live = world.live()
    assert (live.poll(), live.current().version, live.refused) == ("rejected", "BO1", "BO3")


def test_a_candidate_that_ends_leaves_the_instance_idle(world: World) -> None:
    world.publish("CO1")
    live = world.live("candidate")
    live.poll()
    assert live.current().version == "CO1"
    bundle_publisher.archive(world.bucket, "CO1")
    assert (live.poll(), live.state) == ("not_published", "idle")
    with pytest.raises(NoModel, match="no candidate"):
        live.current()


def test_a_candidate_that_waits_is_not_served_beside_the_one_on_trial(world: World) -> None:
    live = world.live("candidate")
    for version in ("CO1", "CO2"):
        world.publish(version, factor=2.0)
    waits = "models/price_check_CO2/"
    world.bucket.copy(waits + "manifest.json", waits + "waiting.json")
    world.bucket.delete(waits + "manifest.json")
    assert (live.poll(), live.current().version) == ("reloaded", "CO1")
    world.bucket.delete("models/price_check_CO1/manifest.json")
    assert (live.poll(), live.state) == ("not_published", "idle")


def test_a_bad_candidate_does_not_bring_back_an_earlier_one(world: World) -> None:
    world.publish("CO1")
    world.publish("CO2", spoil="flipped byte")
    live = world.live("candidate")
    assert live.poll() == "rejected"
    with pytest.raises(NoModel):
        live.current()


def test_production_is_kept_when_the_bucket_has_none(world: World) -> None:
    world.publish("BO1")
    live = world.live()
    live.poll()
    world.bucket = live._bucket = FlakyBucket()
    assert (live.poll(), live.current().version) == ("not_published", "BO1")


def test_an_unavailable_bucket_changes_nothing(world: World) -> None:
    world.publish("BO1")
    live = world.live()
    live.poll()
    world.bucket.away = True
    assert (live.poll(), live.poll(), live.current().version, live.state) == ("unavailable", "unavailable", "BO1", "ok")


def test_without_the_bucket_at_start_the_newest_valid_bundle_of_the_cache_is_served_as_stale(
    world: World,
) -> None:
    cache = world.folder / "cache"
    for version in ("BO1", "BO2", "BO10", "CO11"):
        make_bundle(cache / f"price_check_{version}", version)
    (cache / "price_check_BO10" / "model.onnx").write_bytes(b"damaged")
    (cache / "price_check_BOx").mkdir()
    world.bucket.away = True
    live = world.live()
    live.start()
    assert (live.current().version, live.state, world.results[-1].stale) == ("BO2", "stale", True)
    live.close()


def test_a_cached_model_is_confirmed_when_the_bucket_is_back(world: World) -> None:
    make_bundle(world.folder / "cache" / "price_check_BO1", "BO1")
    world.publish("BO1")
    world.bucket.away = True
    live = world.live(poll_seconds=600)
    live.start()
    assert live.state == "stale"
    world.bucket.away = False
    assert (live.poll(), live.state, world.results[-1].stale) == ("unchanged", "ok", False)
    live.close()


def test_a_hanging_bucket_does_not_block_the_start(world: World) -> None:
    make_bundle(world.folder / "cache" / "price_check_BO1", "BO1")
    world.bucket.may_answer = threading.Event()
    live = world.live()
    live.start()
    assert live.state == "stale"
    world.bucket.may_answer.set()
    live.close()


def test_without_bucket_and_cache_it_starts_and_waits(world: World) -> None:
    world.bucket.away = True
    live = world.live()
    live.start()
    assert live.state == "starting"
    live.close()


def test_the_cache_is_not_used_when_the_bucket_is_empty(world: World) -> None:
    make_bundle(world.folder / "cache" / "price_check_BO1", "BO1")
    live = world.live()
    live.start()
    assert live.state == "starting"
    live.close()


def test_the_thread_polls_the_bucket(world: World) -> None:
    world.publish("BO1")
    live = world.live(poll_seconds=0.02)
    live.start()
    world.publish("BO2")
    deadline = time.monotonic() + 60
    while live.current().version != "BO2" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert live.current().version == "BO2"
    live.close()


def test_an_unexpected_error_does_not_end_the_thread(world: World) -> None:
    world.publish("BO1")
    calls = iter([ZeroDivisionError("unforeseen")])

    def stumble(_result: PollResult) -> None:
        for error in calls:
            raise error

    live = LiveModel("production", world.bucket, world.folder / "cache", poll_seconds=0.01, report=stumble)
    live.start()
    world.publish("BO2")
    deadline = time.monotonic() + 60
    while live.current().version != "BO2" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert live.current().version == "BO2"
    live.close()


def test_the_cache_keeps_only_the_newest_bundles(world: World) -> None:
    live = world.live()
    for number in range(1, CACHED_BUNDLES + 3):
        world.publish(f"BO{number}")
        live.poll()
    kept = sorted(path.name for path in (world.folder / "cache").iterdir())
    assert kept == [f"price_check_BO{number}" for number in range(3, CACHED_BUNDLES + 3)]
