"""The comparison table of `documentations/models.md`: every estimator on the same folds of the same listings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from homeprices.errors import InvalidInput
from homeprices.model.estimators import ESTIMATORS
from homeprices.model.presets import Effort
from homeprices.training.search import CrossValidation, cross_validate


def compare_estimators(
    rows: pd.DataFrame, seed: int, effort: Effort, names: Iterable[str] = tuple(ESTIMATORS)
) -> list[CrossValidation]:
    """Each estimator cross-validated on these clean rows, in the order of the table."""
    return [cross_validate(name, rows, seed, effort)[0] for name in names]


def as_markdown(results: Iterable[CrossValidation], homes: int, seed: int, effort: Effort) -> str:
    """The table, with what it was measured on."""
    times = f"{effort.repeats} time{'s' if effort.repeats > 1 else ''} over for what may be published"
    head = (
        f"{homes:,} homes, {effort.folds} folds, {times}, seed {seed}, effort {effort.name}; "
        "means over the folds. Median error and share within 20 %."
    )
    lines = [
        head,
        "",
        "| estimator | published | form: median | form: within 20 % | all: median | all: within 20 % |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        mean = result.mean
        figures = (mean["median_ape"], mean["within_20"], mean["all_median_ape"], mean["all_within_20"])
        may = "yes" if result.monotone else "no: not monotone"
        cells = [ESTIMATORS[result.estimator].title, may, *(f"{value:.1%}" for value in figures)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def put_between_marks(path: Path, name: str, text: str) -> None:
    """Replace what stands in a page between `<!-- name -->` and `<!-- end of name -->`.

    Raises InvalidInput when the page does not hold them.
    """
    first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    page = path.read_text()
    before, found, rest = page.partition(first)
    _, closed, after = rest.partition(last)
    if not found or not closed:
        raise InvalidInput({str(path): f"does not hold the marks {first.strip()} and {last.strip()}"})
    path.write_text(before + first + text + last + after)
