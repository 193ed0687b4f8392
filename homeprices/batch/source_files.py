"""Sort the objects under a prefix into data files, and files that are skipped: markers, hidden and temporary files.

The rules apply to the part of a key below the prefix, so the source `_inbox/homes.csv` is scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.object_store import Entry

Format = Literal["parquet", "csv"]
Reason = Literal["not_read", "empty", "no_rows", "marker", "hidden", "system", "temporary", "checksum"]

FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    **dict.fromkeys((".csv", ".json", ".jsonl", ".ndjson"), "csv"),  # text, whose form its content decides
}
"""What is scored, by the end of the name in any case."""

NAMED = 100
"""Skipped files are named up to this number for each reason, and all are counted."""

MEANING: dict[Reason, str] = {
    "not_read": f"left alone, because only {', '.join(FORMATS)} are read",
    "empty": "empty",
    "no_rows": "without a row",
    "marker": "the mark of a folder",
    "hidden": "hidden, or left by the program that wrote the data",
    "system": "left by an operating system",
    "temporary": "a temporary or backup file",
    "checksum": "a checksum",
}

_SYSTEM_FILES = {
    ".ds_store",
    ".localized",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "icon\r",
    "autorun.inf",
}
_SYSTEM_FOLDERS = {
    "__macosx",
    "$recycle.bin",
    "@eadir",
    "system volume information",
    "lost+found",
    "#recycle",
    "#snapshot",
}
_TEMPORARY = re.compile(
    r"~\$.*|#.*#|.*~|.*\.(tmp|temp|bak|backup|old|orig|rej|sw[a-z]|part|partial|crdownload|download|filepart|inprogress"
    r"|incomplete|lock|lck)"
)
_CHECKSUM = re.compile(
    r".*\.(crc|crc32c?|md5|sha1|sha224|sha256|sha384|sha512|b2|blake3|sfv|asc|sig|minisig)"
    r"|(md5|sha1|sha224|sha256|sha384|sha512|b2)sums?(\.txt)?|checksums?(\.(md5|sha1|sha256|sha512|txt))?"
)

_WRITTEN_BESIDE = re.compile(r"manifest\.json|.*\.metadata\.json")  # the latter by Iceberg


class Skipped(BaseModel):
    """Files that are not scored for one reason: how many, the bytes in them, and the first NAMED keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    meaning: str
    files: int = 0
    bytes: int = 0
    keys: tuple[str, ...] = ()


class SourceFiles:
    """The keys under a prefix: `data` to score, the others by reason. Holds at most NAMED keys of a reason."""

    def __init__(self, entries: Iterable[Entry], source: str) -> None:
        self._skipped: dict[Reason, Skipped] = {}
        self.data: list[Entry] = []
        for entry in entries:
            reason = reason_to_skip(entry, source)
            if reason is None:
                self.data.append(entry)
            else:
                self.skip(entry, reason)

    def skip(self, entry: Entry, reason: Reason) -> None:
        """Count a file that is not scored."""
        held = self._skipped.get(reason, Skipped(reason=reason, meaning=MEANING[reason]))
        keys = (*held.keys, entry.key) if held.files < NAMED else held.keys
        changed = {"files": held.files + 1, "bytes": held.bytes + entry.size, "keys": keys}
        self._skipped[reason] = held.model_copy(update=changed)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The files that are not scored; first those of a kind that is not read."""
        return tuple(self._skipped[reason] for reason in MEANING if reason in self._skipped)


def reason_to_skip(entry: Entry, source: str) -> Reason | None:
    """Return why an object is not scored; None for a data file."""
    if entry.key.endswith("/") or (entry.key.endswith("_$folder$") and not entry.size):
        return "marker"
    if entry.key != source and (reason := _left_behind(entry.key, source)):
        return reason
    if format_of(entry.key) is None:
        return "not_read"
    return None if entry.size else "empty"


def _left_behind(key: str, source: str) -> Reason | None:
    below = source.rfind("/") + 1
    *folders, name = key[below:].split("/")
    if name.lower() in _SYSTEM_FILES or name.startswith("._") or any(one.lower() in _SYSTEM_FOLDERS for one in folders):
        return "system"
    if _TEMPORARY.fullmatch(name.lower()):
        return "temporary"
    if _CHECKSUM.fullmatch(name.lower().lstrip(".")):
        return "checksum"
    if _WRITTEN_BESIDE.fullmatch(name.lower()):
        return "hidden"
    named_in_part = 1 if len(source) > below else 0
    return "hidden" if any(map(_is_hidden, [*folders, name][named_in_part:])) else None


def format_of(key: str) -> Format | None:
    """Return the format that a key's name ends with; None for one that is not read."""
    return FORMATS.get(PurePosixPath(key).suffix.lower())


def in_words(skipped: Iterable[Skipped], at_most: int = 3) -> str:
    """Return a line about skipped files that names the first of each reason."""
    return "; ".join(f"{one.files:,} {one.meaning} ({_shortened(one, at_most)})" for one in skipped)


def _is_hidden(part: str) -> bool:
    """Whether Spark, Hive and Hadoop reserve the name; `_year=2026` is a partition, not a reserved name."""
    return part.startswith(".") or (part.startswith("_") and "=" not in part)


def _shortened(one: Skipped, at_most: int) -> str:
    shown = ", ".join(repr(key[-80:]) for key in one.keys[:at_most])
    return shown + (", ..." if one.files > at_most else "")
