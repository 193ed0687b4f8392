"""Policies as YAML documents: those of the project, and other files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from homeprices.errors import InvalidInput, NotFound
from homeprices.experiment.policies.composite import CompositePolicy
from homeprices.experiment.policies.sequential import SequentialPolicy

AnyPolicy = SequentialPolicy | CompositePolicy

DEFAULT = "sequential"
LARGEST_FILE_BYTES = 64 * 1024  # a policy is a page of text

_ADAPTER: TypeAdapter[AnyPolicy] = TypeAdapter(Annotated[AnyPolicy, Field(discriminator="rule")])


def names() -> list[str]:
    """Return the names of the project's policies."""
    found = resources.files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in found if entry.name.endswith(".yaml"))


def load(name_or_file: str) -> AnyPolicy:
    """Return the policy of that name, or in that YAML file.

    Raises NotFound, and InvalidInput with a sentence per field.
    """
    if name_or_file in names():
        return parse(resources.files(__name__).joinpath(f"{name_or_file}.yaml").read_text(encoding="utf-8"))
    path = Path(name_or_file)
    if not path.is_file():
        raise NotFound(f"there is no policy {name_or_file!r}: no file, and none of {', '.join(names())}")
    body = path.read_bytes()[: LARGEST_FILE_BYTES + 1]
    if len(body) > LARGEST_FILE_BYTES:
        raise InvalidInput({str(path): f"a policy has at most {LARGEST_FILE_BYTES} bytes"})
    try:
        return parse(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput({str(path): f"is not UTF-8: {error.reason} at byte {error.start}"}) from error


def parse(text: str) -> AnyPolicy:
    """Return the policy in a YAML text. Raises InvalidInput with a sentence per field, also for unknown fields."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput({"policy": f"is not YAML: {' '.join(str(error).split())[:300]}"}) from error
    if not isinstance(document, dict):
        raise InvalidInput({"policy": f"must be a mapping of fields, not {type(document).__name__}"})
    return from_document(document)


def from_document(document: Mapping[str, Any]) -> AnyPolicy:
    """Return the policy in a document, for example a recorded one. Raises InvalidInput."""
    try:
        return _ADAPTER.validate_python(dict(document))
    except ValidationError as error:
        fields: dict[str, str] = {}
        for problem in error.errors(include_url=False):
            where = ".".join(str(part) for part in problem["loc"] if part not in ("sequential", "composite"))
            value = f" (not {problem['input']!r})" if problem["type"] not in ("missing", "extra_forbidden") else ""
            fields.setdefault(where or "rule", f"{problem['msg']}{value[:100]}")
        raise InvalidInput(fields) from None


def document_of(policy: AnyPolicy) -> dict[str, Any]:
    """Return the policy as JSON values, including every default."""
    return policy.model_dump(mode="json")


def digest(policy: AnyPolicy) -> str:
    """Return the first 12 hex digits of the SHA-256 of the document, which identify the policy."""
    body = json.dumps(document_of(policy), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()[:12]
