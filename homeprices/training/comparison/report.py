"""The comparison of two bundles for people: text for a terminal, and a page."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from homeprices.reporting import html
from homeprices.training.comparison.bundles import APART, BundleComparison, OfInputs, Paired
from homeprices.words import ITEMS

TITLES = {"form": "from the form's fields", "all": "from all inputs"}
NOTE = (
    "Errors are medians of the absolute percentage error. In brackets stands the 95 % interval of the difference, by "
    f"paired bootstrap over the same {ITEMS}. Of twenty segments without a difference, one shows a difference by "
    "chance."
)


def as_text(found: BundleComparison) -> str:
    """Return the comparison as lines for a terminal."""
    return "\n".join([_head(found), *(line for of_inputs in found.results for line in _lines(found, of_inputs)), NOTE])


def as_page(found: BundleComparison) -> str:
    """Return the comparison as an HTML page."""
    parts: list[str] = [Markup("<p>{}</p>").format(_head(found))]
    for of_inputs in found.results:
        rows = [
            (name, paired.homes, *_errors(paired), _difference(paired), paired.verdict(found.first, found.second))
            for name, paired in _groups(of_inputs)
        ]
        parts += [
            Markup("<h2>Estimates {}</h2>").format(TITLES[of_inputs.inputs]),
            html.table(rows, (ITEMS, "count", found.first, found.second, "difference", "")),
            Markup("<p>{}</p>").format(_rest(found, of_inputs)),
        ]
    return html.page(f"{found.first} and {found.second}", *parts, Markup('<p class="facts">{}</p>').format(NOTE))


def _head(found: BundleComparison) -> str:
    known = f"; {found.known:,} {ITEMS} that one of them was trained on are left out" if found.known else ""
    return f"{found.first} and {found.second} on {found.homes:,} {ITEMS}: {found.on}{known}."


def _lines(found: BundleComparison, of_inputs: OfInputs) -> Iterator[str]:
    yield f"\nEstimates {TITLES[of_inputs.inputs]}"
    for name, paired in _groups(of_inputs):
        one, two = _errors(paired)
        errors = f"{found.first} {one:>6}  {found.second} {two:>6}  {_difference(paired)}"
        yield f"  {name:<34} {paired.homes:>6,} {ITEMS}  {errors}  {paired.verdict(found.first, found.second)}"
    yield f"  {_rest(found, of_inputs)}"


def _groups(of_inputs: OfInputs) -> list[tuple[str, Paired]]:
    return [("all", of_inputs.overall), *((segment.name, segment.paired) for segment in of_inputs.segments)]


def _errors(paired: Paired) -> tuple[str, str]:
    return f"{paired.first:.1%}", f"{paired.second:.1%}"


def _difference(paired: Paired) -> str:
    points = f"{100 * paired.difference:+.1f} points"
    if paired.interval is None:
        return points
    low, high = paired.interval
    return f"{points} ({100 * low:+.1f} to {100 * high:+.1f})"


def _rest(found: BundleComparison, of_inputs: OfInputs) -> str:
    one, two = of_inputs.covered
    return (
        f"{found.second} is closer for {of_inputs.overall.second_closer:.0%} of the {ITEMS}. "
        f"The intervals hold {one:.1%} ({found.first}) and {two:.1%} ({found.second}) of the prices. "
        f"The two estimates differ by more than {APART:.0%} for {of_inputs.apart:.1%} of the {ITEMS}."
    )
