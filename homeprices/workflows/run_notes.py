"""What a task did, as a sentence for its log, its name in Airflow's grid and the note of its run.

Each function but the last takes the result of a step, as it travels between tasks. DAG files import this module, so it
imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeprices.errors import HomePricesError
from homeprices.log import get_logger

Result = Mapping[str, Any]

log = get_logger(__name__)


def dataset_checked(dataset: Result) -> str:
    """Return which dataset the run trains on."""
    source = f" ({dataset['source']})" if dataset.get("source") else ""
    return f"train_V{dataset['version']}{source} has {dataset['rows']:,} rows and keeps the data contract"


def listings_cleaned(listings: Result) -> str:
    """Return how many rows are used, and why others are not."""
    quality = listings["quality"]
    refused = ", ".join(f"{count:,} {reason}" for reason, count in quality["refused"].items() if count)
    return (
        f"{quality['used']:,} of {quality['rows']:,} rows are used; {quality['duplicates']:,} are repeated and "
        f"{sum(quality['refused'].values()):,} rejected{f' ({refused})' if refused else ''}"
    )


def estimators_listed(groups: Sequence[Sequence[str]]) -> str:
    """Return which estimators are compared."""
    names = [name for group in groups for name in group]
    counted = "1 estimator is" if len(names) == 1 else f"{len(names)} estimators are"
    return f"{counted} compared: {', '.join(names)}"


def cross_validated(scores: Sequence[Result]) -> str:
    """Return the median error of each estimator of a task."""
    return ", ".join(f"{score['estimator']} {score['mean']['median_ape']:.1%}" for score in scores)


def estimator_selected(selected: Result) -> str:
    """Return what is built from which estimator."""
    return f"{selected['estimator']} is selected for the next {selected['kind']}"


def bundle_built(draft: Result) -> str:
    """Return the error of the draft on the hold-out."""
    metrics = draft["metrics"]
    return (
        f"the draft of {draft['estimator']} has a median error of {metrics['median_ape']:.1%} from the form's fields "
        f"and {metrics['all_median_ape']:.1%} from all inputs, on the hold-out"
    )


def bundle_validated(draft: Result) -> str:
    """Return that the draft passed."""
    return f"the draft of {draft['estimator']} passes every check"


def shadowed(found: Result) -> str:
    """Return what the shadow comparison found."""
    return str(found["sentence"])


def publication(published: Result) -> str:
    """Return what the run published, or why it published nothing; a candidate that waits says for what."""
    if published["version"]:
        return f"published {published['version']}: {published['reason']}"
    return f"nothing published: {published['reason']}"


def evidence_collected(collected: Result) -> str:
    """Return how much evidence there is, or why there is none."""
    if "nothing" in collected:
        return str(collected["nothing"])
    if "pending" in collected:
        return f"the decision {collected['pending']['outcome']} was made before and is finished now"
    variants = (collected["evidence"][variant] for variant in ("production", "candidate"))
    return " and ".join(
        f"{one['bundle']} has {one['requests']:,} requests, {one['ratings']:,} ratings" for one in variants
    )


def decided(decision: Result) -> str:
    """Return the outcome with its reason."""
    return f"{decision['outcome']}: {decision['reason']}"


def drift_compared(summaries: Mapping[str, str]) -> str:
    """Return the summary of each variant."""
    return "; ".join(f"{variant}: {summary}" for variant, summary in summaries.items()) or "no variant serves a bundle"


def reports_written(pages: Mapping[str, str]) -> str:
    """Return where the reports are."""
    return ", ".join(pages.values()) or "there is no report"


def alerts_told(alerts: Result) -> str:
    """Return which alerts fire or resolve, and whether a new model is asked for."""
    turns = (f"{variant}: the alert {turn}." for variant, turn in alerts["turns"].items() if turn != "nothing")
    return " ".join([*turns, str(alerts["reason"])])


def place_prices_stored(stored: Result) -> str:
    """Return which table of place prices there is, or why there is none."""
    if stored["version"] is None:
        return f"no place prices: {stored['reason']}"
    return f"the place prices of {stored['as_of']} are {stored['version']}: {stored['reason']}"


def job_planned(partitions: Sequence[int]) -> str:
    """Return the number of partitions."""
    return f"{len(partitions):,} partitions"


def partition_scored(scored: Result) -> str:
    """Return the counts of a partition, which names its task in the grid."""
    return f"{scored['partition']}: {scored['estimated']:,} estimated, {scored['refused']:,} refused"


def job_finished(job: Result) -> str:
    """Return the counts of a job, and where its manifest is."""
    return f"{job['version']}: {job['estimated']:,} estimated, {job['refused']:,} refused; {job['manifest']}"


def try_set_note(dag_id: str, run_id: str, note: str) -> bool:
    """Set the note of a run and return whether it was set: an Airflow that does not answer fails no task."""
    from homeprices.adapters.airflow_client import AirflowClient
    from homeprices.settings import load_settings

    settings = load_settings()
    if not settings.airflow_url:
        return False
    try:
        with AirflowClient(settings) as airflow:
            airflow.set_note(dag_id, run_id, note)
    except HomePricesError as error:
        log.warning("run_not_annotated", dag=dag_id, run=run_id, error=str(error))
        return False
    return True


def try_fail_tracked_run(run_id: str, reason: str) -> bool:
    """Close the run of a failed training in MLflow, with the reason, and return whether it was closed."""
    from homeprices.adapters.mlflow_client import MlflowClient
    from homeprices.settings import load_settings

    tracking = MlflowClient(load_settings())
    try:
        run = tracking.parent_run(run_id)
        tracking.log(run, tags={"failure": reason})
        tracking.finish(run, failed=True)
    except HomePricesError as error:
        log.warning("tracked_run_not_closed", run=run_id, error=str(error))
        return False
    return True
