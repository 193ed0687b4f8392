"""What every entry point answers to every kind of file: the tables of `documentations/files.md`.

    python -m tests.contract.file_answers

renews them. Where an entry point reads a file, its answer is `read` only if the homes are those of the plain file that
the kind stands for; anything else is `READ OTHERWISE`, or `read as it is written` when the numbers or names of a table
mean something else.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from werkzeug.exceptions import BadRequest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli.drift import compare_files
from homeprices.data.contract import Accepted, accept
from homeprices.drift.findings import Rules
from homeprices.errors import InvalidInput
from homeprices.foreign_text import printable
from homeprices.pricing.features import key_of
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import INPUT, LOCATION, TEXTS
from homeprices.reporting.markdown import replace_section
from homeprices.training.evaluate_files import accept_file
from homeprices.workflows.score_batch import BatchRun
from inference.backend.api.batch_formats import form_of, parse_row
from tests.contract.file_kinds import BESIDE_DATA, KINDS, Kind, as_csv, homes, listings
from tests.support.bundles import make_bundle
from tests.support.factories import NOW

PAGE = Path(__file__).parents[2] / "documentations/files.md"
MEDIA_TYPES = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/x-ndjson"}
TITLES = {
    "spelling": "one table in many spellings",
    "cell": "cells",
    "scale": "units and scale",
    "fault": "what is no table",
}
OTHERWISE = "READ OTHERWISE"
TAKEN, NOT_JUDGED = "read as it is written", ("scale", "fault")
ALL = "all"
_SHOWN = 170
_LINE = re.compile(r"\bline \d+: ")
_SOURCE = re.compile(r"^(?:/\S*/)?(?:in/)?homes\.\w+: |^(?:file|body): |^--(?:train|test): ")


@dataclass
class Reading:
    """What an entry point has read: the homes in any form that can be compared, refused rows, and what it says."""

    content: Any
    refused: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def _rounded(cell: Any) -> Any:
    return round(cell, 6) if isinstance(cell, float) else cell


def _accepted(accepted: Accepted) -> Reading:
    rows = accepted.cleaned.rows
    columns = [
        [(INPUT[name].feature or key_of)(str(text)) for text in rows[name]]
        if name in TEXTS
        else np.nan_to_num(rows[name].to_numpy(float), nan=-1).round(6).tolist()
        for name in rows.columns
    ]
    refused = [f"{name}, {first}" for name, places in accepted.cleaned.first_refused.items() for first in places]
    unknown = [
        sentence for sentence in accepted.cleaned.sentences() if sentence.startswith(("availability", "area type"))
    ]
    ignored = [f"ignored columns: {', '.join(accepted.listings.ignored)}"] if accepted.listings.ignored else []
    return Reading(columns, refused, [*ignored, *accepted.listings.notes, *unknown])


def by_import(path: Path) -> Reading:
    return _accepted(accept(path.read_bytes()))


def by_train(path: Path) -> Reading:
    return _accepted(accept_file(path, "--train"))


def by_test(path: Path) -> Reading:
    return _accepted(accept_file(path, "--test"))


def _plain_listings(path: Path) -> Path:
    plain = path.with_name("compared.csv")
    plain.write_bytes(as_csv(listings()))
    return plain


def _compared(side: str, reference: Path, current: Path) -> Reading:
    found = compare_files(reference, current, Rules())
    ignored = [f"ignored columns: {', '.join(found['ignored_columns'])}"] if found["ignored_columns"] else []
    said = [*ignored, *found["read"][side]]
    same = {
        name: value for name, value in found.items() if name not in ("reference", "current", "read", "ignored_columns")
    }
    return Reading(json.dumps(same), [], said)


def by_reference(path: Path) -> Reading:
    return _compared("reference", path, _plain_listings(path))


def by_current(path: Path) -> Reading:
    return _compared("current", _plain_listings(path), path)


@cache
def _bundle() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = make_bundle(Path(name), "BO1")
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {f"models/price_check_BO1/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}


def _scored(files: dict[str, bytes]) -> tuple[MemoryBucket, dict[str, Any]]:
    bucket = MemoryBucket()
    for key, body in (_bundle() | {f"in/{name}": body for name, body in files.items()}).items():
        bucket.put(key, body)
    run = BatchRun(bucket, "job")
    for number in run.plan("in/", "production", NOW):
        run.score(number)
    manifest = json.loads(bucket.get(run.finish(NOW)["manifest"]).body)
    return bucket, manifest


def by_job(path: Path) -> Reading:
    bucket, manifest = _scored({path.name: path.read_bytes()})
    keys = [entry.key for entry in bucket.list("batch/job/partitions/")]
    refused = [
        f"line {row['line']}: {reasons}" if "line" in row else reasons
        for key in keys if "/refused-" in key
        for row in map(json.loads, bucket.get(key).body.splitlines())
        for reasons in ["; ".join(_named(name, problem) for name, problem in row["reasons"].items())]
    ]  # fmt: skip
    parts = [pq.read_table(io.BytesIO(bucket.get(key).body)) for key in keys if key.endswith(".parquet")]
    content = [(row["location"], round(row["estimated_price"], 3)) for part in parts for row in part.to_pylist()]
    return Reading(content, refused, manifest["notes"])


def by_request(path: Path) -> Reading:
    read = form_of(MEDIA_TYPES[path.suffix]).read(path.read_bytes())
    found = [*read]
    read.complete(found)
    rows = [parse_row(row) for row in found]
    refused = [
        "; ".join(_named(name, problem) for name, problem in row.fields.items())
        for row in rows if isinstance(row, InvalidInput)
    ]  # fmt: skip
    content = [
        [key_of(row.location), *(_rounded(value(row)) for name, value in FEATURES.items() if name != LOCATION)]
        for row in rows if isinstance(row, Home)
    ]  # fmt: skip
    return Reading(np.array(content, dtype=str).tolist(), refused, list(read.notes))


def _named(name: str, problem: str) -> str:
    return problem if name == "row" else f"{name}: {problem}"


LISTED: dict[str, Callable[[Path], Reading]] = {
    "import": by_import,
    "`evaluate --train`": by_train,
    "`evaluate --test`": by_test,
    "`drift --reference`": by_reference,
    "`drift --current`": by_current,
}
ASKED: dict[str, Callable[[Path], Reading]] = {"batch job": by_job, "batch endpoint": by_request}


def _sentence(error: Exception) -> str:
    if isinstance(error, BadRequest):
        return _bare(str(error.description))
    assert isinstance(error, InvalidInput)
    lines = []
    for name, problem in error.fields.items():
        column = name.rpartition(": ")[2]
        source = column in ("file", "body") or "/" in column or column.startswith("homes.")
        lines.append(_bare(problem) if source else f"{column}: {_bare(problem)}")
    return "; ".join(lines)


def _bare(sentence: str) -> str:
    """A sentence without the name of its file, which each entry point has in its own way."""
    while (shorter := _SOURCE.sub("", sentence)) != sentence:
        sentence = shorter
    return sentence


def _answer(kind: Kind, read: Callable[[Path], Reading], rows: list[dict[str, Any]], folder: Path) -> str:
    meant = [row | {} if at and not kind.every else {**row, **kind.means} for at, row in enumerate(rows)]
    path = folder / f"homes{kind.ending}"
    path.write_bytes(kind.write([{**rows[0], **kind.first}, *rows[1:]]))
    try:
        found = read(path)
    except (InvalidInput, BadRequest) as error:
        return f"refused: {_sentence(error)}"
    said = "".join(f"; {_bare(sentence)}" for sentence in found.said)
    if not found.refused:
        same = found.content == _plain(read, as_csv(meant))
        means = ", ".join(f"{name} {cell}" if cell != "" else f"no {name}" for name, cell in kind.means.items())
        return (
            f"read{f' as {means}' if means else ''}" if same else TAKEN if kind.group in NOT_JUDGED else OTHERWISE
        ) + said
    count = f"{len(found.refused)} rows" if len(found.refused) > 1 else "row"
    return f"{count} refused: {_LINE.sub('', _bare(found.refused[0]))}{said}"


@cache
def _plain(read: Callable[[Path], Reading], body: bytes) -> Any:
    """What an entry point reads of a plain file."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "homes.csv"
        path.write_bytes(body)
        return read(path).content


