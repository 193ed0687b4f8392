"""The environment of the compose files on AWS: every variable whose default is for one machine without AWS."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from iac.config import StackConfig
from iac.stack_names import StackNames

SUBNET_PREFIX = "172.30.65"
CONTAINERS = (f"{SUBNET_PREFIX}.10/32", f"{SUBNET_PREFIX}.64/26", f"{SUBNET_PREFIX}.192/26")
LOOPBACK = ("127.0.0.0/8", "::1/128")
ROLE_INSTEAD_OF_KEY = "the-role-of-the-instance"
"""Compose requires a value. docker-compose.aws.yml removes the variable from every container."""


def host_environment(
    config: StackConfig, names: StackNames, database: pulumi.Output[str], balancer_subnets: Sequence[str]
) -> dict[str, str | pulumi.Output[str]]:
    """Return the variables of `.env` on the host, without secrets (iac.seed_secrets) and the host's own address.

    `balancer_subnets` are trusted proxies: the load balancer appends the visitor's address.
    """
    return {
        "MLFLOW_S3_BUCKET": names.bucket,
        "AWS_ENDPOINT_URL_S3": "",
        "SEAWEEDFS_REPLICAS": "0",
        "AWS_DEFAULT_REGION": names.region,
        "AWS_ACCESS_KEY_ID": ROLE_INSTEAD_OF_KEY,
        "AWS_SECRET_ACCESS_KEY": ROLE_INSTEAD_OF_KEY,
        "DATABASE_HOST": database,
        "SUBNET_PREFIX": SUBNET_PREFIX,
        "TRUSTED_NETWORKS": ",".join([*LOOPBACK, *CONTAINERS, *balancer_subnets]),
        "HOMEPRICES_HOSTS": config.domain,
        "NOTIFY_EMAIL_TO": config.alarm_email,
        **interface_addresses(config),
    }


def interface_addresses(config: StackConfig) -> dict[str, str]:
    """Return the public addresses of the UIs with an identity provider; none without, for Session Manager's ports."""
    if config.oidc is None:
        return {}
    airflow, mlflow, grafana = (f"{name}.{config.domain}" for name in ("airflow", "mlflow", "grafana"))
    return {
        "AIRFLOW_PUBLIC_URL": f"https://{airflow}",
        "HOMEPRICES_MLFLOW_PUBLIC_URL": f"https://{mlflow}",
        "MLFLOW_BEHIND_LOGIN": "true",  # the load balancer's, to which release.sh binds it
        "MLFLOW_ALLOWED_HOSTS": f"mlflow:5000,{mlflow},localhost:*,127.0.0.1:*",
        "MLFLOW_CORS_ALLOWED_ORIGINS": f"https://{mlflow}",
        "GRAFANA_PUBLIC_URL": f"https://{grafana}",
    }
