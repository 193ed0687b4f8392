"""Write the files that are generated from the declared inputs: API document, form, table of inputs.

The form is `index.html`, with the fields of the inputs, and the same page in every other language. `problem.*.html` are
the frontend's pages for errors.

`python -m inference.generated` writes them, `python -m inference.generated --check` exits with 1 when one is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from homeprices.input_field import InputField
from homeprices.pricing.inputs import AREA, INPUTS, LOCATION, TEXT_LIMIT
from homeprices.words import GROUP_HINT, GROUPS_LEARNED, ITEM
from inference import translations
from inference.backend import estimate_page
from inference.backend.api import openapi

ROOT = Path(__file__).parents[1]
OPENAPI = ROOT / "inference/openapi.json"
FORM = ROOT / "inference/frontend/index.html"
DOCUMENT = ROOT / "documentations/inference.md"
BEGIN, END = "<!-- inputs: written by `make inputs` -->\n", "<!-- end of inputs -->"


def form_fields() -> str:
    """The form's fields in HTML: the location, the required numbers in one row, then the optional fields."""
    required = [_field(field) for field in INPUTS if field.required and field.name != LOCATION]
    optional = [_field(field) for field in INPUTS if not field.required]
    [location] = [_location(field) for field in INPUTS if field.name == LOCATION]
    rows = [
        *location.splitlines(),
        "",
        '<div class="row">',
        *_indented(required),
        "</div>",
        "",
        "<details>",
        f"  <summary>More about the {ITEM} <span>optional, for a closer estimate</span></summary>",
        '  <div class="row halves">',
        *("  " + line for line in _indented(optional)),
        "  </div>",
        "</details>",
    ]
    return "".join(f"      {row}\n" if row else "\n" for row in rows)


def _indented(fields: Sequence[str]) -> list[str]:
    return [f"  {line}" for field in fields for line in field.splitlines()]


def _location(field: InputField) -> str:
    """The field of `LOCATION`. Its ids are those that the script knows, whatever the name of the input."""
    name = field.name
    return f"""\
<div class="field">
  <label for="location">{field.label}</label>
  <div class="combobox">
    <input id="location" name="{name}" type="text" role="combobox" maxlength="{TEXT_LIMIT}" autocomplete="off"
           autocapitalize="words" spellcheck="false" placeholder="{field.example}" required
           aria-autocomplete="list" aria-expanded="false" aria-controls="location-list"
           aria-describedby="location-hint {name}-error" data-missing="Name a {field.noun}">
    <ul id="location-list" role="listbox" aria-label="{GROUPS_LEARNED.capitalize()}" hidden></ul>
  </div>
  <p id="location-hint" class="hint">{GROUP_HINT}</p>
  <p id="location-count" class="unseen" role="status"></p>
  <p id="{name}-error" class="error" hidden></p>
</div>
"""


def _field(field: InputField) -> str:
    label = escape(field.label)
    if field.abbreviates:
        label = f'<abbr title="{escape(field.abbreviates)}">{label}</abbr>'
    if field.options or field.choices:
        control = _select(field)
    elif field.is_text:
        control = f'<input {_names(field)} type="text" maxlength="{TEXT_LIMIT}" autocomplete="off"{_rules(field)}>'
    else:
        control = _number(field) if field.kind == "number" else _stepper(field)
    lines = "".join(f"  {line}\n" for line in control.splitlines())
    return (
        f'<div class="field">\n  <label for="{field.name}">{label}</label>\n{lines}'
        f'  <p id="{field.name}-error" class="error" hidden></p>\n</div>\n'
    )


def _select(field: InputField) -> str:
    options = field.options or tuple((choice, choice) for choice in field.choices)
    shown = "".join(f'  <option value="{escape(value)}">{escape(label)}</option>\n' for value, label in options)
    return f'<select {_names(field)}{_rules(field)}>\n  <option value="">Not known</option>\n{shown}</select>'


