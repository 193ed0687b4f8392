"""The target `host`: the differences of its compose files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from iac.config import parse
from iac.host import override
from iac.host.boot import boot_script
from iac.host.environment import ROLE_INSTEAD_OF_KEY, host_environment, interface_addresses
from iac.seed_secrets import WANTED
from iac.stack_names import IMAGES, StackNames
from tests.infrastructure.iac.graph import ROOT, Graph, stack_files
from tests.support.programs import DOCKER_COMPOSE

HOST_FINDS_OUT = {"BIND_ADDRESS", "IMAGE_TAG", "POSTGRES_SUPERUSER_PASSWORD"}
COMPOSE = ("docker-compose.yaml", "docker-compose.ab.yml", "monitoring/docker-compose.monitoring.yml")
MEANT_FOR_ONE_MACHINE = {
    "MLFLOW_S3_BUCKET", "AWS_ENDPOINT_URL_S3", "SEAWEEDFS_REPLICAS", "AWS_DEFAULT_REGION", "TRUSTED_NETWORKS",
    "BIND_ADDRESS", "IMAGE_TAG", "DATABASE_HOST",
}  # fmt: skip
"""Variables whose default in the compose files would be wrong on AWS."""


def provided() -> set[str]:
    config = parse(stack_files()["host"])
    environment = host_environment(config, StackNames.of(config), "db", ["10.40.0.0/20"])  # type: ignore[arg-type]
    return set(environment) | set(WANTED) | HOST_FINDS_OUT


def test_every_variable_that_compose_cannot_do_without_is_provided() -> None:
    texts = [(ROOT / name).read_text() for name in COMPOSE]
    texts += [text for name, text in override.texts().items() if name.endswith(".yml")]
    needed = {name for text in texts for name in re.findall(r"\$\{(\w+):\?", text)}
    used = {name for text in texts for name in re.findall(r"\$\{(\w+)", text)}
    assert needed >= {"POSTGRES_PASSWORD", "DATABASE_HOST", "GRAFANA_ADMIN_PASSWORD"}
    assert needed <= provided()
    assert provided() >= MEANT_FOR_ONE_MACHINE
    assert provided() <= used | {"HOMEPRICES_AIRFLOW_PASSWORD"}, "a variable that nothing reads"


def test_the_interfaces_addresses_are_variables_that_compose_reads() -> None:
    config = parse({**stack_files()["host"], "oidc": stack_files()["kubernetes"]["oidc"]})
    text = "".join((ROOT / name).read_text() for name in COMPOSE)
    addresses = interface_addresses(config)
    assert addresses["AIRFLOW_PUBLIC_URL"] == "https://airflow.homes.example.com"
    assert all("${" + name in text for name in addresses)


def test_what_differs_on_aws_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert override.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_is_named_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(override, "FOLDER", tmp_path)
    assert override.main(["--check"]) == 1
    assert "iac/host/databases.rds.sql is stale: run `make aws-files`" in capsys.readouterr().err
    assert override.main([]) == 0
    assert override.main(["--check"]) == 0


def test_nobody_on_rds_says_superuser() -> None:
    sql = override.rds_roles((ROOT / "compose/databases.sql").read_text())
    assert "superuser" not in sql.split("\n", 1)[1]
    assert "alter role airflow login nocreatedb" in sql


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return Compose's merge of the files with the override."""
    DOCKER_COMPOSE.require()
    env = tmp_path_factory.mktemp("env") / ".env"
    config = parse(stack_files()["host"])
    values = {**dict.fromkeys((*WANTED, *HOST_FINDS_OUT), "x"), "BIND_ADDRESS": "10.40.64.5"}
    values |= host_environment(config, StackNames.of(config), "db.internal", [])  # type: ignore[arg-type]
    env.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
    files = ["docker-compose.yaml", "docker-compose.ab.yml", "iac/host/docker-compose.aws.yml"]
    command = ["docker", "compose", "--env-file", str(env), *(w for f in files for w in ("-f", f)), "config"]
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60, check=True)
    return dict(yaml.safe_load(done.stdout)["services"])


def test_on_aws_no_container_has_a_key_and_all_reach_rds(merged: dict[str, Any]) -> None:
    assert not {"postgres", "seaweedfs"} & merged.keys()
    for name, service in merged.items():
        environment = service.get("environment", {})
        if name != "preflight":
            assert ROLE_INSTEAD_OF_KEY not in environment.values(), name
        assert environment.get("POSTGRES_HOST", "db.internal") == "db.internal", name
        assert "@postgres/" not in str(environment), name
        assert not {"postgres", "seaweedfs"} & service.get("depends_on", {}).keys(), name
        if "MLFLOW_S3_BUCKET" in environment:
            assert environment["MLFLOW_S3_BUCKET"] == "homeprices-production-data-111122223333"
            assert environment["AWS_ENDPOINT_URL_S3"] == ""
            assert environment["AWS_EC2_METADATA_DISABLED"] == "false", name
    assert merged["databases"]["environment"]["PGHOST"] == "db.internal"


def test_images_that_the_host_pulls_are_all_that_compose_runs() -> None:
    text = "".join((ROOT / name).read_text() for name in COMPOSE)
    assert set(re.findall(r"image: homeprices-(\w+)", text)) - {"seaweedfs"} == set(IMAGES)


def test_the_boot_script_is_bash_and_holds_arns_instead_of_secrets(graphs: dict[str, Graph]) -> None:
    script = graphs["host"].of("aws:ec2:Instance")[0].inputs["userData"]
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "{{" not in script.replace('"{{', "")
    assert "SECRET_DATABASE=arn:aws:secretsmanager:master" in script
    assert "DATABASE_HOST='db.internal'" in script
    assert (
        "TRUSTED_NETWORKS='127.0.0.0/8,::1/128,172.30.65.10/32,172.30.65.64/26,172.30.65.192/26,10.40.0.0/20,10.40.16.0/20'"
        in script
    )


def test_a_boot_script_that_ec2_would_refuse_is_refused_before() -> None:
    names = StackNames("p", "r", "1")
    with pytest.raises(ValueError, match="EC2 takes 16384"):
        boot_script(names, {"A": "b" * 20_000}, {})
    with pytest.raises(ValueError, match="A: a value for Compose may hold neither a quote"):
        boot_script(names, {"A": "it's"}, {})
