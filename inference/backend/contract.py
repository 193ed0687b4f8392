"""`GET /api/openapi.json` and `GET /api/docs`: the contract, for programs and for people."""

from __future__ import annotations

from functools import cache

from flask import Blueprint, Response

from inference.backend import openapi, openapi_page
from inference.backend.body import JSON_TYPE

blueprint = Blueprint("contract", __name__)


@blueprint.get("/api/openapi.json")
def document() -> Response:
    """The OpenAPI document."""
    return Response(openapi.text(), content_type=JSON_TYPE)


@blueprint.get("/api/docs")
def page() -> Response:
    """The same to read, with nothing from another host."""
    headers = {"Content-Security-Policy": openapi_page.SECURITY_POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(_page(), headers=headers, content_type="text/html; charset=utf-8")


@cache
def _page() -> str:
    return openapi_page.page(openapi.document())
