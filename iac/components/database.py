"""PostgreSQL on RDS: reachable only from named security groups, over TLS. AWS generates and rotates its password."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iac.config import DatabaseConfig
from iac.stack_names import StackNames

PORT = 5432
MASTER_USER = "postgres"


@dataclass(frozen=True)
class DatabaseArgs:
    """The database's network and size; `protect`: deletion is blocked, and takes a final snapshot."""

    names: StackNames
    config: DatabaseConfig
    vpc_id: pulumi.Output[str]
    subnet_ids: list[pulumi.Output[str]]
    protect: bool


class Database(pulumi.ComponentResource):
    """The server of the databases `airflow`, `mlflow` and `homeprices`."""

    address: pulumi.Output[str]
    identifier: pulumi.Output[str]
    master_secret_arn: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Database", name, None, opts)
        self._name = name
        child = pulumi.ResourceOptions(parent=self)
        self._group = aws.ec2.SecurityGroup(
            name, vpc_id=args.vpc_id, description="PostgreSQL, for named callers", opts=child
        )
        subnets = aws.rds.SubnetGroup(name, subnet_ids=args.subnet_ids, opts=child)
        parameters = aws.rds.ParameterGroup(
            name,
            family=f"postgres{args.config.engine_version.split('.')[0]}",
            parameters=[
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "log_min_duration_statement", "value": "1000"},
                {"name": "log_lock_waits", "value": "1"},
            ],
            opts=child,
        )
        instance = self._instance(args, subnets, parameters)
        self.address = instance.address
        self.identifier = instance.identifier
        # The ARN only: the value is in Secrets Manager, and not in any state, output or log.
        self.master_secret_arn = instance.master_user_secrets.apply(lambda secrets: secrets[0]["secret_arn"])
        self.register_outputs({"address": self.address, "master_secret_arn": self.master_secret_arn})

    def _instance(
        self, args: DatabaseArgs, subnets: aws.rds.SubnetGroup, parameters: aws.rds.ParameterGroup
    ) -> aws.rds.Instance:
        config = args.config
        return aws.rds.Instance(
            self._name,
            identifier=args.names.prefix,
            engine="postgres",
            engine_version=config.engine_version,
            instance_class=config.instance_class,
            allocated_storage=config.storage_gib,
            max_allocated_storage=config.max_storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            multi_az=config.multi_az,
            username=MASTER_USER,
            manage_master_user_password=True,
            port=PORT,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[self._group.id],
            publicly_accessible=False,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            backup_retention_period=config.backup_days,
            backup_window="20:00-20:30",  # half past one at night in Bangalore, before the weekly training
            maintenance_window="sat:21:00-sat:22:00",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not args.protect,
            deletion_protection=args.protect,
            skip_final_snapshot=not args.protect,
            final_snapshot_identifier=f"{args.names.prefix}-final" if args.protect else None,
            auto_minor_version_upgrade=True,
            apply_immediately=False,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            performance_insights_enabled=True,
            performance_insights_retention_period=7,
            tags={"Name": self._name},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )

    def allow_from(self, caller: str, security_group_id: pulumi.Output[str]) -> None:
        """Allow the members of a security group to connect: egress from theirs, ingress to the database's."""
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{caller}",
            security_group_id=security_group_id,
            referenced_security_group_id=self._group.id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            description="to PostgreSQL",
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{caller}",
            security_group_id=self._group.id,
            referenced_security_group_id=security_group_id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            description=f"from {caller}",
            opts=pulumi.ResourceOptions(parent=self),
        )
