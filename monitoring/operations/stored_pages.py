"""Reports that are stored in the bucket: of decisions, drift, shadow comparisons, and the validation of a bundle."""

from __future__ import annotations

import re

from homeprices.adapters.object_store import Bucket
from homeprices.errors import NotFound
from homeprices.registry import bundle_reader, versions

SHADOW = "reports/shadow/"
LARGEST_BYTES = 8 * 2**20
VALIDATION = "validation.html"
POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The security policy of a stored page: it runs no script, loads nothing, and sends nothing."""

_PAGE = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]{0,300}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}")
CHARTS = {"effect": "Effect on the primary metric", "rating": "Mean rating"}
"""The charts of a decision's report that are shown alone, and their captions there."""

_COLOURS = b"<style>svg{color:#1b242c}@media(prefers-color-scheme:dark){svg{color:#e9edef}}</style>"


class StoredPages:
    """Reads stored pages. Every reader raises NotFound, StorageUnavailable."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def decision(self, number: int) -> bytes:
        """Return the report of a decision."""
        return self._bounded(self._bucket.get(f"reports/decisions/{number}.html").body)

    def chart(self, number: int, name: str) -> bytes:
        """Return a chart of a decision's report as a picture in the reader's colour scheme."""
        caption = CHARTS.get(name, "").encode()
        pattern = rb'<figcaption>%s</figcaption>(<svg role="img".*?</svg>)' % caption
        found = re.search(pattern, self.decision(number), re.DOTALL)
        if found is None:
            raise NotFound(f"the report of decision {number} has no chart {name}")
        start, _, rest = found[1].partition(b">")
        return start.replace(b"<svg ", b'<svg xmlns="http://www.w3.org/2000/svg" ', 1) + b">" + _COLOURS + rest

    def drift(self, time: str, variant: str) -> bytes:
        """Return the drift report of a variant."""
        if not _TIME.fullmatch(time) or variant not in ("production", "candidate"):
            raise NotFound("there is no such drift report")
        return self._bounded(self._bucket.get(f"reports/drift/{time}/{variant}.html").body)

    def shadow(self, page: str) -> bytes:
        """Return the report of a shadow comparison by its name."""
        if not _PAGE.fullmatch(page):
            raise NotFound("there is no such shadow comparison")
        return self._bounded(self._bucket.get(f"{SHADOW}{page}.html").body)

    def validation(self, version: str) -> bytes:
        """Return the validation report of a bundle."""
        versions.bundle_name(version)
        return self._bounded(bundle_reader.read_file(self._bucket, version, VALIDATION))

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > LARGEST_BYTES:
            raise NotFound(f"the report has {len(body)} bytes, and at most {LARGEST_BYTES} are shown")
        return body
