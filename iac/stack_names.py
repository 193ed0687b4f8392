"""Where a stack's things are and what they are called: names and ARNs that are known before anything exists."""

from __future__ import annotations

from dataclasses import dataclass

from iac.config import PROJECT, StackConfig

IMAGES = ("inference", "exporter", "router", "frontend", "mlflow", "airflow")
"""Targets of the Dockerfile that run on AWS; S3 itself stands where SeaweedFS stands elsewhere."""


@dataclass(frozen=True)
class StackNames:
    """Names and ARNs of one stack."""

    prefix: str
    region: str
    account: str

    @classmethod
    def of(cls, config: StackConfig) -> StackNames:
        """The place of a configuration."""
        return cls(config.prefix, config.region, config.account)

    @property
    def bucket(self) -> str:
        """The bucket of datasets, bundles, artefacts and logs. Names of buckets are shared by all of AWS."""
        return f"{self.prefix}-data-{self.account}"

    @property
    def access_log_bucket(self) -> str:
        """Where the load balancer and S3 write who asked for what."""
        return f"{self.prefix}-access-{self.account}"

    def objects(self, pattern: str) -> str:
        """ARN of the objects of the bucket whose keys match."""
        return f"arn:aws:s3:::{self.bucket}/{pattern}"

    def repository(self, image: str) -> str:
        """Name of an image's repository."""
        return f"{self.prefix}/{image}"

    def arn(self, service: str, resource: str) -> str:
        """ARN of something of this account in this region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    @property
    def tags(self) -> dict[str, str]:
        """On everything, so that a bill and an audit can tell whose it is."""
        return {"project": PROJECT, "environment": self.prefix.removeprefix(f"{PROJECT}-"), "managed-by": "pulumi"}
