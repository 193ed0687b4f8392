"""Batch scoring of Parquet, CSV, JSON lines and a JSON list, compared with a simple script.

python -m benchmarks.batch --rows 1000000 4000000 --out benchmarks/results/batch.json

Each measurement runs in a separate process on one core, so that its memory is not shared. The peer reads the whole file
with pandas, runs the same model in ONNX Runtime, checks no row and writes one file. Ours reads through the bucket's
interface, validates every row, and writes results, manifest and digests. Times are CPU seconds, which depend less on
other load than wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homeprices.adapters.object_store import Entry, Object
from homeprices.errors import ObjectNotFound, PreconditionFailed

SEED = 7
GROUP_ROWS = 100_000
ESTIMATOR = "distilled"


class FolderBucket:
    """The used part of a bucket's interface over a folder, so that objects are not in this process's memory."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Object:
        try:
            return Object((self._folder / key).read_bytes(), key)
        except FileNotFoundError:
            raise ObjectNotFound(key) from None

    def get_range(self, key: str, start: int, length: int, *, if_match: str | None = None) -> bytes:  # noqa: ARG002
        with (self._folder / key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:  # noqa: ARG002
        path = self._folder / key
        if if_absent and path.exists():
            raise PreconditionFailed(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return key

    def list(self, prefix: str) -> Iterator[Entry]:
        keys = sorted(path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file())
        return iter([Entry(k, (self._folder / k).stat().st_size, k) for k in keys if k.startswith(prefix)])

    def exists(self, key: str) -> bool:
        return (self._folder / key).exists()

    def copy(self, source: str, target: str) -> None:
        self.put(target, self.get(source).body)

    def delete(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)


def prepare(folder: Path, rows: list[int]) -> None:
    """A published bundle of the distilled model, and a Parquet file of each size, of synthetic homes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from homeprices.data.cleaning import clean
    from homeprices.data.preparation import prepare as prepare_listings
    from homeprices.data.synthetic import make_listings
    from homeprices.pricing.bundle import Bundle
    from homeprices.training.bundle_builder import build_bundle

    prepared = prepare_listings(clean(make_listings(seed=SEED)))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    dataset = prepared.reference(version=1, key="data/raw/train_V1.csv", sha256="0" * 64)
    out = folder / "models/price_check_BO1"
    draft = build_bundle(ESTIMATOR, prepared, dataset=dataset, out=out, seed=SEED, git_revision="benchmark",
                  mlflow_run_id=None, created_at=now)  # fmt: skip
    manifest = draft.publish(version="BO1", promoted_from=None, published_by="benchmark")
    (out / "draft.json").unlink()
    (out / "manifest.json").write_text(manifest.model_dump_json())
    Bundle.open(out)
    homes = prepared.rows.drop(columns="price").astype({"bhk": int, "bath": int})
    for count in rows:
        target = folder / f"in/{count}/homes.parquet"
        target.parent.mkdir(parents=True)
        whole = pa.Table.from_pandas(homes, preserve_index=False)
        with pq.ParquetWriter(target, whole.schema) as writer:
            for start in range(0, count, GROUP_ROWS):
                piece = homes.sample(min(GROUP_ROWS, count - start), replace=True, random_state=SEED + start)
                writer.write_table(pa.Table.from_pandas(piece, schema=whole.schema, preserve_index=False))
        table = folder / f"in-csv/{count}/homes.csv"
        table.parent.mkdir(parents=True)
        for start in range(0, count, GROUP_ROWS):
            piece = homes.sample(min(GROUP_ROWS, count - start), replace=True, random_state=SEED + start)
            piece.to_csv(table, index=False, mode="a", header=not start)
        _as_json(folder, homes, count)


def _as_json(folder: Path, homes: Any, count: int) -> None:
    """The homes as JSON lines and as a JSON list."""
    for form, opens, between, closes in (("ndjson", "", "", ""), ("json", "[", ",", "]")):
        table = folder / f"in-{form}/{count}/homes.{form}"
        table.parent.mkdir(parents=True)
        with table.open("w") as file:
            file.write(opens)
            for start in range(0, count, GROUP_ROWS):
                piece = homes.sample(min(GROUP_ROWS, count - start), replace=True, random_state=SEED + start)
                text = piece.to_json(orient="records", lines=form == "ndjson")
                file.write((between if start else "") + (text if form == "ndjson" else text[1:-1]))
            file.write(closes)


def ours(folder: Path, rows: int, source: str = "in") -> None:
    """Run a whole job."""
    from homeprices.workflows.score_batch import BatchRun

    run = BatchRun(FolderBucket(folder), f"{source}-{rows}")
    for number in run.plan(f"{source}/{rows}/", "BO1", datetime(2026, 1, 1, tzinfo=UTC)):
        run.score(number)
    counted = run.finish(datetime(2026, 1, 1, tzinfo=UTC))
    assert counted["estimated"] + counted["refused"] == rows, counted


def ours_json(folder: Path, rows: int) -> None:
    """Run a whole job over a JSON list."""
    ours(folder, rows, "in-json")


def ours_ndjson(folder: Path, rows: int) -> None:
    """Run a whole job over JSON lines."""
    ours(folder, rows, "in-ndjson")


def ours_csv(folder: Path, rows: int) -> None:
    """Run a whole job over a CSV file."""
    ours(folder, rows, "in-csv")


def peer_csv(folder: Path, rows: int) -> None:
    """Run the simple script over a CSV file."""
    peer(folder, rows, "csv")


def peer_json(folder: Path, rows: int) -> None:
    """Run the simple script over a JSON list."""
    peer(folder, rows, "json")


def peer_ndjson(folder: Path, rows: int) -> None:
    """Run the simple script over JSON lines."""
    peer(folder, rows, "ndjson")


def peer(folder: Path, rows: int, form: str = "parquet") -> None:
    """Run the simple script over a Parquet file."""
    import numpy as np
    import onnxruntime
    import pandas as pd

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    bundle = folder / "models/price_check_BO1"
    columns = json.loads((bundle / "columns.json").read_text())
    learned = set(columns["locations"])
    session = onnxruntime.InferenceSession(str(bundle / "model.onnx"), options)
    if form == "csv":
        homes = pd.read_csv(folder / f"in-csv/{rows}/homes.csv")
    elif form == "parquet":
        homes = pd.read_parquet(folder / f"in/{rows}/homes.parquet")
    else:
        homes = pd.read_json(folder / f"in-{form}/{rows}/homes.{form}", lines=form == "ndjson")
    homes["location"] = homes["location"].where(homes["location"].isin(learned), "other")
    homes["availability"] = np.where(homes["availability"].str.contains("Ready|Immediate"), "ready", "later")
    feed = {
        spec["name"]: homes[spec["name"]]
        .fillna("" if spec["type"] == "text" else np.nan)
        .to_numpy(dtype=object if spec["type"] == "text" else np.float32)
        .reshape(-1, 1)
        for spec in columns["inputs"]
    }
    homes["estimated_price"] = session.run(["estimate"], feed)[0].ravel()
    homes.to_parquet(folder / f"peer-{rows}.parquet")


SIDES: dict[str, Callable[[Path, int], None]] = {
    "peer": peer, "ours": ours, "peer_csv": peer_csv, "ours_csv": ours_csv, "peer_ndjson": peer_ndjson,
    "ours_ndjson": ours_ndjson, "peer_json": peer_json, "ours_json": ours_json,
}  # fmt: skip


def measure(folder: Path, who: str, rows: int) -> dict[str, Any]:
    """Measure one of the two in a separate process: rows per CPU second, and peak memory above that of its imports."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch", "--child", who, str(folder), str(rows)],
        capture_output=True, text=True, check=True, env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return {"who": who, "rows": rows, **json.loads(done.stdout.splitlines()[-1])}


def child(who: str, folder: Path, rows: int) -> None:
    """Run one measurement and print its time and memory."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    started, clock = time.process_time(), time.perf_counter()
    SIDES[who](folder, rows)
    seconds, wall = time.process_time() - started, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows_a_second": round(rows / seconds), "seconds": round(seconds, 2), "wall": round(wall, 2),
                      "peak_mib": round(peak)}))  # fmt: skip


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child[0], Path(chosen.child[1]), int(chosen.child[2]))
        return 0
    if chosen.prepare:
        prepare(chosen.prepare, chosen.rows)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: Linux counts a parent's peak of memory as its child's.
        rows = map(str, chosen.rows)
        subprocess.run([sys.executable, "-m", "benchmarks.batch", "--prepare", name, "--rows", *rows], check=True)
        found = [measure(folder, who, rows) for rows in chosen.rows for who in SIDES]
    ratios = {
        f"{ours['who']} {ours['rows']}": round(ours["rows_a_second"] / theirs["rows_a_second"], 2)
        for theirs, ours in zip(found[::2], found[1::2], strict=True)
    }
    report = {"machine": platform.processor() or platform.machine(), "python": platform.python_version(),
              "estimator": ESTIMATOR, "measured": found, "ratio_ours_to_peer": ratios}  # fmt: skip
    text = json.dumps(report, indent=1)
    print(text)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
