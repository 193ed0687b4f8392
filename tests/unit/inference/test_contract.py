"""The committed contract, the routes of the application and the answers of its views are the same thing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from inference.backend.api import openapi
from inference.backend.api.batch_formats import CSV_COLUMNS
from inference.backend.api.openapi_page import page
from tests.unit.inference.conftest import Backend

ROOT = Path(__file__).parents[3]
HOME: dict[str, Any] = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
REMARK = {"prediction_id": 1, "feedback_type": "rating", "feedback_value": 5}
DOCUMENT = openapi.document()


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": DOCUMENT["components"]}


def test_the_committed_document_is_the_one_that_the_code_gives() -> None:
    committed = (ROOT / "inference/openapi.json").read_text(encoding="utf-8")
    assert committed == openapi.text(), "stale: python -m inference.backend.api.openapi > inference/openapi.json"


def test_every_route_is_in_it_and_nothing_else(backend: Backend) -> None:
    routes = {
        (rule.rule, method.lower())
        for rule in backend.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
    }
    documented = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert documented == routes


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert names <= set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("post", "/api/predict_home_price", HOME),
        ("post", "/api/predict_home_price", {**HOME, "location": "Atlantis", "balcony": 1}),
        ("post", "/api/predict_home_price", {}),
        ("post", "/api/predict_home_price/batch", [HOME, {}]),
        ("post", "/api/predict_home_price/batch", {}),
        ("post", "/api/explain", HOME),
        ("post", "/api/explain", {**HOME, "location": "Atlantis", "balcony": 1}),
        ("post", "/api/explain", {}),
        ("post", "/api/feedback", REMARK),
        ("get", "/api/get_location_names", None),
        ("get", "/api/health", None),
        ("get", "/api/ready", None),
        ("get", "/api/logs/tail", None),
        ("get", "/api/logs", None),
        ("get", "/api/openapi.json", None),
    ],
)
def test_answers_are_as_they_are_documented(backend: Backend, method: str, path: str, sent: Any) -> None:
    backend.service.workers.open()
    answer = backend.client.open(path, method=method, json=sent)
    documented = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]
    jsonschema.validate(answer.get_json(), resolved(documented["content"][answer.mimetype]["schema"]))
    missing = {name for name, header in documented["headers"].items() if header["required"]} - set(
        answer.headers.keys()
    )
    assert missing == set()


def test_what_the_document_forbids_the_service_refuses(backend: Backend) -> None:
    """Each limit of a home, a step inside of it and a step outside."""
    home = DOCUMENT["components"]["schemas"]["Home"]
    for name, schema in home["properties"].items():
        inside, outside = edges(schema)
        for value in inside:
            answer = backend.client.post("/api/predict_home_price", json={**HOME, name: value})
            assert answer.status_code == 200, (name, value)
        for value in outside:
            answer = backend.client.post("/api/predict_home_price", json={**HOME, name: value})
            assert list(answer.get_json()["fields"]) == [name], (name, value)
    for name in home["required"]:
        sent = {other: value for other, value in HOME.items() if other != name}
        assert backend.client.post("/api/predict_home_price", json=sent).status_code == 422


def edges(schema: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    if "enum" in schema:
        return schema["enum"], ["something else"]
    if "maxLength" in schema:
        longest = schema["maxLength"]
        return ["x" * max(1, schema["minLength"]), "x" * longest], ["x" * (longest + 1)]
    return [schema["minimum"], schema["maximum"]], [schema["minimum"] - 1, schema["maximum"] + 1]


class _Assets(HTMLParser):
    """What a browser would load for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"script", "img", "link", "iframe"} or values.get("src"):
            self.loaded.append(str(values))
        self.anchors.add(str(values.get("id")))
        if tag == "a":
            self.links.append(str(values["href"]))


def test_the_page_names_every_operation_and_value_and_loads_nothing(backend: Backend) -> None:
    answer = backend.client.get("/api/docs")
    text = answer.get_data(as_text=True)
    read = _Assets()
    read.feed(text)
    assert read.loaded == []
    assert "url(" not in text and "@import" not in text and "://" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    operations = {one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()}
    assert operations | set(DOCUMENT["components"]["schemas"]) <= read.anchors
    assert all(link == "openapi.json" or link.removeprefix("#") in read.anchors for link in read.links)


def test_the_page_shows_words_as_words() -> None:
    document = {**DOCUMENT, "info": {**DOCUMENT["info"], "title": "<script>"}}
    assert "<script>" not in page(document)


def test_csv_columns_are_documented() -> None:
    content = DOCUMENT["paths"]["/api/predict_home_price/batch"]["post"]["responses"]["200"]["content"]
    assert all(column in content["text/csv"]["schema"]["description"] for column in CSV_COLUMNS)
