"""What a stack knows of simulated visitors, and how it decided by them."""

from __future__ import annotations

import httpx
from sqlalchemy import text

from tests.e2e.running_stack import RunningStack, wait_until
from tests.e2e.visitors import Tally, Visitors

ENOUGH_ANSWERS = 60  # of the candidate: the policy decides on 50
MOST_VISITS = 2500


def visit_until_enough(stack: RunningStack, visitors: Visitors, candidate: str, answers: int = ENOUGH_ANSWERS) -> Tally:
    """Send more such visitors until a decision is possible, and return what they got, all of which the log holds.

    A router may read the control record later than this test.
    """
    counted = Visitors(stack.router, visitors.stars, home=visitors.home)
    while counted.tally.answers[f"candidate {candidate}"] < answers:
        assert counted.tally.answers.total() < MOST_VISITS, counted.tally
        counted.visit()
    visitors.tally.failures.extend(counted.tally.failures)
    wait_until(lambda: logged(stack, counted) == sent(counted), 60, "every visit in the log")
    return counted.tally


def sent(visitors: Visitors) -> tuple[int, int]:
    """Return how many predictions and ratings these visitors got."""
    return len(visitors.tally.predicted), len(visitors.tally.rated)


def wait_for_epoch(stack: RunningStack, epoch: int) -> None:
    """Wait until the router assigns visitors by this epoch of the control record."""
    port = stack.resources.settings.router_metrics_port
    line = f"router_experiment_epoch {epoch}.0"
    wait_until(lambda: line in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text, 60, line)


def last_decision(stack: RunningStack) -> tuple[str, str]:
    """Return outcome and reason of the newest decision."""
    with stack.resources.engine.connect() as connection:
        row = connection.execute(text("select outcome, reason from ab_decisions order by ts desc limit 1")).one()
    return row.outcome, row.reason


def logged(stack: RunningStack, visitors: Visitors) -> tuple[int, int]:
    """Return how many predictions and ratings of these visitors the log holds."""
    counted = text(
        "select (select count(*) from prediction_logs where id = any(:predicted)),"
        " (select count(*) from user_feedback where prediction_id = any(:rated))"
    )
    tally = visitors.tally
    with stack.resources.engine.connect() as connection:
        predictions, ratings = connection.execute(counted, {"predicted": tally.predicted, "rated": tally.rated}).one()
    return predictions, ratings
