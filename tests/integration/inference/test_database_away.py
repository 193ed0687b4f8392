"""PostgreSQL is stopped and started again under load, or never reachable."""

import http.client
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from homeprices.adapters.database import open_engine, transaction, upgrade
from homeprices.adapters.object_store import S3Bucket
from homeprices.predictions.feedback import LARGEST_ID
from homeprices.settings import load_settings
from local.services.postgres import Database, connect, create, installation, postgres
from local.supervision import accounts
from local.supervision.service_spec import ServiceSpec
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, Memory, eventually, kill, publish, visitors
from tests.support.free_ports import free_ports
from tests.support.servers import clean_environment
from tests.support.servers import running as serving

FACTORS = {"BO1": 1.0}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[ServiceSpec, str]]:
    """A server that this test may stop, and the password of its superuser."""
    password, home = secrets.token_hex(12), tmp_path / "postgres"
    yield postgres(installation(home), free_ports(1)[0], password, [], clean_environment(), durable=False), password
    accounts.remove(home)


def variables_of(server: ServiceSpec) -> dict[str, str]:
    [port] = server.ports.values()
    names = {"POSTGRES_USER": "homeprices", "POSTGRES_PASSWORD": "word", "POSTGRES_DB": "homeprices"}
    return {"POSTGRES_PORT": str(port), **names}


def prepare_database(variables: dict[str, str], password: str) -> None:
    connection = connect(int(variables["POSTGRES_PORT"]), password)
    with connection.cursor() as cursor:
        create(cursor, Database("homeprices", "word"))
    connection.close()
    upgrade(load_settings(variables, ()))


def remark(instance: Instance, number: int) -> int:
    """Send feedback without a visitor id on a new connection, which any worker may take. Return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
    body = urlencode({"prediction_id": number, "feedback_type": "accurate"})
    connection.request("POST", "/api/feedback", body, {"Content-Type": "application/x-www-form-urlencoded"})
    status = connection.getresponse().status
    connection.close()
    return status


def assert_all_is_stored_once(variables: dict[str, str], memory: Memory) -> None:
    engine = open_engine(load_settings(variables, ()))
    with transaction(engine) as connection:
        predictions = connection.execute(text("SELECT id FROM prediction_logs")).scalars().all()
        ratings = connection.execute(
            text("SELECT prediction_id, feedback_value, verified FROM user_feedback WHERE visitor IS NOT NULL")
        ).all()
    engine.dispose()
    assert sorted(predictions) == sorted(memory.estimates)
    assert {number: int(stars) for number, stars, _ in ratings} == memory.ratings
    assert all(verified for _, _, verified in ratings)


def test_predictions_and_ratings_go_on_without_postgresql_and_drain_when_it_is_back(
    server: tuple[ServiceSpec, str], s3: S3Bucket, s3_settings: dict[str, str], tmp_path: Path
) -> None:
    service, password = server
    variables, log = variables_of(service), tmp_path / "postgres.log"
    publish(s3, tmp_path / "made", "BO1")
    instance = Instance(tmp_path / "state", {**s3_settings, **variables})
    with ExitStack() as ending:
        up = ending.enter_context(ExitStack())
        up.enter_context(serving(service, log))
        prepare_database(variables, password)
        instance.start()
        ending.callback(instance.stop)
        eventually(lambda: instance.serves("BO1"), "BO1 served")
        eventually(lambda: instance.health()["database"] == "up", "ids reserved")
        with visitors(instance, 3, FACTORS, pause_seconds=0.005) as memory:
            eventually(lambda: len(memory.ratings) > 20, "ratings while all is well")
            up.close()
            eventually(lambda: instance.health()["database"] == "down", "the loss of the database noticed")
            rated = len(memory.ratings)
            eventually(lambda: len(memory.ratings) > rated + 300, "ratings without a database")
            assert instance.get("/api/metrics")[0] == 503
            assert {remark(instance, max(memory.estimates)) for _ in range(20)} == {200}
            assert {remark(instance, LARGEST_ID) for _ in range(4)} == {202}
            ending.enter_context(serving(service, log))
            eventually(lambda: instance.health()["database"] == "up", "the database noticed again")
        eventually(lambda: list((instance.folder / "infer-prod" / "spool").iterdir()) == [], "an empty spool")
        assert (memory.failed, memory.wrong, memory.broken, memory.without_id) == ([], [], 0, 0)
        assert_all_is_stored_once(variables, memory)


def test_a_killed_workers_estimate_is_known_to_the_other_worker_and_variant_without_postgresql(
    server: tuple[ServiceSpec, str], s3: S3Bucket, s3_settings: dict[str, str], tmp_path: Path
) -> None:
    service, password = server
    variables = {**s3_settings, **variables_of(service)}
    publish(s3, tmp_path / "made", "BO1")
    production = Instance(tmp_path / "state", variables)
    others = {"MODEL_PREFIX": "candidate_model", "HOMEPRICES_INSTANCE": "infer-cand", "WEB_CONCURRENCY": "1"}
    candidate = Instance(tmp_path / "state", {**variables, **others})
    with ExitStack() as ending:
        with serving(service, tmp_path / "postgres.log"):
            prepare_database(variables, password)
            for instance in (production, candidate):
                instance.start()
                ending.callback(instance.stop)
            eventually(lambda: production.serves("BO1"), "BO1 served")
            eventually(lambda: production.metric('database_up{variant="production"}') == 1, "ids in every worker")
        home = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
        number = production.post("/api/predict_home_price", home)[1]["prediction_id"]
        [segment] = [
            path
            for path in (production.folder / "infer-prod" / "spool").glob("*.segment")
            if b'"id":%d,' % number in path.read_bytes()
        ]
        kill(int(segment.stem.split("-")[1]))
        assert [remark(instance, number) for instance in (production, production, candidate)] == [200] * 3
        assert [remark(instance, number + 1) for instance in (production, candidate)] == [202] * 2


def test_an_instance_that_never_reached_its_database_predicts_without_ids(
    make: Make, s3: S3Bucket, tmp_path: Path
) -> None:
    publish(s3, tmp_path / "made", "BO1")
    [nowhere] = free_ports(1)
    instance = make(POSTGRES_PORT=str(nowhere), WEB_CONCURRENCY="1")
    instance.start()
    eventually(lambda: instance.serves("BO1"), "BO1 served")
    eventually(lambda: instance.health()["database"] == "down", "the database known to be away")
    with visitors(instance, 1, FACTORS) as memory:
        eventually(lambda: memory.without_id > 10, "estimates")
    assert (memory.failed, memory.wrong, memory.estimates) == ([], [], {})
    assert instance.metric('predictions_unlogged_total{variant="production"}') > 10
