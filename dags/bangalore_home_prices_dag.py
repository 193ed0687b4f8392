"""Train on the newest or a chosen dataset and publish the model: BO1 without a production, else the next candidate.

Runs every Sunday at 03:00 in Bangalore, after each new dataset, and after each experiment. Tasks exchange files under
`staging/{run}/` in the bucket, so a task can run on any worker, and again after a kill.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, DATASET, TASK_DEFAULTS, annotate, notify_failure, told

from homeprices.names import BUNDLE_KIND, EVALUATION_DAG, TRAINING_DAG
from homeprices.workflows import run_notes


def workflow() -> Any:
    """Return the steps of this training run."""
    from homeprices.workflows.train_and_publish import open_run

    context = get_current_context()
    return open_run(context["run_id"], context["params"])


@dag(
    dag_id=TRAINING_DAG,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 0", timezone="Asia/Kolkata"), assets=DATASET | CANDIDATE_WANTED
    ),
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=TASK_DEFAULTS,
    on_failure_callback=notify_failure,
    doc_md=__doc__,
    tags=["training"],
    # Null by default: Airflow's form cannot be sent with an empty text.
    params={
        "dataset": Param(
            None, type=["null", "integer"], minimum=1, description="Version: 2 for train_V2. Empty: the newest."
        ),
        "preset": Param(
            None, enum=[None, "quick", "full", "search"], description="Size of the run. Empty: the stack's setting."
        ),
        "seed": Param(None, type=["null", "integer"], minimum=0, description="Empty: the stack's setting."),
        "estimators": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            description="Names to compare, separated by commas: ridge, boosting. Empty: all.",
        ),
        "first_model": Param(
            None,
            enum=[None, "simple", "best"],
            description="Of a first model: the best simple estimator, or the best of all. Empty: the stack's setting.",
        ),
    },
)
def bangalore_home_prices_pipeline() -> None:
    @task
    def check_dataset() -> dict[str, Any]:
        """Check the chosen or the newest dataset against the data contract of raw listings."""
        return told(workflow().check_dataset(), run_notes.dataset_checked)

    @task
    def clean_listings(dataset: dict[str, Any]) -> dict[str, Any]:
        """Clean the listings, split off the hold-out, count rejected rows by reason."""
        return told(workflow().clean_listings(dataset), run_notes.listings_cleaned)

    @task
    def list_estimators(listings: dict[str, Any]) -> list[list[str]]:
        """List the estimators to compare, in groups that take equally long, and open their parent run in MLflow."""
        return told(workflow().list_estimators(listings), run_notes.estimators_listed)

    @task(max_active_tis_per_dagrun=2, map_index_template="{{ label }}")
    def cross_validate(listings: dict[str, Any], estimators: list[str]) -> list[dict[str, Any]]:
        """Measure the estimators of one group by cross-validation on the training rows."""
        run = workflow()
        get_current_context()["label"] = ", ".join(estimators)  # until their errors are known
        scores = [run.cross_validate(listings, estimator) for estimator in estimators]
        get_current_context()["label"] = run_notes.cross_validated(scores)
        return told(scores, run_notes.cross_validated)

    @task
    def select_estimator(scores: list[list[dict[str, Any]]]) -> dict[str, Any]:
        """Select the estimator with the smallest median error; for the first model, one of the simple estimators."""
        selected = workflow().select_estimator([score for group in scores for score in group])
        return told(selected, run_notes.estimator_selected)

    @task
    def build_bundle(listings: dict[str, Any], selected: dict[str, Any]) -> dict[str, Any]:
        """Fit on all training rows, measure on the hold-out, and store the draft bundle."""
        return told(workflow().build_bundle(listings, selected), run_notes.bundle_built)

    @task
    def validate_bundle(draft: dict[str, Any]) -> dict[str, Any]:
        """Run the behavioural checks on the draft; fail if one fails."""
        return told(workflow().validate_bundle(draft), run_notes.bundle_validated)

    @task
    def shadow_candidate(draft: dict[str, Any]) -> dict[str, Any]:
        """Compare the draft with production on what visitors asked it for; return the disagreement that stops it."""
        return told(workflow().shadow_candidate(draft), run_notes.shadowed)

    @task
    def publish_bundle(draft: dict[str, Any], shadowed: dict[str, Any]) -> dict[str, Any]:
        """Publish the draft; return its version, or the reason why it was rejected."""
        published = told(workflow().publish_bundle(draft, shadowed), run_notes.publication)
        annotate(run_notes.publication(published))
        return published

    @task.branch
    def branch_on_publication(published: dict[str, Any]) -> str | None:
        """Choose the next task: wait for production, start the experiment, or end the run (nothing, or it waits)."""
        follows = {BUNDLE_KIND["production"]: "wait_for_production", BUNDLE_KIND["candidate"]: "start_experiment"}
        return follows.get(published["kind"]) if published["version"] and not published.get("waits") else None

    @task(outlets=[CANDIDATE_WANTED])
    def wait_for_production(published: dict[str, Any]) -> str:
        """Wait until every production replica serves the version, then request a candidate."""
        version = told(workflow().wait_for_production(published), "every production replica serves {}".format)
        annotate(f"published {version}, which is in production")
        return version

    @task
    def start_experiment(published: dict[str, Any]) -> str:
        """Wait until every candidate replica serves the version, then give it its traffic share."""
        version = told(workflow().start_experiment(published), "{} is on trial".format)
        annotate(f"published {version}, which is on trial")
        return version

    evaluation = TriggerDagRunOperator(task_id="trigger_evaluation", trigger_dag_id=EVALUATION_DAG)

    dataset = check_dataset()
    listings = clean_listings(dataset)
    scores = cross_validate.partial(listings=listings).expand(estimators=list_estimators(listings))
    draft = build_bundle(listings, select_estimator(scores))
    published = publish_bundle(validate_bundle(draft), shadow_candidate(draft))
    experiment = start_experiment(published)
    branch_on_publication(published) >> [wait_for_production(published), experiment]
    experiment >> evaluation


bangalore_home_prices_pipeline()
