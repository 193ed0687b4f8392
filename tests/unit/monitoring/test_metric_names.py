"""Every metric in a dashboard or a rule is exported by a service, and every exported metric is used."""

from __future__ import annotations

import pytest

from monitoring.exporter.metric_table import FORMER_NAMES
from tests.support.prometheus_tools import metric_names
from tests.unit.monitoring.named_metrics import FOREIGN, exported, used


def test_every_used_metric_is_exported() -> None:
    assert sorted(used() - set().union(*exported()) - FOREIGN) == []


def test_every_metric_that_is_exported_is_named() -> None:
    former = {*FORMER_NAMES.values(), "model_refused_number"}  # until the next release
    assert [sorted(family) for family in exported() if not family & (used() | former)] == []


def test_no_rule_and_no_dashboard_reads_a_former_name() -> None:
    assert used() & {*FORMER_NAMES.values(), "model_refused_number"} == set()


def test_every_allowed_foreign_metric_is_used() -> None:
    assert sorted(FOREIGN - used()) == []


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('sum by (job) (rate(a_total{job=~"b|c"}[5m] offset 1d)) > bool 2', {"a_total"}),
        ("a:b:rate5m / on(instance) group_left(version) c and on() (d or vector(0))", {"a:b:rate5m", "c", "d"}),
        ('count_values by (instance) ("version", model_version_number)', {"model_version_number"}),
        ('label_replace(absent(up{job="x"}), "job", "x", "", "")', {"up"}),
        ("histogram_quantile(0.99, sum by (le) (rate(s_bucket[$__rate_interval])))", {"s_bucket"}),
    ],
)
def test_names_are_found_in_an_expression(expr: str, names: set[str]) -> None:
    assert metric_names(expr) == names
