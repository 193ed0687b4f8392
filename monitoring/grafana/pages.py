"""Every dashboard, in the order in which a reader meets them."""

from monitoring.grafana import business, experiment, model, pipeline, service
from monitoring.grafana.panels import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    service.DASHBOARD,
    experiment.DASHBOARD,
    model.DASHBOARD,
    pipeline.DASHBOARD,
    business.DASHBOARD,
)
