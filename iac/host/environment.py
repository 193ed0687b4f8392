"""What the compose files are told on AWS: every variable whose default is meant for one machine without AWS."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from iac.config import StackConfig
from iac.stack_names import StackNames

SUBNET_PREFIX = "172.30.65"
CONTAINERS = (f"{SUBNET_PREFIX}.10/32", f"{SUBNET_PREFIX}.64/26", f"{SUBNET_PREFIX}.192/26")
LOOPBACK = ("127.0.0.0/8", "::1/128")
ROLE_INSTEAD_OF_KEY = "the-role-of-the-instance"
"""Compose refuses to start without a value. docker-compose.aws.yml takes the variable away from every container."""


def host_environment(
    config: StackConfig, place: StackNames, database: pulumi.Output[str], balancer_subnets: Sequence[str]
) -> dict[str, str | pulumi.Output[str]]:
    """Variables of `.env` on the host, without secrets (iac.seed_secrets) and what it finds out itself (its address).

    `balancer_subnets` are trusted to say for whom they speak: the load balancer appends the visitor's address.
    """
    return {
        "MLFLOW_S3_BUCKET": place.bucket,
        "AWS_ENDPOINT_URL_S3": "",
        "SEAWEEDFS_REPLICAS": "0",
        "AWS_DEFAULT_REGION": place.region,
        "AWS_ACCESS_KEY_ID": ROLE_INSTEAD_OF_KEY,
        "AWS_SECRET_ACCESS_KEY": ROLE_INSTEAD_OF_KEY,
        "DATABASE_HOST": database,
        "SUBNET_PREFIX": SUBNET_PREFIX,
        "TRUSTED_NETWORKS": ",".join([*LOOPBACK, *CONTAINERS, *balancer_subnets]),
        "NOTIFY_EMAIL_TO": config.alarm_email,
        **interface_addresses(config),
    }


def interface_addresses(config: StackConfig) -> dict[str, str]:
    """Where a browser finds the UIs: behind the identity provider, or (none) through Session Manager's forwarding."""
    if config.oidc is None:
        return {}
    airflow, mlflow, grafana = (f"{name}.{config.domain}" for name in ("airflow", "mlflow", "grafana"))
    return {
        "AIRFLOW_PUBLIC_URL": f"https://{airflow}",
        "HOMEPRICES_MLFLOW_PUBLIC_URL": f"https://{mlflow}",
        "MLFLOW_ALLOWED_HOSTS": f"mlflow:5000,{mlflow},localhost:*,127.0.0.1:*",
        "MLFLOW_CORS_ALLOWED_ORIGINS": f"https://{mlflow}",
        "GRAFANA_PUBLIC_URL": f"https://{grafana}",
    }
