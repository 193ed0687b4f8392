"""Hot reload under load, poisoned bundles, and an unavailable bucket."""

import http.server
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeprices.adapters.object_store import S3Bucket
from homeprices.registry import bundle_publisher
from homeprices.release import control_record
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import (
    Instance,
    eventually,
    make_bundle_of_other_inputs,
    make_bundle_without_a_number,
    publish,
    upload,
    visitors,
)
from tests.support.bundles import make_bundle
from tests.support.free_ports import free_ports

SWAPS = 8
QUICKER_THAN_ANY_TIMEOUT_SECONDS = 1.0  # measured on an idle machine in benchmarks/RESULTS.md
FACTORS = {f"BO{number}": 1.0 + number / 10 for number in range(1, 100)}


def test_models_are_reloaded_under_load_without_a_failed_request_or_a_price_of_another_model(
    make: Make, s3: S3Bucket, tmp_path: Path
) -> None:
    publish(s3, tmp_path / "made", "BO1", factor=FACTORS["BO1"])
    instance = make()
    instance.start()
    eventually(lambda: instance.serves("BO1"), "BO1 served")
    with visitors(instance, 4, FACTORS) as memory:
        for number in range(2, 2 + SWAPS):
            publish(s3, tmp_path / "made", f"BO{number}", factor=FACTORS[f"BO{number}"])
            eventually(lambda number=number: instance.serves(f"BO{number}"), f"BO{number} served by all workers")  # type: ignore[misc]
    assert (memory.failed, memory.broken, memory.wrong) == ([], 0, [])
    assert len(memory.statuses) > 500
    assert {"BO1", f"BO{1 + SWAPS}"} <= memory.versions
    assert instance.metric('model_polls_total{outcome="reloaded",variant="production"}') >= 2 * SWAPS
    refuse_poison(instance, s3, tmp_path)


def refuse_poison(instance: Instance, s3: S3Bucket, tmp_path: Path) -> None:
    """Each poisoned bundle is the newest for a while, and is never served."""
    good = instance.health()["model_version"]
    model = (make_bundle(tmp_path / "sound", "BO50") / "model.onnx").read_bytes()
    poisons = {
        "BO51": {"model.onnx": model[:100] + bytes([model[100] ^ 1]) + model[101:]},
        "BO52": {"model.onnx": model[:-1]},
        "BO53": {"columns.json": b"{}"},
        "BO54": {"manifest.json": b"{}"},
    }
    with visitors(instance, 2, FACTORS) as memory:
        for version, spoil in poisons.items():
            publish(s3, tmp_path / "poison", version, factor=9.9, spoil=spoil)
            eventually(lambda version=version: instance.health()["refused_version"] == version, f"{version} refused")  # type: ignore[misc]
        upload(s3, make_bundle_without_a_number(tmp_path / "nan" / "BO55", "BO55"), "BO55", {})
        eventually(lambda: instance.health()["refused_version"] == "BO55", "the model without a number refused")
        eventually(lambda: instance.metric(refused("answers")) == 55, "by all workers, for its answers")
        eventually(lambda: instance.metric(refused("damaged")) == 0, "by all workers, for nothing else")
        upload(s3, make_bundle_of_other_inputs(tmp_path / "inputs" / "BO56", "BO56"), "BO56", {})
        eventually(lambda: instance.metric(refused("inputs")) == 56, "the model of other inputs refused")
        upload(s3, make_bundle(tmp_path / "slow" / "BO57", "BO57", idle_work=1_000_000), "BO57", {})
        eventually(lambda: instance.metric(refused("slow")) == 57, "the slow model refused")
        # Each worker rejects it separately, and any of them may respond.
        eventually(lambda: instance.health()["refused_for"] == "slow", "the health page says why")
        assert instance.serves(good)
    assert (memory.versions, memory.failed, memory.wrong) == ({good}, [], [])
    publish(s3, tmp_path / "sound-again", "BO58", factor=FACTORS["BO58"])
    eventually(lambda: instance.serves("BO58"), "the next sound bundle served")
    eventually(lambda: instance.metric(refused("slow")) == 0, "nothing refused any more")


