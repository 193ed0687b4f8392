"""The operations page over HTTP, in the process of the exporter."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from threading import BoundedSemaphore

from flask import Flask, Response, g, jsonify, redirect, render_template, request
from werkzeug.exceptions import HTTPException, MisdirectedRequest, ServiceUnavailable
from werkzeug.wrappers import Response as AnyResponse

from homeprices.errors import HomePricesError, Unavailable
from homeprices.foreign_text import LONG, printable
from homeprices.log import get_logger
from homeprices.resources import Resources
from homeprices.words import ITEMS
from monitoring.operations import formatting
from monitoring.operations.access import AccessControl, Tokens, refuse_other_sites
from monitoring.operations.actions import ACTIONS, LONGEST_REASON, order_of, request_action
from monitoring.operations.status import Status
from monitoring.operations.stored_pages import POLICY, StoredPages

PAGES = Path(__file__).parent / "pages"
LARGEST_FORM_BYTES = 8 * 1024
MOST_REQUESTS = 16
"""Requests that are answered at one time."""

OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HTML, SVG = "text/html; charset=utf-8", "image/svg+xml; charset=utf-8"
FILES = {"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": SVG}

log = get_logger("operations")


def create_app(resources: Resources, status: Status, access: AccessControl, tokens: Tokens | None = None) -> Flask:
    """Return the application."""
    app = Flask(__name__, template_folder=str(PAGES), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_FORM_BYTES
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(formatting.FILTERS)
    app.jinja_env.globals["ITEMS"] = ITEMS
    settings, stored, tokens = resources.settings, StoredPages(resources.bucket), tokens or Tokens()
    places = BoundedSemaphore(MOST_REQUESTS)

    @app.before_request
    def enter() -> None:
        """Refuse unknown hosts and callers who may not read logs."""
        g.placed = places.acquire(blocking=False)
        if not g.placed:
            raise ServiceUnavailable("too many requests of this page are in progress; try again")
        if not settings.knows_host(request.host):
            raise MisdirectedRequest("this server does not answer for this host name")
        g.caller = access.authorize(request.environ)

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if g.pop("placed", False):
            places.release()

    @app.after_request
    def record_use(response: Response) -> Response:
        """Log who asked, and add the headers that every answer has."""
        caller = g.get("caller")
        if caller is not None:
            by = f"key {caller.key}" if caller.key else "trusted network"
            path, status = printable(request.path, LONG), response.status_code
            log.info("operation_used", by=by, path=path, status=status, request_id=caller.request_id)
        response.headers.setdefault("Content-Security-Policy", OWN_POLICY)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"  # with `no-referrer`, a form would have no Origin
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    @app.get("/api/status")
    def status_document() -> Response:
        """The status of the stack."""
        return jsonify(status.read())

    @app.get("/operations")
    def page() -> str:
        """The status as a page."""
        person = access.actor(g.caller, request.environ)
        return render_template(
            "operations.html",
            status=status.read(),
            token=tokens.issue(),
            actions=ACTIONS,
            longest_reason=LONGEST_REASON,
            needs_key=person is None,
            has_keys=access.has_keys,
        )

    @app.post("/operations/actions")
    def act() -> AnyResponse:
        """Ask the evaluation for an action."""
        refuse_other_sites(request.headers)
        person = access.actor(g.caller, request.environ, request.form.get("key", "").strip())
        if person is None:
            return _message("An action needs an API key with the scope operate, or this machine.", HTTPStatus.FORBIDDEN)
        order = order_of(request.form)
        tokens.redeem(request.form.get("token", ""))
        run = request_action(settings, order, person)
        log.info("action_requested", by=person, action=order.action, reason=order.reason, run=run)
        status.forget("runs")
        return redirect("/operations#runs", HTTPStatus.SEE_OTHER)

    @app.get("/operations/decisions/<int:number>")
    def decision(number: int) -> Response:
        """The report of a decision."""
        return _stored(stored.decision(number))

    @app.get("/operations/decisions/<int:number>/<chart>.svg")
    def chart(number: int, chart: str) -> Response:
        """A chart of the report of a decision."""
        return _stored(stored.chart(number, chart), SVG)

    @app.get("/operations/drift/<time>/<variant>")
    def drift(time: str, variant: str) -> Response:
        """A drift report."""
        return _stored(stored.drift(time, variant))

    @app.get("/operations/shadow/<page>")
    def shadow(page: str) -> Response:
        """The report of a shadow comparison."""
        return _stored(stored.shadow(page))

    @app.get("/operations/validation/<version>")
    def validation(version: str) -> Response:
        """The validation report of a bundle."""
        return _stored(stored.validation(version))

    @app.get("/operations/<any('style.css', 'page.js', 'icon.svg'):name>")
    def file(name: str) -> Response:
        """The style of the page, its icon, and the script that refreshes it."""
        headers = {"Cache-Control": "private, max-age=60"}
        return Response((PAGES / name).read_bytes(), headers=headers, content_type=FILES[name])

    @app.errorhandler(HomePricesError)
    def refused(error: HomePricesError) -> AnyResponse:
        hint = formatting.WITHOUT_AIRFLOW if isinstance(error, Unavailable) and request.method == "POST" else ""
        return _message(printable(error.detail, LONG), error.status, hint)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> AnyResponse:
        answer = _message(str(error.description), HTTPStatus(error.code or 500))
        answer.headers.extend([pair for pair in error.get_headers() if pair[0] == "WWW-Authenticate"])
        return answer

    return app


def _message(text: str, status: HTTPStatus, hint: str = "") -> AnyResponse:
    """Return a refusal: as JSON where JSON was asked for, else as a small page."""
    if request.path.startswith("/api/"):
        body = {"type": "about:blank", "title": status.phrase, "status": status, "detail": text, "error": text}
        return Response(_json(body), status, content_type="application/problem+json")
    return Response(render_template("message.html", title=status.phrase, text=text, hint=hint), status)


def _json(body: dict[str, object]) -> bytes:
    return jsonify(body).get_data()


def _stored(body: bytes, kind: str = HTML) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, max-age=60"}
    return Response(body, headers=headers, content_type=kind)
