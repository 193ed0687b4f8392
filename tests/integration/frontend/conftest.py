"""The real form, in a real browser, before a stand-in for the price service."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server
from werkzeug.wsgi import get_input_stream

from tests.support.browser import PATIENCE_MILLISECONDS, chromium, frontend
from tests.support.programs import CHROMIUM
from tests.support.stub_inference import PriceService, price_service
from tests.unit.inference.conftest import Backend

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser. Skips the test without one."""
    CHROMIUM.require()
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def standing_service() -> Iterator[PriceService]:
    """The substitute for the price service, one for a module."""
    with price_service() as service:
        yield service


@pytest.fixture(scope="module")
def address(standing_service: PriceService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real frontend before the substitute."""
    with frontend(standing_service.url, tmp_path_factory.mktemp("frontend")) as url:
        yield url


@pytest.fixture
def service(standing_service: PriceService) -> PriceService:
    """The stand-in, without memory of other tests."""
    standing_service.forget()
    return standing_service


@pytest.fixture
def real_service(tmp_path: Path) -> Iterator[str]:
    """The address of the service itself, with a small bundle and without a database."""
    backend = Backend(tmp_path / "service", HOMEPRICES_VISITOR_KEY="key")
    backend.publish("BO1")

    def with_an_end(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As gunicorn does: a body ends where Content-Length says."""
        return backend.app({**environ, "wsgi.input": get_input_stream(environ)}, start_response)

    server = make_server("127.0.0.1", 0, with_an_end, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    backend.engine.dispose()


@pytest.fixture
def page(browser: Browser, address: str, service: PriceService) -> Iterator[Page]:
    """The form, just opened. What the browser complains of, and any host but the form's own, fails the test."""
    context = browser.new_context(viewport={"width": 1180, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MILLISECONDS)
    complaints: list[str] = []
    opened.on("console", lambda said: None if "Failed to load resource" in said.text else complaints.append(said.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(address) else complaints.append(asked.url))
    opened.goto(address)
    yield opened
    context.close()
    assert complaints == []
