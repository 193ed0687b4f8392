"""A trial in some places: who names them, what changes in the control record, and what a win there leads to."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import main
from homeprices.errors import Conflict, InvalidInput
from homeprices.experiment.policies import from_document, load
from homeprices.registry import regional_record
from homeprices.release import control_record, phases
from homeprices.release.experiment_record import ControlRecord, in_places
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows import status
from homeprices.workflows.candidates import shadow, trial_places
from tests.contract.release import publish
from tests.support.factories import Clock
from tests.unit.experiment.looks import look

EAST = ("indira nagar", "whitefield")


@pytest.fixture
def trial(bucket: MemoryBucket, drafts: list[Path], clock: Clock) -> MemoryBucket:
    """BO1 in production, CO1 on trial at 20 %, with a level."""
    publish(bucket, drafts[0], "one", "BO")
    publish(bucket, drafts[1], "two", "CO")
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test", clock=clock, level=lambda *_: 0.004)
    return bucket


def resources(bucket: MemoryBucket) -> Resources:
    found = Resources(load_settings({"POSTGRES_PORT": "1", "AIRFLOW_API_URL": "http://127.0.0.1:1"}, ()))
    found.__dict__.update(bucket=bucket)
    return found


def test_other_places_begin_the_trial_again_with_the_same_visitors_at_half_of_its_level(
    trial: MemoryBucket, clock: Clock
) -> None:
    before = control_record.read(trial)
    clock.forward(hours=5)
    after = control_record.set_share(trial, 10, "person:asha", places=EAST, clock=clock)
    assert (after.places, after.share, after.phase, after.level) == (EAST, 10, "trial", 0.002)
    assert (after.salt, after.experiment) == (before.salt, before.experiment)
    assert (after.epoch, [epoch.epoch for epoch in after.epochs], after.started_at) == (2, [2], clock.now)
    assert after.reason == "share set to 10 % in 2 places"
    everywhere = control_record.set_share(trial, 20, "person:asha", places=(), clock=clock)
    assert (everywhere.places, everywhere.epoch, everywhere.level) == ((), 3, 0.001)
    assert everywhere.reason == "share set to 20 % in the whole city"


def test_the_same_places_and_no_word_of_them_change_the_share_alone(trial: MemoryBucket, clock: Clock) -> None:
    control_record.set_share(trial, 20, "a", places=EAST, clock=clock)
    for places in (None, EAST):
        clock.forward(hours=1)
        share = 30 if places is None else 40
        record = control_record.set_share(trial, share, "a", places=places, clock=clock)
        assert (record.places, record.share, record.level) == (EAST, share, 0.002)
    assert [epoch.share for epoch in record.epochs] == [20, 30, 40]
    assert control_record.set_share(trial, 0, "a", clock=clock).places == EAST
    with pytest.raises(InvalidInput, match="places"):
        control_record.set_share(trial, 0, "a", places=EAST, clock=clock)


def test_places_outlive_another_production_and_a_repeated_trial_and_end_with_the_experiment(
    trial: MemoryBucket, clock: Clock
) -> None:
    control_record.set_share(trial, 20, "a", places=EAST, clock=clock)
    assert control_record.set_production(trial, "BO2", "a", "reverted", clock=clock).places == EAST
    assert phases.repeat(trial, "person:asha", "the log was lost", clock=clock).places == EAST
    assert control_record.end_experiment(trial, "CO1", "a", "over", clock=clock).places == ()
    assert control_record.start_experiment(trial, "BO2", "CO2", 20, "a", clock=clock).places == ()
    with pytest.raises(ValueError, match="no places"):
        ControlRecord(places=EAST)


def test_without_an_experiment_no_place_is_tried(bucket: MemoryBucket) -> None:
    with pytest.raises(Conflict, match="no experiment is running"):
        control_record.set_share(bucket, 20, "a", places=EAST)


def test_places_are_named_in_any_spelling_that_production_knows(trial: MemoryBucket) -> None:
    text = "\ufeff# the east\n\n Whitefield\nINDIRA  nagar \nwhitefield\n"
    named = trial_places.read_places(io.StringIO(text))
    assert named == ["Whitefield", "INDIRA  nagar", "whitefield"]
    assert trial_places.known_places(trial, named) == EAST


def test_what_names_no_known_place_is_refused_by_name(trial: MemoryBucket) -> None:
    with pytest.raises(InvalidInput, match=r"does not know 'Whitefeild' \(did you mean 'Whitefield'\?\); 'Atlantis'$"):
        trial_places.known_places(trial, ["Whitefeild", "Atlantis", "Whitefield"])
    with pytest.raises(InvalidInput, match="and 2 more"):
        trial_places.known_places(trial, [f"Nowhere {n}" for n in range(12)])
    with pytest.raises(InvalidInput, match="other"):
        trial_places.known_places(trial, ["other"])
    with pytest.raises(InvalidInput, match="are 0; from 1 to 500 are allowed"):
        trial_places.known_places(trial, [])
    with pytest.raises(ValueError, match="at most 500 items"):
        ControlRecord(places=tuple(map(str, range(501))))
    with pytest.raises(Conflict, match="no production bundle"):
        trial_places.known_places(MemoryBucket(), ["Whitefield"])


def test_places_without_room_for_another_regional_bundle_are_refused(trial: MemoryBucket) -> None:
    for number in (1, 2, 3):
        regional_record.add(trial, f"RO{number}", (f"place {number}",), "BO1", "test", "better")
    with pytest.raises(Conflict, match="release revert --regional RO1"):
        trial_places.known_places(trial, ["Whitefield"])


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"a" * (trial_places.MOST_CHARACTERS + 1)])
def test_a_file_that_is_no_list_of_places_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="places"):
        trial_places.read_places(io.TextIOWrapper(io.BytesIO(body), encoding="utf-8"))


def test_a_region_is_the_places_of_it_that_production_knows(trial: MemoryBucket) -> None:
    assert trial_places.places_of_region(trial, "east") == ("whitefield",)
    assert trial_places.places_of_region(trial, "centre") == ("indira nagar", "rajaji nagar")
    with pytest.raises(InvalidInput, match="'general' is none; allowed: centre, north, east"):
        trial_places.places_of_region(trial, "general")
    with pytest.raises(InvalidInput, match="are 0"):
        trial_places.places_of_region(trial, "north")


def command(bucket: MemoryBucket, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["release", "--actor", "asha", *words], resources(bucket))
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one of --to and --regional is required"),
        (("--to", "BO1", "--regional", "RO1"), "one of --to and --regional is required"),
        (("--to", "RO1"), "--to takes a version such as BO1, not RO1"),
        (("--regional", "BO1"), "--regional takes a version such as RO1, not BO1"),
        (("--regional", "east"), "'east' is not a version name"),
        (("--regional", "RO7"), "RO7 is no regional bundle of production"),
    ],
)
def test_a_revert_names_either_what_returns_or_what_is_taken_back(
    trial: MemoryBucket, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, printed = command(trial, capsys, "revert", *words, "--reason", "x")
    assert code != 0
    assert said in printed


def test_the_command_tries_a_candidate_in_a_region_in_named_places_and_everywhere(
    trial: MemoryBucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "_logged", lambda *_: ([], []))
    compared = "Visitors asked for 0 homes in {} in 7 days. 500 are needed for a comparison, so the trial may begin.\n"

    def say(*words: str) -> tuple[int, str]:
        return command(trial, capsys, "share", "20", *words)

    said = compared.format("one place") + "CO1 gets 20 % of the visitors in one place from epoch 2 on.\n"
    assert say("--region", "east") == (0, said)
    assert "20 % of the visitors in one place, epoch 2" in status.release_status(resources(trial))
    listed = tmp_path / "places.txt"
    listed.write_text("Whitefield\nIndira Nagar\n")
    said = compared.format("2 places") + "CO1 gets 20 % of the visitors in 2 places from epoch 3 on.\n"
    assert say("--places", str(listed)) == (0, said)
    assert control_record.read(trial).places == EAST
    assert say("--everywhere") == (0, "CO1 gets 20 % of the visitors in the whole city from epoch 4 on.\n")
    code, said = say("--everywhere", "--region", "east")
    assert (code, "--places, --region and --everywhere exclude each other" in said) == (2, True)
    code, said = command(trial, capsys, "promote", "--regional", "--reason", "x")
    assert (code, "has no trial in some places" in said) == (1, True)
    listed.write_text("Whitefeild\n")
    code, said = say("--places", str(listed))
    assert (code, "did you mean 'Whitefield'?" in said) == (1, True)
    assert control_record.read(trial).epoch == 4


@pytest.mark.parametrize("policy", [load("composite"), load("sequential"), from_document({"rule": "sequential"})])
def test_a_win_in_some_places_promotes_there(policy: object) -> None:
    won = look((3.2, 4.6), rated=(4000, 1000), places=EAST, regional=())
    decided = policy.decide(won)  # type: ignore[attr-defined]
    assert decided.outcome == "promote"
    assert "It holds for the 2 places of the trial, and no other." in decided.reason


@pytest.mark.parametrize("policy", [load("composite"), load("sequential"), from_document({"rule": "sequential"})])
def test_a_record_from_before_there_were_regional_bundles_keeps_its_decision(policy: object) -> None:
    won = look((3.2, 4.6), rated=(4000, 1000))
    assert policy.decide(won).outcome == "promote"  # type: ignore[attr-defined]
    decided = policy.decide(won.model_copy(update={"places": EAST}))  # type: ignore[attr-defined]
    assert decided.outcome == "continue"
    assert "The trial is in some places only (2), which say nothing of others" in decided.reason
    assert "release share PERCENT --everywhere" in decided.reason
    late = look((3.2, 4.6), rated=(4000, 1000), days=60, places=EAST)
    assert policy.decide(late).outcome == "inconclusive"  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [load("composite"), load("sequential")])
def test_harm_in_some_places_ends_the_trial(policy: object) -> None:
    assert policy.decide(look((4.6, 3.0), rated=(4000, 1000), places=EAST)).outcome == "rollback"  # type: ignore[attr-defined]


def test_places_are_counted_for_people() -> None:
    assert [in_places(places) for places in ((), EAST[:1], EAST)] == [
        "in the whole city",
        "in one place",
        "in 2 places",
    ]
