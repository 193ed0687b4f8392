"""The IAM role of one workload: its trust policy and its permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iac.policies import Document

MANAGED = "arn:aws:iam::aws:policy/"


@dataclass(frozen=True)
class RoleArgs:
    """The trust policy, inline policies by name, and names of AWS's managed policies for AWS's own components."""

    trust: Document
    documents: Mapping[str, Document]
    managed: Sequence[str] = ()


class Role(pulumi.ComponentResource):
    """An IAM role."""

    arn: pulumi.Output[str]
    role_name: pulumi.Output[str]

    def __init__(self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Role", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(name, assume_role_policy=pulumi.Output.json_dumps(args.trust), opts=child)
        self.arn, self.role_name = role.arn, role.name
        for part, document in args.documents.items():
            aws.iam.RolePolicy(f"{name}-{part}", role=role.id, policy=pulumi.Output.json_dumps(document), opts=child)
        for policy in args.managed:
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy.rsplit('/', 1)[-1]}", role=role.name, policy_arn=MANAGED + policy, opts=child
            )
        self.register_outputs({"arn": self.arn})
