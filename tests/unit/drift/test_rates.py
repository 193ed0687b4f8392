"""The simulation itself, with a handful of runs; its full results are in documentations/drift.md."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift_error_rates import __main__ as command
from benchmarks.drift_error_rates import rival_rules
from benchmarks.drift_error_rates.population import Homes, homes_of
from benchmarks.drift_error_rates.shifts import each, nothing, shifts
from benchmarks.drift_error_rates.simulation import RULES, SIZES, simulate
from homeprices.data.cleaning import clean
from homeprices.data.synthetic import make_listings
from homeprices.reporting.markdown import section_marks


@pytest.fixture(scope="module")
def population() -> Homes:
    """Homes to draw samples from."""
    return homes_of(clean(make_listings(4000, 3)).rows)


def test_each_change_moves_its_feature_and_no_other(population: Homes) -> None:
    chance = np.random.default_rng(1)
    homes = population.drawn(1000, chance)
    assert nothing(homes, chance) is homes
    for moved, shift in shifts(population).values():
        changed = shift(homes, np.random.default_rng(2))
        others = [n for n in homes.numbers if not np.array_equal(homes.numbers[n], changed.numbers[n], equal_nan=True)]
        others += [n for n in homes.words if not np.array_equal(homes.words[n], changed.words[n])]
        assert others == [moved]


def test_repeated_homes_are_the_same_homes(population: Homes) -> None:
    chance = np.random.default_rng(1)
    homes = population.drawn(1000, chance)
    copied = each(5)(homes, chance)
    assert len(copied) == 5000
    for one, other in ((copied.distinct(), homes.distinct()), (copied, homes)):
        assert all(
            np.array_equal(np.unique(one.numbers[n]), np.unique(other.numbers[n]), equal_nan=True) for n in one.numbers
        )
    assert len(copied.distinct()) == len(homes.distinct()) < len(homes)


def test_the_changes_are_as_large_as_they_are_called(population: Homes) -> None:
    chance = np.random.default_rng(1)
    homes = population.drawn(1000, chance)
    larger, common, rare, bedroom = (shift for _, shift in shifts(population).values())
    assert np.allclose(larger(homes, chance).numbers["total_sqft"], 1.1 * homes.numbers["total_sqft"])
    assert (bedroom(homes, chance).numbers["bhk"] - homes.numbers["bhk"]).sum() == 200
    for shift in (common, rare):
        moved = shift(homes, chance).counts("location")
        assert 85 <= float((moved - homes.counts("location")).max()) <= 100


def test_the_simulation_finds_what_moved_and_hardly_anything_else(population: Homes) -> None:
    found = list(simulate(population, 6, 1, sizes=(200,)))
    ours = RULES[:2]
    unchanged, moved = found[:3], found[3:]
    assert [one.shift for one in unchanged] == ["none", "none, each home 2 times", "none, each home 5 times"]
    assert [one.any_share(rule) for rule in ours for one in unchanged] == [0.0] * 6
    assert all(one.hit_share(rule) >= 5 / 6 for rule in ours for one in moved)
    assert found[0].any_share("Evidently's defaults") == 1.0, "200 places differ by more than 0.1 by chance alone"


def test_the_mean_rule_sees_means_and_nothing_else(population: Homes) -> None:
    homes = population.drawn(2000, np.random.default_rng(1))
    assert rival_rules.means(homes, homes) == set()
    larger = Homes({**homes.numbers, "bath": homes.numbers["bath"] * 1.21}, homes.words, homes.names)
    assert rival_rules.means(homes, larger) == {"bath"}


def test_the_table_is_written_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "drift.md"
    page.write_text("before\n{}\nold\n{}\nafter\n".format(*section_marks(command.SECTION)))
    monkeypatch.setattr(command, "DEFAULT_ROWS", 1500)
    columns = tmp_path / "evidently.md"
    columns.write_text("{}\nold\n{}\n".format(*section_marks(command.COLUMNS_SECTION)))
    options = ["--runs", "1", "--page", str(page), "--columns-page", str(columns)]
    assert command.main(["--listings", str(tmp_path / "none.csv"), *options]) == 0
    _, head, _, *rows = [line for line in columns.read_text().splitlines() if line.startswith(("|", "Pop"))]
    assert head == "| homes | total_sqft | bhk | bath | balcony | price | location | area_type | availability |"
    assert [row.split(" | ")[0] for row in rows] == [f"| {size:,}" for size in SIZES]
    assert all(row.split(" | ")[6] == "100.0%" for row in rows), "places differ by chance"
    text = page.read_text()
    assert (text.startswith("before\n"), text.endswith("after\n"), "old" in text) == (True, True, False)
    assert "Population: synthetic listings" in text
    assert text.count("\n| none") == 9
    assert capsys.readouterr().out.count("\n") == 13
