"""Each word of a feature by itself: whether its share of the homes changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from homeprices.drift import statistics
from homeprices.drift.cells import TextCells
from homeprices.drift.finding import MovedWord, Rules
from homeprices.drift.sample import Floats
from homeprices.pricing.features import OTHER_LOCATION

MOVED_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Words:
    """Words with their shares in both samples, and p-values times the number of words (Bonferroni).

    Of the last ones, `unlisted` in number, the reference lumped together all it knew: `before` is the most that each of
    them can have had, and only more of them counts as a change.
    """

    names: tuple[str, ...]
    before: Floats
    after: Floats
    p_values: Floats
    unlisted: int

    @property
    def change(self) -> Floats:
        """By how much each share changed, from 0 to 1."""
        change = self.after - self.before
        bounded = np.arange(len(self.names)) >= len(self.names) - self.unlisted
        return np.where(bounded, np.maximum(change, 0.0), np.abs(change))


def each(cells: TextCells, unlisted: Mapping[str, int]) -> Words:
    """Every word of the cells, and, where the reference lumps rare places into `other`, every place in there.

    A place that was lumped had no more rows than the rarest that was not.
    """
    rows = float(cells.reference.sum()), float(cells.current.sum())
    p_values = statistics.share_tests(cells.reference, cells.current, rows)
    reference, current, names = cells.reference, cells.current, cells.names
    listed = [n for n, name in zip(cells.reference, cells.names, strict=True) if n > 0 and name != OTHER_LOCATION]
    if OTHER_LOCATION not in cells.names or not listed:
        unlisted = {}
    if unlisted:
        at_most = np.full(len(unlisted), min(listed))
        counts = np.array(list(unlisted.values()), dtype=np.float64)
        p_values = np.concatenate([p_values, statistics.excess_tests(at_most, counts, rows)])
        reference, current = np.concatenate([reference, at_most]), np.concatenate([current, counts])
        names = (*names, *unlisted)
    adjusted = np.minimum(1.0, p_values * len(names))
    return Words(names, reference / rows[0], current / rows[1], adjusted, len(unlisted))


def moved(words: Words, rules: Rules) -> tuple[MovedWord, ...]:
    """The words whose share changed, surely and by enough, the surest first."""
    counted = np.where(words.change >= rules.share_floor, words.p_values, 1.0)
    order = [int(i) for i in np.argsort(counted, kind="stable")[:MOVED_SHOWN] if counted[i] <= rules.alpha]
    return tuple(
        MovedWord(
            name=words.names[i],
            reference_share=float(words.before[i]),
            current_share=float(words.after[i]),
            p_value=float(words.p_values[i]),
            at_most=i >= len(words.names) - words.unlisted,
        )
        for i in order
    )
