"""Target `kubernetes`: EKS with two managed node groups, one for serving, one for training and batch scoring.

EKS Pod Identity gives the service account of each workload its own role. The nodes' role may only join the cluster and
pull images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iac import policies
from iac.components.role import Role, RoleArgs
from iac.config import KubernetesConfig, NodesConfig
from iac.stack_names import StackNames
from iac.workloads import NAMESPACE, Workload

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
RELEASE_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
LOG_DAYS = 90
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy")
WORK_ONLY = aws.eks.NodeGroupTaintArgs(key="work", effect="NO_SCHEDULE")
ADDONS: Mapping[str, Mapping[str, object]] = {
    "vpc-cni": {"enableNetworkPolicy": "true"},
    "kube-proxy": {},
    "eks-pod-identity-agent": {},
    "coredns": {},
    "metrics-server": {},
}


@dataclass(frozen=True)
class ClusterArgs:
    """The cluster's network and workloads; `release_role_arn` may deploy to the project's namespace only."""

    names: StackNames
    config: KubernetesConfig
    subnet_ids: list[pulumi.Output[str]]
    workloads: Sequence[Workload]
    release_role_arn: pulumi.Output[str] | None
    protect: bool


class Cluster(pulumi.ComponentResource):
    """Control plane, nodes, add-ons, and a role for each workload."""

    cluster_name: pulumi.Output[str]
    cluster_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Cluster", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._cluster = self._control_plane()
        self.cluster_name, self.cluster_arn = self._cluster.name, self._cluster.arn
        self.security_group_id = self._cluster.vpc_config.cluster_security_group_id
        first = [self._addon(addon, values, []) for addon, values in ADDONS.items() if addon == "vpc-cni"]
        groups = self._nodes(first)
        for addon, values in ADDONS.items():
            if addon != "vpc-cni":
                self._addon(addon, values, groups)
        self._volumes(groups)
        for workload in args.workloads:
            self._identity(workload)
        whole = aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
        self._access("admin", args.config.admin_role_arn, ADMIN_POLICY, whole)
        if args.release_role_arn is not None:
            scope = aws.eks.AccessPolicyAssociationAccessScopeArgs(type="namespace", namespaces=[NAMESPACE])
            self._access("release", args.release_role_arn, RELEASE_POLICY, scope)
        self.register_outputs({"cluster_name": self.cluster_name})

    def _control_plane(self) -> aws.eks.Cluster:
        name, args = self._name, self._args
        logs = aws.cloudwatch.LogGroup(
            name, name=f"/aws/eks/{args.names.prefix}/cluster", retention_in_days=LOG_DAYS, opts=self._child
        )
        key = aws.kms.Key(
            name,
            description="Secrets of the cluster",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        role = Role(
            name,
            RoleArgs(
                trust=policies.trust_service("eks.amazonaws.com", args.names, tag_session=True),
                documents={},
                managed=["AmazonEKSClusterPolicy"],
            ),
            opts=self._child,
        )
        vpc = aws.eks.ClusterVpcConfigArgs(
            subnet_ids=args.subnet_ids,
            endpoint_private_access=True,
            endpoint_public_access=bool(args.config.api_cidrs),
            public_access_cidrs=list(args.config.api_cidrs) or None,
        )
        return aws.eks.Cluster(
            name,
            name=args.names.prefix,
            role_arn=role.arn,
            version=args.config.version,
            deletion_protection=args.protect,
            bootstrap_self_managed_addons=False,
            vpc_config=vpc,
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
            ),
            enabled_cluster_log_types=["api", "audit", "authenticator"],
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs], protect=args.protect),
        )

    def _nodes(self, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        args = self._args
        role = Role(
            f"{self._name}-nodes",
            RoleArgs(
                trust=policies.trust_service("ec2.amazonaws.com", args.names), documents={}, managed=NODE_POLICIES
            ),
            opts=self._child,
        )
        return [
            self._node_group("services", args.config.services, role, [], after),
            # Training and scoring use every core, so serving pods do not share a machine with them.
            self._node_group("work", args.config.work, role, [WORK_ONLY], after),
        ]

    def _node_group(
        self,
        kind: str,
        nodes: NodesConfig,
        role: Role,
        taints: list[aws.eks.NodeGroupTaintArgs],
        after: Sequence[pulumi.Resource],
    ) -> pulumi.Resource:
        name = f"{self._name}-{kind}"
        tags = {**self._args.names.tags, "Name": name}
        template = aws.ec2.LaunchTemplate(
            name,
            # One hop: a pod cannot get the node's role from the metadata service.
            metadata_options={"http_tokens": "required", "http_endpoint": "enabled", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {"encrypted": "true", "volume_type": "gp3", "volume_size": nodes.disk_gib},
                }
            ],
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
            opts=self._child,
        )
        arm = nodes.instance_types[0].split(".")[0].rstrip("dn").endswith("g")
        return aws.eks.NodeGroup(
            name,
            cluster_name=self.cluster_name,
            node_role_arn=role.arn,
            subnet_ids=self._args.subnet_ids,
            ami_type=f"AL2023_{'ARM_64' if arm else 'x86_64'}_STANDARD",
            instance_types=list(nodes.instance_types),
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config={"min_size": nodes.minimum, "desired_size": nodes.minimum, "max_size": nodes.maximum},
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            labels={"homeprices/nodes": kind},
            taints=taints,
            tags=tags,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=list(after), ignore_changes=["scalingConfig.desiredSize"]
            ),
        )

    def _addon(self, addon: str, values: Mapping[str, object], after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        return aws.eks.Addon(
            f"{self._name}-{addon}",
            cluster_name=self.cluster_name,
            addon_name=addon,
            configuration_values=json.dumps(values) if values else None,
            resolve_conflicts_on_update="PRESERVE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _volumes(self, after: Sequence[pulumi.Resource]) -> None:
        """Install AWS's driver for the pods' disks (the spools), with AWS's managed policy."""
        name = f"{self._name}-ebs-csi"
        role = Role(
            name,
            RoleArgs(
                trust=policies.trust_service("pods.eks.amazonaws.com", self._args.names, tag_session=True),
                documents={},
                managed=["service-role/AmazonEBSCSIDriverPolicy"],
            ),
            opts=self._child,
        )
        aws.eks.Addon(
            name,
            cluster_name=self.cluster_name,
            addon_name="aws-ebs-csi-driver",
            pod_identity_associations=[{"role_arn": role.arn, "service_account": "ebs-csi-controller-sa"}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _identity(self, workload: Workload) -> None:
        name = f"{self._name}-{workload.service_account}"
        role = Role(
            name,
            RoleArgs(
                trust=policies.trust_service("pods.eks.amazonaws.com", self._args.names, tag_session=True),
                documents={"may": workload.may},
            ),
            opts=self._child,
        )
        aws.eks.PodIdentityAssociation(
            name,
            cluster_name=self.cluster_name,
            namespace=workload.namespace,
            service_account=workload.service_account,
            role_arn=role.arn,
            opts=self._child,
        )

    def _access(
        self,
        who: str,
        principal: str | pulumi.Output[str],
        policy: str,
        scope: aws.eks.AccessPolicyAssociationAccessScopeArgs,
    ) -> None:
        name = f"{self._name}-{who}"
        entry = aws.eks.AccessEntry(name, cluster_name=self.cluster_name, principal_arn=principal, opts=self._child)
        aws.eks.AccessPolicyAssociation(
            name,
            cluster_name=self.cluster_name,
            principal_arn=principal,
            policy_arn=policy,
            access_scope=scope,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )
