"""Cross-origin requests, from configured origins only (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from flask import Flask, Response, request

from homeprices.errors import SettingsError
from homeprices.settings import Settings

PREFLIGHT_SECONDS = "600"


def allow_origins(app: Flask, settings: Settings) -> None:
    """Answer requests of the origins in `HOMEPRICES_CORS_ORIGINS`. Raises SettingsError for one that is no origin."""
    allowed = frozenset(origin.strip() for origin in settings.cors_origins.split(",") if origin.strip())
    for origin in allowed:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise SettingsError(f"HOMEPRICES_CORS_ORIGINS: {origin} is no origin such as https://example.org")
    if not allowed:
        return

    @app.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin not in allowed:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "X-Variant, X-Model-Version, X-Request-ID, Retry-After"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type"
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response
