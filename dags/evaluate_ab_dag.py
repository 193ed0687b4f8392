"""Evaluate the experiment every hour: promote, roll back, or continue; revert a promotion that does harm.

A decision is recorded with its evidence before anything acts on it. A run that finds an unfinished decision finishes it
first. A person can start a run with a manual action instead: hold, resume, skip, repeat, promote, roll back, revert,
share.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, TASK_DEFAULTS, annotate, notify_failure, told

from homeprices.names import AIRFLOW_SERVICE_USER, EVALUATION_DAG
from homeprices.workflows import run_notes

EVALUATE = "evaluate"
ACTIONS = [EVALUATE, "hold", "resume", "skip", "repeat", "promote", "roll back", "revert", "share"]


def workflow() -> Any:
    """Return the steps of this evaluation."""
    from homeprices.workflows.evaluate_experiment import open_evaluation

    return open_evaluation(get_current_context()["run_id"])


def requested_action() -> str:
    """Return the parameter `action`, or the parameter `order` where a caller still uses that name."""
    params = get_current_context()["params"]
    return str(params.get("order") or params["action"])


def requesting_person() -> str:
    """Return the user who started the run, or whom the service user names: the operations page starts runs as it."""
    context = get_current_context()
    user = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
    return str(context["params"]["actor"] or user) if user == AIRFLOW_SERVICE_USER else str(user)


@dag(
    dag_id=EVALUATION_DAG,
    schedule=CronTriggerTimetable("0 * * * *", timezone="UTC"),
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=50),
    default_args=TASK_DEFAULTS,
    on_failure_callback=notify_failure,
    doc_md=__doc__,
    tags=["experiment"],
    params={
        "action": Param(EVALUATE, enum=ACTIONS, description="Evaluate the experiment, or a manual action."),
        "version": Param(
            None,
            type=["null", "string"],
            pattern=r"^((BO|CO|RO)[1-9]\d{0,8}|shadow)?$",
            description="CO1, BO1 or RO1; shadow: the next candidate; empty: the candidate, else production.",
        ),
        "reason": Param(
            None, type=["null", "string"], maxLength=500, description="Required for a manual action; recorded."
        ),
        "share": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=50,
            description="Percent of the visitors for the candidate, for the action share; 0 stops it.",
        ),
        "actor": Param(
            None,
            type=["null", "string"],
            maxLength=100,
            description="For the operations page: the person who asked. Ignored from anybody else.",
        ),
        # Remove it one release after 0.1: scripts, and runs that wait while the stack is upgraded, may carry it.
        "order": Param(None, enum=[None, *ACTIONS], description="The earlier name of `action`; leave it empty."),
    },
)
def evaluate_ab_dag() -> None:
    @task.branch
    def branch_on_action() -> str:
        """Choose the next task: the manual action of a person, or the evaluation."""
        return "analyze_new_production" if requested_action() == EVALUATE else "run_manual_action"

    @task
    def run_manual_action() -> list[str]:
        """Run and record the manual action with its actor and reason; return what it did."""
        params, actor = get_current_context()["params"], requesting_person()
        # Optional parameters are null by default: Airflow's form cannot be sent with an empty text.
        version, reason = params["version"] or "", params["reason"] or ""
        done = workflow().run_manual_action(requested_action(), version, actor, reason, params["share"])
        told(done, "; ".join)
        annotate(f"{actor}: {'; '.join(done)}")
        return done

    @task
    def analyze_new_production() -> str:
        """Compare a newly promoted production with its baseline; revert it if it does harm. Return the result."""
        return told(str(workflow().analyze_new_production()), str)

    @task
    def collect_evidence() -> dict[str, Any]:
        """Collect the evidence of both variants since the start of the experiment."""
        return told(workflow().collect_evidence(), run_notes.evidence_collected)

    @task
    def decide(evidence: dict[str, Any]) -> dict[str, Any]:
        """Apply the policy; record its outcome, reason and evidence."""
        decision = told(workflow().decide(evidence), run_notes.decided)
        annotate(run_notes.decided(decision))
        return decision

    @task.branch
    def branch_on_decision(decision: dict[str, Any]) -> str:
        """Choose the next task: promote, roll back, or continue."""
        if not decision.get("ends"):
            return "continue_experiment"
        return "promote" if decision["outcome"] == "promote" else "roll_back"

    @task(outlets=[CANDIDATE_WANTED])
    def promote(decision: dict[str, Any]) -> dict[str, Any]:
        """Publish the candidate as the next production bundle and wait until every replica serves it."""
        promoted = told(workflow().promote(decision), "{0[candidate]} is in production as {0[result_version]}".format)
        annotate(f"{promoted['candidate']} is in production as {promoted['result_version']}: {promoted['reason']}")
        return promoted

    @task(outlets=[CANDIDATE_WANTED])
    def roll_back(decision: dict[str, Any]) -> dict[str, Any]:
        """Archive the candidate and return its visitors to production."""
        rolled_back = told(workflow().roll_back(decision), "{0[candidate]} is rolled back".format)
        annotate(f"{rolled_back['candidate']} is rolled back: {rolled_back['reason']}")
        return rolled_back

    @task
    def continue_experiment(decision: dict[str, Any]) -> str:
        """Take the next step of the ramp, if the decision does; return its reason."""
        return told(workflow().continue_experiment(decision), str)

    @task
    def check_drift() -> dict[str, str]:
        """Compare the last day with the reference; store the reports for `/api/drift_report` and the metrics."""
        from homeprices.workflows.monitor_drift import HOURLY, open_monitor

        return told(open_monitor(get_current_context()["run_id"]).compare(HOURLY), run_notes.drift_compared)

    check_drift()
    analysis, evidence = analyze_new_production(), collect_evidence()
    decision = decide(evidence)
    branch_on_action() >> [analysis, run_manual_action()]
    analysis >> evidence
    branch_on_decision(decision) >> [promote(decision), roll_back(decision), continue_experiment(decision)]


evaluate_ab_dag()
