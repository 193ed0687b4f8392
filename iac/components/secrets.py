"""The application's secrets: one secret whose values Pulumi never sees. `python -m iac.seed_secrets` fills it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iac.stack_names import StackNames


@dataclass(frozen=True)
class SecretsArgs:
    """`protect`: a deleted secret can be restored for 30 days."""

    names: StackNames
    protect: bool


class Secrets(pulumi.ComponentResource):
    """The secret `PREFIX/application`, created empty; once filled, a JSON object by variable name."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Secrets", name, None, opts)
        secret = aws.secretsmanager.Secret(
            name,
            name=f"{args.names.prefix}/application",
            description="What the services authenticate each other with; filled by iac.seed_secrets",
            recovery_window_in_days=30 if args.protect else 0,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.arn = secret.arn
        self.register_outputs({"arn": self.arn})
