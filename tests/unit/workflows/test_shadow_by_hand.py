"""A person skips, holds or repeats the comparison in shadow, with a reason that is on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, HomePricesError, InvalidInput
from homeprices.release import candidate_queue, holds, promotion
from homeprices.workflows import manual_actions
from homeprices.workflows.candidates import selection, shadow
from homeprices.workflows.evaluate_experiment import Evaluation
from homeprices.workflows.status import release_status
from monitoring.operations.bucket_parts import BucketParts
from tests.support.faulty_bucket import LostAnswers, OvertakenBucket
from tests.support.stored import members, pinned
from tests.unit.workflows.test_candidate_publication import (  # noqa: F401
    Site,
    own_draft,
    refused,
    site,
    with_other_prices,
)
from tests.unit.workflows.test_selection import HOME, waits

# ruff: noqa: F811 (fixtures)


def disagreement(site: Site) -> None:
    """Visitors asked for homes in a place for which the draft of `with_other_prices` has four times the price."""
    site.asked[:] = [json.dumps({**HOME, "location": "Nowhere", "total_sqft": 1000 + n}) for n in range(600)]


def act(site: Site, action: str, version: str | None = "shadow", reason: str = "the market has moved") -> list[str]:
    done = Evaluation(site.resources(), "run").run_manual_action(action, version, "ann", reason)
    return [line for line in done if "not on record" not in line]


@pytest.mark.parametrize("action", ["hold", "skip", "repeat"])
def test_without_a_reason_nothing_is_done(site: Site, action: str) -> None:
    with pytest.raises(InvalidInput, match="reason: is required"):
        act(site, action, reason=" ")
    assert not list(site.bucket.list("control/"))


def test_the_next_candidate_skips_the_comparison_once_and_the_one_after_it_does_not(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disagreement(site)
    for _ in range(2):
        said = "The next candidate skips the comparison in shadow. The one on the hold-out is made."
        assert act(site, "skip") == [said]
    assert site.publish(with_other_prices(own_draft(tmp_path / "own"))) == 0
    assert (
        "person:ann let the candidate skip the comparison in shadow: the market has moved." in capsys.readouterr().out
    )
    assert candidate_queue.holder(site.bucket) == "CO1"
    second = with_other_prices(own_draft(tmp_path / "second", 1.06, metrics={"median_ape": 0.0725}))
    assert "stopped in shadow" in refused(site, second, capsys)
    assert act(site, "skip"), "the same action for the same reason lets no second one skip"
    assert "stopped in shadow" in refused(site, second, capsys)
    assert act(site, "skip", reason="another reason") and site.publish(second) == 0


def test_a_skip_is_for_one_of_two_that_come_at_the_same_moment() -> None:
    for operations in range(6):
        bucket = MemoryBucket()
        holds.skip_shadow(bucket, None, "person:ann", "it is known")
        others: list[holds.ShadowSkip | None] = []
        slow = OvertakenBucket(
            bucket,
            operations,
            lambda b=bucket, o=others: o.append(holds.shadow_skip(b, "two", comes=True)),  # type: ignore[misc]
        )
        first = holds.shadow_skip(slow, "one", comes=True)
        if slow.overtaken:
            assert [first, *others].count(None) == 1, operations
        assert holds.shadow_skip(bucket, "three", comes=True) is None
    bucket.delete(holds.SKIP_KEY)
    holds.skip_shadow(bucket, None, "person:ann", "it is known")
    found = holds.shadow_skip(LostAnswers(bucket), "one", comes=True)
    assert found is not None and found.run == "one", "the answer was lost, and the skip is ours"


def test_a_candidate_that_waits_takes_no_skip_of_the_next_and_has_its_own(site: Site, tmp_path: Path) -> None:
    assert site.publish(own_draft(tmp_path / "a")) == 0
    assert site.publish(with_other_prices(own_draft(tmp_path / "b", 1.06, metrics={"median_ape": 0.0725}))) == 0
    act(site, "skip", reason="for the next")
    act(site, "repeat")
    assert json.loads(site.bucket.get(holds.SKIP_KEY).body)["run"] is None, "it is no candidate that comes"
    disagreement(site)
    assert act(site, "skip", "CO2") == ["CO2 skips the comparison in shadow. The one on the hold-out is made."]
    promotion.roll_back(site.bucket, "CO1", "evaluation", "worse")
    waits(site, tmp_path, "later", 1.1, 0.1)
    assert selection.fill_slot(site.resources(), "evaluation") == "CO2"


def test_a_person_repeats_the_comparison_and_one_that_disagrees_leaves(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="no candidate waits"):
        act(site, "repeat")
    for number, factor in enumerate((1.05, 1.06, 1.07)):
        folder = own_draft(tmp_path / str(number), factor, metrics={"median_ape": (0.0715, 0.0725, 0.0765)[number]})
        assert site.publish(with_other_prices(folder) if number == 1 else folder) == 0
    act(site, "skip", "CO2")
    disagreement(site)
    done = act(site, "repeat", reason="the log has grown")
    assert done[0].startswith("CO2 was compared again, and leaves the queue: stopped in shadow: it differs from BO1")
    assert done[1:] == ["CO3 was compared again, and waits."] and candidate_queue.waiting(site.bucket) == ["CO3"]
    assert json.loads(site.bucket.get(shadow.NEWEST).body)["objection"] is None
    assert act(site, "repeat", "CO3") == done[1:]


def test_while_shadow_is_held_no_candidate_takes_the_slot(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [said] = act(site, "hold", reason="until the new listings are in")
    assert said.startswith("shadow is held by person:ann since ") and "until the new listings are in" in said
    assert site.publish(own_draft(tmp_path / "own")) == 0
    assert "CO1 waits: shadow is held by person:ann since" in capsys.readouterr().out
    assert "shadow is held by person:ann" in Evaluation(site.resources(), "run").collect_evidence()["nothing"]
    assert f"hold         {said.rstrip('.')}" in release_status(site.resources()).splitlines()
    shown = BucketParts(site.bucket).release()
    assert (shown["hold"], shown["shadow_hold"]["reason"]) == (None, "until the new listings are in")
    manual_actions.hold(site.resources(), "BO1", "person:ben", "a holiday")
    assert act(site, "resume") == ["BO1 is no longer held.", "shadow is no longer held."]
    assert selection.fill_slot(site.resources(), "evaluation") == "CO1" and act(site, "resume") == ["Nothing was held."]


def test_what_is_stored_is_pinned_and_a_damaged_skip_is_named() -> None:
    bucket, names = MemoryBucket(), pinned("stored_names.json")
    holds.set_hold(bucket, holds.SHADOW, "person:ann", "why")
    holds.skip_shadow(bucket, None, "person:ann", "why")
    for key in (holds.SHADOW_KEY, holds.SKIP_KEY):
        assert key in names["keys"]
        assert members(json.loads(bucket.get(key).body)) == set(names["members"][key]["members"])
    bucket.put(holds.SKIP_KEY, b"{}")
    with pytest.raises(HomePricesError, match=r"control/shadow-skip.json is no skip"):
        holds.shadow_skip(bucket, "run", comes=True)
