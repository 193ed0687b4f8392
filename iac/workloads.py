"""The workloads of the cluster: service account, namespace, and policy on AWS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from iac import policies
from iac.policies import Document, Text
from iac.stack_names import StackNames

NAMESPACE = "homeprices"


@dataclass(frozen=True)
class Workload:
    """A service account and its permissions. Both inference services share one, because they read the same prefix."""

    service_account: str
    may: Document
    namespace: str = NAMESPACE


def workloads(names: StackNames, secret_arns: Iterable[Text], target_groups: Iterable[Text]) -> list[Workload]:
    """Return every workload that calls AWS; the others (frontend, migrations) have no permissions there."""
    return [
        Workload("inference", policies.inference(names)),
        Workload("router", policies.router(names)),
        Workload("mlflow", policies.mlflow(names)),
        Workload("exporter", policies.exporter(names)),
        Workload("airflow-worker", policies.airflow_work(names)),
        Workload("airflow-api-server", policies.airflow_control(names)),
        Workload("airflow-scheduler", policies.airflow_control(names)),
        Workload("airflow-triggerer", policies.airflow_control(names)),
        Workload("external-secrets", policies.read_secrets(*secret_arns), namespace="external-secrets"),
        Workload("aws-load-balancer-controller", policies.register_targets(target_groups), namespace="kube-system"),
    ]
