"""Who may do what in Airflow: its simple auth manager, and a user for services (`[core] auth_manager`)."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

SERVICE_USER = "homeprices-service"
"""May read, and start runs of DAGs: what router and exporter do."""


class ServiceAccess(SimpleAuthManager):  # type: ignore[misc]
    """Airflow's simple auth manager; the service user, a viewer, may also start runs."""

    def is_authorized_dag(
        self,
        *,
        method: str,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        """Whether the user may do this with a DAG."""
        if user.username == SERVICE_USER and (method, access_entity) == ("POST", DagAccessEntity.RUN):
            return True
        return bool(super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details))
