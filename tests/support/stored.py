"""What stored objects and documents are called: the patterns of keys, and the members of JSON documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "pinned"

_PARTS_OF_KEYS = (
    (r"(?<=[/_])(BO|CO|RO)[1-9]\d*", r"\1{n}"),
    (r"train_V\d+", "train_V{n}"),
    (r"^(staging)/[^/]+", r"\1/{run}"),
    (r"/out_of_fold/\w+\.npz$", "/out_of_fold/{estimator}.npz"),
    (r"/gate-[^/]+\.json$", "/gate-{run}.json"),
    (r"^(reports/shadow)/(?!newest\.)[^/]+\.(html|json)$", r"\1/{run}.\2"),
    (r"^(notices)/[0-9a-f]{32}\.", r"\1/{digest}."),
    (r"^(traffic)/\d{4}-\d\d-\d\d/[0-9a-f]{16}\.", r"\1/{day}/{router}."),
    (r"/\d{4}-\d\d-\d\dT\d{6}/", "/{time}/"),
    (r"^(reports/decisions)/\d+\.", r"\1/{id}."),
    (r"^(batch)/(?!input/)[^/]+/", r"\1/{job}/"),
    (r"^(batch)/input/.+", r"\1/input/{file}"),
    (r"/pyfunc/.+$", "/pyfunc/{file}"),
    (r"/partitions/\d{5}/", "/partitions/{number}/"),
    (r"/(part|refused)-\d+\.", r"/\1-{n}."),
)


def pinned(name: str) -> Any:
    """The document of that name in `tests/pinned`."""
    return json.loads((PINNED / name).read_text())


def key_pattern(key: str) -> str:
    """A key with its versions, runs, days and digests replaced by what they are."""
    for parts, name in _PARTS_OF_KEYS:
        key = re.sub(parts, name, key)
    return key


def document_pattern(key: str) -> str:
    """The pattern of a key for what its document holds, which is the same for BO and CO, in use and archived."""
    return re.sub(r"[BC]O\{n\}", "{version}", key_pattern(key)).replace("archive/", "models/")


def members(document: Any, free: Iterable[str] = ()) -> set[str]:
    """The paths of all members, `[]` for the items of a list; a path in `free` has keys that are values, given as `*`.

    An object without members is given as `{}`.
    """
    found: set[str] = set()
    _add_members(document, "", set(free), found)
    return found


def _add_members(value: Any, path: str, free: set[str], found: set[str]) -> None:
    match value:
        case {}:
            if not value:
                found.add(f"{path}{{}}")
            for name, item in value.items():
                _add_members(item, f"{path}.{'*' if path in free else name}".lstrip("."), free, found)
        case []:
            found.add(f"{path}[]")
        case list():
            for item in value:
                _add_members(item, f"{path}[]", free, found)
        case _:
            found.add(path)


def without_gains(document: Any, older: Any) -> Any:
    """The document without members that an older one has not: equal to it if the document has only gained."""
    if isinstance(document, dict) and isinstance(older, dict):
        return {name: without_gains(value, older[name]) for name, value in document.items() if name in older}
    if isinstance(document, list) and isinstance(older, list) and len(document) == len(older):
        return [without_gains(*pair) for pair in zip(document, older, strict=True)]
    return document
