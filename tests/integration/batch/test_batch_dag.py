"""The DAG itself, run by Airflow's own `dag.test` with a database of its own, against a real S3 server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from homeprices.adapters.object_store import S3Bucket
from tests.support.bundles import make_bundle
from tests.support.factories import parquet, table
from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[3]
RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags/batch_scoring_dag.py")
assert not bag.import_errors, bag.import_errors
dag = bag.dags["batch_scoring_dag"]
run = dag.test(run_conf={"source": "in/", "bundle": "production", "job": "by-airflow"})
print("\\n" + json.dumps({
    "state": str(run.state.value),
    "tasks": sorted(f"{ti.task_id}:{ti.map_index}" for ti in run.get_task_instances()),
}))
"""


@pytest.fixture
def airflow(tmp_path: Path, s3_settings: dict[str, str]) -> dict[str, str]:
    """Environment of an Airflow with an empty SQLite database."""
    environment = {
        **clean_environment(),
        **s3_settings,
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'dags'}",
        "OMP_NUM_THREADS": "1",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    }
    subprocess.run(
        ["airflow", "db", "migrate"], cwd=ROOT, env=environment, check=True, capture_output=True, timeout=580
    )
    return environment


def test_a_run_of_the_dag_scores_a_partition_a_task(s3: S3Bucket, airflow: dict[str, str], tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.put(f"models/price_check_BO1/{path.relative_to(folder).as_posix()}", path.read_bytes())
    s3.put("in/a.parquet", parquet(table(1_000)))
    s3.put("in/b.csv", b"total_sqft,location,bhk,bath\n1200,Whitefield,2,2\n1,Whitefield,2,2\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, env=airflow, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["state"] == "success", done.stdout[-4000:]
    assert result["tasks"] == ["finish:-1", "plan:-1", "score:0", "score:1"]
    manifest = json.loads(s3.get("batch/by-airflow/manifest.json").body)
    assert (manifest["estimated"], manifest["refused"], manifest["version"]) == (1_001, 1, "BO1")
