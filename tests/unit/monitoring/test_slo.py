"""The objectives agree with the numbers of the Site Reliability Workbook."""

import pytest

from monitoring import slo


def test_the_four_burn_rates_spend_the_budgets_of_the_workbook() -> None:
    """Table 5-8: 2 % in an hour and 5 % in six page; 10 % in one day and in three open a ticket."""
    assert [(burn.budget_percent, burn.severity) for burn in slo.BURNS] == [
        (2, "page"),
        (5, "page"),
        (10, "ticket"),
        (10, "ticket"),
    ]


def test_each_objective_has_a_fast_and_a_slow_alert() -> None:
    alerts = {rule["alert"] for group in slo.groups() for rule in group["rules"] if "alert" in rule}
    assert alerts == {f"{one}BudgetBurns{speed}" for one in ("Availability", "Latency") for speed in ("Fast", "Slow")}


def test_every_window_of_a_condition_is_recorded() -> None:
    recorded = {rule["record"] for group in slo.groups() for rule in group["rules"] if "record" in rule}
    for burn in slo.BURNS:
        assert {f"slo:sli_error:ratio_rate{w}" for w in (burn.long, burn.short)} <= recorded


def test_the_latency_objective_is_a_bound_of_the_routers_histogram() -> None:
    from router.router_metrics import BUCKETS_SECONDS

    assert 0.25 in BUCKETS_SECONDS
    assert 'le="0.25"' in next(one.bad for one in slo.OBJECTIVES if one.name == "latency")


def test_the_committed_rules_are_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert slo.main(["--check"]) == 0, capsys.readouterr().err
