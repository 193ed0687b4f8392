"""An estimate or an error as a page, for a visitor whose browser runs no script and sends the form as it is.

The frontend's Nginx serves the page of what it or the router refuses, from files that `make inputs` writes.

Its texts are those of the form's catalogue, in the language of the form that was sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Request, Response, request
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from homeprices.pricing.home import Home
from homeprices.pricing.inputs import AREA, COUNTS, INPUT
from homeprices.words import GROUP, ITEM, ITEMS, SYMBOL, TITLE, WITH_CURRENCY, number_and_unit
from inference.backend.runtime.http import FORM_TYPES, JSON_TYPE, PROBLEM_TYPE

CATALOGUE = Path(__file__).parents[1] / "messages.json"
ENGLISH = "en"
HTML_TYPE = "text/html"
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

Say = Callable[..., str]
_ECHO = '<!--# echo var="{}" default="" -->'


def is_wanted(request: Request) -> bool:
    """Return whether a browser sent the form by itself: it prefers a page to JSON."""
    accepted = request.accept_mimetypes
    return request.mimetype in FORM_TYPES and accepted[HTML_TYPE] > accepted[JSON_TYPE]


def respond(request: Request, home: Home, answer: Mapping[str, Any]) -> Response:
    """Return the page of an estimate, in the language that `lang` names or the browser prefers."""
    language = _language(request)
    return Response(page(home, answer, language), headers=_headers(language))


def in_place_of_problem(response: Response) -> Response:
    """Return a page with the text of a problem document to a browser that sent the form; other responses unchanged."""
    if response.mimetype == PROBLEM_TYPE and is_wanted(request):
        language = _language(request)
        wait = response.headers.get("Retry-After")
        response.set_data(problem_page(json.loads(response.get_data()), wait, language))
        response.headers.update(_headers(language))
    return response


def _language(request: Request) -> str:
    messages = catalogue()
    asked = request.args.get("lang", "")
    return asked if asked in messages else request.accept_languages.best_match(messages, ENGLISH) or ENGLISH


def _headers(language: str) -> dict[str, str]:
    return {
        "Content-Type": f"{HTML_TYPE}; charset=utf-8",
        "Content-Language": language,
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
    }


def with_page(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the documented response of an estimate with the page as another format of it."""
    return {**answer, "content": {**answer["content"], HTML_TYPE: {"schema": {"type": "string"}}}}


def page(home: Home, answer: Mapping[str, Any], language: str) -> str:
    """Return the page of the estimate of a home."""
    say, interval = _sayer(language), answer["interval"]
    low, high = (f"{SYMBOL}{_price(interval[end], say)}" for end in ("low", "high"))
    counted = [say(f"{{rooms}} {INPUT[name].label}", rooms=getattr(home, name)) for name in COUNTS[:1]]
    described = ", ".join([home.place, f"{getattr(home, AREA):,.12g} {say(INPUT[AREA].unit_symbol)}", *counted])
    notices = [] if answer["location_known"] else [say(NOT_KNOWN)]
    return _PAGE.render(
        language=language,
        say=say,
        title=say(ESTIMATED),
        described=described,
        price=say(WITH_CURRENCY, unit=_price(answer["estimated_price"], say)),
        often=say(UNUSUAL)
        if answer.get("unusual")
        else say(USUAL, share=f"{100 * interval['coverage']:.0f}", low=low, high=high),
        notices=notices,
    )


def problem_page(problem: Mapping[str, Any], wait: str | None, language: str) -> str:
    """Return the page of a problem document. `wait`: in how many seconds it is worth another try, None if not known.

    The service's own words are English; in another language an input is named and its value said not to be accepted.
    """
    say, english, status = _sayer(language), language == ENGLISH, problem["status"]
    fields = {
        say(INPUT[name].label) if name in INPUT else name: told if english else say(NOT_ACCEPTED)
        for name, told in problem.get("fields", {}).items()
    }
    if fields:
        sentence = ""
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        sentence = say(AWAY_FOR, wait=wait) if wait else say(AWAY)
    else:
        sentence = problem["error"] if english else say(REFUSED, status=status)
    return _PAGE.render(
        language=language,
        say=say,
        title=say(NOT_ESTIMATED),
        described=sentence,
        price="",
        often="",
        notices=[f"{label}: {told}" for label, told in fields.items()],
    )


def nginx_page(language: str) -> str:
    """Return the page of an error that Nginx answers, with the texts of each kind of error for Nginx's SSI module.

    Nginx's variables choose among them: `$problem_kind`, and `$sent_form` for who asked for a price.
    """
    say = _sayer(language)
    told = {
        "busy": say(BUSY),
        "missing": say(NOTHING_HERE),
        "wait": say(AWAY_FOR, wait=_ECHO.format("upstream_http_retry_after")),
        "away": say(AWAY),
    }
    other = say(REFUSED, status=_ECHO.format("status"))
    by_kind = "".join(f'<!--# elif expr="$problem_kind = {kind}" -->{text}' for kind, text in told.items())
    by_kind += f"<!--# else -->{other}<!--# endif -->"
    return _PAGE.render(
        language=language,
        say=say,
        title=Markup('<!--# if expr="$sent_form = 1" -->' + say(NOT_ESTIMATED) + by_kind),  # noqa: S704 - own texts
        described=Markup('<!--# if expr="$sent_form != 1" -->' + by_kind),  # noqa: S704
        price="",
        often="",
        notices=[],
    )


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Return the messages of each language by their English text."""
    found: dict[str, dict[str, str]] = {ENGLISH: {}}
    for english, told in json.loads(CATALOGUE.read_text(encoding="utf-8")).items():
        for language, text in told.items():
            found.setdefault(language, {})[english] = text
    return found


def _sayer(language: str) -> Say:
    messages = catalogue()[ENGLISH] | catalogue().get(language, {})
    return lambda english, **values: messages.get(english, english).format(**values)


def _price(price: float, say: Say) -> str:
    number, unit = number_and_unit(price)
    return f"{number} {say(unit)}" if unit else number


ESTIMATED = "Estimated price"
NOT_ESTIMATED = "No price could be estimated"
NOT_ACCEPTED = "This value is not accepted"
AWAY_FOR = "No answer at the moment. Please try again in {wait} seconds."
AWAY = "No answer at the moment. Please try again."
BUSY = "That was a lot at once. Please wait a moment and try again."
NOTHING_HERE = "There is nothing at this address"
REFUSED = "The service did not accept this (status {status})."
NOT_KNOWN = f"This model does not know the {GROUP}; it was priced as another one."
USUAL = f"{{share}} % of such {ITEMS} are listed between {{low}} and {{high}}."
UNUSUAL = f"How often such a {ITEM} is listed within this range is not known."

_ENVIRONMENT = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.globals.update(TITLE=TITLE, ITEM=ITEM)
_PAGE = _ENVIRONMENT.from_string("""\
<!doctype html>
<html lang="{{ language }}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{{ title }}</title>
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <header class="top"><p class="name">{{ say(TITLE) }}</p></header>
  <main>
    <section class="card">
      <h1>{{ title }}</h1>
      <p>{{ described }}</p>
      {% if price %}
      <p class="price"><strong>{{ price }}</strong></p>
      <p>{{ often }}</p>
      {% endif %}
      {% for notice in notices %}
      <p class="notice">{{ notice }}</p>
      {% endfor %}
      <p><a href="/?lang={{ language }}">{{ say("Price another " + ITEM) }}</a></p>
    </section>
  </main>
  <footer><p>{{ say("Statistical estimates; no valuation.") }}</p></footer>
</body>
</html>
""")
