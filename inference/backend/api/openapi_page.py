"""The OpenAPI document as an HTML page, without scripts and without assets from other hosts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #1c2430; background: #fff; }
h2 { margin-top: 2.5rem; border-top: 1px solid #d5dbe3; padding-top: 1rem; }
code { font: 0.9em ui-monospace, monospace; background: #f1f4f8; padding: 0.1em 0.3em; border-radius: 3px; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem; border-bottom: 1px solid #e4e8ee; }
.method { text-transform: uppercase; font-weight: 600; color: #0b5cad; }
nav a { margin-right: 0.8rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e6eaf0; background: #14181f; } code { background: #232a35; } .method, a { color: #7ab8ff; }
  h2, th, td { border-color: #303948; }
}
"""
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    body = "\n".join([*_operations(document), *_schemas(document)])
    links = " ".join(f'<a href="#{name}">{escape(name)}</a>' for name in document["components"]["schemas"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])}: the API</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(info["title"])}</h1>
<p>{escape(info["description"])} The same as a document: <a href="openapi.json"><code>openapi.json</code></a>.</p>
<nav aria-label="Values">{links}</nav>
{body}
</body>
</html>
"""


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            address = f'<span class="method">{method}</span> {_code(path)}'
            yield f'<h2 id="{operation["operationId"]}">{address}</h2>'
            yield f"<p><strong>{escape(operation['summary'])}.</strong> {_prose(operation.get('description', ''))}</p>"
            if operation.get("parameters"):
                rows = [(_code(one["name"]), _type(one["schema"])) for one in operation["parameters"]]
                yield _table(("parameter", "value"), rows)
            if "requestBody" in operation:
                yield _table(("sent as", "value"), _media(operation["requestBody"]["content"]))
            yield _table(("answer", "when", "value"), _responses(operation["responses"]))


def _responses(responses: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            _code(status),
            _prose(response["description"]),
            "<br>".join(" ".join(row) for row in _media(response["content"])),
        )
        for status, response in responses.items()
    ]


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{name}">{escape(name)}</h2>'
        yield (
            f"<p>{_prose(schema.get('description', _type(schema)))}</p>"
            if "oneOf" not in schema
            else f"<p>{_type(schema)}</p>"
        )
        if "properties" in schema:
            needed = schema.get("required", [])
            rows = [
                (
                    _code(member),
                    "required" if member in needed else "",
                    _type(value),
                    _prose(value.get("description", "")),
                )
                for member, value in schema["properties"].items()
            ]
            yield _table(("member", "", "value", ""), rows)


def _media(content: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(_code(media_type), _type(value["schema"])) for media_type, value in content.items()]


def _type(schema: dict[str, Any]) -> str:
    """A readable description of a schema's type and limits."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "oneOf" in schema:
        return " or ".join(_type(one) for one in schema["oneOf"])
    if "enum" in schema:
        return "one of " + ", ".join(_code(value) for value in schema["enum"])
    if "const" in schema:
        return _code(schema["const"])
    kinds = schema.get("type", "any value")
    words = kinds if isinstance(kinds, str) else " or ".join(kinds)
    if "items" in schema:
        words += " of " + _type(schema["items"])
    if "properties" in schema:
        words += " with " + ", ".join(_code(name) for name in schema["properties"])
    return words + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    said = []
    if low is not None and high is not None:
        said.append(f"{low:,g} to {high:,g}" if high < 1e9 else f"{low:,g} or more")
    elif low is not None:
        said.append(f"{low:,g} or more")
    if "maxLength" in schema:
        said.append(f"at most {schema['maxLength']:,} characters")
    if "maxItems" in schema:
        said.append(f"at most {schema['maxItems']:,}")
    if "default" in schema:
        said.append(f"default {schema['default']}")
    return f" ({', '.join(said)})" if said else ""


def _prose(text: str) -> str:
    """Text as HTML, with `code` in code elements."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _code(word: object) -> str:
    return f"<code>{escape(str(word))}</code>"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{word}</th>' for word in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
