"""The servers of the stack are what the rest of the project takes them for."""

from __future__ import annotations

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from homeprices.errors import ObjectNotFound, PreconditionFailed, StorageUnavailable
from tests.support.servers import Servers, open_s3

WRITERS = 8
ROUNDS = 10


def test_a_database_answers_its_own_role_over_scram(postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SHOW server_version")).scalar_one().startswith("18.")
        assert connection.execute(sqlalchemy.text("SHOW listen_addresses")).scalar_one() == "127.0.0.1"
        assert not connection.execute(
            sqlalchemy.text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        ).scalar_one()
    engine.dispose()


def test_a_role_is_refused_in_another_roles_database_and_with_a_wrong_password(
    servers: Servers, postgres_url: str
) -> None:
    other = sqlalchemy.make_url(servers.postgres("somebody_else"))
    mine = sqlalchemy.make_url(postgres_url)
    for url, reason in [
        (mine.set(database=other.database), "permission denied for database"),
        (mine.set(database="postgres"), "permission denied for database"),
        (mine.set(password="wrong"), "password authentication failed"),
    ]:
        with pytest.raises(sqlalchemy.exc.OperationalError, match=reason):
            sqlalchemy.create_engine(url).connect()


def test_of_eight_writers_that_claim_a_key_at_once_exactly_one_wins(s3_settings: dict[str, str]) -> None:
    buckets = [open_s3(s3_settings) for _ in range(WRITERS)]
    for round_number in range(ROUNDS):
        start = threading.Barrier(WRITERS)

        def claim(writer: int, key: str = f"claims/{round_number}", start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                buckets[writer].put(key, b"writer %d" % writer, if_absent=True)
            except PreconditionFailed:
                return False
            return True

        with ThreadPoolExecutor(WRITERS) as pool:
            winners = [writer for writer, won in enumerate(pool.map(claim, range(WRITERS))) if won]
        assert len(winners) == 1
        assert buckets[0].get(f"claims/{round_number}").body == b"writer %d" % winners[0]


def test_no_increment_is_lost_when_eight_writers_compare_and_swap_one_key(s3_settings: dict[str, str]) -> None:
    buckets = [open_s3(s3_settings) for _ in range(WRITERS)]
    buckets[0].put("counter", b"0")

    def count(writer: int) -> None:
        done = 0
        while done < ROUNDS:
            held = buckets[writer].get("counter")
            try:
                buckets[writer].put("counter", b"%d" % (int(held.body) + 1), if_match=held.etag)
            except PreconditionFailed:
                continue
            done += 1

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(count, range(WRITERS)))
    assert buckets[0].get("counter").body == b"%d" % (WRITERS * ROUNDS)


def test_a_wrong_key_reads_nothing_and_buckets_are_apart(servers: Servers, s3_settings: dict[str, str]) -> None:
    open_s3(s3_settings).put("here", b"x")
    with pytest.raises(StorageUnavailable, match="SignatureDoesNotMatch"):
        open_s3({**s3_settings, "AWS_SECRET_ACCESS_KEY": "wrong"}).get("here")
    with pytest.raises(ObjectNotFound):
        open_s3(servers.s3("another-bucket")).get("here")


def test_mlflow_answers_its_own_addresses_and_refuses_a_rebound_name(mlflow_uri: str) -> None:
    search = f"{mlflow_uri}/api/2.0/mlflow/experiments/search?max_results=1"
    with urllib.request.urlopen(search, timeout=60) as answer:
        assert answer.status == 200
    rebound = urllib.request.Request(search, headers={"Host": "rebound.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(rebound, timeout=60)
