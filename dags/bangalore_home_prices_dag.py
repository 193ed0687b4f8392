"""Train on the newest dataset and publish the model: BO1 when there is no production, else the next candidate.

Runs every Sunday at 03:00 in Bangalore, whenever a dataset lands, and whenever an experiment ends. Files go from
task to task through `staging/{run}/` in the bucket, so a task can run anywhere and be killed and run again.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, DATASET, TASK_DEFAULTS, tell_of_failure

from homeprices.names import BUNDLE_KIND, EVALUATION_DAG, TRAINING_DAG


def this_run() -> Any:
    """The steps of the training run that this task belongs to."""
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
    on_failure_callback=tell_of_failure,
    doc_md=__doc__,
    tags=["training"],
)
def bangalore_home_prices_pipeline() -> None:
    @task
    def check_dataset() -> dict[str, Any]:
        """The newest dataset, read and checked against the contract of a raw listing."""
        return this_run().check_dataset()

    @task
    def clean_listings(dataset: dict[str, Any]) -> dict[str, Any]:
        """Usable listings, split into training rows and the hold-out; refused rows counted by reason."""
        return this_run().clean_listings(dataset)

    @task
    def list_estimators(listings: dict[str, Any]) -> list[str]:
        """The names of the estimators to compare; opens the run in MLflow that will hold one run for each."""
        return this_run().list_estimators(listings)

    @task(max_active_tis_per_dagrun=2)
    def cross_validate(listings: dict[str, Any], estimator: str) -> dict[str, Any]:
        """One estimator, measured by cross-validation on the training rows."""
        return this_run().cross_validate(listings, estimator)

    @task
    def choose(scores: list[dict[str, Any]]) -> dict[str, Any]:
        """The estimator with the smallest median error; for a first model, of the simple ones."""
        return this_run().select_estimator(list(scores))

    @task
    def build(listings: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
        """A bundle fitted on all training rows and measured on the hold-out, staged in the bucket."""
        return this_run().build_bundle(listings, chosen)

    @task
    def validate(draft: dict[str, Any]) -> dict[str, Any]:
        """The same bundle, once it has passed the behaviour checks."""
        return this_run().validate_bundle(draft)

    @task
    def publish(draft: dict[str, Any]) -> dict[str, Any]:
        """The version under which the bundle was published, or why it was not."""
        return this_run().publish_bundle(draft)

    @task.branch
    def what_follows(published: dict[str, Any]) -> str | None:
        """Production is waited for and a candidate asked for; a candidate is put before visitors; else all is said."""
        follows = {BUNDLE_KIND["production"]: "serve_production", BUNDLE_KIND["candidate"]: "start_experiment"}
        return follows.get(published["kind"]) if published["version"] else None

    @task(outlets=[CANDIDATE_WANTED])
    def serve_production(published: dict[str, Any]) -> str:
        """Waits until every production replica serves the version, then asks for a candidate."""
        return this_run().wait_for_production(published)

    @task
    def start_experiment(published: dict[str, Any]) -> str:
        """Waits until every candidate replica serves the version, then gives it its share of the visitors."""
        return this_run().start_experiment(published)

    evaluate = TriggerDagRunOperator(task_id="evaluate", trigger_dag_id=EVALUATION_DAG)

    dataset = check_dataset()
    listings = clean_listings(dataset)
    scores = cross_validate.partial(listings=listings).expand(estimator=list_estimators(listings))
    published = publish(validate(build(listings, choose(scores))))
    experiment = start_experiment(published)
    what_follows(published) >> [serve_production(published), experiment]
    experiment >> evaluate


bangalore_home_prices_pipeline()
