"""The tables of the ramp in documentations/ramp.md, measured by `make simulate`: what it costs, and what it saves."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from pydantic import TypeAdapter

from homeprices.experiment.policies import load
from homeprices.experiment.policies.ramp import Ramp
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.reporting.markdown import check_section, replace_section
from homeprices.simulation.ramped_visitors import RampedRun, simulate_ramp
from homeprices.simulation.visitors import ERROR_SHARE, HOURS_A_DAY, Scenario

DOCUMENT = Path("documentations/ramp.md")
SECTION = "the ramp, measured by make simulate"
"""Of the document."""
RATINGS_A_DAY = (100.0, 1000.0, 10_000.0)
RAMPS: dict[str, list[float] | None] = {"no ramp, 20 %": None, "`[5, 20]`": [5, 20], "`[1, 5, 20, 50]`": [1, 5, 20, 50]}
BAD = {
    "0.2 stars worse": (-0.2, ERROR_SHARE),
    "0.4 stars worse": (-0.4, ERROR_SHARE),
    "0.8 stars worse": (-0.8, ERROR_SHARE),
    "5 % of its requests fail": (0.0, 0.05),
    "20 % of its requests fail": (0.0, 0.2),
}
"""Effect in stars, and share of failed requests."""
BETTER = (0.2, 0.4)


def policies() -> dict[str, SequentialPolicy]:
    """Return the default policy with each ramp."""
    ours, ramp = load("sequential"), TypeAdapter(Ramp)
    assert isinstance(ours, SequentialPolicy)
    return {
        title: ours.model_copy(update={"ramp": shares and ramp.validate_python(shares)})
        for title, shares in RAMPS.items()
    }


def text(runs: int, seed: int) -> str:
    """Return the generated section of the document."""
    intro = (
        f"Policy `sequential`, seed {seed}, looks every hour for 14 days, one visit by each visitor, 12 visitors for "
        f"each rating. {runs:,} experiments a cell, {2 * runs:,} of an identical candidate. Each step has the default "
        "minimums: 50 exposures and one day."
    )
    return f"{intro}\n\n{_bad(runs, seed)}\n\n{_better(runs, seed)}\n\n{_identical(2 * runs, seed)}"


def _bad(runs: int, seed: int) -> str:
    head = ["ratings a day", "candidate", *(f"{title}: {what}" for title in RAMPS for what in ("ended", "day", "met"))]
    rows = []
    for per_day in RATINGS_A_DAY:
        for title, (effect, errors) in BAD.items():
            scenario = Scenario(runs=runs, seed=seed, per_day=per_day, effect=effect)
            found = [_saved(simulate_ramp(policy, scenario, errors)) for policy in policies().values()]
            rows.append([f"{per_day:,.0f}", title, *(value for cells in found for value in cells)])
    return (
        "A bad candidate. *Ended*: rolled back as harmful within 14 days. *Day*: the median of those. *Met*: the mean "
        "number of visitors who met the candidate until the trial ended, for whatever reason.\n\n"
        + _markdown(head, rows)
    )


def _better(runs: int, seed: int) -> str:
    head = ["ratings a day", "candidate", *(f"{title}: {what}" for title in RAMPS for what in ("promoted", "day"))]
    rows = []
    for per_day in RATINGS_A_DAY:
        for effect in BETTER:
            scenario = Scenario(runs=runs, seed=seed, per_day=per_day, effect=effect)
            found = [_cost(simulate_ramp(policy, scenario)) for policy in policies().values()]
            rows.append([f"{per_day:,.0f}", f"{effect:g} stars better", *(value for cells in found for value in cells)])
    return f"A better candidate: how often it is promoted, and on which day (median).\n\n{_markdown(head, rows)}"


def _identical(runs: int, seed: int) -> str:
    head = ["ratings a day", *(f"{title}: {level}" for title in RAMPS for level in ("5 %", "level of a trial"))]
    rows = []
    for per_day in RATINGS_A_DAY:
        cells = []
        for policy in policies().values():
            for one in (policy.model_copy(update={"year": None}), policy):
                promoted = _promoted(simulate_ramp(one, Scenario(runs=runs, seed=seed, per_day=per_day)))
                cells.append(f"{len(promoted) / runs:.2%}")
        rows.append([f"{per_day:,.0f}", *cells])
    return (
        "An identical candidate: how often it is promoted, at 5 % (`year: null`) and at the level that the first trial "
        f"of a year gets (0.4 %).\n\n{_markdown(head, rows)}"
    )


def _saved(found: Sequence[RampedRun]) -> list[str]:
    hours = [one.ended.hours for one in found if one.ended.outcome == "rollback"]
    return [f"{len(hours) / len(found):.0%}", _days(hours), f"{fmean(one.met for one in found):,.0f}"]


def _cost(found: Sequence[RampedRun]) -> list[str]:
    hours = _promoted(found)
    return [f"{len(hours) / len(found):.1%}", _days(hours)]


def _promoted(found: Sequence[RampedRun]) -> list[int]:
    return [one.ended.hours for one in found if one.ended.outcome == "promote"]


def _days(hours: Sequence[int]) -> str:
    return f"{median(hours) / HOURS_A_DAY:.1f}" if hours else "–"


def _markdown(head: list[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and replace the generated section of the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy_error_rates.ramp_cost", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    chosen = parser.parse_args(arguments)
    check_section(chosen.document, SECTION)
    replace_section(chosen.document, SECTION, f"\n{text(chosen.runs, chosen.seed)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
