"""A trial in some places: the candidate first prices the logged homes of these places, and of no others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import main
from homeprices.errors import Conflict
from homeprices.experiment import policies
from homeprices.registry import bundle_publisher
from homeprices.registry.versions import utc_now
from homeprices.release import control_record, holds
from homeprices.workflows.candidates import shadow, trial_places
from tests.support import bundles
from tests.support.trial import Trial

LEAST = policies.load("demo").shadow.least_homes  # type: ignore[union-attr]
WHITEFIELD, INDIRA_NAGAR = ("whitefield",), ("indira nagar",)


@pytest.fixture
def trial(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    """BO1 in production; CO2 on trial everywhere: it asks four times the price in Whitefield, elsewhere the same."""
    made = Trial(engine, tmp_path, HOMEPRICES_POLICY="demo")
    monkeypatch.setitem(bundles.LOCATION_LEVELS, "Whitefield", 4 * bundles.LOCATION_LEVELS["Whitefield"])
    bundle_publisher.stage(made.bucket, "own/run", bundles.make_draft(tmp_path / "two"))
    assert bundle_publisher.publish(made.bucket, "own/run", "CO") == "CO2"
    control_record.start_experiment(made.bucket, "BO1", "CO2", 20.0, "tests", clock=utc_now)
    yield made
    made.close()


def asked(trial: Trial, place: str, homes: int, actual_prices: int = 0) -> None:
    """Visitors asked production for so many homes of a place, and reported so many actual prices."""
    ts = utc_now() - timedelta(hours=1)
    inputs = {"total_sqft": 1000.0, "location": place, "bhk": 2, "bath": 2}
    for visit in trial.visits("production", homes, inputs=inputs, ts=ts)[:actual_prices]:
        trial.say({"id": visit, "visitor": f"production{visit}", "ts": ts}, "actual_price", 60.0)


def share(trial: Trial, folder: Path, capsys: pytest.CaptureFixture[str], *places: str) -> tuple[int, str]:
    """Run `homeprices release share` for these places."""
    (folder / "places.txt").write_text("\n".join(places))
    code = main(["release", "share", "20", "--places", str(folder / "places.txt")], trial.resources)
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_a_disagreement_in_the_places_of_a_trial_refuses_it_with_the_report(
    trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(trial, " WHITEFIELD ", LEAST)
    asked(trial, "Indira Nagar", LEAST)
    before = control_record.read(trial.bucket)
    code, printed = share(trial, tmp_path, capsys, "Whitefield")
    assert code == 1
    assert "CO2 is not tried in one place: stopped in shadow: it differs from BO1 by more than a factor" in printed
    assert f"on 100.0% of {LEAST} homes that visitors asked for" in printed
    [page] = [key.key for key in trial.bucket.list(shadow.FOLDER) if key.key.endswith(".html")]
    assert page.removeprefix(shadow.FOLDER).removesuffix(".html") in printed and page.endswith("-in-places.html")
    assert "The candidate is stopped before any visitor in one place" in trial.bucket.get(page).body.decode()
    assert control_record.read(trial.bucket) == before


def test_a_disagreement_elsewhere_does_not_refuse_it(
    trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(trial, "Whitefield", LEAST)
    asked(trial, "indira  NAGAR", LEAST + 20)
    code, printed = share(trial, tmp_path, capsys, "Indira Nagar")
    assert (code, printed.splitlines()[-2:]) == (
        0,
        [
            f"On {LEAST + 20} homes in one place that visitors asked BO1 for, the candidate differs by more than a "
            "factor of 3 on 0.0%, so the trial may begin.",
            "CO2 gets 20 % of the visitors in one place from epoch 2 on.",
        ],
    )
    assert control_record.read(trial.bucket).places == INDIRA_NAGAR


def test_actual_prices_elsewhere_do_not_count(trial: Trial, tmp_path: Path) -> None:
    asked(trial, "Whitefield", 40, actual_prices=40)
    asked(trial, "Indira Nagar", LEAST, actual_prices=30)
    folder = bundles.make_draft(tmp_path / "draft")
    report = shadow.compare_in_shadow(trial.resources, "own/run", folder, places=INDIRA_NAGAR)
    assert (report.places, report.logged, report.prices.difference.n) == (INDIRA_NAGAR, LEAST, 30)
    everywhere = shadow.compare_in_shadow(trial.resources, "own/run", folder)
    assert (everywhere.places, everywhere.logged, everywhere.prices.difference.n) == ((), LEAST + 40, 70)


def test_few_homes_there_are_no_reason_to_refuse_it(
    trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(trial, "Whitefield", 20)
    asked(trial, "Indira Nagar", LEAST)
    code, printed = share(trial, tmp_path, capsys, "Whitefield")
    assert code == 0
    assert f"Visitors asked for 20 homes in one place in 7 days. {LEAST} are needed" in printed


def test_a_person_who_skips_shadow_for_the_candidate_skips_it_in_places_too(
    trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(trial, "Whitefield", LEAST)
    holds.skip_shadow(trial.bucket, "own/run", "person:asha", "a new tax")
    code, printed = share(trial, tmp_path, capsys, "Whitefield")
    assert code == 0
    assert "person:asha let the candidate skip the comparison in shadow: a new tax." in printed


def test_without_the_database_the_trial_stays_as_it_is(
    trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial.settings = trial.settings.model_copy(update={"postgres_port": 9})
    before = control_record.read(trial.bucket)
    code, printed = share(trial, tmp_path, capsys, "Whitefield")
    assert (code, "does not answer" in printed) == (1, True), printed
    assert control_record.read(trial.bucket) == before


def test_the_places_of_the_present_trial_are_not_compared_again(
    trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert share(trial, tmp_path, capsys, "Whitefield")[0] == 0
    asked(trial, "Whitefield", LEAST)
    assert share(trial, tmp_path, capsys, "Whitefield") == (
        0,
        "CO2 gets 20 % of the visitors in one place from epoch 2 on.\n",
    )


def test_a_candidate_that_takes_the_slot_meanwhile_gets_no_places(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(trial.bucket, MemoryBucket)
    compare = shadow.compare_in_shadow

    def overtaken(*given: object, **named: object) -> shadow.ShadowReport:
        control_record.end_experiment(trial.bucket, "CO2", "tests", "over")
        control_record.start_experiment(trial.bucket, "BO1", "CO1", 20.0, "tests", clock=utc_now)
        return compare(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(shadow, "compare_in_shadow", overtaken)
    with pytest.raises(Conflict, match="CO2 is no longer on trial; CO1 is"):
        trial_places.begin_in(trial.resources, 20, WHITEFIELD, "person:asha", "")
    assert control_record.read(trial.bucket).places == ()