def answers(kind: Kind, folder: Path) -> dict[str, list[str]]:
    """The answers to a kind of file, each with the entry points that give it."""
    found: dict[str, list[str]] = {}
    for name, read in LISTED.items():
        found.setdefault(_answer(kind, read, listings(), folder), []).append(name)
    if not kind.prices:
        for name, read in ASKED.items():
            if read is by_job or kind.ending in MEDIA_TYPES:
                found.setdefault(_answer(kind, read, homes(), folder), []).append(name)
    return found


def _shown(answer: str) -> str:
    return printable(answer, _SHOWN).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def table(group: str) -> str:
    """The table of a group of kinds: a row for each answer, with those who give it."""
    lines = ["| kind | answer | of |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS:
            if kind.group == group:
                for place, (answer, who) in enumerate(answers(kind, Path(name)).items()):
                    every = len(who) == len(LISTED) + len(ASKED)
                    lines.append(
                        f"| {'' if place else _kind(kind)} | {_shown(answer)} | {ALL if every else _who(who)} |"
                    )
    return "\n".join(lines)


def _kind(kind: Kind) -> str:
    return kind.name.replace("|", "\\|")


def _who(who: list[str]) -> str:
    text = ", ".join(who)
    text = text.replace("`evaluate --train`, `evaluate --test`", "`evaluate`")
    return text.replace("`drift --reference`, `drift --current`", "`drift`")


def table_of_names() -> str:
    """What a batch job does with each name beside `homes.csv`."""
    plain = as_csv(homes())
    lines = ["| name | batch job |", "|---|---|"]
    for name in BESIDE_DATA:
        _, manifest = _scored(
            {"homes.csv": plain, name: b"" if name.startswith("empty") or name.endswith("/") else plain}
        )
        skipped = [one["meaning"] for one in manifest["skipped"]]
        assert manifest["estimated"] == len(homes()) * (1 if skipped else 2), name
        lines.append(f"| `{name}` | {f'skipped: {skipped[0]}' if skipped else 'scored'} |")
    return "\n".join(lines)


def sections() -> dict[str, str]:
    """The generated sections of the page, by the name between their marks."""
    return {**{title: table(group) for group, title in TITLES.items()}, "names beside the data": table_of_names()}


def main() -> None:
    """Renew the page."""
    for name, text in sections().items():
        replace_section(PAGE, name, text)


if __name__ == "__main__":
    main()
