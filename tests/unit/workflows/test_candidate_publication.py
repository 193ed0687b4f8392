"""A person's own candidate: every way in which its folder can be wrong, and its way to a trial."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import main
from homeprices.data.preparation import SALT
from homeprices.pricing.bundle import Bundle, digest
from homeprices.registry import bundle_publisher, bundle_reader, mlflow_mirror
from homeprices.release import control_record, promotion
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.candidates import publication, shadow
from tests.support.bundles import make_draft, price
from tests.support.faulty_bucket import DyingBucket, Killed
from tests.support.trial import Replica

PLACES = ("Whitefield", "Indira Nagar", "Rajaji Nagar", "Electronic City")
DATASET = "data/raw/train_V1.csv"


def listings() -> bytes:
    """800 listings at the prices of a bundle of factor 1.05, with 10 % noise."""
    rng = np.random.default_rng(1)
    lines = ["area_type,availability,location,size,society,total_sqft,bath,balcony,price"]
    for number in range(800):
        place, bhk, area = PLACES[number % 4], int(rng.integers(1, 5)), round(rng.uniform(1300, 4000))
        paid = price(area, place, bhk, 1.05) * np.exp(rng.normal(0, 0.1))
        lines.append(f"Super built-up  Area,Ready To Move,{place},{bhk} BHK,,{area},2,1,{paid:.2f}")
    return "\n".join(lines).encode()


LISTINGS = listings()


def own_draft(folder: Path, factor: float = 1.05, **changes: Any) -> Path:
    """A draft of a person that is right but for `changes`, which are members of `draft.json`."""
    make_draft(folder, factor)
    digest_of_listings = hashlib.sha256(LISTINGS).hexdigest()
    dataset = {"version": 1, "key": DATASET, "sha256": digest_of_listings, "rows": 800, "rows_used": 800}
    metrics = {"median_ape": 0.0715, "constant_median_ape": 0.5}
    return changed(folder, dataset={**dataset, "holdout": SALT}, metrics=metrics) and changed(folder, **changes)


def changed(folder: Path, **members: Any) -> Path:
    path = folder / "draft.json"
    document = json.loads(path.read_text())
    for name, value in members.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(document))
    return folder


class Site:
    """A production and a dataset, services that serve what is published, and the homes that visitors asked for.

    The policy is `demo`, whose trials have no level, so that a start needs no database.
    """

    def __init__(self, folder: Path) -> None:
        self.bucket = MemoryBucket()
        self.asked: list[str] = []
        self.bucket.put(DATASET, LISTINGS)
        bundle_publisher.stage(self.bucket, "first", own_draft(folder / "first", 1.0))
        bundle_publisher.publish(self.bucket, "first", "BO")
        self.replica = Replica(self.bucket, "CO")
        variables = {"HOMEPRICES_CANDIDATE_URLS": self.replica.url, "MLFLOW_TRACKING_URI": self.replica.url,
                     "HOMEPRICES_REPLICA_TIMEOUT_SECONDS": "0.1", "HOMEPRICES_POLICY": "demo"}  # fmt: skip
        self.settings = load_settings(variables, ())

    def resources(self, bucket: Any = None) -> Resources:
        return Resources(self.settings, bucket or self.bucket)

    def publish(self, folder: Path) -> int:
        return main(["candidate", "publish", str(folder), "--actor", "ann"], self.resources())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with `BO1` in production."""
    made = Site(tmp_path)
    monkeypatch.setattr(shadow, "_logged", lambda *_: (made.asked, []))
    yield made
    made.replica.shutdown()
    made.replica.server_close()


