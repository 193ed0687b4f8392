"""The settings of the project, read from the environment: frozen and typed.

Values come from the environment, then from `.env`, then from `.stack/env`, which a running local stack writes. The
first source that has a name wins. An unknown `HOMEPRICES_*` name is an error, because a misspelt setting would be
ignored silently otherwise.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from homeprices.errors import SettingsError
from homeprices.names import MODEL_PREFIX, ModelPrefix, Variant

SHORTEST_VISITOR_KEY = 16
# An address, a name without a dot (localhost, a service of Compose), and the names of Kubernetes and private networks:
# none of them is in the public DNS, where an attacker could let a name point to this machine (DNS rebinding).
LOCAL_HOST = r"([0-9.]+|\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.(svc|local|internal|localhost|test)|[a-z0-9_-]+)"
_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
OWN_PREFIX = "HOMEPRICES_"
PUBLIC_URLS = ("airflow_public_url", "grafana_public_url", "prometheus_public_url")
"""Where people's browsers reach other programs, if it is not where the services do."""


class Settings(BaseModel):
    """The settings. Each field names its environment variable; secrets are masked."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    # --- bucket -------------------------------------------------------------------------------------------------
    bucket: str = Field("homeprices", validation_alias="MLFLOW_S3_BUCKET", min_length=3, max_length=63)
    s3_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
    )
    aws_access_key_id: SecretStr | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    aws_session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")
    aws_region: str = Field("ap-south-1", validation_alias=AliasChoices("AWS_DEFAULT_REGION", "AWS_REGION"))

    # --- database -----------------------------------------------------------------------------------------------
    postgres_host: str = Field("127.0.0.1", validation_alias="POSTGRES_HOST")
    postgres_port: int = Field(5432, validation_alias="POSTGRES_PORT", ge=1, le=65535)
    postgres_user: str = Field("homeprices", validation_alias="POSTGRES_USER")
    postgres_password: SecretStr = Field(SecretStr(""), validation_alias="POSTGRES_PASSWORD")
    postgres_db: str = Field("homeprices", validation_alias="POSTGRES_DB")

    # --- MLflow and Airflow -------------------------------------------------------------------------------------
    mlflow_tracking_uri: str = Field("http://127.0.0.1:5000", validation_alias="MLFLOW_TRACKING_URI")
    mlflow_username: str = Field("homeprices", validation_alias="MLFLOW_TRACKING_USERNAME")
    mlflow_password: SecretStr = Field(SecretStr(""), validation_alias="MLFLOW_TRACKING_PASSWORD")
    mlflow_public_url: str | None = Field(None, validation_alias="HOMEPRICES_MLFLOW_PUBLIC_URL")
    airflow_url: str = Field("http://127.0.0.1:8080", validation_alias="HOMEPRICES_AIRFLOW_URL")
    airflow_user: str = Field("airflow", validation_alias="HOMEPRICES_AIRFLOW_USER")
    airflow_password: SecretStr = Field(SecretStr("airflow"), validation_alias="HOMEPRICES_AIRFLOW_PASSWORD")

    # --- training -----------------------------------------------------------------------------------------------
    first_model: Literal["simple", "best"] = Field("simple", validation_alias="FIRST_MODEL")
    git_revision: str = Field("unknown", validation_alias="HOMEPRICES_GIT_REVISION", max_length=80)
    training_effort: Literal["quick", "full", "search"] = Field("quick", validation_alias="HOMEPRICES_TRAINING_EFFORT")
    training_seed: int = Field(7, validation_alias="HOMEPRICES_TRAINING_SEED", ge=0)

    # --- serving ------------------------------------------------------------------------------------------------
    model_prefix: ModelPrefix = Field(MODEL_PREFIX["production"], validation_alias="MODEL_PREFIX")
    instance: str = Field("infer-prod", validation_alias="HOMEPRICES_INSTANCE", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    state_dir: Path = Field(Path(".stack/state"), validation_alias="HOMEPRICES_STATE_DIR")
    bind: str = Field("", validation_alias="HOMEPRICES_BIND", pattern=r"^(\S+:\d{1,5})?$")
    port: int | None = Field(None, validation_alias="PORT", ge=1, le=65535)
    workers: int = Field(2, validation_alias="WEB_CONCURRENCY", ge=1, le=64)
    threads: int = Field(8, validation_alias="HOMEPRICES_THREADS", ge=1, le=64)
    poll_seconds: float = Field(5.0, validation_alias="HOMEPRICES_POLL_SECONDS", gt=0, le=600)
    spool_limit_bytes: int = Field(256 * 2**20, validation_alias="HOMEPRICES_SPOOL_LIMIT_BYTES", ge=4096)
    spool_fsync: bool = Field(False, validation_alias="HOMEPRICES_SPOOL_FSYNC")
    log_months: int = Field(24, validation_alias="HOMEPRICES_LOG_MONTHS", ge=1, le=1200)
    visitor_key: SecretStr = Field(SecretStr(""), validation_alias="HOMEPRICES_VISITOR_KEY")
    trusted_networks: str = Field("127.0.0.0/8,::1/128", validation_alias="TRUSTED_NETWORKS")
    public_hosts: str = Field("", validation_alias="HOMEPRICES_HOSTS")
    cors_origins: str = Field("", validation_alias="HOMEPRICES_CORS_ORIGINS")
    api_keys: Literal["off", "optional", "required"] = Field("optional", validation_alias="HOMEPRICES_API_KEYS")

    # --- release and router -------------------------------------------------------------------------------------
    production_urls: str = Field("http://127.0.0.1:6001", validation_alias="HOMEPRICES_PRODUCTION_URLS")
    candidate_urls: str = Field("http://127.0.0.1:6002", validation_alias="HOMEPRICES_CANDIDATE_URLS")
    router_url: str = Field("http://127.0.0.1:7000", validation_alias="HOMEPRICES_ROUTER_URL")
    candidate_share: float = Field(20.0, validation_alias="HOMEPRICES_CANDIDATE_SHARE", ge=0, le=50)
    policy: str = Field("sequential", validation_alias="HOMEPRICES_POLICY", min_length=1)
    testers: str = Field("", validation_alias="HOMEPRICES_TESTERS")
    replica_timeout_seconds: float = Field(180.0, validation_alias="HOMEPRICES_REPLICA_TIMEOUT_SECONDS", gt=0)
    router_host: str = Field("127.0.0.1", validation_alias="HOMEPRICES_ROUTER_HOST")
    router_port: int = Field(7000, validation_alias="HOMEPRICES_ROUTER_PORT", ge=1, le=65535)
    router_metrics_port: int = Field(7001, validation_alias="HOMEPRICES_ROUTER_METRICS_PORT", ge=1, le=65535)
    router_requests_per_second: int = Field(20, validation_alias="HOMEPRICES_ROUTER_REQUESTS_PER_SECOND", ge=1)
    candidate_timeout_seconds: float = Field(2.0, validation_alias="HOMEPRICES_CANDIDATE_TIMEOUT_SECONDS", gt=0, le=60)
    frontend_host: str = Field("127.0.0.1", validation_alias="HOMEPRICES_FRONTEND_HOST")
    frontend_port: int = Field(6500, validation_alias="HOMEPRICES_FRONTEND_PORT", ge=1, le=65535)
    nginx: Path | None = Field(None, validation_alias="HOMEPRICES_NGINX")

    # --- monitoring ---------------------------------------------------------------------------------------------
    exporter_host: str = Field("127.0.0.1", validation_alias="HOMEPRICES_EXPORTER_HOST")
    exporter_port: int = Field(9109, validation_alias="HOMEPRICES_EXPORTER_PORT", ge=1, le=65535)
    exporter_url: str = Field("http://127.0.0.1:9109", validation_alias="HOMEPRICES_EXPORTER_URL")
    airflow_public_url: str | None = Field(None, validation_alias="HOMEPRICES_AIRFLOW_PUBLIC_URL")
    grafana_public_url: str | None = Field(None, validation_alias="HOMEPRICES_GRAFANA_PUBLIC_URL")
    prometheus_public_url: str | None = Field(None, validation_alias="HOMEPRICES_PROMETHEUS_PUBLIC_URL")

    # --- notifications ------------------------------------------------------------------------------------------
    slack_webhook_url: SecretStr | None = Field(None, validation_alias="SLACK_WEBHOOK_URL")
    smtp_host: str | None = Field(None, validation_alias="SMTP_HOST")
    smtp_port: int = Field(587, validation_alias="SMTP_PORT", ge=1, le=65535)
    smtp_user: str | None = Field(None, validation_alias="SMTP_USER")
    smtp_password: SecretStr | None = Field(None, validation_alias="SMTP_PASSWORD")
    notify_email_from: str = Field("homeprices@localhost", validation_alias="NOTIFY_EMAIL_FROM")
    notify_email_to: str | None = Field(None, validation_alias="NOTIFY_EMAIL_TO")

    # --- logs ---------------------------------------------------------------------------------------------------
    log_format: Literal["console", "json"] = Field("console", validation_alias="HOMEPRICES_LOG_FORMAT")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias="HOMEPRICES_LOG_LEVEL")

    @field_validator("trusted_networks")
    @classmethod
    def _networks_are_networks(cls, value: str) -> str:
        for network in _items(value):
            ipaddress.ip_network(network)
        return value

    @field_validator("public_hosts")
    @classmethod
    def _hosts_are_names(cls, value: str) -> str:
        for name in _items(value.lower()):
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"{name} is no host name such as homes.example.org or *.example.org, without a port")
        return value.lower()

    @field_validator(
        *("nginx", "s3_endpoint", "slack_webhook_url", "smtp_host", "notify_email_to"), *PUBLIC_URLS, mode="before"
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator(*PUBLIC_URLS)
    @classmethod
    def _links_are_addresses(cls, value: str | None) -> str | None:
        """Pages link to them: an address of another kind, such as `javascript:`, would run in the reader's browser."""
        if value is not None and not re.fullmatch(r"https?://[^\s\"<>]+", value):
            raise ValueError(f"{value} is no address such as https://airflow.example.org")
        return value

    @cached_property
    def networks(self) -> list[str]:
        """The networks, in CIDR form, whose `X-User-Id` and operator requests are trusted."""
        return _items(self.trusted_networks)

    @property
    def hosts(self) -> list[str]:
        """Names under which visitors reach the stack, besides `LOCAL_HOST`; `*.` stands for every name below."""
        return _items(self.public_hosts)

    def knows_host(self, host: str) -> bool:
        """Whether a request with this Host header is for this stack. Its port does not matter, nor that it is missing.

        Without this check, a page in a visitor's browser could let its own name point to 127.0.0.1, and would be
        trusted as this machine is.
        """
        name = re.sub(r":\d*$", "", host.lower()).rstrip(".")
        if not name or re.fullmatch(LOCAL_HOST, name):
            return True
        return any(name.endswith(known[1:]) if known.startswith("*.") else name == known for known in self.hosts)

    @property
    def tester_ids(self) -> list[str]:
        """Visitor ids of testers, as they send them in `X-User-Id`."""
        return _items(self.testers)

    @property
    def variant(self) -> Variant:
        """The variant that this serving instance serves."""
        return "production" if self.model_prefix == MODEL_PREFIX["production"] else "candidate"

    def check_visitor_key(self) -> None:
        """Check the key that hashes visitors and signs their cookies, before a service or a router starts.

        Raises SettingsError if it can be guessed: with it, anybody could recompute hashes and choose a variant.
        """
        characters = len(self.visitor_key.get_secret_value().strip())
        if characters < SHORTEST_VISITOR_KEY:
            raise SettingsError(
                f"HOMEPRICES_VISITOR_KEY has {characters} characters, and needs at least {SHORTEST_VISITOR_KEY}; "
                "make one with: openssl rand -hex 16"
            )

    def require(self, *fields: str) -> None:
        """Check that one of these fields was set.

        Raises SettingsError if none was: the local stack, which sets them, is not running in this folder. Without this
        check a command in a folder without a stack would ask AWS, or whatever listens on a default port.
        """
        if self.model_fields_set.isdisjoint(fields):
            names = " or ".join(_variables_of(field)[0] for field in fields)
            raise SettingsError(f"not running: make up (for a stack elsewhere, set {names})")

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the homeprices database. Contains the password: never log it."""
        user, password = quote(self.postgres_user, safe=""), quote(self.postgres_password.get_secret_value(), safe="")
        database = f"{self.postgres_host}:{self.postgres_port}/{quote(self.postgres_db, safe='')}"
        return f"postgresql+psycopg2://{user}:{password}@{database}"

    @property
    def instance_dir(self) -> Path:
        """The folder of a serving instance for data that outlives its processes: spool, bundles, logs."""
        return self.state_dir / self.instance

    @property
    def serving_address(self) -> str:
        """host:port of this serving instance; without `HOMEPRICES_BIND`, on the loopback address."""
        return self.bind or f"127.0.0.1:{self.port or (6001 if self.variant == 'production' else 6002)}"

    def replica_urls(self, variant: Variant) -> list[str]:
        """Return the base URLs of the serving instances of a variant, without trailing slash."""
        return [
            url.rstrip("/") for url in _items(self.production_urls if variant == "production" else self.candidate_urls)
        ]


def load_settings(environ: Mapping[str, str] | None = None, files: tuple[Path, ...] | None = None) -> Settings:
    """Return the settings of this process. Raises SettingsError that names each wrong variable, never a secret's value.

    `environ` and `files` are for tests; by default the environment, `.env` and `.stack/env` of the working directory
    (`STACK_DIR` names another folder than `.stack`).
    """
    environ = os.environ if environ is None else environ
    if files is None:
        files = (Path(".env"), Path(environ.get("STACK_DIR", ".stack")) / "env")
    values: dict[str, str] = {}
    for file in reversed(files):
        values.update({k: v for k, v in dotenv_values(file).items() if v is not None})
    values.update(environ)
    unknown = sorted(name for name in values if name.startswith(OWN_PREFIX) and name not in variable_names())
    if unknown:
        allowed = ", ".join(sorted(n for n in variable_names() if n.startswith(OWN_PREFIX)))
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known are {allowed}")
    try:
        return Settings.model_validate({k: v for k, v in values.items() if k in variable_names()})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"wrong settings: {problems}") from None


def variable_names() -> frozenset[str]:
    """Return the names of all environment variables that settings read."""
    return frozenset(name for field in Settings.model_fields for name in _variables_of(field))


def _variables_of(field: str) -> list[str]:
    alias = Settings.model_fields[field].validation_alias
    return list(map(str, alias.choices)) if isinstance(alias, AliasChoices) else [str(alias)]


def _items(value: str) -> list[str]:
    return [item for item in (part.strip() for part in value.split(",")) if item]
