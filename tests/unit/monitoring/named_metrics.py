"""What the rules and the dashboards name, and what the parts of this project export."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from inference.backend.metrics import Metrics
from monitoring.grafana.pages import DASHBOARDS
from monitoring.grafana.panels import Prom
from monitoring.metrics import METRICS
from router.metrics import RouterMetrics
from tests.promql import metric_names
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
    """The names under which each metric of a registry is exported."""
    return [{found.name + suffix for suffix in SUFFIXES[found.type]} for found in registry.collect()]


def exported() -> list[set[str]]:
    registries = (Metrics("production").registry, RouterMetrics().registry)
    own = [family for registry in registries for family in families(registry)]
    return own + [{name} for name in METRICS] + [{rule["record"]} for rule in rules() if "record" in rule]


def used() -> set[str]:
    expressions = [query.expr for page in DASHBOARDS for panel in page.panels for query in panel.queries
                   if isinstance(query, Prom)]  # fmt: skip
    return set().union(*map(metric_names, expressions + [rule["expr"] for rule in rules()]))
