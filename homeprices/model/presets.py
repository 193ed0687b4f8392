"""Presets: the size of a training run. `quick` for the first start and for tests, `full`, and `search`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from homeprices.errors import InvalidInput

PresetName = Literal["quick", "full", "search"]


@dataclass(frozen=True)
class Preset:
    """Sizes that trade time for accuracy.

    `folds` and `repeats` of the cross-validation, `trees` of a forest, `rounds` of a boosting, `trials` of the
    hyperparameter search (0: none). For a distilled model: `teachers`, `knots` of each isotonic curve, and `copies` of
    every training home, at other areas, that the student learns from.
    """

    name: PresetName
    folds: int
    repeats: int
    trees: int
    rounds: int
    teachers: int
    knots: int
    copies: int
    trials: int


QUICK = Preset("quick", folds=2, repeats=2, trees=40, rounds=120, teachers=1, knots=96, copies=3, trials=0)
FULL = Preset("full", folds=5, repeats=2, trees=100, rounds=250, teachers=2, knots=192, copies=4, trials=0)
SEARCH = replace(FULL, name="search", folds=3, trials=8)
_PRESETS = {one.name: one for one in (QUICK, FULL, SEARCH)}


def preset(name: str) -> Preset:
    """The preset of this name. Raises InvalidInput."""
    if name not in _PRESETS:
        raise InvalidInput({"preset": f"{name} is not one of {', '.join(_PRESETS)}"})
    return _PRESETS[name]


@dataclass(frozen=True)
class TeacherSettings:
    """The teacher's hyperparameters. `forest_share` is the weight of the forest; the boosting has the rest."""

    forest_leaf: int = 2
    forest_features: float = 0.6
    boosting_rate: float = 0.1
    boosting_leaves: int = 31
    forest_share: float = 0.6