def test_a_person_s_candidate_is_published_and_on_trial(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.publish(own_draft(tmp_path / "own")) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "passes every check" in printed and "Visitors asked for 0 homes in 7 days" in printed
    assert "\nCO1 is published.\n" in printed and printed.endswith("\nCO1 is on trial.\n")
    record = control_record.read(site.bucket)
    assert (record.candidate, record.updated_by, record.share) == ("CO1", "person:ann", 20)
    manifest = bundle_reader.read_manifest(site.bucket, "CO1")
    assert manifest.published_by.startswith("person:ann, own-")
    assert not list(site.bucket.list("staging/own"))
    gate = [entry.key for entry in site.bucket.list("reports/validation/gate-own-")]
    assert len(gate) == 1
    assert site.publish(tmp_path / "own") == 0 and "CO1 is on trial" in capsys.readouterr().out, "again: the same"
    assert bundle_reader.published(site.bucket, "CO") == ["CO1"]


def test_a_candidate_that_no_replica_serves_yet_is_started_by_the_next_evaluation(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.replica.held_back = True
    assert site.publish(own_draft(tmp_path / "own")) == 0
    assert "The next evaluation starts its trial once every candidate replica serves it" in capsys.readouterr().out
    assert control_record.read(site.bucket).state == "idle"


def test_a_trial_that_gets_no_level_yet_is_started_by_the_next_evaluation(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.settings = site.settings.model_copy(update={"policy": "sequential", "postgres_port": 9})
    assert site.publish(own_draft(tmp_path / "own")) == 0
    printed = capsys.readouterr().out
    assert "CO1 is published" in printed and "once the prediction log answers" in printed
    assert control_record.read(site.bucket).state == "idle"


def test_a_disagreement_on_what_visitors_asked_stops_it_with_the_report(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = {"total_sqft": 1200, "location": "<b>Nowhere</b>", "bhk": 2, "bath": 2}
    site.asked += [json.dumps({**home, "total_sqft": 1000 + number}) for number in range(600)]
    site.asked += ['{"area": 3}', "[]"]  # of an earlier version, or by hand
    folder = own_draft(tmp_path / "own", 1.05)
    assert site.publish(with_other_prices(folder)) == 1
    printed = capsys.readouterr()
    assert "candidate: nothing published: stopped in shadow: it differs from BO1 by more than a" in printed.err
    assert "a factor of 3 on 100.0% of 600 homes that visitors asked for, and 1.0% may" in printed.err
    assert bundle_reader.published(site.bucket, "CO") == [] and not list(site.bucket.list("claims/CO"))
    newest = json.loads(site.bucket.get(shadow.NEWEST).body)
    assert newest["objection"] in printed.err and f"/operations/shadow/{newest['page']}" in printed.err
    page = site.bucket.get(f"reports/shadow/{newest['page']}.html").body.decode()
    assert "“&lt;b&gt;Nowhere&lt;/b&gt;”" in page and "<b>" not in page
    report = json.loads(site.bucket.get(f"reports/shadow/{newest['page']}.json").body)
    assert report.pop("rule")["factor"] == 3 and shadow.ShadowReport.model_validate(report).logged == 602


def test_without_the_database_nothing_is_published(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    site.settings = site.settings.model_copy(update={"postgres_port": 9})
    assert "does not answer" in refused(site, own_draft(tmp_path / "own"), capsys)
    assert not list(site.bucket.list("claims/CO")) and not list(site.bucket.list("staging/own"))


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [("shadow: null", "The policy mine has no shadow comparison."), ("shadow: {days: 3}", "0 homes in 3 days. 500")],
)
def test_the_policy_says_what_is_compared(site: Site, tmp_path: Path, policy: str, sentence: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"rule: composite\nname: mine\n{policy}\n")
    resources = Resources(site.settings.model_copy(update={"policy": str(path)}), site.bucket)
    report = shadow.compare_in_shadow(resources, "run")
    assert sentence in report.sentence and (report.production, report.stopped) == ("BO1", None)
    assert shadow.compare_in_shadow(Resources(resources.settings, MemoryBucket()), "run").production is None
    assert not list(site.bucket.list("reports/"))


def with_other_prices(folder: Path) -> Path:
    """Four times the price in unknown places, of which the hold-out has none."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    [encoder] = [node for node in model.graph.node if node.op_type == "LabelEncoder"]
    [level] = [attribute for attribute in encoder.attribute if attribute.name == "default_float"]
    level.f *= 4
    onnx.save(model, folder / "model.onnx")
    draft = json.loads((folder / "draft.json").read_text())
    golden = [
        each if each["input"]["location"] != "Nowhere"
        else {**each, **{name: 4 * each[name] for name in ("estimated_price", "low", "high")}}
        for each in draft["golden"]
    ]  # fmt: skip
    return changed(folder, golden=golden, files={"model.onnx": digest(folder / "model.onnx").model_dump()})


def broken(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")

    return spoil


def lists(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_text("{}")
        changed(folder, files={name: digest(folder / name).model_dump()})

    return spoil


def other_golden(folder: Path) -> None:
    golden = json.loads((folder / "draft.json").read_text())["golden"]
    changed(folder, golden=[{**golden[0], "estimated_price": 1.0}, *golden[1:]])


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "folder: .* is not a folder"),
    "no draft": (lambda folder: (folder / "draft.json").unlink(), "needs a draft.json, .*; it has none"),
    "a published bundle": (
        lambda folder: (folder / "draft.json").rename(folder / "manifest.json"),
        r"needs a draft.json, .*; it holds a published bundle \(manifest.json\)",
    ),
    "no JSON": (lambda folder: (folder / "draft.json").write_text("{"), "draft.json is not of its schema"),
    "a member is missing": (lambda folder: changed(folder, golden=[]), "draft.json is not of its schema: golden"),
    "a file is missing": (lambda folder: (folder / "columns.json").unlink(), "columns.json cannot be read"),
    "a file is altered": (broken("model.onnx"), "model.onnx has .* bytes, its manifest says"),
    "a file beyond the folder": (
        lambda folder: changed(folder, files={"../x": {"sha256": "0" * 64, "size": 1}}), "not of its schema: files",
    ),
    "its own manifest": (lists("manifest.json"), "draft.json lists manifest.json, which publication writes"),
    "a damaged market": (lists("market.json"), "market.json is not of its schema"),
    "other golden inputs": (other_golden, "the price of golden input .* recorded was 1.0"),
    "no better than a constant": (
        lambda folder: changed(folder, metrics={"constant_median_ape": 0.01}), "smaller than a constant's",
    ),
    "a metric that is not true": (
        lambda folder: changed(folder, metrics={"median_ape": 0.05}),
        "median_ape: is 0.05 in draft.json; on the hold-out of train_V1 it is 0.07",
    ),
    "another hold-out": (
        lambda folder: changed(folder, dataset={"holdout": "mine"}),
        "dataset.holdout: own was trained with the hold-out 'mine'",
    ),
    "an unknown dataset": (
        lambda folder: changed(folder, dataset={"version": 7, "key": "data/raw/train_V7.csv"}),
        "dataset.key: there is no data/raw/train_V7.csv in the bucket",
    ),
    "another dataset of that name": (
        lambda folder: changed(folder, dataset={"sha256": "0" * 64}),
        "dataset.sha256: train_V1 in the bucket has another content",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_a_folder_that_is_wrong_is_refused_with_what_is_wrong(
    site: Site, tmp_path: Path, spoil: Callable[[Path], object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_draft(tmp_path / "own")
    spoil(folder)
    assert site.publish(folder) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("candidate: ") and printed.count("\n") == 1
    assert re.search(message, printed), printed
    assert not list(site.bucket.list("claims/CO")) and not list(site.bucket.list("staging/own"))


def refused(site: Site, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert site.publish(folder) == 1
    return capsys.readouterr().err


def test_a_candidate_waits_for_production_and_for_the_slot(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_draft(tmp_path / "own")
    bundle_publisher.stage(site.bucket, "other", own_draft(tmp_path / "other", 1.1))
    bundle_publisher.publish(site.bucket, "other", "CO")
    assert site.publish(folder) == 0 and capsys.readouterr().out.endswith("\nCO2 waits: CO1 has the slot.\n")
    assert site.publish(folder) == 0 and bundle_reader.published(site.bucket, "CO") == ["CO1"]
    again = own_draft(tmp_path / "again", git_revision="another")
    assert "its estimates equal those of CO2, which waits" in refused(site, again, capsys)
    equal = own_draft(folder, 1.1, metrics={"median_ape": 0.086})
    assert "its estimates equal those of CO1, which is on trial" in refused(site, equal, capsys)
    promotion.roll_back(site.bucket, "CO1", "tests", "it lost")
    assert "its estimates equal those of CO1, which has lost" in refused(site, equal, capsys)
    worse = own_draft(folder, 1.3, metrics={"median_ape": 0.231})
    assert "it is clearly worse than BO1" in refused(site, worse, capsys)
    site.bucket.delete("models/price_check_BO1/manifest.json")
    assert "there is no production bundle yet" in refused(site, own_draft(folder, 1.06), capsys)


def test_a_candidate_whose_trial_has_ended_is_not_published_again(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_draft(tmp_path / "own")
    assert site.publish(folder) == 0
    promotion.roll_back(site.bucket, "CO1", "tests", "it lost")
    assert "this bundle was CO1, which has ended" in refused(site, folder, capsys)


def test_a_publication_that_is_killed_after_any_step_gives_one_version(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_draft(tmp_path / "own")
    monkeypatch.setattr(publication, "check_folder", lambda _: Bundle.open_draft(folder).manifest)
    monkeypatch.setattr(publication, "hold_out", lambda *_: None)
    monkeypatch.setattr(publication, "hold_out_objection", lambda *_, **__: None)
    monkeypatch.setattr(publication, "_try_close_run", lambda *_: None)
    monkeypatch.setattr(mlflow_mirror, "try_sync_registered_model", lambda *_, **__: None)
    for operations in range(200):
        dying = site.resources(DyingBucket(site.bucket, operations))
        try:
            version = publication.publish_folder(dying, folder, "ann", lambda _: None)
        except Killed:
            continue
        break
    assert version == "CO1" and bundle_reader.published(site.bucket, "CO") == ["CO1"] and operations > 20
    bundle_reader.verify(site.bucket, "CO1")