def refused(fault: str) -> str:
    return f'model_rejected_version{{fault="{fault}",variant="production"}}'


def test_a_candidate_comes_and_goes(make: Make, s3: S3Bucket, tmp_path: Path) -> None:
    candidate = make("candidate", MODEL_PREFIX="candidate_model", HOMEPRICES_INSTANCE="infer-cand")
    candidate.start()
    eventually(lambda: candidate.health()["state"] == "idle", "idle without a candidate")
    publish(s3, tmp_path / "made", "CO1")
    eventually(lambda: candidate.serves("CO1"), "the candidate served")
    bundle_publisher.archive(s3, "CO1")
    eventually(lambda: candidate.health()["model_version"] is None, "nothing served after its end")
    assert control_record.read(s3).state == "idle"


def test_without_the_bucket_at_start_the_cached_bundle_is_served_as_stale(
    make: Make, s3: S3Bucket, tmp_path: Path, s3_settings: dict[str, str]
) -> None:
    publish(s3, tmp_path / "made", "BO70", factor=FACTORS["BO70"])
    first = make("kept")
    first.start()
    eventually(lambda: first.serves("BO70"), "BO70 served")
    first.stop()
    [port] = free_ports(1)
    cut_off = make("kept", AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{port}")
    cut_off.start()
    eventually(lambda: cut_off.serves("BO70"), "the cached bundle served")
    assert cut_off.health()["state"] == "stale"
    assert cut_off.metric('model_stale{variant="production"}') == 1
    with visitors(cut_off, 1, FACTORS) as memory:
        eventually(lambda: len(memory.ratings) > 5, "estimates and ratings")
    assert (memory.failed, memory.wrong) == ([], [])


class _Hanging(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(60)


@pytest.fixture
def hanging_server() -> str:
    """A server that accepts requests and never responds, like a bucket behind a broken load balancer."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hanging)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A port whose connections the kernel accepts and no program reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        yield str(server.getsockname()[1])


def test_a_hanging_bucket_delays_no_visitor(make: Make, hanging_server: str) -> None:
    instance = make("hanging", AWS_ENDPOINT_URL_S3=hanging_server, WEB_CONCURRENCY="1")
    instance.start()
    seconds = []
    for path, status in [("/api/health", 200), ("/api/ready", 503), ("/api/get_location_names", 503)] * 11:
        started = time.monotonic()
        assert instance.get(path)[0] == status
        seconds.append(time.monotonic() - started)
    assert instance.health()["state"] == "starting"
    assert statistics.median(seconds) < QUICKER_THAN_ANY_TIMEOUT_SECONDS


def test_health_responds_at_once_while_bucket_and_database_hang(
    make: Make, s3: S3Bucket, tmp_path: Path, silent_port: str
) -> None:
    """A bucket and a database that accept connections and never respond are worse than ones that refuse them."""
    publish(s3, tmp_path / "made", "BO80", factor=FACTORS["BO80"])
    first = make("healthy", WEB_CONCURRENCY="1")
    first.start()
    eventually(lambda: first.serves("BO80"), "BO80 served")
    first.stop()
    away = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent_port}", "POSTGRES_PORT": silent_port}
    cut_off = make("healthy", **away, WEB_CONCURRENCY="1")
    cut_off.start()
    eventually(lambda: cut_off.health()["state"] == "stale", "the cached bundle served, and called stale")
    seconds = []
    for _ in range(41):
        started = time.perf_counter()
        health = cut_off.health()
        seconds.append(time.perf_counter() - started)
        assert (health["state"], health["model_version"], health["database"] == "up") == ("stale", "BO80", False)
    assert statistics.median(seconds) < QUICKER_THAN_ANY_TIMEOUT_SECONDS
    status, answer = cut_off.post("/api/predict_home_price", {"total_sqft": 900, "location": "x", "bhk": 1, "bath": 1})
    assert (status, answer["prediction_id"]) == (200, None)
