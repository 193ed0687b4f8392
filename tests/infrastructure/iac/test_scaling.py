"""The cost model: its proportions and limits, and the tables of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scaling import DEMANDS, MIN_REPLICAS, RESULTS, Costs, breaks_at, main, needs, table

ROOT = Path(__file__).parents[3]
COSTS = Costs(serving_seconds=0.001, database_seconds=0.0005, log_bytes=400, wal_bytes=800, connections=4)


def test_a_core_at_sixty_percent_serves_its_share() -> None:
    found = needs(600, COSTS)
    assert found.serving_cores == pytest.approx(1.0)
    assert found.database_cores == pytest.approx(0.5)
    assert found.replicas == MIN_REPLICAS


def test_replicas_cores_and_log_grow_with_the_demand() -> None:
    small, large = needs(10_000, COSTS), needs(100_000, COSTS)
    assert large.serving_cores == pytest.approx(10 * small.serving_cores)
    assert large.log_gib == pytest.approx(10 * small.log_gib)
    assert large.replicas - 1 == pytest.approx(10 * (small.replicas - 1), abs=10)
    assert large.connections == large.replicas * 4 + 60
    assert large.dollars > 5 * small.dollars


def test_log_is_rows_times_bytes_times_days() -> None:
    assert needs(1, COSTS).log_gib == pytest.approx(86_400 * 90 * 400 / 2**30)


def test_what_breaks_first_needs_just_what_there_is() -> None:
    limits = breaks_at(COSTS)
    assert list(limits.values()) == sorted(limits.values())
    assert needs(limits["disk of PostgreSQL"], COSTS).log_gib == pytest.approx(65_536)
    at = needs(limits["processor of PostgreSQL"], COSTS)
    assert at.database_cores == pytest.approx(16)
    assert needs(limits["connections of PostgreSQL"], COSTS).connections == pytest.approx(800, abs=8)


@pytest.mark.parametrize("demand", [0, -1, float("inf"), float("nan")])
def test_what_is_no_demand_is_refused(demand: float) -> None:
    with pytest.raises(ValueError, match="is not a demand"):
        needs(demand, COSTS)


def test_the_page_shows_what_the_model_computes_from_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    measured = json.loads((RESULTS / "capacity.json").read_text())["measured"]
    page = (ROOT / "documentations/scaling.md").read_text()
    assert table(needs(demand, Costs.of(measured[0])) for demand in DEMANDS) in page
    assert main() == 0
    said = capsys.readouterr().out.strip().splitlines()
    limits = said[said.index("") + 1 :]
    for line in [line for line in limits if "requests a second" in line]:
        assert line in page
