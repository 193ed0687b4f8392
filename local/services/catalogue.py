"""Every service of a stack, and the order in which they start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from graphlib import TopologicalSorter

from compose.bucket_rights import identities
from homeprices.adapters.object_store import open_bucket
from homeprices.settings import load_settings
from local.services.applications import serving
from local.services.pipeline_servers import airflow, mlflow
from local.services.postgres import Database, installation, postgres
from local.services.prometheus import exporter, prometheus
from local.services.seaweedfs import seaweedfs
from local.stack import BUCKET, Stack
from local.supervision.service_spec import ServiceSpec


def services(stack: Stack) -> list[ServiceSpec]:
    """Return the services of a stack, each after those it depends on. Creates PostgreSQL's folder."""
    secret = stack.credentials
    databases = [
        Database("airflow", secret.postgres_airflow),
        Database("mlflow", secret.postgres_mlflow),
        Database("homeprices", secret.postgres_homeprices),
    ]
    return in_order(
        [
            postgres(
                installation(stack.folder / "postgres"),
                stack.ports["postgres"],
                secret.postgres_superuser,
                databases,
                dict(stack.inherited),
            ),
            *_s3(stack),
            mlflow(
                stack.folder / "mlflow",
                stack.ports["mlflow"],
                stack.database_url("mlflow", secret.postgres_mlflow),
                stack.bucket()["MLFLOW_S3_BUCKET"],
                stack.environment("mlflow"),
            ),
            *airflow(stack),
            *serving(stack),
            exporter(stack),
            *prometheus(stack),
        ]
    )


def in_order(unordered: Iterable[ServiceSpec]) -> list[ServiceSpec]:
    """Sort services so that each follows those it depends on. Raises ValueError for an unknown name and for a cycle."""
    by_name = {service.name: service for service in unordered}
    for service in by_name.values():
        for name in service.depends_on:
            if name not in by_name:
                raise ValueError(f"{service.name} depends on {name}, which is no service")
    order = TopologicalSorter({name: service.depends_on for name, service in by_name.items()}).static_order()
    return [by_name[name] for name in order]


def _s3(stack: Stack) -> list[ServiceSpec]:
    """Return the stack's own S3 server, unless another is configured, and the step that creates the bucket."""
    bucket = ServiceSpec(name="bucket", pre_start=lambda _job: _create_bucket(stack))
    if not stack.has_own_s3:
        return [bucket]
    users = json.dumps(identities(BUCKET, stack.credentials.s3_keys), indent=2)
    servers = seaweedfs(stack.folder / "seaweedfs", stack.ports.seaweedfs, users, dict(stack.inherited))
    return [*servers, replace(bucket, depends_on=(servers[-1].name,))]


def _create_bucket(stack: Stack) -> None:
    open_bucket(load_settings(stack.environment(), ())).create()
