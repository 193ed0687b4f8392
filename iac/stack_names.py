"""Names and ARNs of a stack that are known before deployment."""

from __future__ import annotations

from dataclasses import dataclass

from iac.config import PROJECT, StackConfig

IMAGES = ("inference", "exporter", "router", "frontend", "mlflow", "airflow")
"""Targets of the Dockerfile that run on AWS, all but SeaweedFS."""


@dataclass(frozen=True)
class StackNames:
    """Names and ARNs of one stack."""

    prefix: str
    region: str
    account: str

    @classmethod
    def of(cls, config: StackConfig) -> StackNames:
        """Return the names of a configuration."""
        return cls(config.prefix, config.region, config.account)

    @property
    def bucket(self) -> str:
        """The bucket of datasets, bundles, artifacts and logs. Bucket names are global, so it includes the account."""
        return f"{self.prefix}-data-{self.account}"

    @property
    def access_log_bucket(self) -> str:
        """The bucket of the access logs of the load balancer and S3."""
        return f"{self.prefix}-access-{self.account}"

    def objects(self, pattern: str) -> str:
        """Return the ARN of the bucket's objects whose keys match."""
        return f"arn:aws:s3:::{self.bucket}/{pattern}"

    def repository(self, image: str) -> str:
        """Return the name of an image's repository."""
        return f"{self.prefix}/{image}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this account in this region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of every resource, for bills and audits."""
        return {"project": PROJECT, "environment": self.prefix.removeprefix(f"{PROJECT}-"), "managed-by": "pulumi"}
