"""The properties of the compose files, read from Compose's output. Needs Docker Compose and no engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from compose.bucket_rights import OWNER, RIGHTS, variables
from compose.check_config import COMBINATIONS, MONITORING, arguments, problem
from compose.make_env import S3_KEYS, SECRETS, completed
from homeprices.settings import variable_names

ROOT = Path(__file__).parents[2]
ONE_SHOT = {"preflight", "databases", "migrate", "bucket", "airflow-init", "bootstrap"}
OWN_FILES = [
    ROOT / name
    for name in ("docker-compose.yaml", "docker-compose.ab.yml", "compose/replicas.yml", "compose/pgbouncer.yml")
]


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated `.env` file."""
    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text(completed("")[0])
    return file


@pytest.fixture(scope="module")
def services(env_file: Path) -> dict[str, Any]:
    """The services of the compose files, with the profile for Celery."""
    return configured(env_file, "docker-compose.yaml", "docker-compose.ab.yml", profile="celery")


def configured(env_file: Path, *files: str, profile: str = "", **variables: str) -> dict[str, Any]:
    command = [*arguments(files, env_file), *(["--profile", profile] if profile else []), "config", "--format", "json"]
    done = subprocess.run(
        command, cwd=ROOT, env=environ(**variables), capture_output=True, text=True, check=True, timeout=60
    )
    return dict(json.loads(done.stdout)["services"])


def environ(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}


@pytest.mark.parametrize(("files", "variables"), COMBINATIONS, ids=lambda value: " ".join(value) or "default")
def test_compose_accepts_each_combination_of_files(
    files: tuple[str, ...], variables: dict[str, str], env_file: Path
) -> None:
    assert problem(files, variables, env_file) is None


@pytest.mark.parametrize("name", sorted({*SECRETS} - {*S3_KEYS, "GRAFANA_ADMIN_PASSWORD"}))
def test_a_missing_secret_stops_compose_with_its_name(name: str, env_file: Path, tmp_path: Path) -> None:
    without = tmp_path / ".env"
    without.write_text(
        "".join(line for line in env_file.read_text().splitlines(keepends=True) if not line.startswith(f"{name}="))
    )
    said = problem(("docker-compose.yaml",), {}, without)
    assert said is not None and re.findall(r"required variable (\w+)", said) == [name]


@pytest.mark.parametrize(
    "files",
    [("docker-compose.yaml",), ("docker-compose.yaml", "docker-compose.ab.yml"),
     ("monitoring/docker-compose.monitoring.yml",)],
    ids=" ".join,
)  # fmt: skip
def test_with_a_copy_of_the_example_and_an_edit_compose_names_the_command_that_completes_it(
    files: tuple[str, ...], tmp_path: Path
) -> None:
    copied = tmp_path / ".env"
    copied.write_text((ROOT / ".env.example").read_text() + "MLFLOW_S3_BUCKET=your-mlops-bucket\n")
    said = problem(files, {}, copied)
    assert said is not None and "run make env" in said
    text, made = completed(copied.read_text())
    copied.write_text(text)
    assert made and problem(files, {}, copied) is None
    services = configured(copied, *files)
    assert "your-mlops-bucket" in json.dumps(services) or files[0].startswith("monitoring")


