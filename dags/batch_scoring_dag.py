"""Score every table under a prefix of the bucket, one task for each partition.

Any worker can score any partition. A finished partition is not scored again; a partition whose worker was killed is
scored from its start. To resume a failed run, clear its failed tasks. Results, rejected rows with their reasons, and a
manifest with counts and digests are written to `batch/{job}/`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from dag_defaults import TASK_DEFAULTS, annotate, notify_failure, told

from homeprices.names import BATCH_DAG
from homeprices.workflows import run_notes


def workflow() -> Any:
    """Return the steps of this job. The parameter `job` names it, by default the run's id."""
    from homeprices.workflows.score_batch import open_job

    context = get_current_context()
    return open_job(context["params"]["job"] or context["run_id"])


@dag(
    dag_id=BATCH_DAG,
    schedule=None,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=12),
    default_args=TASK_DEFAULTS,
    on_failure_callback=notify_failure,
    params={
        "source": Param("data/batch/", type="string", minLength=1, description="prefix of the files to score"),
        "bundle": Param("production", type="string", pattern=r"^(production|(BO|CO|RO)[1-9]\d*)$"),
        # Null by default: Airflow's form cannot be sent with an empty text.
        "job": Param(None, type=["null", "string"], maxLength=120, description="name of the results (default: run id)"),
    },
    doc_md=__doc__,
    tags=["batch"],
)
def batch_scoring_dag() -> None:
    @task
    def plan() -> list[int]:
        """List the partitions of the current files and record them with the bundle that scores all of them."""
        params = get_current_context()["params"]
        partitions = workflow().plan(params["source"], params["bundle"], datetime.now(UTC))
        return told(partitions, run_notes.job_planned)

    @task(map_index_template="{{ label }}")
    def score(partition: int) -> dict[str, Any]:
        """Score one partition; count estimated and rejected rows."""
        scored = told(workflow().score(partition), run_notes.partition_scored)
        get_current_context()["label"] = run_notes.partition_scored(scored)
        return scored

    @task
    def finish(scored: list[dict[str, Any]]) -> dict[str, Any]:
        """Write the manifest; return its key and counts."""
        manifest = told(workflow().finish(datetime.now(UTC)), run_notes.job_finished)
        annotate(run_notes.job_finished(manifest))
        return {**manifest, "partitions": len(list(scored))}

    finish(score.expand(partition=plan()))


batch_scoring_dag()
