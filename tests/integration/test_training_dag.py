"""The branch of the training DAG, as Airflow holds it: which task follows a publication."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASK = """
import json, sys
import bangalore_home_prices_dag
branch = bangalore_home_prices_dag.bangalore_home_prices_pipeline().get_task("branch_on_publication").python_callable
print(json.dumps([branch(published) for published in json.loads(sys.argv[1])]))
"""
FOLLOWS = [
    ({"kind": "BO", "version": "BO1", "reason": "", "waits": False}, "wait_for_production"),
    ({"kind": "CO", "version": "CO1", "reason": "", "waits": False}, "start_experiment"),
    ({"kind": "CO", "version": "CO2", "reason": "CO2 waits: CO1 has the slot", "waits": True}, None),
    ({"kind": "CO", "version": None, "reason": "it is clearly worse", "waits": False}, None),
    ({"kind": "CO", "version": "CO1", "reason": "of a run that began before the upgrade"}, "start_experiment"),
]


def test_a_candidate_that_waits_starts_no_trial(tmp_path: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT / 'dags'}{os.pathsep}{ROOT}",
    }
    asked = json.dumps([published for published, _ in FOLLOWS])
    done = subprocess.run([sys.executable, "-c", ASK, asked], env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [task for _, task in FOLLOWS]
