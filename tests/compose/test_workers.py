"""Stored data outlives the containers; then Celery workers run tasks, and a killed worker loses none."""

from __future__ import annotations

import json

import httpx

from tests.compose.compose_stack import EVALUATION, FILES, ComposeStack

BATCH, JOB, SOURCE = "batch_scoring_dag", "two-workers", "data/batch/two-workers/"
PARTS, ROWS = 8, 20_000


def test_data_survive_down_and_an_up_with_the_profile_celery(stack: ComposeStack) -> None:
    stack.files = list(FILES)
    logged = stack.logged()
    stack.down()
    assert stack.containers() == []
    stack.up("--scale", "airflow-worker=2", COMPOSE_PROFILES="celery")
    stack.wait_until_healthy()
    assert stack.logged() == logged
    stack.wait(lambda: stack.served("INFER_PROD") == "BO2", 60, "BO2 in production")
    assert "nothing to do" in stack.compose("logs", "bootstrap").stdout


def test_workers_run_the_tasks(stack: ComposeStack) -> None:
    run_id = stack.run_to_its_end(EVALUATION)
    workers = {c["ID"][:12] for c in stack.containers("airflow-worker")}
    query = f"select distinct hostname from task_instance where run_id = '{run_id}' and hostname <> ''"
    hosts = {row[0] for row in stack.sql(query, "airflow")}
    assert len(workers) == 2 and hosts and hosts <= workers, f"{hosts} are not the workers {workers}"
    assert httpx.get(f"{stack.url('FLOWER')}/", timeout=20).status_code == 401
    assert httpx.get(f"{stack.url('FLOWER')}/workers", auth=("airflow", "airflow"), timeout=20).is_success


def test_a_worker_that_is_killed_loses_no_row_of_a_batch_and_doubles_none(
    stack: ComposeStack,
) -> None:
    make_files = (
        f"for number in range({PARTS}):\n"
        f"    rows = ''.join(f'{{1000 + row % 3000}},Whitefield,2,2\\n' for row in range({ROWS}))\n"
        f"    bucket.put(f'{SOURCE}{{number}}.csv', ('total_sqft,location,bhk,bath\\n' + rows).encode())\n"
        "result = None"
    )
    stack.python(make_files)
    names = {c["ID"][:12]: c["Name"] for c in stack.containers("airflow-worker")}
    with stack.airflow as airflow:
        run_id = airflow.trigger(BATCH, {"source": SOURCE, "bundle": "production", "job": JOB})
        running = (
            f"select hostname from task_instance where run_id = '{run_id}' and task_id = 'score' and state = 'running'"
        )
        busy = stack.wait(lambda: {row[0] for row in stack.sql(running, "airflow")} & set(names), 180, "a busy worker")
        killed = names[busy.pop()]
        stack.kill(killed)
        stack.wait(lambda: airflow.run(BATCH, run_id)["state"] in {"success", "failed"}, 400, "the end of the batch")
        assert airflow.run(BATCH, run_id)["state"] == "success"
    tried = f"select try_number, hostname from task_instance where run_id = '{run_id}' and task_id = 'score'"
    tries = stack.sql(tried, "airflow")
    assert len(tries) == PARTS and any(int(number) > 1 for number, _ in tries), "no task was restarted"
    assert counted(stack) == {"rows": PARTS * ROWS, "different": PARTS * ROWS, "manifest": PARTS * ROWS, "refused": 0}


def counted(stack: ComposeStack) -> dict[str, int]:
    """Return the rows of the results, how many of them are distinct, and the counts in the job's manifest."""
    look = (
        "import io, json\n"
        "import pyarrow.parquet as pq\n"
        "from homeprices.resources import open_resources\n"
        "bucket = open_resources().bucket\n"
        f"manifest = json.loads(bucket.get('batch/{JOB}/manifest.json').body)\n"
        "parts = [pq.read_table(io.BytesIO(bucket.get(e.key).body), columns=['file', 'row'])\n"
        f"         for e in bucket.list('batch/{JOB}/partitions/') if e.key.endswith('.parquet')]\n"
        "rows = [pair for part in parts for pair in zip(part['file'].to_pylist(), part['row'].to_pylist())]\n"
        "print(json.dumps({'rows': len(rows), 'different': len(set(rows)),\n"
        "                  'manifest': manifest['estimated'], 'refused': manifest['refused']}))"
    )
    said = stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", look).stdout
    return dict(json.loads(said.splitlines()[-1]))


def test_a_worker_without_its_switch_says_what_to_set(stack: ComposeStack) -> None:
    refused = stack.compose("--profile", "celery", "run", "--rm", "-T", "--no-deps", "airflow-worker", check=False)
    assert refused.returncode == 78 and "COMPOSE_PROFILES=celery" in refused.stderr
