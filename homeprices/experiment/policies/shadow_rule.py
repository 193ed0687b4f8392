"""When a new candidate is stopped before any visitor meets it. Part of the policy document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from homeprices.experiment.policies.limits import Document
from homeprices.words import GROUPS, ITEMS

if TYPE_CHECKING:
    from homeprices.training.comparison.disagreement import Disagreement


class ShadowRule(Document):
    """The shadow comparison: which logged homes are priced, and which disagreement stops a candidate.

    The homes are those that visitors asked production for in the last `days`, the newest `homes` at most. With fewer
    than `least_homes` there is nothing to say. A candidate is stopped if it differs from production by more than
    `factor` on more than the share `share` of them, or moves the median estimate of a place with `place_homes` by more
    than `place_move`.
    """

    days: int = Field(default=7, ge=1, le=90)
    homes: int = Field(default=100_000, ge=1, le=1_000_000)
    least_homes: int = Field(default=500, ge=1)
    factor: float = Field(default=3.0, gt=1, le=100)
    share: float = Field(default=0.01, ge=0, lt=1)
    place_homes: int = Field(default=30, ge=1)
    place_move: float = Field(default=0.3, gt=0, le=100)

    def objection(self, found: Disagreement) -> str | None:
        """Return why these estimates stop the candidate, as a part of a sentence; None if they do not."""
        if found.homes < self.least_homes or found.overall is None:
            return None
        overall, first = found.overall, found.first
        if overall.beyond > self.share:
            failed = f" ({overall.failed:,} of them it cannot price)" if overall.failed else ""
            return (
                f"it differs from {first} by more than a factor of {self.factor:g} on {overall.beyond:.1%} of "
                f"{found.homes:,} {ITEMS} that visitors asked for{failed}, and {self.share:.1%} may"
            )
        moved = [
            (abs(group.apart.ratio - 1), group)
            for group in found.groups
            if group.by == "place" and group.apart.homes >= self.place_homes and group.apart.ratio is not None
        ]
        distance, farthest = max(moved, key=lambda each: each[0], default=(0.0, None))
        if farthest is None or distance <= self.place_move:
            return None
        more = sum(other > self.place_move for other, _ in moved) - 1
        others = f", and {more} more {GROUPS} move too far" if more else ""
        change = f"{distance:.0%} {'higher' if farthest.apart.ratio > 1 else 'lower'}"  # type: ignore[operator]
        return (
            f"its median estimate for {farthest.name} is {change} than that of {first}, on {farthest.apart.homes:,} "
            f"{ITEMS} that visitors asked for, and {self.place_move:.0%} is allowed{others}"
        )