def _number(field: InputField) -> str:
    unit = f"{field.name}-unit"
    price_per = f' data-price-per="{field.unit_symbol}"' if field.name == AREA else ""
    # Only the script converts. Without it the form sends the number as it is typed, so then there is one unit.
    units = "".join(f'<option value="{factor:.10g}">{symbol}</option>' for symbol, factor in field.other_units)
    choice = (
        f'\n  <select data-unit-of="{field.name}" aria-label="Unit of the {field.noun}" hidden>'
        f'<option value="1">{field.unit_symbol}</option>{units}</select>'
        if units
        else ""
    )
    return (
        f'<div class="unit"><input {_names(field)} type="number" inputmode="decimal"{_limits(field)}\n'
        f'     step="any" placeholder="{field.example}"{price_per}{_rules(field, unit)}>\n'
        f'  <span id="{unit}">{field.unit_symbol}</span>{choice}</div>'
    )


def _stepper(field: InputField) -> str:
    value = "" if field.start is None else f' value="{field.start}"'
    return f"""\
<div class="stepper">
  <button type="button" data-step="-1" tabindex="-1" aria-hidden="true">−</button>
  <input {_names(field)} type="number" inputmode="numeric"{_limits(field)} step="1"{value}
         {_rules(field).lstrip()}>
  <button type="button" data-step="1" tabindex="-1" aria-hidden="true">+</button>
</div>"""


def _names(field: InputField) -> str:
    return f'id="{field.name}" name="{field.name}"'


def _limits(field: InputField) -> str:
    low, high = field.limits or (0, 0)
    return f' min="{low:.12g}" max="{high:.12g}"'


def _rules(field: InputField, *described_by: str) -> str:
    """The attributes of a required field, and the messages of the form for an empty or invalid value."""
    rules = " required" * field.required
    rules += f' aria-describedby="{" ".join([*described_by, f"{field.name}-error"])}"'
    if field.required:
        rules += f' data-missing="Enter the {field.noun}"'
    if field.limits:
        low, high = field.limits
        if field.unit:
            wrong = f"Enter {field.article.lower()} {field.noun} from {low:,.12g} to {high:,.12g} {field.unit}"
        else:
            wrong = f"Enter {low:,.0f} to {high:,.0f} {field.noun}"
        rules += f' data-wrong="{wrong}"'
    return rules


def table() -> str:
    """The table of inputs in Markdown."""
    rows = ["| input | meaning | values | needed | example |", "|---|---|---|---|---|"]
    for field in INPUTS:
        if field.limits:
            low, high = field.limits
            values = f"{'a number' if field.kind == 'number' else 'a whole number'}, {low:,.12g} to {high:,.12g}"
        else:
            values = ", ".join(field.choices) or f"text of at most {TEXT_LIMIT} characters"
        needed = "required" if field.required else "optional"
        rows.append(f"| `{field.name}` | {field.description} | {values} | {needed} | {field.example} |")
    return "\n".join(rows) + "\n"


def generated() -> dict[Path, str]:
    """The content of each generated file."""
    form = translations.in_own_words(_replaced(FORM.read_text(encoding="utf-8"), form_fields() + "      "))
    return {
        OPENAPI: openapi.text(),
        FORM: form,
        **{page_in(language): translations.in_language(form, language) for language in translations.OTHERS},
        **{
            problem_page(language): estimate_page.nginx_page(language) + "\n"
            for language in (translations.ENGLISH, *translations.OTHERS)
        },
        DOCUMENT: _replaced(DOCUMENT.read_text(encoding="utf-8"), "\n" + table() + "\n"),
    }


def page_in(language: str) -> Path:
    """The form's page in a language other than English."""
    return FORM.with_name(f"index.{language}.html")


def problem_page(language: str) -> Path:
    """The page that the frontend's Nginx shows for an error."""
    return FORM.with_name(f"problem.{language}.html")


def _replaced(text: str, section: str) -> str:
    before, rest = text.split(BEGIN)
    return before + BEGIN + section + END + rest.split(END, 1)[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the stale files and return 0; with `--check`, print their names instead and return 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m inference.generated", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is stale")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in generated().items() if _content(path) != text}
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)} {'is stale' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
