"""One instance under gunicorn with its database and bucket: responses, stored rows and operator routes agree."""

import http.client
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from homeprices.adapters.object_store import S3Bucket
from homeprices.names import Variant
from homeprices.predictions import drift_reports
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, eventually, publish
from tests.support.bundles import price

VISITORS, TURNS = 8, 40
MOST_BYTES_A_WORKER = 150_000_000
HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


@pytest.fixture(scope="module")
def instance(variables: dict[str, str], s3: S3Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A running instance of the inference service."""
    folder: Path = tmp_path_factory.mktemp("instance")
    publish(s3, folder / "made", "BO1")
    made = Instance(folder / "state", variables)
    made.start()
    eventually(lambda: made.serves("BO1"), "BO1 served")
    eventually(lambda: made.health()["database"] == "up", "the database known to be there")
    yield made
    made.stop()


def post(instance: Instance, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **named})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found


def logged(instance: Instance, kind: str, key: str, number: int) -> list[dict[str, Any]]:
    rows = instance.get(f"/api/logs?type={kind}&limit=50")[1]["logs"]
    return [row for row in rows if row[key] == number]


def test_an_estimate_and_its_rating_can_be_read_in_the_logs_and_metrics(instance: Instance) -> None:
    answers = []

    def is_logged() -> bool:  # a worker that has just started may not have reserved its ids yet
        status, answer = post(
            instance, "/api/predict_home_price", HOME, X_Visitor_Id="a", X_Assigned_Variant="production"
        )
        assert (status, answer["estimated_price"]) == (200, pytest.approx(price(1200, "Whitefield", 2), abs=0.01))
        answers.append(answer)
        return answer["prediction_id"] is not None

    eventually(is_logged, "an estimate with an id")
    answer = answers[-1]
    number = answer["prediction_id"]
    rating = {"prediction_id": number, "feedback_type": "rating", "feedback_value": 5}
    assert post(instance, "/api/feedback", rating, X_Visitor_Id="a")[0] == 200
    assert post(instance, "/api/feedback", {**rating, "feedback_value": 3}, X_Visitor_Id="a")[0] == 200
    eventually(
        lambda: [r["feedback_value"] for r in logged(instance, "feedback", "prediction_id", number)] == [3.0], "3"
    )
    [row] = logged(instance, "predictions", "id", number)
    assert (row["estimate"], row["bundle"]) == (answer["estimated_price"], "BO1")
    assert row["inputs"] == {**HOME, "total_sqft": 1200.0}
    production = instance.get("/api/metrics?hours=1")[1]["variants"]["production"]
    assert (production["requests"] >= 1, production["mean_rating"]) == (True, 3.0)
    assert production["feedback"] == {"rating": 1}


def test_concurrent_visitors_get_their_own_responses_and_these_are_stored(
    make: Make, s3: S3Bucket, engine: Engine, tmp_path: Path
) -> None:
    """Eight concurrent visitors of one worker: their predictions are computed and written in one micro-batch."""
    publish(s3, tmp_path / "made", "BO1")
    instance, run = make(WEB_CONCURRENCY="1"), uuid4().hex
    instance.start()
    eventually(lambda: instance.serves("BO1"), "BO1 served")
    eventually(lambda: instance.health()["database"] == "up", "ids reserved")

    def visit(visitor: int) -> list[tuple[int, float, float, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
        found = []
        for turn in range(TURNS):
            area = float(600 + 10 * (visitor * TURNS + turn))
            named = {"Content-Type": "application/json", "X-Request-ID": f"{run}-{area:.0f}"}
            connection.request("POST", "/api/predict_home_price", json.dumps({**HOME, "total_sqft": area}), named)
            answer = connection.getresponse()
            given = json.loads(answer.read())
            assert (answer.status, answer.headers["X-Request-ID"]) == (200, named["X-Request-ID"])
            assert given["estimated_price"] == pytest.approx(price(area, "Whitefield", 2), abs=0.01)
            found.append((given["prediction_id"], given["estimated_price"], area, named["X-Request-ID"]))
        connection.close()
        return found

    with ThreadPoolExecutor(VISITORS) as pool:
        given = {one for found in pool.map(visit, range(VISITORS)) for one in found}
    assert len({number for number, *_ in given}) == VISITORS * TURNS
    stored = text(
        "SELECT id, estimate, (inputs ->> 'total_sqft')::float, request_id FROM prediction_logs"
        " WHERE request_id LIKE :run"
    )

    def rows() -> list[tuple[int, float, float, str]]:
        with engine.connect() as connection:
            return [(row[0], row[1], row[2], row[3]) for row in connection.execute(stored, {"run": f"{run}-%"})]

    eventually(lambda: len(rows()) >= VISITORS * TURNS, "all of them stored")
    assert sorted(rows()) == sorted(given)


def test_feedback_on_an_id_that_was_never_issued_is_rejected(instance: Instance) -> None:
    for number in (10**12, 10**6):
        status, problem = post(instance, "/api/feedback", {"prediction_id": number, "feedback_type": "accurate"})
        assert (status, str(number) in problem["error"]) == (404, True)


def test_prometheus_reads_one_text_of_all_workers(instance: Instance) -> None:
    before = instance.metric('predictions_total{variant="production"}')
    for _ in range(20):  # on new connections, so that both workers get some
        assert post(instance, "/api/predict_home_price", HOME)[0] == 200
    assert instance.metric('predictions_total{variant="production"}') == before + 20
    assert instance.metric('prediction_duration_seconds_count{variant="production"}') == before + 20
    assert instance.metric('model_version_number{variant="production"}') == 1
    assert 0 <= instance.metric('system_cpu_percent{variant="production"}') <= 100
    assert 0 < instance.metric('system_memory_percent{variant="production"}') <= 100
    assert instance.metric('requests_in_flight{variant="production"}') == 1


def test_the_log_of_the_instance_can_be_read(instance: Instance) -> None:
    tail = instance.get("/api/logs/tail?limit=1000")[1]
    swaps = [line for line in tail["lines"] if line["event"] == "model_reloaded"]
    assert {line["version"] for line in swaps} == {"BO1"}
    assert len(swaps) == 2


def test_drift_is_the_newest_stored_report_of_the_variant_and_window_with_its_age(
    instance: Instance, engine: Engine
) -> None:
    assert instance.get("/api/drift_report")[1]["status"] == "no_report"
    reports: tuple[tuple[int, int, Variant], ...] = (
        (30, 24, "production"), (40, 24, "production"), (700, 168, "production"), (50, 24, "candidate")
    )  # fmt: skip
    for points, hours, variant in reports:
        store_report(engine, points, hours, variant)
    report = instance.get("/api/drift_report")[1]
    assert (report["status"], report["data_points"], report["model_version"]) == ("ok", 40, "BO1")
    assert (report["hours"], report["variant"], report["overall_drift_detected"]) == (24, "production", True)
    assert report["drift_indicators"]["total_sqft"]["current_mean"] == 1200
    assert 0 <= report["age_seconds"] < 60
    assert instance.get("/api/drift_report?hours=168")[1]["data_points"] == 700
    assert instance.get("/api/drift_report?variant=candidate")[1]["data_points"] == 50
    assert instance.get("/api/drift_report?hours=48")[1]["status"] == "no_report"
    assert instance.get("/api/drift_report?variant=none")[0] == 422


def store_report(engine: Engine, points: int, hours: int, variant: Variant) -> None:
    until = datetime.now(UTC)
    indicator = {
        "reference_mean": 1000.0, "current_mean": 1200.0, "drift_percentage": 20.0, "significant_drift": True,
        "test": "Mann-Whitney", "p_value": 0.001, "effect": {"wasserstein": 0.3}, "sentence": "The area has changed.",
    }  # fmt: skip
    summary = {"status": "ok", "run": f"{points}", "drift_indicators": {"total_sqft": indicator},
               "overall_drift_detected": True}  # fmt: skip
    with engine.begin() as connection:
        since = until - timedelta(hours=hours)
        drift_reports.store(connection, drift_reports.Report(variant, "BO1", since, until, points, summary))


def test_each_worker_is_light(instance: Instance, variables: dict[str, str], tmp_path: Path) -> None:
    """Measured after estimates, in a second instance, which does not measure its coverage."""
    plain = Instance(tmp_path / "state", {**variables, "COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""})
    plain.start()
    try:
        eventually(lambda: plain.serves("BO1"), "BO1 served")
        for _ in range(100):
            assert plain.post("/api/predict_home_price", HOME)[0] == 200
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in plain.workers()]
    finally:
        plain.stop()
    assert len(pages) == 2
    assert max(pages) * os.sysconf("SC_PAGE_SIZE") < MOST_BYTES_A_WORKER


def test_a_request_after_one_with_an_unread_body_is_answered(instance: Instance) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
    body = json.dumps(HOME).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    statuses = []
    for _ in range(30):
        for method, path in (("PUT", "/api/predict_home_price"), ("POST", "/api/nothing"), ("GET", "/api/ready")):
            connection.request(method, path, headers=headers)
            connection.send(body)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    connection.close()
    assert statuses == [405, 404, 200] * 30


def test_feedback_is_accepted_without_a_candidate(make: Make) -> None:
    candidate = make(MODEL_PREFIX="candidate_model", HOMEPRICES_INSTANCE="infer-cand", WEB_CONCURRENCY="1")
    candidate.start()
    eventually(lambda: candidate.health()["state"] == "idle", "idle")
    assert post(candidate, "/api/predict_home_price", HOME)[0] == 503
    assert candidate.get("/api/ready")[0] == 200
