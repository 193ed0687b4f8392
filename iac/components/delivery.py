"""Access of the release pipeline: GitHub signs a token, and AWS grants a role for an hour. There is no stored key."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from iac import policies
from iac.components.role import Role, RoleArgs
from iac.stack_names import StackNames

ISSUER = "token.actions.githubusercontent.com"


@dataclass(frozen=True)
class DeliveryArgs:
    """The trusted repository. The OIDC provider exists once per account and is created manually (iac/README.md)."""

    names: StackNames
    repository: str
    environment: str
    instance_arn: pulumi.Output[str] | None
    cluster_arn: str | None


class Delivery(pulumi.ComponentResource):
    """The release role."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Delivery", name, None, opts)
        provider = f"arn:aws:iam::{args.names.account}:oidc-provider/{ISSUER}"
        role = Role(
            name,
            RoleArgs(
                trust=policies.trust_github(provider, args.repository, args.environment),
                documents={
                    "release": policies.release(
                        args.names, instance_arn=args.instance_arn, cluster_arn=args.cluster_arn
                    )
                },
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})
