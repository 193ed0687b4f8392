"""Every dashboard, in the order of the documentation."""

from monitoring.grafana import (
    business_dashboard,
    experiment_dashboard,
    model_dashboard,
    pipeline_dashboard,
    service_dashboard,
)
from monitoring.grafana.panels import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    service_dashboard.DASHBOARD,
    experiment_dashboard.DASHBOARD,
    model_dashboard.DASHBOARD,
    pipeline_dashboard.DASHBOARD,
    business_dashboard.DASHBOARD,
)
