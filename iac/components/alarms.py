"""Alarms on metrics that only AWS has, and a budget, all sent to one SNS topic with one address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from iac.config import StackConfig
from iac.stack_names import StackNames

GIB = 2**30
FREE_STORAGE_SHARE = 0.15


@dataclass(frozen=True)
class AlarmsArgs:
    """The monitored resources; `instance_id` if the target is a host."""

    names: StackNames
    config: StackConfig
    database: pulumi.Output[str]
    balancer_suffix: pulumi.Output[str]
    visitors_suffix: pulumi.Output[str]
    instance_id: pulumi.Output[str] | None


class Alarms(pulumi.ComponentResource):
    """SNS topic with the operators' address, alarms, budget."""

    topic_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Alarms", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, kms_master_key_id="alias/aws/sns", opts=self._child)
        self.topic_arn = topic.arn
        aws.sns.TopicSubscription(
            name, topic=topic.arn, protocol="email", endpoint=args.config.alarm_email, opts=self._child
        )
        self._watch_visitors()
        self._watch_database()
        if args.instance_id is not None:
            self._watch_host(args.instance_id)
        self._budget()
        self.register_outputs({"topic_arn": self.topic_arn})

    def _watch_visitors(self) -> None:
        balancer = {"LoadBalancer": self._args.balancer_suffix}
        behind = {**balancer, "TargetGroup": self._args.visitors_suffix}
        space = "AWS/ApplicationELB"
        self._alarm(
            "no-target", space, "HealthyHostCount", behind, "Minimum", "LessThanThreshold", 1, missing="breaching"
        )
        self._alarm("errors", space, "HTTPCode_Target_5XX_Count", behind, "Sum", "GreaterThanThreshold", 10)
        self._alarm("refused", space, "HTTPCode_ELB_5XX_Count", balancer, "Sum", "GreaterThanThreshold", 10)

    def _watch_database(self) -> None:
        database, space = {"DBInstanceIdentifier": self._args.database}, "AWS/RDS"
        free = self._args.config.database.storage_gib * GIB * FREE_STORAGE_SHARE
        self._alarm("storage", space, "FreeStorageSpace", database, "Minimum", "LessThanThreshold", free)
        self._alarm(
            "database-cpu", space, "CPUUtilization", database, "Average", "GreaterThanThreshold", 85, periods=15
        )
        self._alarm("memory", space, "FreeableMemory", database, "Minimum", "LessThanThreshold", 0.2 * GIB, periods=15)

    def _watch_host(self, instance_id: pulumi.Output[str]) -> None:
        host, space = {"InstanceId": instance_id}, "AWS/EC2"
        self._alarm("host", space, "StatusCheckFailed", host, "Maximum", "GreaterThanThreshold", 0, missing="breaching")
        self._alarm("host-cpu", space, "CPUUtilization", host, "Average", "GreaterThanThreshold", 90, periods=30)

    def _alarm(
        self,
        what: str,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, Any],
        statistic: str,
        comparison: str,
        threshold: float,
        *,
        periods: int = 5,
        missing: str = "notBreaching",
    ) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            namespace=namespace,
            metric_name=metric,
            dimensions=dict(dimensions),
            statistic=statistic,
            comparison_operator=comparison,
            threshold=threshold,
            period=60,
            evaluation_periods=periods,
            treat_missing_data=missing,
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
        )

    def _budget(self) -> None:
        config = self._args.config
        aws.budgets.Budget(
            self._name,
            budget_type="COST",
            limit_amount=str(config.budget_usd_month),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{k}${v}" for k, v in self._args.names.tags.items()
                                                             if k == "environment"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": [config.alarm_email],
                }
                for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            opts=self._child,
        )  # fmt: skip
