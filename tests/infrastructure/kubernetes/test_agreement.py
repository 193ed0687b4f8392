"""Manifests and compose files agree on images, ports, environment, probes, secrets and rules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from homeprices.settings import load_settings, variable_names
from monitoring import kubernetes as generated
from monitoring.scrape_config import JOBS

ROOT = Path(__file__).parents[3]
BASE = ROOT / "kubernetes/base"
SERVICES = ("infer-prod", "infer-cand", "router", "frontend", "mlflow")
OF_KUBERNETES = {
    "HOMEPRICES_INSTANCE": "compose/inference.sh finds it out",
    "MLFLOW_DATABASE_PASSWORD": "a part of the URI",
    "POSTGRES_HOST": "a part of the URI",
    "MLFLOW_S3_BUCKET": "a part of the destination",
}
OF_COMPOSE = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_EC2_METADATA_DISABLED",
    "MLFLOW_S3_ENDPOINT_URL", "POSTGRES_PASSWORD", "HOMEPRICES_VISITOR_KEY", "HOMEPRICES_AIRFLOW_PASSWORD",
    "HOMEPRICES_AIRFLOW_PUBLIC_URL", "HOMEPRICES_MLFLOW_PUBLIC_URL", "HOMEPRICES_GRAFANA_PUBLIC_URL",
    "HOMEPRICES_PROMETHEUS_PUBLIC_URL",
}  # fmt: skip
"""From a secret or an overlay: where the bucket is, and where links lead, differs; and a role stands for the keys."""


@cache
def documents(folder: Path = BASE) -> tuple[dict[str, Any], ...]:
    return tuple(
        document
        for path in sorted(folder.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    )


def workload(name: str) -> dict[str, Any]:
    (found,) = [d for d in documents() if d["metadata"]["name"] == name and d["kind"] in {"Deployment", "StatefulSet"}]
    return dict(found)


def container(name: str) -> dict[str, Any]:
    (only,) = workload(name)["spec"]["template"]["spec"]["containers"]
    return dict(only)


@cache
def shared() -> dict[str, str]:
    """Return the literals of the shared configuration."""
    made = yaml.safe_load((BASE / "kustomization.yaml").read_text())["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in made[0]["literals"])


def environment(name: str) -> dict[str, str | None]:
    """Return a container's variables; None for values from a secret or the pod itself."""
    one = container(name)
    told: dict[str, str | None] = {}
    if any("configMapRef" in source for source in one.get("envFrom", [])):
        told |= shared()
    for variable in one.get("env", []):
        key = variable.get("valueFrom", {}).get("configMapKeyRef", {}).get("key")
        told[variable["name"]] = shared()[key] if key else variable.get("value")
    return told


@pytest.fixture(scope="module")
def compose() -> dict[str, dict[str, Any]]:
    """The services of the compose files by name."""
    found: dict[str, dict[str, Any]] = {}
    for file in ("docker-compose.yaml", "docker-compose.ab.yml", "monitoring/docker-compose.monitoring.yml"):
        found |= yaml.safe_load((ROOT / file).read_text())["services"]
    return found


def default(value: str) -> str:
    """Return a value of the compose files with its defaults applied."""
    before = None
    while before != value:
        before, value = value, re.sub(r"\$\{\w+:?-([^${}]*)\}", r"\1", value)
    return value


