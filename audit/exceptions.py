"""The accepted exceptions, `audit/exceptions.toml`: each has a reason, and one for a vulnerability has a last day."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("exceptions.toml")
LONGEST = dt.timedelta(days=90)
KEYS = {
    "image": {"name", "reason"},
    "licence": {"package", "reason"},
    "vulnerability": {"id", "package", "reason", "until"},
}


class BadException(ValueError):
    """An entry of the file is incomplete, unknown or runs too long."""


@dataclass(frozen=True)
class Exceptions:
    """The reasons: of images without a digest by `name:tag`, of licences by package, of vulnerabilities by id."""

    images: dict[str, str] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    vulnerabilities: dict[str, str] = field(default_factory=dict)
    expired: tuple[str, ...] = ()


def read(today: dt.date, file: Path = FILE) -> Exceptions:
    """Return the exceptions that hold today. Raises BadException for an entry that the policy does not allow."""
    document = tomllib.loads(file.read_text())
    if unknown := set(document) - set(KEYS):
        raise BadException(f"{file.name}: {sorted(unknown)} are not kinds; allowed: {sorted(KEYS)}")
    entries = {kind: [_checked(kind, entry) for entry in document.get(kind, [])] for kind in KEYS}
    holds = [entry for entry in entries["vulnerability"] if entry["until"] >= today]
    for entry in holds:
        if entry["until"] - today > LONGEST:
            raise BadException(
                f"{file.name}: {entry['id']}: until {entry['until']} is more than {LONGEST.days} days away"
            )
    return Exceptions(
        images={entry["name"]: entry["reason"] for entry in entries["image"]},
        licences={entry["package"]: entry["reason"] for entry in entries["licence"]},
        vulnerabilities={entry["id"]: entry["reason"] for entry in holds},
        expired=tuple(entry["id"] for entry in entries["vulnerability"] if entry not in holds),
    )


def _checked(kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    if set(entry) != KEYS[kind]:
        raise BadException(f"[[{kind}]] has {sorted(entry)}; needed: {sorted(KEYS[kind])}")
    for name, value in entry.items():
        wanted = dt.date if name == "until" else str
        if not isinstance(value, wanted) or not value:
            raise BadException(f"[[{kind}]] {name} = {value!r} is not a {'date' if name == 'until' else 'text'}")
    return entry


if __name__ == "__main__":  # for Trivy's ignore file
    print("\n".join(read(dt.datetime.now(dt.UTC).date()).vulnerabilities))
