"""The typed configuration of a stack. Each unknown key or invalid value is rejected with an explanation.

A stack file (`Pulumi.NAME.yaml`) has one object, `homeprices:stack`, and with an identity provider also the secret
`homeprices:oidcClientSecret`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

import pulumi
from pulumi.runtime.config import CONFIG
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

PROJECT = "homeprices"
STACK_KEY, OIDC_SECRET_KEY = "stack", "oidcClientSecret"
SUBNET_BITS = 4
"""A network has 16 subnets: three kinds in three zones use nine, the rest is a reserve."""


class ConfigurationRefused(Exception):
    """A stack's configuration is invalid. The message names each key, its value, and the allowed values."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _private_network(value: str) -> str:
    network = ipaddress.ip_network(value)
    if not network.is_private or not 16 <= network.prefixlen <= 20:
        raise ValueError(f"{value} must be a private network between /16 and /20")
    return value


def _narrow_network(value: str) -> str:
    if ipaddress.ip_network(value).prefixlen < 16:
        raise ValueError(f"{value} lets too many in; a network here is /16 or narrower")
    return value


class NetworkConfig(_Part):
    """The VPC. `nat`: none (endpoints only, all images in ECR), one, or one in each zone."""

    cidr: Annotated[str, AfterValidator(_private_network)] = "10.40.0.0/16"
    zones: int = Field(default=2, ge=2, le=3)
    nat: Literal["none", "one", "each_zone"] = "one"
    flow_log_days: Literal[7, 14, 30, 60, 90, 180, 365] = 30


