"""The table and the picture of documentations/error-rates.md, measured by `make simulate`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.policy_error_rates.paired_prices import Prices, days_to_find
from benchmarks.policy_error_rates.rival_rules import PEERS, simulate_peer
from benchmarks.policy_error_rates.years import (
    Table,
    Years,
    check_levels,
    measure_years,
    table_of_levels,
    table_of_years,
)
from homeprices.experiment.policies import AnyPolicy, load
from homeprices.experiment.policies.limits import Primary
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.reporting.markdown import check_section, replace_section
from homeprices.simulation.experiments import simulate, summary
from homeprices.simulation.visitors import Scenario

DOCUMENT = Path("documentations/error-rates.md")
PICTURE = Path("documentations/pictures/decision_rates.png")
SECTION = "measured by make simulate"
"""Of the document."""

CELLS: dict[str, dict[str, float]] = {
    "identical": {"effect": 0.0},
    "0.2 worse": {"effect": -0.2},
    "0.2 better": {"effect": 0.2},
    "0.4 better": {"effect": 0.4},
    "identical, clustered": {"effect": 0.0, "ratings_per_visitor": 3.0},
    "0.2 worse, clustered": {"effect": -0.2, "ratings_per_visitor": 3.0},
}
CORRELATIONS = (0.5, 0.6, 0.8, 0.9)
TRIALS_A_YEAR = (26, 52)


@dataclass(frozen=True)
class Rule:
    """A row of the table."""

    title: str
    policy: AnyPolicy | str

    def measure(self, scenario: Scenario) -> dict[str, Any]:
        """Return the rule's summary of a scenario."""
        peer = isinstance(self.policy, str)
        ended = (
            simulate_peer(self.policy, scenario) if isinstance(self.policy, str) else simulate(self.policy, scenario)
        )
        return summary(self.title if peer else self.policy, scenario, ended)


def rules() -> list[Rule]:
    """Return ours, the same without a year, its strict mode, the published rule, and the usual rules."""
    ours = load("sequential")
    strict = SequentialPolicy(name="strict", primary=Primary(bounds="bounded"))
    return [
        Rule("**sequential** (ours)", ours),
        Rule("sequential, `year: null`", ours.model_copy(update={"year": None})),
        Rule("sequential, `bounds: bounded`", strict),
        Rule("composite (published)", load("composite")),
        *(Rule(title, name) for name, title in PEERS.items()),
    ]


