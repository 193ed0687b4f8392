"""One command leads to two served models; permissions and networks."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from local.stack import git_revision
from tests.compose.compose_stack import EVALUATION, PIPELINE, PROJECT, ROOT, ComposeStack, seconds_since
from tests.e2e.visitors import HOME


def test_a_placeholder_secret_stops_the_start_with_its_name(stack: ComposeStack) -> None:
    try:
        refused = stack.compose("up", "-d", "postgres", check=False, HOMEPRICES_VISITOR_KEY="change-me")
        assert refused.returncode != 0 and "preflight" in refused.stderr
        assert "HOMEPRICES_VISITOR_KEY is missing or a placeholder" in stack.compose("logs", "preflight").stdout
        assert [c["Service"] for c in stack.containers() if c["State"] == "running"] == []
    finally:
        stack.down("--volumes")


def test_one_command_leads_to_everything_healthy_and_two_models(
    stack: ComposeStack, figures: dict[str, object]
) -> None:
    started = time.monotonic()
    stack.up()
    stack.wait_until_healthy()
    figures["up_to_all_healthy_seconds"] = seconds_since(started)
    stack.wait(lambda: stack.served("INFER_PROD") == "BO1", 600, "BO1 in production")
    figures["up_to_first_model_seconds"] = seconds_since(started)
    stack.wait(lambda: stack.served("INFER_CAND") == "CO1", 600, "CO1 as the candidate")
    stack.wait(lambda: stack.record()["state"] == "running", 120, "CO1 before visitors")
    figures["up_to_experiment_seconds"] = seconds_since(started)
    assert stack.record() | {"candidate": "CO1", "share": 20.0} == stack.record()
    with stack.airflow as airflow:  # a start asks for a first look
        stack.wait(lambda: {run["state"] for run in airflow.runs(EVALUATION)} == {"success"}, 120, "a first look")
    stack.pause(EVALUATION)  # the next one when the story has come to it, whatever the hour


def test_a_bundle_says_which_commit_it_was_trained_from(stack: ComposeStack) -> None:
    read = "result = json.loads(bucket.get('models/price_check_BO1/manifest.json').body)['git_revision']"
    assert stack.python(read) == git_revision(ROOT)


def test_containers_run_as_nobody_in_particular_with_no_rights(stack: ComposeStack) -> None:
    for container in stack.containers():
        if container["State"] != "running":
            continue
        known = stack.inspect(container["Name"])
        status = Path(f"/proc/{known['State']['Pid']}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        assert fields["Uid"].split()[1] != "0", container["Name"]
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, container["Name"]
        assert fields["NoNewPrivs"].strip() == "1", container["Name"]
        assert known["HostConfig"]["ReadonlyRootfs"] and known["HostConfig"]["Memory"] > 0, container["Name"]
        written = stack.run("docker", "exec", container["Name"], "sh", "-c", "echo x >/etc/x", check=False)
        assert written.returncode != 0, container["Name"]


def test_only_the_router_can_be_reached_from_the_visitors_side(stack: ComposeStack) -> None:
    look = (
        "import socket, sys\n"
        "for host, port in (('postgres', 5432), ('seaweedfs', 8333), ('infer-prod', 6001), ('router', 7000)):\n"
        "    try: socket.create_connection((host, port), 2); print(host)\n"
        "    except OSError: pass\n"
    )
    assert stack.compose("exec", "-T", "frontend", "python", "-c", look).stdout.split() == ["router"]
    addresses = {
        name: [n["IPAddress"] for n in stack.inspect(f"{PROJECT}-{name}-1")["NetworkSettings"]["Networks"].values()]
        for name in ("postgres", "infer-prod")
    }
    by_address = look.replace("'postgres'", repr(addresses["postgres"][0])).replace(
        "'infer-prod'", repr(addresses["infer-prod"][0])
    )
    assert stack.compose("exec", "-T", "frontend", "python", "-c", by_address).stdout.split() == ["router"]


def test_each_role_may_enter_its_own_database_alone(stack: ComposeStack) -> None:
    allowed = stack.sql(
        "select r.rolname, d.datname from pg_roles r, pg_database d where not d.datistemplate and r.rolname in"
        " ('airflow', 'mlflow', 'homeprices', 'monitoring') and has_database_privilege(r.oid, d.oid, 'connect')"
        " order by 1, 2"
    )
    assert allowed == [
        ["airflow", "airflow"], ["homeprices", "homeprices"], ["mlflow", "mlflow"],
        ["monitoring", "homeprices"], ["monitoring", "postgres"],
    ]  # fmt: skip
    assert stack.sql("select count(*) from pg_roles where rolname not like 'pg_%' and rolsuper") == [["1"]]
    held = "select " + ", ".join(
        f"has_table_privilege('monitoring', 'prediction_logs', '{p}')" for p in ("select", "insert")
    )
    assert stack.sql(held) == [["t", "f"]]


def test_the_form_prices_a_home_and_takes_its_rating(stack: ComposeStack) -> None:
    with httpx.Client(base_url=stack.url("FRONTEND"), timeout=60) as visitor:
        assert "<form" in visitor.get("/").text
        estimate = visitor.post("/api/predict_home_price", json=HOME).json()
        assert estimate["estimated_price"] > 0
        rating = {"prediction_id": estimate["prediction_id"], "feedback_type": "rating", "feedback_value": 4}
        assert visitor.post("/api/feedback", json=rating).is_success
    query = f"select verified from user_feedback where prediction_id = {estimate['prediction_id']}"
    assert stack.wait(lambda: stack.sql(query), 30, "the rating in PostgreSQL") == [["t"]]


def test_data_scientists_see_runs_and_registered_versions(stack: ComposeStack) -> None:
    api = f"{stack.url('MLFLOW')}/api/2.0/mlflow"
    asked = {"name": "bangalore_home_prices", "alias": "production"}
    login = ("homeprices", stack.secrets["MLFLOW_TRACKING_PASSWORD"])
    assert httpx.get(f"{api}/registered-models/alias", params=asked, timeout=20).status_code == 401
    found = httpx.get(f"{api}/registered-models/alias", params=asked, auth=login, timeout=20)
    assert found.json()["model_version"]["source"].endswith("price_check_BO1")
    refused = httpx.get(
        f"{stack.url('MLFLOW')}/api/2.0/mlflow/experiments/search", headers={"Host": "evil.example"}, timeout=20
    )
    assert refused.status_code == 403


def test_logs_of_tasks_are_in_the_bucket_and_in_the_ui(stack: ComposeStack) -> None:
    keys = stack.python("result = [e.key for e in bucket.list('airflow-logs/')]")
    assert any(PIPELINE in key and "publish_bundle" in key for key in keys)
    with stack.airflow as airflow:
        run = airflow.runs(PIPELINE)[-1]["dag_run_id"]
    with httpx.Client(base_url=stack.url("AIRFLOW"), timeout=20) as reader:
        token = reader.post("/auth/token", json={"username": "airflow", "password": "airflow"}).json()["access_token"]
        path = f"/api/v2/dags/{PIPELINE}/dagRuns/{run}/taskInstances/check_dataset/logs/1"
        shown = reader.get(path, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    assert shown.is_success and "s3://" in shown.text