class DatabaseConfig(_Part):
    """PostgreSQL on RDS; storage in GiB, which AWS extends up to `max_storage_gib`."""

    instance_class: str = Field(default="db.t4g.medium", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    engine_version: str = Field(default="18", pattern=r"^1[5-9](\.\d+)?$")
    storage_gib: int = Field(default=50, ge=20, le=16_384)
    max_storage_gib: int = Field(default=200, ge=20, le=65_536)
    multi_az: bool = False
    backup_days: int = Field(default=14, ge=1, le=35)

    @model_validator(mode="after")
    def _storage_can_grow(self) -> DatabaseConfig:
        if self.max_storage_gib < self.storage_gib:
            raise ValueError(f"max_storage_gib {self.max_storage_gib} is below storage_gib {self.storage_gib}")
        return self


class HostConfig(_Part):
    """One EC2 instance that runs the compose files; volumes in GiB."""

    instance_type: str = Field(default="m7g.xlarge", pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")
    architecture: Literal["arm64", "x86_64"] = "arm64"
    root_gib: int = Field(default=20, ge=10, le=500)
    data_gib: int = Field(default=100, ge=20, le=16_384)
    snapshots_kept: int = Field(default=14, ge=1, le=1000)

    @model_validator(mode="after")
    def _image_fits_the_processor(self) -> HostConfig:
        family = self.instance_type.split(".")[0]
        graviton = bool(re.fullmatch(r"[a-z]+\d+g[a-z]*(-.*)?", family)) or family == "a1"
        if graviton != (self.architecture == "arm64"):
            raise ValueError(f"instance_type {self.instance_type} does not run images of {self.architecture}")
        return self


class NodesConfig(_Part):
    """A managed node group: the number of machines, their type, and the disk's size (GiB)."""

    instance_types: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")], ...] = ("m7g.large",)
    minimum: int = Field(default=2, ge=1, le=100)
    maximum: int = Field(default=6, ge=1, le=500)
    disk_gib: int = Field(default=40, ge=20, le=1000)

    @model_validator(mode="after")
    def _can_scale(self) -> NodesConfig:
        if self.maximum < self.minimum:
            raise ValueError(f"maximum {self.maximum} is below minimum {self.minimum}")
        return self


class KubernetesConfig(_Part):
    """The EKS cluster. Its API is reachable inside the VPC, and from the networks `api_cidrs`."""

    version: str = Field(default="1.35", pattern=r"^1\.\d{2}$")
    services: NodesConfig = NodesConfig()
    work: NodesConfig = NodesConfig(minimum=1, maximum=10)
    api_cidrs: tuple[Annotated[str, AfterValidator(_narrow_network)], ...] = ()
    admin_role_arn: str = Field(pattern=r"^arn:aws:iam::\d{12}:role/[\w+=,.@/-]+$")


class OidcConfig(_Part):
    """The identity provider that signs users in at the load balancer, for the UIs."""

    issuer: str = Field(pattern=r"^https://")
    authorization_endpoint: str = Field(pattern=r"^https://")
    token_endpoint: str = Field(pattern=r"^https://")
    user_info_endpoint: str = Field(pattern=r"^https://")
    client_id: str = Field(min_length=1, max_length=200)


class StackConfig(_Part):
    """The whole configuration of a stack."""

    environment: Literal["trial", "production"]
    target: Literal["host", "kubernetes"]
    region: str = Field(default="ap-south-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    account: str = Field(pattern=r"^\d{12}$")
    domain: str = Field(max_length=200, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    certificate_arn: str = Field(pattern=r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+$")
    hosted_zone_id: str | None = Field(default=None, pattern=r"^Z[A-Z0-9]+$")
    alarm_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    budget_usd_month: int = Field(ge=10, le=1_000_000)
    github_repository: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    network: NetworkConfig = NetworkConfig()
    database: DatabaseConfig = DatabaseConfig()
    host: HostConfig | None = None
    kubernetes: KubernetesConfig | None = None
    oidc: OidcConfig | None = None

    @model_validator(mode="after")
    def _one_target_described(self) -> StackConfig:
        described = {"host": self.host, "kubernetes": self.kubernetes}
        if described[self.target] is None:
            raise ValueError(f"target is {self.target}, and there is no part {self.target}")
        other = "kubernetes" if self.target == "host" else "host"
        if described[other] is not None:
            raise ValueError(f"target is {self.target}, so a part {other} has no meaning")
        return self

    @model_validator(mode="after")
    def _production_survives(self) -> StackConfig:
        if not self.is_production:
            return self
        if self.database.backup_days < 7:
            raise ValueError(f"production keeps backups for 7 days or longer, not {self.database.backup_days}")
        if self.target == "kubernetes" and not self.database.multi_az:
            raise ValueError(
                "production on kubernetes has database.multi_az: services outlive a zone, so must their log"
            )
        if self.target == "kubernetes" and self.network.nat == "one":
            raise ValueError("production on kubernetes has network.nat each_zone (or none): one gateway is one zone")
        return self

    @model_validator(mode="after")
    def _certificate_is_here(self) -> StackConfig:
        region, account = self.certificate_arn.split(":")[3:5]
        if (region, account) != (self.region, self.account):
            raise ValueError(
                f"certificate_arn is of {account} in {region}; the stack is of {self.account} in {self.region}"
            )
        return self

    @property
    def is_production(self) -> bool:
        """Whether everything that holds data is protected from deletion."""
        return self.environment == "production"

    @property
    def prefix(self) -> str:
        """The prefix of every name."""
        return f"{PROJECT}-{self.environment}"


def parse(values: dict[str, Any]) -> StackConfig:
    """Return the configuration in a stack file's object. Raises ConfigurationRefused."""
    try:
        return StackConfig.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            key = ".".join(map(str, problem["loc"])) or STACK_KEY
            value = problem["input"] if isinstance(problem["input"], str | int | float) else None
            shown = f" (given {value!r})" if value is not None else ""
            lines.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}{shown}")
        raise ConfigurationRefused("; ".join(lines)) from None


def load() -> tuple[StackConfig, pulumi.Output[str] | None]:
    """Return the configuration of Pulumi's current stack, and the identity provider's secret if there is one."""
    config = pulumi.Config(PROJECT)
    known = {f"{PROJECT}:{name}" for name in (STACK_KEY, OIDC_SECRET_KEY)}
    unknown = sorted(key for key in CONFIG.get() if key.startswith(f"{PROJECT}:") and key not in known)
    if unknown:
        raise ConfigurationRefused(f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    stack = parse(config.require_object(STACK_KEY))
    if stack.oidc is None:
        if config.get(OIDC_SECRET_KEY) is not None:
            raise ConfigurationRefused(f"{PROJECT}:{OIDC_SECRET_KEY} is set, and stack.oidc is not")
        return stack, None
    return stack, config.require_secret(OIDC_SECRET_KEY)
