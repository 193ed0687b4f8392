"""Target `host`: one EC2 instance in a private subnet that runs the compose files.

There is no login over the network: Session Manager opens a shell and forwards ports to the UIs. All data is on a
separate volume, which outlives the instance and is snapshotted every night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from iac import policies
from iac.components.role import Role, RoleArgs
from iac.config import HostConfig
from iac.host.boot import DATA_DEVICE, boot_script
from iac.stack_names import StackNames

SYSTEM_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"
PORTS_OUT = {"aws-and-images": 443, "mail": 587}
METADATA = aws.ec2.InstanceMetadataOptionsArgs(
    http_tokens="required",
    http_endpoint="enabled",
    instance_metadata_tags="disabled",
    http_put_response_hop_limit=2,  # containers read the credentials of the instance's role from the metadata service
)


@dataclass(frozen=True)
class HostArgs:
    """The instance's network and size, the secrets it reads, and the environment of its compose files."""

    names: StackNames
    config: HostConfig
    vpc_id: pulumi.Output[str]
    subnet_id: pulumi.Output[str]
    secret_arns: Mapping[str, pulumi.Output[str]]
    environment: Mapping[str, str | pulumi.Output[str]]
    protect: bool


class Host(pulumi.ComponentResource):
    """The instance, its data volume, snapshots and role."""

    instance_id: pulumi.Output[str]
    instance_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Host", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self.security_group_id = self._group()
        self._role = Role(
            name,
            RoleArgs(
                trust=policies.trust_service("ec2.amazonaws.com", args.names),
                documents={
                    "bucket": policies.whole_host(args.names),
                    "secrets": policies.read_secrets(*args.secret_arns.values()),
                    "images": policies.pull_images(args.names),
                },
                managed=["AmazonSSMManagedInstanceCore"],
            ),
            opts=self._child,
        )
        instance = self._instance()
        self.instance_id, self.instance_arn = instance.id, instance.arn
        self._volume(instance)
        self._snapshots()
        self.register_outputs({"instance_id": self.instance_id})

    def _group(self) -> pulumi.Output[str]:
        name = self._name
        group = aws.ec2.SecurityGroup(name, vpc_id=self._args.vpc_id, description="the host", opts=self._child)
        for what, port in PORTS_OUT.items():
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-{what}",
                security_group_id=group.id,
                cidr_ipv4="0.0.0.0/0",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description=what,
                opts=self._child,
            )
        return group.id

    def _instance(self) -> aws.ec2.Instance:
        args, config = self._args, self._args.config
        image = aws.ssm.get_parameter_output(
            name=SYSTEM_IMAGE + config.architecture, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        profile = aws.iam.InstanceProfile(self._name, role=self._role.role_name, opts=self._child)
        return aws.ec2.Instance(
            self._name,
            ami=image.value,
            instance_type=config.instance_type,
            subnet_id=args.subnet_id,
            vpc_security_group_ids=[self.security_group_id],
            iam_instance_profile=profile.name,
            associate_public_ip_address=False,
            metadata_options=METADATA,
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                encrypted=True, volume_type="gp3", volume_size=config.root_gib, tags=args.names.tags
            ),
            disable_api_termination=args.protect,
            ebs_optimized=True,
            monitoring=True,
            user_data=self._boot(),
            user_data_replace_on_change=False,
            tags={"Name": self._name},
            # A newer system image must not replace the instance at the next `pulumi up`; upgrades are explicit.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["ami"]),
        )  # fmt: skip

    def _boot(self) -> pulumi.Output[str]:
        """Return the script of the first start. It has no secrets: it reads them from Secrets Manager when it runs."""
        names = self._args.names

        def script(resolved: dict[str, Any]) -> str:
            return boot_script(names, resolved["environment"], resolved["secrets"])

        parts = {"environment": dict(self._args.environment), "secrets": dict(self._args.secret_arns)}
        return pulumi.Output.from_input(parts).apply(script)

    def _volume(self, instance: aws.ec2.Instance) -> None:
        args = self._args
        volume = aws.ebs.Volume(
            f"{self._name}-data",
            availability_zone=instance.availability_zone,
            size=args.config.data_gib,
            type="gp3",
            encrypted=True,
            final_snapshot=args.protect,
            tags={**args.names.tags, "Name": f"{self._name}-data", "snapshots": args.names.prefix},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.ec2.VolumeAttachment(
            f"{self._name}-data",
            device_name=DATA_DEVICE,
            instance_id=instance.id,
            volume_id=volume.id,
            stop_instance_before_detaching=True,
            opts=self._child,
        )

    def _snapshots(self) -> None:
        name, names = f"{self._name}-snapshots", self._args.names
        role = Role(
            name,
            RoleArgs(
                trust=policies.trust_service("dlm.amazonaws.com", names),
                documents={"snapshots": policies.snapshots(names)},
            ),
            opts=self._child,
        )
        aws.dlm.LifecyclePolicy(
            name,
            description="Nightly snapshots of the data volume",
            execution_role_arn=role.arn,
            state="ENABLED",
            policy_details={
                "resource_types": ["VOLUME"],
                "target_tags": {"snapshots": names.prefix},
                "schedules": [
                    {
                        "name": "nightly",
                        "create_rule": {"interval": 24, "interval_unit": "HOURS", "times": "20:30"},
                        "retain_rule": {"count": self._args.config.snapshots_kept},
                        "copy_tags": True,
                    }
                ],
            },
            opts=self._child,
        )
