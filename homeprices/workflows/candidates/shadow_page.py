"""The page of a shadow comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from homeprices.experiment.confidence_sequences import half_width
from homeprices.experiment.evidence import PairedPriceError
from homeprices.foreign_text import quoted
from homeprices.reporting import html
from homeprices.training.comparison.disagreement import Apart, Disagreement, FarHome
from homeprices.words import GROUPS, ITEM, ITEMS, PRICE_UNIT

if TYPE_CHECKING:
    from homeprices.experiment.policies.shadow_rule import ShadowRule
    from homeprices.workflows.candidates.shadow import ShadowReport

PLACES_SHOWN = 25
LEAST_VISITORS = 30
"""With fewer, the interval of the price errors errs too often."""

ERROR_RATE, EXPECTED_VISITORS = 0.05, 500.0  # of the interval of the price errors, as in the default policy

HEAD = (ITEMS, "cannot be priced", "median change", "1 in 100 changes by", "beyond the factor", "interval's width")


def render(report: ShadowReport, rule: ShadowRule) -> str:
    """Return the page of a comparison that had enough homes."""
    found = report.found
    if found is None:
        return html.page("Shadow comparison", report.sentence)
    by = {kind: [each for each in found.groups if each.by == kind] for kind in ("size", "price", "place")}
    everywhere = [("all", found.overall)] if found.overall else []
    place_note = (
        f"The {len(by['place'])} {GROUPS} with at least {rule.place_homes} {ITEMS}, those that move most first"
        + (f"; {PLACES_SHOWN} are shown." if len(by["place"]) > PLACES_SHOWN else ".")
    )
    return html.page(
        f"The candidate in shadow of {found.first}",
        Markup('<p class="{}">{}</p>').format("outcome bad" if report.objection else "outcome", report.sentence),
        html.table(_facts(report, rule).items()),
        Markup("<h2>By size and price</h2>"),
        _table(everywhere + [(each.name, each.apart) for each in by["size"] + by["price"]]),
        Markup("<h2>By place</h2><p>{}</p>").format(place_note),
        _table([(each.name, each.apart) for each in by["place"][:PLACES_SHOWN]]),
        Markup("<h2>The {} that differ most</h2>").format(ITEMS),
        html.table([_far(home) for home in found.farthest], ("", found.first, "candidate", "factor")),
        Markup("<h2>Actual prices</h2><p>{}</p>").format(prices_sentence(report.prices, found)),
        html.details("Rule", rule.model_dump(mode="json")),
        Markup('<p class="facts">{}</p>').format(
            f"The {ITEMS} are what visitors asked production for; nothing of this comparison is in the prediction log "
            f"or in an experiment. Prices are in {PRICE_UNIT}."
        ),
    )


def _facts(report: ShadowReport, rule: ShadowRule) -> dict[str, object]:
    found = report.found
    one, two = found.microseconds if found else (0.0, 0.0)
    return {
        "compared": f"{report.at:%Y-%m-%d %H:%M} UTC",
        f"logged {ITEMS}": f"{report.logged:,} of the last {rule.days} days, the newest first, at most {rule.homes:,}",
        "left out": f"{report.logged - (found.homes if found else 0):,} that production cannot price",
        "stopped": f"beyond a factor of {rule.factor:g} on more than {rule.share:.1%} of the {ITEMS}, or if the median "
        f"of a place with {rule.place_homes} {ITEMS} moves by more than {rule.place_move:.0%}",
        f"CPU time of a call with one {ITEM}": f"{one:.0f} µs, the candidate {two:.0f} µs",
    }


def _table(rows: Sequence[tuple[str, Apart]]) -> Markup:
    return html.table([(name, *_cells(apart)) for name, apart in rows], ("", *HEAD))


def _cells(apart: Apart) -> tuple[object, ...]:
    return (
        apart.homes,
        apart.failed,
        _change(apart.ratio),
        None if apart.p99 is None else f"a factor of {apart.p99:.2f}",
        f"{apart.beyond:.1%}",
        _change(apart.width),
    )


def _change(ratio: float | None) -> str | None:
    return None if ratio is None else f"{100 * (ratio - 1):+.1f} %"


def _far(home: FarHome) -> tuple[object, ...]:
    # A visitor's own words: quoted here, escaped by the table.
    said = ", ".join(
        f"{name} {quoted(value) if isinstance(value, str) else f'{value:,g}'}" for name, value in home.inputs.items()
    )
    second = "cannot be priced" if home.second is None else f"{home.second:,.2f}"
    return said, f"{home.first:,.2f}", second, None if home.second is None else f"{home.factor:.2f}"


def prices_sentence(prices: PairedPriceError, found: Disagreement) -> str:
    """Return which model is nearer to the actual prices, as far as visitors reported any."""
    difference = prices.difference
    if not difference.n or prices.candidate_error is None or prices.production_error is None:
        return "No visitor has reported an actual price."
    if difference.n < LEAST_VISITORS:
        return f"{difference.n:,} visitors reported one; from {LEAST_VISITORS} on the two models are compared."
    width = half_width(difference.variance / difference.n, difference.n, alpha=ERROR_RATE, expected=EXPECTED_VISITORS)
    return (
        f"{difference.n:,} visitors reported one. The mean error of {found.first} is {prices.production_error:.1%} of "
        f"the price, the candidate's {prices.candidate_error:.1%}; the difference is {100 * difference.mean:+.1f} "
        f"points ({100 * (difference.mean - width):+.1f} to {100 * (difference.mean + width):+.1f})."
    )
