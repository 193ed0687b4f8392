"""Ratings decide the experiment under continuous load."""

from __future__ import annotations

from tests.compose.compose_stack import EVALUATION, ComposeStack
from tests.e2e.visitors import Visitors

ENOUGH_ANSWERS = 60  # of the candidate: the policy decides on 50
MOST_VISITS = 2000


def test_a_promotion_waits_for_all_replicas_and_fails_no_request(stack: ComposeStack) -> None:
    visitors = Visitors(stack.url("ROUTER"), stars=lambda variant: 5 if variant == "candidate" else 1)
    while visitors.tally.answers["candidate CO1"] < ENOUGH_ANSWERS:
        assert visitors.tally.answers.total() < MOST_VISITS, visitors.tally
        visitors.visit()
    stack.pause(EVALUATION, paused=False)
    with visitors.coming() as tally:
        stack.run_to_its_end(EVALUATION)
        assert set(stack.replicas().values()) == {"BO2"}, "the DAG ended before every replica had the model"
        stack.wait(lambda: tally.answers["production BO2"] > 20, 60, "answers of BO2")
    assert tally.failures == []
    assert stack.sql("select outcome, result_version from ab_decisions where outcome = 'promote'") == [
        ["promote", "BO2"]
    ]
    assert stack.python("result = bucket.exists('archive/price_check_CO1/manifest.json')")


def test_memory_stays_within_its_limits(stack: ComposeStack, figures: dict[str, object]) -> None:
    used = stack.memory()
    figures["memory"] = used
    for name in used:
        assert stack.inspect(name)["State"]["OOMKilled"] is False, name