def measure(runs: int, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return every cell of the table, by rule and then by name of the cell."""
    return {
        rule.title: {name: rule.measure(Scenario(runs=runs, seed=seed, **cell)) for name, cell in CELLS.items()}
        for rule in rules()
    }


def text(
    measured: dict[str, dict[str, dict[str, Any]]],
    of_years: list[Table],
    split: list[str],
    prices: list[dict[str, Any]],
) -> str:
    """Return the generated section of the document."""
    some = next(iter(measured.values()))["identical"]
    intro = (
        f"{some['runs']:,} experiments a cell, seed {some['seed']}: looks every hour for {some['days']} days, "
        f"{some['per_day']:g} ratings a day, {some['share']:.0%} of the visitors to the candidate. "
        "In clustered cells visitors have a taste, rate three times on average and return on other days."
    )
    years = [f"{sentence}\n\n{_markdown(head, rows)}" for sentence, head, rows in of_years]
    parts = [intro, _table(measured), _year(measured), *years, "\n".join(split), _price_table(prices)]
    return "\n\n".join(parts)


def measure_the_year(runs: int, seed: int) -> list[Table]:
    """Return the tables of the rules of a year, and of the levels of a trial; ten trials for each run of a cell."""
    policy = load("sequential")
    assert isinstance(policy, SequentialPolicy) and policy.year
    chosen = Years(years=max(1, runs // 4), better=runs, seed=seed)
    checked = check_levels(policy, 10 * runs, seed)
    of_levels = table_of_levels(checked, 10 * runs, policy.year.rated_visitors)
    return [table_of_years(measure_years(policy, chosen), chosen), of_levels]


def measure_split(runs: int, seed: int) -> list[str]:
    """Return the detection and false alarm rates of the SRM test at 50 visitors an hour."""
    policy = load("sequential")
    broken = simulate(policy, Scenario(runs=runs, seed=seed, days=3, true_share=0.15))
    found = sum(end.outcome == "invalid" and end.hours <= 36 for end in broken) / runs
    sound = simulate(policy, Scenario(runs=runs, seed=seed))
    false = sum(end.outcome == "invalid" for end in sound) / runs
    return [
        f"The split, at 50 visitors an hour: a candidate share of 15 % instead of 20 % is flagged within 36 h in "
        f"{found:.1%} of runs; a sound split is flagged within 14 days in {false:.1%}."
    ]


def _table(measured: dict[str, dict[str, dict[str, Any]]]) -> str:
    head = [
        "rule", "identical: promoted", "identical: rolled back as harmful", "0.2 stars worse: promoted",
        "0.2 better: promoted", "0.4 better: promoted", "of those, median days", "identical, clustered: promoted",
        "identical, clustered: harmful", "0.2 worse, clustered: promoted",
    ]  # fmt: skip
    rows = []
    for title, cells in measured.items():
        days = cells["0.4 better"]["days_to_decide"]["promote"]
        rows.append(
            [
                title,
                _percent(cells["identical"], "promote"),
                _percent(cells["identical"], "rollback"),
                _percent(cells["0.2 worse"], "promote"),
                _percent(cells["0.2 better"], "promote"),
                _percent(cells["0.4 better"], "promote"),
                f"{days['median']:.1f}" if days else "never",
                _percent(cells["identical, clustered"], "promote"),
                _percent(cells["identical, clustered"], "rollback"),
                _percent(cells["0.2 worse, clustered"], "promote"),
            ]
        )
    return _markdown(head, rows)


def _year(measured: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the rate of false promotions within a year, computed from the measured rate of one trial."""
    head = ["rule", "one trial", *(f"{trials} trials" for trials in TRIALS_A_YEAR)]
    rows = []
    for title, cells in measured.items():
        once = cells["identical"]["rates"]["promote"]
        rows.append([title, f"{once:.1%}", *(f"{1 - (1 - once) ** trials:.0%}" for trials in TRIALS_A_YEAR)])
    intro = (
        "Probability that at least one of a year's candidates is promoted, if each is a different model that is no "
        "better. One candidate is tried at a time: a year has 26 trials of two weeks, or 52 if each ends within its "
        "week. A model that lost is not tried again, so the same model every week is one trial."
    )
    return f"{intro}\n\n{_markdown(head, rows)}"


def _price_table(prices: list[dict[str, Any]]) -> str:
    head = ["correlation of the two models' errors", "paired: median days", "by variant: median days", "ratio"]
    rows = []
    for found in prices:
        paired, by_variant = found["paired"]["median_days"], found["by_variant"]["median_days"]
        ratio = f"{paired / by_variant:.2f}" if paired and by_variant else "–"
        rows.append([f"{found['correlation']:g}", _days(paired, found), _days(by_variant, found), ratio])
    some = prices[0]
    intro = (
        f"Actual prices on {some['told']:.0%} of the visits, {some['visitors_an_hour']:g} visitors an hour, a "
        f"candidate with a {some['smaller']:.0%} smaller error: until the lower bound is above zero."
    )
    return f"{intro}\n\n{_markdown(head, rows)}"


def _days(days: float | None, found: dict[str, Any]) -> str:
    return f"more than {found['days']}" if days is None else f"{days:.1f}"


def _percent(cell: dict[str, Any], outcome: str) -> str:
    return f"{cell['rates'][outcome]:.1%}"


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(measured: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Draw promotions by day: of an identical candidate under every rule, and under ours by the candidate's effect."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for title, cells in measured.items():
        left.plot(*_curve(cells["identical"]), label=title.replace("*", "").replace("`", ""))
    for name in ("0.4 better", "0.2 better", "identical", "0.2 worse"):
        right.plot(*_curve(next(iter(measured.values()))[name]), label=f"{name} (stars)" if "better" in name else name)
    left.axhline(5, color="grey", linewidth=0.8, linestyle=":")
    left.set(title="An identical candidate is promoted by", xlabel="day", ylabel="% of experiments", ylim=(0, 100))
    right.set(title="Sequential: the candidate is promoted by", xlabel="day")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _curve(cell: dict[str, Any]) -> tuple[list[int], list[float]]:
    by_day = cell["promoted_within_days"]
    return [0, *map(int, by_day)], [0.0, *(100 * rate for rate in by_day.values())]


def main(arguments: list[str] | None = None) -> int:
    """Measure, and replace the generated section of the document and its picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy_error_rates", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    chosen = parser.parse_args(arguments)
    check_section(chosen.document, SECTION)
    measured = measure(chosen.runs, chosen.seed)
    policy = load("sequential")
    alpha, expected = policy.error_rates.promote, policy.expected_visitors  # type: ignore[union-attr]  # it is ours
    prices = [
        days_to_find(Prices(correlation=value, runs=chosen.runs, seed=chosen.seed), alpha, expected)
        for value in CORRELATIONS
    ]
    of_years = measure_the_year(chosen.runs, chosen.seed)
    body = text(measured, of_years, measure_split(chosen.runs, chosen.seed), prices)
    replace_section(chosen.document, SECTION, f"\n{body}\n")
    draw(measured, chosen.picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
