"""The metric names in rules and dashboards, and the metric names that the services export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from inference.backend.runtime.service_metrics import Metrics
from monitoring.exporter.metric_table import METRICS
from monitoring.grafana.dashboards import DASHBOARDS
from monitoring.grafana.panels import Prom
from router.router_metrics import RouterMetrics
from tests.contract.golden import ROOT
from tests.support.prometheus_tools import metric_names
from tests.unit.monitoring.alert_rules import rules

# Of programs that are not this project's; the compose test finds them in a running Prometheus.
FOREIGN = {
    "up",
    "ALERTS",
    "alertmanager_notifications_failed_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def families(registry: CollectorRegistry) -> list[set[str]]:
    """Return the names under which each metric of a registry is exported."""
    return [{found.name + suffix for suffix in SUFFIXES[found.type]} for found in registry.collect()]


def exported() -> list[set[str]]:
    registries = (Metrics("production").registry, RouterMetrics().registry)
    own = [family for registry in registries for family in families(registry)]
    return own + [{name} for name in METRICS] + [{rule["record"]} for rule in rules() if "record" in rule]


def series() -> set[str]:
    """Return every name that is exported, recorded by a rule or mapped from StatsD, with labels: `a_total{b="c",d}`.

    A label has a value where the metric is shown with it from the start; otherwise its values come with what happens.
    """
    own = chain(_series(Metrics("production").registry), _series(RouterMetrics().registry))
    table = (_line(name, labels) for name, (labels, _) in METRICS.items())
    recorded = (_line(rule["record"], []) for rule in rules() if "record" in rule)
    mapped = yaml.safe_load((ROOT / "monitoring/statsd-mapping.yml").read_text())["mappings"]
    airflow = (_line(one["name"], one.get("labels", ())) for one in mapped if one.get("action") != "drop")
    return {*own, *table, *recorded, *airflow}


def _series(registry: CollectorRegistry) -> Iterator[str]:
    for wrapper in registry._collector_to_names:  # the only place that has the labels of a metric without a value
        assert isinstance(wrapper, MetricWrapperBase)
        names, values = wrapper._labelnames, list(getattr(wrapper, "_metrics", ()))
        shown = [[f'{n}="{v}"' for n, v in zip(names, one, strict=True)] for one in values] or [list(names)]
        for found in wrapper.describe():
            for suffix in SUFFIXES[found.type]:
                more = ["le"] if suffix == "_bucket" else []
                yield from (_line(found.name + suffix, [*labels, *more]) for labels in shown)


def _line(name: str, labels: Iterable[str]) -> str:
    return f"{name}{{{','.join(sorted(labels))}}}"


def used() -> set[str]:
    expressions = [query.expr for page in DASHBOARDS for panel in page.panels for query in panel.queries
                   if isinstance(query, Prom)]  # fmt: skip
    return set().union(*map(metric_names, expressions + [rule["expr"] for rule in rules()]))
