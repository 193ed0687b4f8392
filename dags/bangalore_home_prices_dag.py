"""Train on the newest dataset and publish the model: BO1 when there is no production, else the next candidate.

Runs every Sunday at 03:00 in Bangalore, after each new dataset, and after each experiment. Tasks exchange files under
`staging/{run}/` in the bucket, so a task can run on any worker, and again after a kill.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, DATASET, TASK_DEFAULTS, notify_failure

from homeprices.names import BUNDLE_KIND, EVALUATION_DAG, TRAINING_DAG


def workflow() -> Any:
    """Return the steps of this training run."""
    from homeprices.workflows.train_and_publish import open_run

    return open_run(get_current_context()["run_id"])


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
)
def bangalore_home_prices_pipeline() -> None:
    @task
    def check_dataset() -> dict[str, Any]:
        """Check the newest dataset against the data contract of raw listings."""
        return workflow().check_dataset()

    @task
    def clean_listings(dataset: dict[str, Any]) -> dict[str, Any]:
        """Clean the listings, split off the hold-out, count rejected rows by reason."""
        return workflow().clean_listings(dataset)

    @task
    def list_estimators(listings: dict[str, Any]) -> list[list[str]]:
        """List the estimators to compare, in groups that take equally long, and open their parent run in MLflow."""
        return workflow().list_estimators(listings)

    @task(max_active_tis_per_dagrun=2)
    def cross_validate(listings: dict[str, Any], estimators: list[str]) -> list[dict[str, Any]]:
        """Measure the estimators of one group by cross-validation on the training rows."""
        run = workflow()
        return [run.cross_validate(listings, estimator) for estimator in estimators]

    @task
    def select_estimator(scores: list[list[dict[str, Any]]]) -> dict[str, Any]:
        """Select the estimator with the smallest median error; for the first model, one of the simple estimators."""
        return workflow().select_estimator([score for group in scores for score in group])

    @task
    def build_bundle(listings: dict[str, Any], selected: dict[str, Any]) -> dict[str, Any]:
        """Fit on all training rows, measure on the hold-out, and store the draft bundle."""
        return workflow().build_bundle(listings, selected)

    @task
    def validate_bundle(draft: dict[str, Any]) -> dict[str, Any]:
        """Run the behavioural checks on the draft; fail if one fails."""
        return workflow().validate_bundle(draft)

    @task
    def publish_bundle(draft: dict[str, Any]) -> dict[str, Any]:
        """Publish the draft; return its version, or the reason why it was rejected."""
        return workflow().publish_bundle(draft)

    @task.branch
    def branch_on_publication(published: dict[str, Any]) -> str | None:
        """Choose the next task: wait for production, start the experiment, or end the run (nothing was published)."""
        follows = {BUNDLE_KIND["production"]: "wait_for_production", BUNDLE_KIND["candidate"]: "start_experiment"}
        return follows.get(published["kind"]) if published["version"] else None

    @task(outlets=[CANDIDATE_WANTED])
    def wait_for_production(published: dict[str, Any]) -> str:
        """Wait until every production replica serves the version, then request a candidate."""
        return workflow().wait_for_production(published)

    @task
    def start_experiment(published: dict[str, Any]) -> str:
        """Wait until every candidate replica serves the version, then give it its traffic share."""
        return workflow().start_experiment(published)

    evaluation = TriggerDagRunOperator(task_id="trigger_evaluation", trigger_dag_id=EVALUATION_DAG)

    dataset = check_dataset()
    listings = clean_listings(dataset)
    scores = cross_validate.partial(listings=listings).expand(estimators=list_estimators(listings))
    published = publish_bundle(validate_bundle(build_bundle(listings, select_estimator(scores))))
    experiment = start_experiment(published)
    branch_on_publication(published) >> [wait_for_production(published), experiment]
    experiment >> evaluation


bangalore_home_prices_pipeline()
