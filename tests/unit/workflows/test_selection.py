"""Which candidate takes the slot, who leaves the queue, and what is left when a writer dies or is overtaken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import DatabaseUnavailable, InvalidInput
from homeprices.experiment.evidence import PairedPriceError, SampleMoments
from homeprices.registry import bundle_publisher, bundle_reader, mlflow_mirror, versions
from homeprices.release import candidate_queue, holds, phases, promotion
from homeprices.workflows import manual_actions
from homeprices.workflows.candidates import publication, selection, shadow
from homeprices.workflows.candidates.selection import Contender, choose
from homeprices.workflows.evaluate_experiment import Evaluation
from homeprices.workflows.status import experiment_status, release_status
from tests.contract.release import assert_consistent, in_production
from tests.support.bundles import price
from tests.support.faulty_bucket import DyingBucket, Killed, OvertakenBucket
from tests.support.trial import copy_of
from tests.unit.workflows.test_candidate_publication import Site, own_draft, site, with_other_prices  # noqa: F401

# ruff: noqa: F811 (fixtures)

ROOT = Path(__file__).parents[3]
HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


def waits(site: Site, folder: Path, run: str, factor: float, metric: float) -> str:
    """A candidate of a run that waits, as a publisher leaves it that dies before it looks at the slot."""
    bundle_publisher.stage(site.bucket, run, own_draft(folder / run, factor, metrics={"median_ape": metric}))
    return bundle_publisher.publish(site.bucket, run, "CO", waits=True)


def fill(site: Site, bucket: Any = None) -> str | None:
    return selection.fill_slot(site.resources(bucket), "evaluation")


def contender(version: str, hold_out: float, difference: float = 0.0, visitors: int = 0) -> Contender:
    return Contender(version, PairedPriceError(difference=SampleMoments(n=visitors, mean=difference)), hold_out)


@pytest.mark.parametrize(
    ("contenders", "best", "says"),
    [
        ([contender("CO1", 0.2), contender("CO2", 0.1)], "CO2", "its error on the hold-out is the smallest (10.00%)"),
        ([contender("CO2", 0.1), contender("CO10", 0.1)], "CO2", "of 2 that waited"),
        ([contender("CO1", 0.2, -0.03, 30), contender("CO2", 0.1, 0.01, 90)], "CO1", "on actual prices, less that of"),
        ([contender("CO1", 0.2, -0.03, 30), contender("CO2", 0.1, 0.01, 29)], "CO2", "on the hold-out"),
    ],
)
def test_the_best_is_chosen_by_actual_prices_where_each_has_enough_else_by_the_hold_out(
    contenders: list[Contender], best: str, says: str
) -> None:
    chosen, reason = choose(contenders)
    assert chosen == best and says in reason


def test_the_best_on_the_hold_out_of_the_newest_dataset_takes_the_slot(site: Site, tmp_path: Path) -> None:
    """The metric in the manifest is another's word; each is measured on the same homes."""
    waits(site, tmp_path, "one", 1.1, 0.01)
    waits(site, tmp_path, "two", 1.05, 0.9)
    waits(site, tmp_path, "three", 1.0, 0.001)  # equals production
    assert fill(site) == "CO2" and bundle_reader.published(site.bucket, "CO") == ["CO2"]
    slot = json.loads(site.bucket.get(candidate_queue.KEY).body)
    assert slot["reason"].startswith("of 2 that waited, its error on the hold-out is the smallest (7.")
    assert "its estimates equal those of BO1" in promotion.reason_of(site.bucket, "CO3")
    assert candidate_queue.why_waiting(site.bucket) == {"CO1": "CO2 has the slot"}
    assert fill(site) == "CO2", "the slot is taken"
    assert_consistent(site.bucket)


