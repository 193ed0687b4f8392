"""Score every Parquet and CSV file under a prefix of the bucket, a partition a task.

Any worker can take any partition. A partition that is done is not scored again, one whose worker was killed begins
anew; clear failed tasks to go on where a run stopped. Results, refused rows with their reasons, and a manifest with
counts and digests are under `batch/{job}/`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from dag_defaults import TASK_DEFAULTS, tell_of_failure

from homeprices.names import BATCH_DAG


def this_job() -> Any:
    """The steps of the job that this task belongs to: of the name that was given, else of the run."""
    from homeprices.workflows.score_batch import open_job

    context = get_current_context()
    return open_job(context["params"]["job"] or context["run_id"])


@dag(
    dag_id=BATCH_DAG,
    schedule=None,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=12),
    default_args=TASK_DEFAULTS,
    on_failure_callback=tell_of_failure,
    params={
        "source": Param("data/batch/", type="string", minLength=1, description="prefix of the files to score"),
        "bundle": Param("production", type="string", pattern=r"^(production|(BO|CO)[1-9]\d*)$"),
        "job": Param("", type="string", maxLength=120, description="name of the results; by default the run's"),
    },
    doc_md=__doc__,
    tags=["batch"],
)
def batch_scoring_dag() -> None:
    @task
    def plan() -> list[int]:
        """The partitions of the files as they are now, and the bundle that scores all of them, on record."""
        params = get_current_context()["params"]
        return this_job().plan(params["source"], params["bundle"], datetime.now(UTC))

    @task(map_index_template="{{ label }}")
    def score(partition: int) -> dict[str, Any]:
        """How many rows of a partition have an estimate, and how many were refused."""
        result = this_job().score(partition)
        label = f"{partition}: {result['estimated']:,} estimated, {result['refused']:,} refused"
        get_current_context()["label"] = label
        return result

    @task
    def finish(scored: list[dict[str, Any]]) -> dict[str, Any]:
        """Where the job's manifest is, and what it counts."""
        return {**this_job().finish(datetime.now(UTC)), "partitions": len(list(scored))}

    finish(score.expand(partition=plan()))


batch_scoring_dag()
