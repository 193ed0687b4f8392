"""JSON as the service writes it: by pydantic's encoder, which takes a tenth of the time of the standard library's."""

from __future__ import annotations

import json
from typing import Any

from flask import Response
from flask.json.provider import JSONProvider
from pydantic_core import to_json

MEDIA_TYPE = "application/json"


class JsonAnswers(JSONProvider):
    """What Flask makes JSON answers with: UTF-8, no spaces, members in the order in which the view named them."""

    def dumps(self, obj: Any, **options: Any) -> str:
        return json.dumps(obj, **options)

    def loads(self, s: str | bytes, **options: Any) -> Any:
        return json.loads(s, **options)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(to_json(self._prepare_response_obj(args, kwargs)), mimetype=MEDIA_TYPE)