@pytest.mark.parametrize("name", [*SERVICES, "exporter"])
def test_images_are_those_of_compose_and_targets_of_the_dockerfile(name: str, compose: dict[str, Any]) -> None:
    image = container(name)["image"]
    assert image == default(compose[name]["image"])
    target = image.removeprefix("homeprices-").split(":")[0]
    assert re.search(rf"^FROM \S+ AS {target}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_those_of_compose(name: str, compose: dict[str, Any]) -> None:
    published = {int(default(port).rsplit(":", 1)[1]) for port in compose[name]["ports"]}
    opened = {port["containerPort"] for port in container(name)["ports"]}
    assert published <= opened
    (service,) = [d for d in documents() if d["kind"] == "Service" and d["metadata"]["name"] == name]
    assert {port["port"] for port in service["spec"]["ports"]} == opened
    names = {port["name"] for port in container(name)["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == names


@pytest.mark.parametrize("name", [*SERVICES, "exporter"])
def test_every_variable_of_compose_is_told_with_the_same_value(name: str, compose: dict[str, Any]) -> None:
    theirs = {key: default(str(value)) for key, value in compose[name]["environment"].items()}
    ours = environment(name)
    missing = theirs.keys() - ours.keys() - OF_COMPOSE
    assert missing == set(), "compose tells it, and the pod does not"
    differing = {
        key: (theirs[key], ours[key])
        for key in theirs.keys() & ours.keys()
        if key not in {"TRUSTED_NETWORKS", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION"}
        and ours[key] not in {theirs[key], None}
    }
    # In a cluster Airflow is its chart's, with the chart's name.
    differing.pop("HOMEPRICES_AIRFLOW_URL", None)
    assert differing == {}


@pytest.mark.parametrize("name", [*SERVICES, "exporter"])
def test_what_a_pod_is_told_are_settings_that_exist(name: str) -> None:
    told = {key: value for key, value in environment(name).items() if value is not None and key in variable_names()}
    load_settings(told, ())
    own = {key for key in environment(name) if key.startswith("HOMEPRICES_")}
    assert own <= variable_names()


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_is_ready_when_composes_container_is_healthy(name: str, compose: dict[str, Any]) -> None:
    asked = urlsplit(compose[name]["healthcheck"]["test"][-1])
    for probe in ("startupProbe", "readinessProbe"):
        how = container(name)[probe]
        if "exec" in how:
            assert how["exec"]["command"] == compose[name]["healthcheck"]["test"][1:]
        else:
            ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
            assert (how["httpGet"]["path"], ports[how["httpGet"]["port"]]) == (asked.path or "/", asked.port)


def test_jobs_run_what_compose_runs(compose: dict[str, Any]) -> None:
    jobs = {d["metadata"]["name"]: d for d in documents() if d["kind"] == "Job"}
    migrate = jobs["migrate"]["spec"]["template"]["spec"]["containers"][0]
    assert migrate["command"] == compose["migrate"]["command"]
    assert migrate["image"] == default(compose["migrate"]["image"])
    databases = jobs["databases"]["spec"]["template"]["spec"]["containers"][0]
    assert databases["image"] == default(compose["databases"]["image"])
    assert {v["name"] for v in databases["env"]} == set(compose["databases"]["environment"])


def test_the_databases_script_and_roles_are_those_of_compose_and_rds() -> None:
    assert (BASE / "databases.sql").read_text() == (ROOT / "iac/host/databases.rds.sql").read_text()
    script = (ROOT / "compose/databases.sh").read_text()
    assert (BASE / "databases.sh").read_text() == script.replace("/databases.sql", "/sql/databases.sql")


def test_pods_run_as_the_user_of_the_dockerfile() -> None:
    (user,) = set(re.findall(r"useradd --uid (\d+)", (ROOT / "Dockerfile").read_text()))
    for name in (*SERVICES, "exporter"):
        context = workload(name)["spec"]["template"]["spec"]["securityContext"]
        assert (context["runAsUser"], context["runAsNonRoot"]) == (int(user), True)


@pytest.mark.parametrize("name", SERVICES)
def test_a_rolling_update_drains_before_it_stops(name: str, compose: dict[str, Any]) -> None:
    pod = workload(name)["spec"]["template"]["spec"]
    drain = container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = int(compose[name].get("stop_grace_period", "10s").removesuffix("s"))
    if name in {"infer-prod", "infer-cand"}:
        settings = (ROOT / "inference/backend/gunicorn.conf.py").read_text()
        grace = int(re.search(r"^graceful_timeout = (\d+)$", settings, re.MULTILINE)[1])  # type: ignore[index]
        [longest] = re.findall(r"production_timeout: float = ([\d.]+)", (ROOT / "router/site_config.py").read_text())
        assert drain > float(longest), "the router may still wait for an answer from here"
    assert pod["terminationGracePeriodSeconds"] >= drain + grace


def test_services_without_a_disk_are_replaced_before_they_are_missed() -> None:
    for document in documents():
        if document["kind"] == "Deployment":
            update = document["spec"]["strategy"]["rollingUpdate"]
            assert (update["maxUnavailable"], update["maxSurge"]) == (0, 1), document["metadata"]["name"]


def test_every_scaled_service_may_miss_one_replica_and_keeps_another() -> None:
    found = documents()
    scalers = {d["metadata"]["name"]: d["spec"] for d in found if d["kind"] == "HorizontalPodAutoscaler"}
    budgets = {d["metadata"]["name"]: d["spec"] for d in found if d["kind"] == "PodDisruptionBudget"}
    assert set(scalers) == set(budgets) == {"infer-prod", "infer-cand", "router", "frontend"}
    for name, scaler in scalers.items():
        assert scaler["scaleTargetRef"]["kind"] == workload(name)["kind"]
        assert scaler["minReplicas"] == workload(name)["spec"]["replicas"] >= 2
        assert budgets[name]["maxUnavailable"] == 1
        assert container(name)["resources"]["requests"]["cpu"], "a share of nothing is not measured"


def test_a_release_asks_every_replica_by_a_headless_service() -> None:
    for name, key in (("infer-prod", "HOMEPRICES_PRODUCTION_URLS"), ("infer-cand", "HOMEPRICES_CANDIDATE_URLS")):
        (service,) = [d for d in documents() if d["kind"] == "Service" and d["metadata"]["name"] == name]
        assert service["spec"]["clusterIP"] == "None"
        assert urlsplit(shared()[key]).hostname == name


def test_the_spool_lies_on_a_disk_that_outlives_its_pod() -> None:
    for name in ("infer-prod", "infer-cand"):
        spec = workload(name)["spec"]
        (claim,) = spec["volumeClaimTemplates"]
        mounted = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
        assert mounted[claim["metadata"]["name"]] == "/var/lib/homeprices"
        assert set(spec["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}


def test_nobody_talks_to_anybody_unless_it_is_said() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in documents() if d["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = (("infer-prod", 6001), ("infer-cand", 6002), ("router", 7000), ("mlflow", 5000), ("exporter", 9109))
    for name, port in ports:
        opened = {p["port"] for rule in policies[name]["ingress"] for p in rule["ports"]}
        assert port in opened and opened <= {p["containerPort"] for p in container(name)["ports"]}
    for spec in policies.values():
        for rule in spec.get("ingress", []):
            assert rule.get("from"), "everybody"


def test_accounts_are_the_workloads_that_aws_knows() -> None:
    from iac.stack_names import StackNames
    from iac.workloads import NAMESPACE, workloads

    known = {w.service_account for w in workloads(StackNames("p", "r", "1"), [], []) if w.namespace == NAMESPACE}
    used = {workload(name)["spec"]["template"]["spec"]["serviceAccountName"] for name in (*SERVICES, "exporter")}
    values = yaml.safe_load((ROOT / "kubernetes/airflow/values.yaml").read_text())
    airflow = {values[part]["serviceAccount"]["name"] for part in ("apiServer", "scheduler", "triggerer", "workers")}
    assert known == (used - {"frontend"}) | airflow
    assert yaml.safe_load((BASE / "kustomization.yaml").read_text())["namespace"] == NAMESPACE


def test_what_prometheus_operator_is_told_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generated.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_for_the_operator_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generated, "FOLDER", tmp_path)
    assert generated.main(["--check"]) == 1
    assert "kubernetes/monitoring/rules.yaml is stale" in capsys.readouterr().err
    assert generated.main([]) == generated.main(["--check"]) == 0


def test_every_service_that_tells_numbers_is_scraped_under_its_job() -> None:
    monitors = list(yaml.safe_load_all(generated.service_monitors()))
    services = {d["metadata"]["labels"]["app"]: d for d in documents() if d["kind"] == "Service"}
    for monitor in monitors:
        app = monitor["spec"]["selector"]["matchLabels"]["app"]
        (endpoint,) = monitor["spec"]["endpoints"]
        ports = {port["name"]: port["port"] for port in services[app]["spec"]["ports"]}
        (job,) = [job for job in JOBS if job.host == app]
        assert ports[endpoint["port"]] == job.port
        assert endpoint["relabelings"][0]["replacement"] == job.name
    assert len(monitors) == 4


def test_every_rule_of_compose_is_one_of_the_cluster() -> None:
    groups = [g["name"] for rule in yaml.safe_load_all(generated.rules()) for g in rule["spec"]["groups"]]
    theirs = [
        g["name"] for f in (ROOT / "monitoring/rules").glob("*.yml") for g in yaml.safe_load(f.read_text())["groups"]
    ]
    assert sorted(groups) == sorted(theirs)


def test_airflow_is_told_by_its_chart_what_compose_tells(compose: dict[str, Any]) -> None:
    values = yaml.safe_load((ROOT / "kubernetes/airflow/values.yaml").read_text())
    theirs = compose["airflow-scheduler"]["environment"]
    for section, keys in values["config"].items():
        for key, value in keys.items():
            name = f"AIRFLOW__{section.upper()}__{key.upper()}"
            if name in theirs and key not in {"parallelism"}:
                assert default(str(theirs[name])).lower() == str(value).lower(), name
    told = {variable["name"] for variable in values["env"]} | set(shared())
    ours = {name for name in theirs if name in variable_names()}
    secret = {"POSTGRES_PASSWORD", "HOMEPRICES_AIRFLOW_PASSWORD", "MLFLOW_TRACKING_PASSWORD"}
    assert [one["valueFrom"]["secretKeyRef"]["name"] for one in values["workers"]["env"]
            if one["name"] == "MLFLOW_TRACKING_PASSWORD"] == ["homeprices-mlflow"]  # fmt: skip
    notices = {name for name in ours if name.startswith(("SMTP_", "SLACK_", "NOTIFY_"))}
    of_a_release = {"HOMEPRICES_GIT_REVISION", "HOMEPRICES_MLFLOW_PUBLIC_URL"}
    assert ours - told - secret - notices - of_a_release - OF_COMPOSE == set()


def test_secrets_for_a_cluster_of_ones_own_come_from_the_env_file(tmp_path: Path) -> None:
    import base64
    import subprocess

    from compose.make_env import SECRETS

    env = tmp_path / ".env"
    names = [*SECRETS, "HOMEPRICES_AIRFLOW_PASSWORD"]
    env.write_text("".join(f"{name}=value-of-{name}\n" for name in names))
    script = ROOT / "kubernetes/overlays/local/secrets.sh"
    done = subprocess.run(["sh", str(script), str(env)], capture_output=True, text=True, check=True)
    made = {d["metadata"]["name"]: d for d in yaml.safe_load_all(done.stdout)}
    exporter = {k: base64.b64decode(v).decode() for k, v in made["homeprices-exporter"]["data"].items()}
    assert exporter["POSTGRES_PASSWORD"] == "value-of-MONITORING_DATABASE_PASSWORD"
    needed = set(re.findall(r"(?:secretRef|secretKeyRef): \{name: ([\w-]+)", "".join(
        path.read_text() for path in (ROOT / "kubernetes").rglob("*.yaml"))))  # fmt: skip
    assert needed <= set(made)
    outside = yaml.safe_load_all((ROOT / "kubernetes/overlays/aws/secrets.yaml").read_text())
    external = {d["metadata"]["name"]: d for d in outside if d["kind"] == "ExternalSecret"}
    keys_only = {f"homeprices-{name}" for name in ("bucket", "seaweedfs", "tracking", "pipeline")}  # or roles
    assert needed - keys_only <= set(external)
    for name, service in {"router": "ROUTER", "inference": "INFERENCE", "tracking": "MLFLOW", "exporter": "EXPORTER",
                          "airflow": "AIRFLOW", "pipeline": "PIPELINE"}.items():  # fmt: skip
        held = base64.b64decode(made[f"homeprices-{name}"]["data"]["AWS_SECRET_ACCESS_KEY"]).decode()
        assert held == f"value-of-{service}_S3_SECRET_KEY"
    for name, document in external.items():
        keys = {entry["secretKey"] for entry in document["spec"]["data"]}
        if name != "airflow-database":
            assert keys == set(made[name]["data"]) - {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, name
    env.write_text("POSTGRES_PASSWORD=x\n")
    refused = subprocess.run(["sh", str(script), str(env)], capture_output=True, text=True, check=False)
    assert refused.returncode and "AWS_ACCESS_KEY_ID is not in" in refused.stderr
