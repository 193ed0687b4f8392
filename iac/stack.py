"""One stack: its components in dependency order, and its outputs."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from iac.components.alarms import Alarms, AlarmsArgs
from iac.components.balancer import VISITORS, Balancer, BalancerArgs
from iac.components.cluster import Cluster, ClusterArgs
from iac.components.database import Database, DatabaseArgs
from iac.components.delivery import Delivery, DeliveryArgs
from iac.components.host import Host, HostArgs
from iac.components.images import Images, ImagesArgs
from iac.components.network import Network, NetworkArgs, subnet_cidr
from iac.components.secrets import Secrets, SecretsArgs
from iac.components.storage import ACCESS_LOG_RULES, DATA_RULES, PrivateBucket, PrivateBucketArgs
from iac.config import StackConfig
from iac.host.environment import host_environment
from iac.policies import deliver_access_logs
from iac.stack_names import IMAGES, StackNames
from iac.workloads import workloads

Outputs = dict[str, Any]


class Stack:
    """The components of a stack. The constructor creates them."""

    def __init__(self, config: StackConfig, oidc_secret: pulumi.Output[str] | None) -> None:
        self._config = config
        self._names = names = StackNames.of(config)
        provider = aws.Provider(
            "aws", region=config.region, allowed_account_ids=[config.account], default_tags={"tags": names.tags}
        )
        self._options = pulumi.ResourceOptions(providers={"aws": provider})
        protect = config.is_production
        self._network = Network(names.prefix, NetworkArgs(names, config.network), self._options)
        access = PrivateBucket(
            f"{names.prefix}-access",
            PrivateBucketArgs(names.access_log_bucket, protect, ACCESS_LOG_RULES, deliver_access_logs(names)),
            self._options,
        )
        self._data = PrivateBucket(
            f"{names.prefix}-data",
            PrivateBucketArgs(names.bucket, protect, DATA_RULES, access_log_bucket=names.access_log_bucket),
            self._options,
        )
        self._images = Images(names.prefix, ImagesArgs(names, IMAGES, protect), self._options)
        self._secrets = Secrets(names.prefix, SecretsArgs(names, protect), self._options)
        network = self._network
        self._database = Database(
            f"{names.prefix}-db",
            DatabaseArgs(names, config.database, network.vpc_id, network.isolated, protect),
            self._options,
        )
        self._balancer = Balancer(
            f"{names.prefix}",
            BalancerArgs(
                config,
                network.vpc_id,
                network.public,
                access.bucket,
                "instance" if config.target == "host" else "ip",
                oidc_secret,
            ),
            self._options,
        )
        self.outputs: Outputs = {
            "bucket": self._data.bucket,
            "region": config.region,
            "images": self._images.urls,
            "database_address": self._database.address,
            "application_secret": self._secrets.arn,
            "database_secret": self._database.master_secret_arn,
            "address": self._balancer.dns_name,
            **(self._host() if config.target == "host" else self._cluster()),
        }

    def _secret_arns(self) -> dict[str, pulumi.Output[str]]:
        return {"application": self._secrets.arn, "database": self._database.master_secret_arn}

    def _host(self) -> Outputs:
        config, names = self._config, self._names
        assert config.host is not None
        subnets = [subnet_cidr(config.network.cidr, "public", zone) for zone in range(config.network.zones)]
        host = Host(
            f"{names.prefix}-host",
            HostArgs(
                names,
                config.host,
                self._network.vpc_id,
                self._network.private[0],
                self._secret_arns(),
                host_environment(config, names, self._database.address, subnets),
                config.is_production,
            ),
            self._options,
        )
        self._database.allow_from("host", host.security_group_id)
        self._balancer.reach("host", host.security_group_id)
        for name, group in self._balancer.target_groups.items():
            aws.lb.TargetGroupAttachment(
                f"{names.prefix}-host-{name}",
                target_group_arn=group.arn,
                target_id=host.instance_id,
                opts=self._options,
            )
        self._alarms(host.instance_id)
        return {
            "instance_id": host.instance_id,
            **self._delivery(instance_arn=host.instance_arn, cluster_arn=None),
        }

    def _cluster(self) -> Outputs:
        config, names = self._config, self._names
        assert config.kubernetes is not None
        groups = self._balancer.target_groups
        delivery = self._delivery(instance_arn=None, cluster_arn=names.arn("eks", f"cluster/{names.prefix}"))
        cluster = Cluster(
            f"{names.prefix}-eks",
            ClusterArgs(
                names,
                config.kubernetes,
                self._network.private,
                workloads(names, self._secret_arns().values(), [group.arn for group in groups.values()]),
                delivery.get("release_role"),
                config.is_production,
            ),
            self._options,
        )
        self._database.allow_from("cluster", cluster.security_group_id)
        self._balancer.reach("cluster", cluster.security_group_id)
        self._alarms(None)
        return {
            "cluster": cluster.cluster_name,
            "domain": config.domain,
            "target_groups": {name: group.arn for name, group in groups.items()},
            **delivery,
        }

    def _delivery(self, *, instance_arn: pulumi.Output[str] | None, cluster_arn: str | None) -> Outputs:
        config = self._config
        if config.github_repository is None:
            return {}
        delivery = Delivery(
            f"{self._names.prefix}-release",
            DeliveryArgs(self._names, config.github_repository, config.environment, instance_arn, cluster_arn),
            self._options,
        )
        return {"release_role": delivery.role_arn}

    def _alarms(self, instance_id: pulumi.Output[str] | None) -> None:
        visitors = self._balancer.target_groups[VISITORS.name]
        Alarms(
            self._names.prefix,
            AlarmsArgs(
                self._names,
                self._config,
                self._database.identifier,
                self._balancer.arn_suffix,
                visitors.arn_suffix,
                instance_id,
            ),
            self._options,
        )
