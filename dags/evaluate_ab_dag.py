"""Decide every hour whether the candidate is promoted, rolled back, or goes on; take back a promotion that does harm.

A decision is on record, with its evidence, before it is acted on; a run that finds a decision that was not carried out
to its end carries it out first. A run that a person starts may take an order instead: hold, resume, promote, roll back,
revert.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, TASK_DEFAULTS, tell_of_failure

from homeprices.names import EVALUATION_DAG

EVALUATE = "evaluate"


def this_evaluation() -> Any:
    """The steps of the evaluation that this task belongs to."""
    from homeprices.workflows.evaluate_experiment import open_evaluation

    return open_evaluation(get_current_context()["run_id"])


@dag(
    dag_id=EVALUATION_DAG,
    schedule=CronTriggerTimetable("0 * * * *", timezone="UTC"),
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=50),
    default_args=TASK_DEFAULTS,
    on_failure_callback=tell_of_failure,
    doc_md=__doc__,
    tags=["experiment"],
    params={
        "order": Param(
            EVALUATE,
            enum=[EVALUATE, "hold", "resume", "promote", "roll back", "revert"],
            description="What to do: evaluate, or what a person orders.",
        ),
        "version": Param("", type="string", maxLength=20, description="CO1 or BO1; empty: the candidate on trial."),
        "reason": Param("", type="string", maxLength=500, description="Required for an order; it is on record."),
    },
)
def evaluate_ab_dag() -> None:
    @task.branch
    def listen() -> str:
        """Whether a person has ordered something."""
        return "watch" if get_current_context()["params"]["order"] == EVALUATE else "obey"

    @task
    def obey() -> list[str]:
        """What was done on the order, on record with the person and the reason."""
        context = get_current_context()
        actor = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
        order = context["params"]
        return list(this_evaluation().run_manual_action(order["order"], order["version"], actor, order["reason"]))

    @task
    def watch() -> str:
        """A production that is new and does harm is taken back; what came of it in a sentence."""
        return str(this_evaluation().analyze_new_production())

    @task
    def gather() -> dict[str, Any]:
        """What both arms have shown since the experiment began."""
        return this_evaluation().collect_evidence()

    @task
    def decide(evidence: dict[str, Any]) -> dict[str, Any]:
        """The policy's outcome with its reason, put on record."""
        return this_evaluation().decide(evidence)

    @task.branch
    def carry_out(decision: dict[str, Any]) -> str:
        """The task that carries the decision out."""
        if not decision.get("ends"):
            return "go_on"
        return "promote" if decision["outcome"] == "promote" else "roll_back"

    @task(outlets=[CANDIDATE_WANTED])
    def promote(decision: dict[str, Any]) -> dict[str, Any]:
        """The candidate as the next production version, once every production replica serves it."""
        return this_evaluation().promote(decision)

    @task(outlets=[CANDIDATE_WANTED])
    def roll_back(decision: dict[str, Any]) -> dict[str, Any]:
        """The candidate archived, all visitors back with production."""
        return this_evaluation().roll_back(decision)

    @task
    def go_on(decision: dict[str, Any]) -> str:
        """Why nothing changes this hour."""
        return this_evaluation().continue_experiment(decision)

    @task
    def watch_drift() -> dict[str, str]:
        """Reports on the visitors of the last day, stored for `/api/drift_report` and the metrics."""
        from homeprices.workflows.monitor_drift import HOURLY, open_monitor

        return open_monitor(get_current_context()["run_id"]).compare(HOURLY)

    watch_drift()
    watched, evidence = watch(), gather()
    decision = decide(evidence)
    listen() >> [watched, obey()]
    watched >> evidence
    carry_out(decision) >> [promote(decision), roll_back(decision), go_on(decision)]


evaluate_ab_dag()