def test_no_service_has_a_capability_more_rights_than_it_started_with_or_a_writable_root(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"] and not service.get("cap_add"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not service.get("privileged"), name


def test_no_service_has_the_docker_socket_or_a_writable_folder_of_the_machine(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for mount in service.get("volumes", []):
            assert "docker.sock" not in mount["source"], name
            assert mount["type"] == "volume" or mount["read_only"], f"{name} {mount['source']}"


def test_what_watches_has_as_few_rights_and_sees_nothing_of_the_machine(env_file: Path) -> None:
    for name, service in configured(env_file, MONITORING).items():
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"] and not service.get("privileged"), name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped", name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name
        for mount in service.get("volumes", []):
            ours = mount["type"] == "volume" or Path(mount["source"]).is_relative_to(ROOT / "monitoring")
            assert ours and (mount["type"] == "volume" or mount["read_only"]), f"{name} {mount['source']}"


def test_every_service_has_limits_and_a_log_that_ends(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"]["max-size"] == "10m", name


def test_every_service_that_stays_is_looked_after(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name not in ONE_SHOT:
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_nothing_starts_before_the_preflight_has_passed(services: dict[str, Any]) -> None:
    def waits(name: str) -> bool:
        return name == "preflight" or any(waits(other) for other in services[name].get("depends_on", {}))

    assert [name for name in services if not waits(name)] == []


def test_ports_are_bound_to_this_machine_unless_configured(services: dict[str, Any], env_file: Path) -> None:
    published = {(p["host_ip"], int(p["published"])) for s in services.values() for p in s.get("ports", [])}
    assert published == {("127.0.0.1", port) for port in (5000, 5555, 6001, 6002, 6500, 7000, 8080)}
    opened = configured(
        env_file, "docker-compose.yaml", "docker-compose.ab.yml", profile="celery", BIND_ADDRESS="0.0.0.0"
    )
    elsewhere = {p["target"] for s in opened.values() for p in s.get("ports", []) if p["host_ip"] == "0.0.0.0"}
    assert elsewhere == {6500, 7000, 8080}, "the services, Flower and MLflow stay on this machine"


@pytest.mark.parametrize(("bind", "trusted"), [("", True), ("0.0.0.0", False)])
def test_this_machine_is_trusted_only_while_nobody_else_can_seem_to_be_it(
    env_file: Path, bind: str, trusted: bool
) -> None:
    services = configured(env_file, "docker-compose.yaml", "docker-compose.ab.yml", BIND_ADDRESS=bind)
    networks = [ip_network(n) for n in services["router"]["environment"]["TRUSTED_NETWORKS"].split(",")]
    for gateway in ("172.30.65.1", "172.30.65.129"):
        assert any(ip_address(gateway) in network for network in networks) is trusted
    for container in ("172.30.65.10", "172.30.65.64", "172.30.65.254"):
        assert any(ip_address(container) in network for network in networks)


def test_only_the_router_joins_the_visitors_side_to_the_rest(services: dict[str, Any]) -> None:
    edge = {name for name, service in services.items() if "edge" in service["networks"]}
    assert edge == {"router", "frontend"}
    assert set(services["frontend"]["networks"]) == {"edge"}


def test_secrets_are_given_only_to_those_who_need_them(services: dict[str, Any], env_file: Path) -> None:
    values = {v: k for k, v in (line.split("=", 1) for line in env_file.read_text().splitlines()) if k in SECRETS}

    def known_to(name: str) -> set[str]:
        return {
            secret for value, secret in values.items() if value in json.dumps(services[name].get("environment", {}))
        }

    def key(*services: str) -> set[str]:
        return {variable for service in services for variable in variables(service)}

    assert known_to("frontend") == set()
    assert known_to("router") == key("router") | {"HOMEPRICES_VISITOR_KEY", "AIRFLOW_SERVICE_PASSWORD"}
    serving = key("inference") | {"POSTGRES_PASSWORD", "HOMEPRICES_VISITOR_KEY"}
    assert known_to("infer-prod") == known_to("infer-cand") == serving
    assert known_to("mlflow") == key("mlflow") | {"MLFLOW_DATABASE_PASSWORD", "MLFLOW_TRACKING_PASSWORD"}
    assert known_to("seaweedfs") == key(OWNER, *RIGHTS)
    assert known_to("bucket") == key(OWNER)
    every = {variable for service in RIGHTS for variable in variables(service)}
    assert known_to("airflow-scheduler") & every == known_to("bootstrap") & every == key("pipeline")
    for name in ("airflow-init", "airflow-apiserver", "airflow-dag-processor", "airflow-triggerer"):
        assert known_to(name) & every == key("airflow"), name
    assert known_to("postgres") == {"POSTGRES_SUPERUSER_PASSWORD"}
    assert known_to("migrate") == {"POSTGRES_PASSWORD"}
    assert "HOMEPRICES_VISITOR_KEY" not in known_to("airflow-scheduler")
    logged_in = {name for name in services if "MLFLOW_TRACKING_PASSWORD" in known_to(name)}
    assert logged_in == {"preflight", "mlflow", "airflow-scheduler", "airflow-worker"}, "the server, and who runs tasks"


def test_every_third_party_image_is_a_variable_with_the_public_image_as_default() -> None:
    for file in OWN_FILES:
        for image in re.findall(r"^\s+image: (.+)$", file.read_text(), re.MULTILINE):
            assert re.fullmatch(
                r"\$\{[A-Z_]+_IMAGE:-[a-z0-9./-]+:[\w.-]+(@sha256:[0-9a-f]{64})?\}|homeprices-[a-z]+:\$\{IMAGE_TAG:-local\}",
                image,
            ), image


def test_the_example_names_every_variable_with_its_default_and_no_other() -> None:
    example = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used: dict[str, str] = {}
    for file in (*OWN_FILES, ROOT / "monitoring" / "docker-compose.monitoring.yml"):
        used |= dict(re.findall(r"\$\{([A-Z][A-Z0-9_]*)(?::?[-?+]([^$}]*))?", file.read_text()))
    assert sorted(set(used) - set(example)) == []
    compose_alone = set(example) - variable_names()
    assert sorted(compose_alone - set(used)) == []
    defaults = {name: used[name] for name in compose_alone - set(SECRETS) if "://localhost" not in used[name]}
    assert {name: example[name] for name in defaults} == {**defaults, "DATASET": ""}


def test_with_aws_there_is_no_seaweedfs_and_no_endpoint(env_file: Path) -> None:
    aws = {"SEAWEEDFS_REPLICAS": "0", "AWS_ENDPOINT_URL_S3": ""}
    services = configured(env_file, "docker-compose.yaml", "docker-compose.ab.yml", **aws)
    assert services["seaweedfs"]["scale"] == 0
    assert {
        s["environment"]["AWS_ENDPOINT_URL_S3"] for s in services.values() if "AWS_ENDPOINT_URL_S3" in s["environment"]
    } == {""}


def test_the_override_for_replicas_drops_the_fixed_port(env_file: Path) -> None:
    services = configured(env_file, "docker-compose.yaml", "docker-compose.ab.yml", "compose/replicas.yml")
    assert services["infer-prod"]["scale"] == 3 and not services["infer-prod"].get("ports")


def test_pgbouncer_has_as_few_rights_and_stands_before_the_services_alone(env_file: Path) -> None:
    services = configured(env_file, "docker-compose.yaml", "docker-compose.ab.yml", "compose/pgbouncer.yml")
    pooler = services["pgbouncer"]
    assert pooler["cap_drop"] == ["ALL"] and pooler["read_only"] is True and not pooler.get("ports")
    assert pooler["security_opt"] == ["no-new-privileges:true"] and not pooler.get("privileged")
    assert set(pooler["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    through = {name for name, one in services.items() if one.get("environment", {}).get("POSTGRES_HOST") == "pgbouncer"}
    assert through == {"infer-prod", "infer-cand"}


def test_each_image_is_built_by_one_service(services: dict[str, Any]) -> None:
    """Otherwise the classic builder installs the same packages once per service."""
    targets = [service["build"]["target"] for service in services.values() if "build" in service]
    assert sorted(targets) == ["airflow", "frontend", "inference", "mlflow", "router", "seaweedfs"]
    for service in services.values():
        assert (
            "build" in service
            or service.get("pull_policy") == "never"
            or not service["image"].startswith("homeprices-")
        )
