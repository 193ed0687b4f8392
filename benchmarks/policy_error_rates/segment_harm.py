"""The tables of the check by segment in documentations/segments.md, measured by `make simulate`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median

from homeprices.experiment.policies import load
from homeprices.experiment.policies.segments import SegmentRule
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.reporting.markdown import check_section, replace_section
from homeprices.simulation.experiments import Ended
from homeprices.simulation.segmented_visitors import DIFFERS, find_harm, region_shares, simulate_segments
from homeprices.simulation.visitors import HOURS_A_DAY, Scenario

DOCUMENT = Path("documentations/segments.md")
SECTION = "segments, measured by make simulate"
"""Of the document."""
RATINGS_A_DAY = (100.0, 300.0, 1000.0, 10_000.0)
BETTER = 0.4
EFFECTS = (-0.4, -0.8, BETTER)
"""Of the candidate in the region that differs, in stars, while it is `BETTER` in the others."""
LATER = timedelta(days=7)


def text(policy: SequentialPolicy, runs: int, seed: int) -> str:
    """Return the generated section of the document."""
    rule = policy.segments or SegmentRule()
    share = region_shares()[DIFFERS]
    intro = (
        f"Seed {seed}, looks every hour for 14 days, {Scenario().share:.0%} of the visitors to the candidate, "
        f"{len(rule.names)} segments, one rating by each visitor. The region {DIFFERS} has {share:.0%} of the visitors."
    )
    return f"{intro}\n\n{_false_alarms(rule, runs, seed)}\n\n{_power(policy, max(runs // 2, 1), seed)}"


def _false_alarms(rule: SegmentRule, runs: int, seed: int) -> str:
    head = ["ratings a day", "identical: any segment", f"0.2 better, 0.8 worse in {DIFFERS}: any other segment"]
    rows = []
    for per_day in RATINGS_A_DAY:
        identical = find_harm(rule, Scenario(runs=runs, seed=seed, per_day=per_day), 0.0)
        # The segments that are no region have a mean effect of zero then, the edge of what may be found.
        mixed = find_harm(rule, Scenario(runs=runs, seed=seed, per_day=per_day, effect=0.2), -0.8)
        counts = sum(found.hours is not None for found in identical), sum(found.others for found in mixed)
        rows.append([f"{per_day:,.0f}", *(f"{count / runs:.1%}" for count in counts)])
    return (
        f"False alarms, at any look of {runs:,} experiments a cell: how often a segment is found harmed in which the "
        f"candidate is not worse.\n\n{_markdown(head, rows)}"
    )


def _power(policy: SequentialPolicy, runs: int, seed: int) -> str:
    head = [
        "ratings a day", f"in {DIFFERS}", "harm found", "median day", "promoted without the check", "median day",
        "promoted with it", "median day", f"with it and `least_duration: P{LATER.days}D`",
    ]  # fmt: skip
    later = policy.model_copy(update={"least_duration": LATER})
    rows = []
    for per_day in RATINGS_A_DAY:
        for effect in EFFECTS:
            scenario = Scenario(runs=runs, seed=seed, per_day=per_day, effect=BETTER)
            ended = simulate_segments(policy, scenario, effect)
            delayed = [run.checked for run in simulate_segments(later, scenario, effect)]
            found = [run.found.hours for run in ended if run.found.hours is not None]
            rows.append(
                [
                    f"{per_day:,.0f}",
                    f"{abs(effect):g} {'better' if effect > 0 else 'worse'}",
                    *_share(found, runs),
                    *_share(_promoted([run.unchecked for run in ended]), runs),
                    *_share(_promoted([run.checked for run in ended]), runs),
                    _share(_promoted(delayed), runs)[0],
                ]
            )
    return (
        f"{runs:,} experiments a cell with a candidate that is {BETTER:g} stars better in every other region. *Harm "
        f"found* is within 14 days, whether or not the experiment has ended.\n\n{_markdown(head, rows)}"
    )


def _promoted(ended: Iterable[Ended]) -> list[int]:
    return [end.hours for end in ended if end.outcome == "promote"]


def _share(hours: Sequence[int], runs: int) -> tuple[str, str]:
    return f"{len(hours) / runs:.1%}", f"{median(hours) / HOURS_A_DAY:.1f}" if hours else "–"


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and replace the generated section of the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy_error_rates.segment_harm", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    chosen = parser.parse_args(arguments)
    check_section(chosen.document, SECTION)
    policy = load("sequential")
    assert isinstance(policy, SequentialPolicy)
    replace_section(chosen.document, SECTION, f"\n{text(policy, chosen.runs, chosen.seed)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
