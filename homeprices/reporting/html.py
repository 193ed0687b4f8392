"""HTML pages of the reports: one style, tables and collapsed details.

A page is one file that needs no script, no font and no picture from elsewhere. It follows the reader's light or dark
colour scheme.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Literal

from markupsafe import Markup

STYLE = Markup(
    """
:root { color-scheme: light dark; --bad: light-dark(#b00020, #ff8a80) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: CanvasText; background: Canvas }
h1 { font-size: 1.4rem } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem }
.outcome { font-weight: 600 } .bad { color: var(--bad); font-weight: 600 } .facts { opacity: .75; font-size: .9rem }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8886 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
figure { margin: 1.5rem 0 } figcaption { font-weight: 600 } svg { width: 100%; height: auto }
pre { overflow: auto; background: #8882; padding: 1rem }
"""
)


def page(title: str, *parts: str) -> str:
    """A whole page. A part that is not Markup is text, and is escaped."""
    head = Markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>{}</title>\n<style>{}</style></head>\n'
    ).format(title, STYLE)
    body = Markup("\n").join([Markup("<h1>{}</h1>").format(title), *parts])
    return str(head + Markup("<body>") + body + Markup("</body></html>\n"))


def table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> Markup:
    """A table. The first cell of a row names the row. Numbers have four digits and are aligned to the right.

    So is the dash of a missing value, if the table has several columns of values.
    """
    top = Markup("<tr>{}</tr>\n").format(Markup("").join(_cell("th", name) for name in head)) if head else Markup("")
    body = Markup("\n").join(
        Markup("<tr>{}{}</tr>").format(
            _cell("th", first),
            Markup("").join(
                _cell("td", value, _is_number(value) or (value is None and len(others) > 1)) for value in others
            ),
        )
        for first, *others in rows
    )
    return Markup("<table>{}{}</table>").format(top, body)


def details(summary: str, value: object) -> Markup:
    """A value as JSON in a collapsed element."""
    text = json.dumps(value, indent=2, sort_keys=True, default=str)
    return Markup("<details><summary>{}</summary><pre>{}</pre></details>").format(summary, text)


def _is_number(value: object) -> bool:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(tag: Literal["td", "th"], value: object, to_the_right: bool = False) -> Markup:
    cell = {"td": Markup("<td{}>{}</td>"), "th": Markup("<th{}>{}</th>")}[tag]
    if value is None:
        text: object = "–"
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = f"{value:,}" if _is_number(value) else value
    return cell.format(Markup(' class="number"') if to_the_right else "", text)