def test_the_best_by_actual_prices_takes_the_slot(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.asked += [json.dumps({**HOME, "total_sqft": 1000 + number}) for number in range(600)]
    told = [
        {"visitor": f"v{number}", "variant": "production", "fallback": False, "estimate": 1.0,
         "inputs": {**HOME, "total_sqft": 1000 + number}, "price": price(1000 + number, "Whitefield", 2, 1.1)}
        for number in range(selection.LEAST_PRICES)
    ]  # fmt: skip
    monkeypatch.setattr(shadow, "_logged", lambda *_: (site.asked, told))
    waits(site, tmp_path, "one", 1.1, 0.1)
    waits(site, tmp_path, "two", 1.05, 0.07)
    assert fill(site) == "CO1", "on the hold-out CO2 is better, and CO1 on what visitors paid"
    assert "its error on actual prices" in json.loads(site.bucket.get(candidate_queue.KEY).body)["reason"]


def test_shadow_is_repeated_against_a_new_production_and_stops_who_disagrees(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.publish(own_draft(tmp_path / "a", 1.05)) == 0
    folder = with_other_prices(own_draft(tmp_path / "b", 1.06, metrics={"median_ape": 0.0725}))
    assert site.publish(folder) == 0, "visitors asked for nothing yet"
    assert candidate_queue.waiting(site.bucket) == ["CO2"]
    site.asked += [json.dumps({**HOME, "location": "Nowhere", "total_sqft": 1000 + n}) for n in range(600)]
    promotion.promote(site.bucket, "CO1", in_production, "evaluation", "better")
    during, compare = [], shadow.compare_logged

    def looked_at(*compared: Any) -> Any:
        during.append(phases.models_in(site.bucket, versions.utc_now()))
        return compare(*compared)

    monkeypatch.setattr(shadow, "compare_logged", looked_at)
    assert fill(site) is None and bundle_reader.waiting(site.bucket) == []
    reason = promotion.reason_of(site.bucket, "CO2")
    assert reason.startswith("stopped in shadow: it differs from BO2 by more than a factor of 3")
    page = reason.rpartition("/operations/shadow/")[2].rstrip(")")
    assert json.loads(site.bucket.get(f"reports/shadow/{page}.json").body)["production"] == "BO2"
    assert during == [{"shadow": page, "waiting": "CO2"}] and phases.models_in(site.bucket, versions.utc_now()) == {}
    assert promotion.rejected_bundles(site.bucket) == [], "it met no visitor"


def test_a_candidate_alone_is_compared_again_only_with_another_production(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, factor, metric in (("a", 1.05, 0.0715), ("b", 1.06, 0.0725)):
        assert site.publish(own_draft(tmp_path / name, factor, metrics={"median_ape": metric})) == 0
    compared: list[str] = []

    def logged(*_: object) -> tuple[list[str], list[Any]]:
        compared.append("again")
        return [], []

    monkeypatch.setattr(shadow, "_logged", logged)
    resources = site.resources()
    promotion.roll_back(site.bucket, "CO1", "evaluation", "worse")
    assert fill(site) == "CO2" and compared == []
    promotion.promote(site.bucket, "CO2", in_production, "evaluation", "better")
    waits(site, tmp_path, "later", 1.07, 0.08)
    assert selection.fill_slot(resources, "evaluation") == "CO3" and compared == ["again"]


def test_a_held_candidate_takes_no_slot_and_a_damaged_one_leaves(site: Site, tmp_path: Path) -> None:
    waits(site, tmp_path, "one", 1.05, 0.07)
    waits(site, tmp_path, "two", 1.1, 0.1)
    holds.set_hold(site.bucket, "CO1", "person:ann", "it waits for the monsoon")
    site.bucket.put("models/price_check_CO2/model.onnx", b"damaged")
    assert fill(site) is None
    assert promotion.reason_of(site.bucket, "CO2").startswith("it is damaged: price_check_CO2: model.onnx")
    holds.lift(site.bucket)
    assert fill(site) == "CO1"


def test_without_the_dataset_the_manifests_have_the_errors(site: Site, tmp_path: Path) -> None:
    waits(site, tmp_path, "one", 1.05, 0.08)
    waits(site, tmp_path, "two", 1.1, 0.07)
    site.bucket.delete("data/raw/train_V1.csv")
    assert fill(site) == "CO2"


def test_the_next_evaluation_fills_the_slot_and_one_without_a_database_ends_the_trial_all_the_same(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(site, tmp_path, "one", 1.05, 0.07)
    waits(site, tmp_path, "two", 1.1, 0.1)

    def away(*_: object) -> None:
        raise DatabaseUnavailable("it does not answer")

    monkeypatch.setattr(shadow, "_logged", away)
    selection.try_fill_slot(site.resources(), "evaluation")
    assert candidate_queue.holder(site.bucket) is None
    monkeypatch.setattr(shadow, "_logged", lambda *_: ([], []))
    monkeypatch.setattr(Evaluation, "_pending", lambda *_: None)
    site.replica.held_back = True
    found = Evaluation(site.resources(), "run").collect_evidence()
    assert found == {"nothing": "CO1 waits until every candidate replica serves it."}


def test_a_person_withdraws_a_candidate_that_waits_and_holds_another(site: Site, tmp_path: Path) -> None:
    for number, (run, factor) in enumerate((("one", 1.05), ("two", 1.1), ("three", 1.06)), 1):
        assert waits(site, tmp_path, run, factor, 0.07) == f"CO{number}"
    for _ in range(2):
        report = manual_actions.roll_back(site.resources(), "CO1", "person:ann", "it undervalues villas")
        assert report.done == ["CO1 is withdrawn, and waits no longer."]
        assert "not on record" in report.not_propagated[0], "the database is away"
    assert promotion.reason_of(site.bucket, "CO1") == "it undervalues villas"
    manual_actions.hold(site.resources(), "CO3", "person:ann", "after the monsoon")
    status_lines = release_status(site.resources()).splitlines()
    assert [line for line in status_lines if line.startswith("waiting")] == [
        "waiting      CO2: the next evaluation gives the slot to the best that waits",
        f"waiting      CO3: {holds.read(site.bucket)}",
    ]
    assert fill(site) == "CO2"
    assert (
        experiment_status(site.resources()).splitlines()[-1].startswith("waiting      CO3: CO3 is held by person:ann")
    )
    assert candidate_queue.why_waiting(site.bucket).keys() == {"CO3"}


def test_an_evaluation_starts_without_pandas() -> None:
    """Each task is a process, and nearly always the slot is taken: then nothing is compared on the hold-out."""
    script = "import homeprices.workflows.evaluate_experiment, sys; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class Runs:
    """Two runs with a draft each, whose manifests have the errors: nothing else is compared."""

    def __init__(self, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_rows(*_: object) -> None:
            raise InvalidInput({"dataset.key": "there is none"})

        monkeypatch.setattr(publication, "hold_out", no_rows)
        monkeypatch.setattr(mlflow_mirror, "try_sync_registered_model", lambda *_, **__: None)
        for run, factor in (("one", 1.05), ("two", 1.1)):
            bundle_publisher.stage(site.bucket, run, own_draft(folder / run, factor))
        self._site, self._start = site, copy_of(site.bucket)
        self.bucket = self._start

    def begin_again(self) -> MemoryBucket:
        self.bucket = copy_of(self._start)
        return self.bucket

    def publish(self, run: str, through: Any = None) -> tuple[str | None, str | None]:
        return selection.publish_or_wait(self._site.resources(through or self.bucket), run, run, run)


def test_two_that_publish_at_the_same_moment_end_as_one_on_trial_and_one_that_waits(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(site, tmp_path, monkeypatch)
    seen = set()
    for operations in range(500):
        bucket = runs.begin_again()
        slow = OvertakenBucket(bucket, operations, lambda: runs.publish("two"))
        version, why = runs.publish("one", slow)
        [published] = bundle_reader.published(bucket, "CO")
        assert published == candidate_queue.holder(bucket)
        if not slow.overtaken:
            break
        assert sorted([published, *candidate_queue.waiting(bucket)]) == ["CO1", "CO2"], operations
        assert version is not None and (why is None) == (version == published)
        assert why in (None, f"{version} waits: {published} has the slot")
        assert_consistent(bucket)
        seen.add((version, why is None))
    assert operations > 30 and {slot for _, slot in seen} == {True, False}, seen


def test_a_publication_beside_one_that_waits_is_killed_after_any_step_and_ends_the_same(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(site, tmp_path, monkeypatch)
    for operations in range(500):
        bucket = runs.begin_again()
        bundle_publisher.publish(bucket, "two", "CO", waits=True)
        try:
            runs.publish("one", DyingBucket(bucket, operations))
        except Killed:
            assert runs.publish("one") == ("CO2", "CO2 waits: CO1 has the slot")
            assert bundle_reader.published(bucket, "CO") == ["CO1"] and bundle_reader.waiting(bucket) == ["CO2"]
            assert_consistent(bucket)
            continue
        break
    assert operations > 30


def test_a_choice_that_withdraws_one_is_killed_after_any_step_and_ends_the_same(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(site, tmp_path, monkeypatch)
    for operations in range(500):
        bucket = runs.begin_again()
        for run in ("one", "two"):
            bundle_publisher.publish(bucket, run, "CO", waits=True)
        bucket.put("models/price_check_CO1/model.onnx", b"damaged")
        try:
            fill(site, DyingBucket(bucket, operations))
        except Killed:
            promotion.resume_interrupted(bucket, "next run")
            assert fill(site, bucket) == "CO2" and bundle_reader.published(bucket, "CO") == ["CO2"]
            assert promotion.reason_of(bucket, "CO1").startswith("it is damaged")
            assert not list(bucket.list("models/price_check_CO1/")) and bundle_reader.waiting(bucket) == []
            continue
        break
    assert operations > 30
